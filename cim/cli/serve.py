"""`cim serve` and `cim run`: the API over this node's database."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from cim.settings import Settings

OPEN_FILES = 65_536

console = Console(stderr=True, highlight=False, soft_wrap=True)


def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on (CIM_HOST)")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on (CIM_PORT)")] = None,
    workers: Annotated[int | None, typer.Option(help="worker processes (CIM_WORKERS)")] = None,
) -> None:
    """Serve the API and the page; start the embedded database where DATABASE_URL is not set.

    Example: cim serve --port 8080
    """
    _serve(_settings(host, port, workers), is_filling=False)


def run(
    host: Annotated[str | None, typer.Option(help="address to listen on (CIM_HOST)")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on (CIM_PORT)")] = None,
    buildings: Annotated[int, typer.Option(help="buildings of the sample city made for an empty database")] = 2000,
) -> None:
    """Everything in one: database, schema, a sample city where there is none, the API and the page.

    Example: cim run
    """
    _serve(_settings(host, port, None), is_filling=True, buildings=buildings)


def _settings(host: str | None, port: int | None, workers: int | None) -> Settings:
    stated = {"host": host, "port": port, "workers": workers}
    return Settings().model_copy(update={name: value for name, value in stated.items() if value is not None})


def _serve(settings: Settings, *, is_filling: bool, buildings: int = 2000) -> None:
    from api import server
    from cim.db.connect import database, shown
    from cim.db.migrate import upgrade

    server.check_port(settings)
    _allow_connections()
    with _interruptible(), database(settings, is_owner=True) as url:
        console.print(f"{shown(url)}: bringing the schema up to date")
        upgrade(url)
        if is_filling:
            _fill(settings, url, buildings)
        _tell_stale_page()
        _announce(settings, url)
        server.run(settings.model_copy(update={"database_url": url}))


def _allow_connections() -> None:
    """A login shell's 1024 open files are used up by as many idle clients; this process and its workers may have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end the command as Ctrl-C does, so that the database is stopped after the workers."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def terminate(number: int, frame: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # to whoever handles it now: this command, later the server

    former = signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, terminate)
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped")
    finally:
        signal.signal(signal.SIGTERM, former)


def _fill(settings: Settings, url: str, buildings: int) -> None:
    from cim.catalogue.seed import seed_catalogue
    from cim.cli.sample import first_fill, generate_and_load
    from cim.db.connect import connect

    if (state := first_fill(url)) != "done":
        why = "the database is empty" if state == "due" else "the first start was stopped before its city was whole"
        console.print(f"{why}: making a sample city of {buildings:,} buildings")
        target = settings.model_copy(update={"database_url": url})
        generate_and_load(target, buildings=buildings, is_replacing=state == "stopped")
    with connect(url) as connection:
        seed_catalogue(connection)


def _tell_stale_page() -> None:
    from api.portal.built import dist_folder, is_stale

    folder = dist_folder()
    if folder is not None and is_stale(folder):
        console.print(
            "the page was built of other sources than those that lie here (web/): build it anew by: make build"
        )


def _announce(settings: Settings, url: str) -> None:
    from cim.db.connect import connect
    from cim.db.keys import create_key
    from cim.db.rights import Rights

    base = settings.public_url
    with connect(url) as connection:
        found = connection.execute(
            "SELECT EXISTS (SELECT FROM cim.api_key), EXISTS (SELECT FROM cim.person)"
        ).fetchone()
        has_key, has_people = found or (True, True)
        key = None if has_key else create_key(connection, Rights("admin"), label="first start")
    first = "" if has_people else "   (nobody can log in yet; make the first person with: cim people add)"
    console.print(
        f"\n  map        {base}/\n  catalogue  {base}/catalogue\n  desk       {base}/desk{first}"
        f"\n  API        {base}/api?f=html\n  STAC       {base}/stac"
    )
    if key is not None:
        console.print(f"  admin key  {key}   (shown once; make others with: cim db key create)")
    console.print("  Ctrl-C stops everything\n")
