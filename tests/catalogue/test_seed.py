"""Services that come with a node, written again and again without change."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from cim.catalogue.load import load_organisations, load_services, read_rows
from cim.catalogue.seed import seed_catalogue
from cim.collections import BUILTIN
from tests.conftest import ROOT

FILES = ROOT / "sample_data" / "files"
ORGANISATIONS, SERVICES = FILES / "organisations.yaml", FILES / "services.yaml"

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def shelf(connection: Connection) -> list[tuple[Any, ...]]:
    """Everything in the catalogue."""
    return connection.execute("SELECT * FROM cim.service ORDER BY id").fetchall()


def offers(connection: Connection, kind: str, collection_id: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM cim.service WHERE kind = %s AND collection_id = %s AND state = 'published'",
        [kind, collection_id],
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_new_node_offers_each_collection_once(connection):
    seed_catalogue(connection)
    before = shelf(connection)
    for collection in BUILTIN:
        assert offers(connection, "features", collection.id) == 1
    assert offers(connection, "stac", "imagery") == offers(connection, "statistics", "buildings") == 1
    seed_catalogue(connection)
    assert shelf(connection) == before


def test_a_withdrawn_service_stays_withdrawn(connection):
    seed_catalogue(connection)
    connection.execute("UPDATE cim.service SET state = 'withdrawn' WHERE id = 'areas-features'")
    before = shelf(connection)
    seed_catalogue(connection)
    assert shelf(connection) == before


def test_what_the_sample_offers_is_not_offered_twice(connection):
    load_organisations(connection, read_rows(ORGANISATIONS, "organisations"))
    load_services(connection, read_rows(SERVICES, "services"))
    own = {c.id for c in BUILTIN if offers(connection, "features", c.id)}
    assert own
    seed_catalogue(connection)
    for collection in BUILTIN:
        if collection.id in own:
            assert offers(connection, "features", collection.id) == 1
    seeded = shelf(connection)
    seed_catalogue(connection)
    assert shelf(connection) == seeded
