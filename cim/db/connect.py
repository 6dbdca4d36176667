"""The database of this node: the one in `DATABASE_URL`, or the embedded cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from cim.db.embedded import Cluster
from cim.db.ownership import owned, used
from cim.errors import SetupProblem, Unavailable
from cim.settings import Settings


@contextmanager
def database(settings: Settings, *, is_owner: bool = False) -> Iterator[str]:
    """libpq URL of the node's database while the block runs.

    `is_owner`: for the process that serves; it alone starts and stops the embedded cluster, and a second one is
    refused. Others use it as it runs, or start it for the time being; where they are the first to make it they make
    its tables too. Raises SetupProblem when what runs in the
    block misses a table, Unavailable when the database goes away beneath it.
    """
    try:
        if settings.database_url:
            yield settings.database_url
            return
        cluster = Cluster(settings.data_dir)
        is_new = cluster.made_by() is None
        with owned(cluster, is_watched=True) if is_owner else used(cluster) as url:
            if is_new and not is_owner:
                _make_tables(url)
            yield url
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise SetupProblem(
            "the database does not have this version's tables; make them with: cim db upgrade"
        ) from error
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database went away or gave up: {str(error).strip().splitlines()[0][:200]}") from error


def _make_tables(url: str) -> None:
    from cim.db.migrate import upgrade  # which needs this module, and packages that most commands do not

    upgrade(url)


def connect(url: str, *, application: str = "cim") -> psycopg.Connection[Any]:
    """An autocommit connection for writing. Raises Unavailable, without the password, when there is none."""
    try:
        return psycopg.connect(url, autocommit=True, application_name=application, connect_timeout=10)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise Unavailable(f"no connection to {shown(url)}: {str(error).strip().splitlines()[0][:200]}") from error


def shown(url: str) -> str:
    """The URL as it may be printed: no password. Raises SetupProblem for one that is no URL."""
    try:
        facts = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise SetupProblem(
            "DATABASE_URL cannot be read; it looks like postgresql://user:password@host:5432/cim"
        ) from error
    return f"database '{facts.get('dbname')}' on {facts.get('host') or 'localhost'} as {facts.get('user') or 'the default user'}"
