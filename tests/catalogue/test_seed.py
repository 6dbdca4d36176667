"""Services that come with a node and with files, written again and again without change."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.catalogue.seed import load_services, seed_catalogue
from cim.collections import BUILTIN
from cim.errors import InvalidParameter, UnknownParameter
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


def test_the_sample_catalogue_is_loaded_once_and_nothing_is_offered_twice(connection):
    count = load_services(connection, ORGANISATIONS, SERVICES)
    before = shelf(connection)
    assert len(before) == count == 30
    assert load_services(connection, ORGANISATIONS, SERVICES) == count
    assert shelf(connection) == before
    own = {c.id for c in BUILTIN if offers(connection, "features", c.id)}
    assert own
    seed_catalogue(connection)
    for collection in BUILTIN:
        if collection.id in own:
            assert offers(connection, "features", collection.id) == 1
    seeded = shelf(connection)
    seed_catalogue(connection)
    assert shelf(connection) == seeded


def test_a_changed_entry_is_edited(connection, tmp_path):
    load_services(connection, ORGANISATIONS, SERVICES)
    changed = tmp_path / "services.yaml"
    text = SERVICES.read_text(encoding="utf-8")
    changed.write_text(text.replace("Building footprints of Lanwan", "Footprints of Lanwan", 1), encoding="utf-8")
    before = {row[0]: row for row in shelf(connection)}
    load_services(connection, ORGANISATIONS, changed)
    after = {row[0]: row for row in shelf(connection)}
    assert [key for key in after if after[key] != before[key]] == ["buildings-4403"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("services: 5", InvalidParameter),
        ("services:\n- title_zh: x\n", InvalidParameter),
        ("services:\n- id: a\n  kind: wmx\n  title_zh: x\n", InvalidParameter),
        ("services:\n- id: a\n  kind: wms\n  title_zh: x\n  colour: red\n", UnknownParameter),
    ],
)
def test_a_file_with_a_wrong_entry_changes_nothing(
    connection: Connection, tmp_path: Path, text: str, error: type
) -> None:
    shutil.copy(ORGANISATIONS, tmp_path / "organisations.yaml")
    (tmp_path / "services.yaml").write_text(text, encoding="utf-8")
    before = connection.execute("SELECT id FROM cim.organisation ORDER BY id").fetchall()
    with pytest.raises(error):
        load_services(connection, tmp_path / "organisations.yaml", tmp_path / "services.yaml")
    assert shelf(connection) == []
    assert connection.execute("SELECT id FROM cim.organisation ORDER BY id").fetchall() == before
