"""A load from a file to rows: what is stored, what a second load changes, what is kept of the rest."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.errors import InvalidParameter, NotFound, SourceRefused
from tests.loading.conftest import Load, feature, write_geojson

Connection = psycopg.Connection[Any]


def one(connection: Connection, query: str, *values: Any) -> Any:
    """The first column of the only row, or the row where there are more columns."""
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def test_a_building_is_stored_with_what_was_derived_marked_as_such(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    source = write_geojson(
        tmp_path / "b.geojson",
        [
            feature("a", 层数=10, 用途="住宅", 建成年代="1998年", 备注="x"),
            feature("b", height=33.5, building="yes", lon=114.06),
        ],
    )
    account = load("buildings", source)
    assert (account.read, account.inserted, account.rejected) == (2, 2, 0)
    row = one(
        connection,
        "SELECT height_m, height_source, use, year_built, status, valid_from::text, attributes ->> '备注', source_id, cim_level "
        "FROM cim.building WHERE id = 'b.a'",
    )
    assert row[:5] == (30.0, "derived: floors_above × 3 m", "residential", 1998, "completed")
    assert row[5].startswith("1998-01-01")
    assert row[6:] == ("x", "a", 2)
    assert one(connection, "SELECT height_m, height_source, use FROM cim.building WHERE id = 'b.b'") == (
        33.5,
        "source: height",
        None,
    )
    geodesic = one(
        connection, "SELECT abs(ST_Area(geom::geography) - footprint_area_m2) FROM cim.building WHERE id = 'b.a'"
    )
    assert geodesic < 0.01
    notes = one(connection, "SELECT notes FROM cim.load_run")
    assert any("height_m derived" in note for note in notes)


def test_loading_the_same_source_again_changes_no_row(load: Load, connection: Connection, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature(i, lon=114 + i / 1000, 层数=i) for i in range(1, 40)])
    first = load("buildings", source)
    before = one(connection, "SELECT md5(string_agg(b::text, '|' ORDER BY id)) FROM cim.building AS b")
    again = load("buildings", source)
    assert (first.inserted, again.inserted, again.updated, again.unchanged) == (39, 0, 0, 39)
    assert one(connection, "SELECT md5(string_agg(b::text, '|' ORDER BY id)) FROM cim.building AS b") == before
    assert one(connection, "SELECT count(*) FROM cim.building_history") == 0


def test_a_changed_row_is_updated_and_its_former_version_kept(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    load("buildings", write_geojson(tmp_path / "b.geojson", [feature("a", 层数=3), feature("b", 层数=4, lon=114.2)]))
    account = load(
        "buildings", write_geojson(tmp_path / "b.geojson", [feature("a", 层数=5), feature("b", 层数=4, lon=114.2)])
    )
    assert (account.updated, account.unchanged) == (1, 1)
    assert one(connection, "SELECT floors_above FROM cim.building WHERE id = 'b.a'") == 5
    former = one(
        connection, "SELECT floors_above, superseded_at > recorded_at FROM cim.building_history WHERE id = 'b.a'"
    )
    assert former == (3, True)


def test_replacing_deletes_what_the_source_no_longer_has_in_one_step(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    load("buildings", write_geojson(tmp_path / "b.geojson", [feature(i, lon=114 + i / 100) for i in range(5)]))
    load("buildings", write_geojson(tmp_path / "other.geojson", [feature(0)]))
    account = load(
        "buildings",
        write_geojson(tmp_path / "b.geojson", [feature(0, lon=114.0), feature(9, lon=113.9)]),
        is_replacing=True,
    )
    assert (account.inserted, account.unchanged, account.deleted) == (1, 1, 4)
    left = [row[0] for row in connection.execute("SELECT id FROM cim.building ORDER BY id")]
    assert left == ["b.0", "b.9", "other.0"]
    assert one(connection, "SELECT count(*) FROM cim.building_history") == 4
    stats = one(
        connection,
        "SELECT feature_count, ST_XMin(bounds), ST_XMax(bounds) FROM cim.collection_stats WHERE collection_id = 'buildings'",
    )
    assert stats == pytest.approx((3, 113.9, 114.0502))


def test_a_dry_run_tells_all_and_keeps_nothing(load: Load, connection: Connection, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("a"), feature("b", height="tall")])
    account = load("buildings", source, is_dry=True, map_words=("height_m=height",))
    assert (account.read, account.inserted, account.rejected) == (2, 1, 1)
    for table in ("building", "load_run", "load_batch", "load_rejection", "mapping"):
        assert one(connection, f"SELECT count(*) FROM cim.{table}") == 0


def test_a_dry_run_of_a_new_dataset_tells_all_and_makes_no_collection(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    source = tmp_path / "311.csv"
    source.write_text("id,lon,lat,n\n1,114,22.5,3\n2,114,95,4\n", encoding="utf-8")
    account = load("dataset", source, is_dry=True)
    assert (account.read, account.inserted, account.rejected) == (2, 1, 1)
    assert one(connection, "SELECT count(*) FROM cim.collection WHERE id = 'dataset-311'") == 0
    assert one(connection, "SELECT to_regclass('dataset.\"dataset-311\"')") is None
    assert load("dataset", source).inserted == 1
    assert one(connection, "SELECT feature_count FROM cim.collection_stats WHERE collection_id = 'dataset-311'") == 1


def test_a_dry_run_that_fails_leaves_a_connection_to_go_on_with(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("a")])
    with pytest.raises(SourceRefused):
        load("dataset", source, is_dry=True, map_words=("id=nowhere",))
    assert one(connection, "SELECT count(*) FROM cim.collection WHERE id = 'b'") == 0
    assert load("dataset", source).inserted == 1


def test_B04_bad_places_are_rejected_with_row_and_field_and_leave_the_extent_alone(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    good = feature("good")
    load("buildings", write_geojson(tmp_path / "good.geojson", [good]))
    extent = one(connection, "SELECT ST_AsEWKB(bounds) FROM cim.collection_stats WHERE collection_id = 'buildings'")
    source = tmp_path / "bad.csv"
    source.write_text("id,lon,lat\n1,1e999,22.5\n2,22.5,114.0\n3,114.0,91\n4,,\n", encoding="utf-8")
    account = load("sensors", source)
    assert (account.read, account.rejected) == (4, 4)
    rows = connection.execute("SELECT source_row, field, code FROM cim.load_rejection ORDER BY source_row").fetchall()
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert all(row[1] for row in rows)
    assert (
        one(connection, "SELECT ST_AsEWKB(bounds) FROM cim.collection_stats WHERE collection_id = 'buildings'")
        == extent
    )
    assert one(connection, "SELECT bounds FROM cim.collection_stats WHERE collection_id = 'sensors'") is None


def test_B13_one_bad_row_of_ten_thousand_is_rejected_with_its_number_value_and_reason(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    source = tmp_path / "sensors.csv"
    rows = [f"s{i},{114 + i / 1e6:.6f},22.5,{i % 50}" for i in range(1, 10_001)]
    rows[4999] = "s5000,114.005,22.5,broken"
    source.write_text("\n".join(["id,lon,lat,value", *rows]) + "\n", encoding="utf-8")
    account = load("sensors", source)
    assert (account.read, account.inserted, account.rejected) == (10_000, 9_999, 1)
    assert one(connection, "SELECT count(*) FROM cim.sensor") == 9_999
    row, code, value, reason = one(connection, "SELECT source_row, code, value, reason FROM cim.load_rejection")
    assert (row, code, value) == (5000, "type/number", "broken")
    assert "a number" in reason


@pytest.mark.parametrize("batch_rows", [10, 1000])
def test_B14_repeated_ids_are_rejected_within_and_over_batches(
    load: Load, connection: Connection, tmp_path: Path, batch_rows: int
) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("same", lon=114 + i / 1000, 层数=i) for i in range(1, 36)])
    stated = {"map_words": ("id=id",), "batch_rows": batch_rows}
    account = load("buildings", source, **stated)
    assert (account.inserted, account.rejected) == (1, 34)
    assert one(connection, "SELECT floors_above FROM cim.building") == 1
    assert one(connection, "SELECT count(*) FROM cim.load_rejection WHERE code = 'duplicate-id'") == 34
    again = load("buildings", source, **stated)
    assert (again.unchanged, again.rejected) == (1, 34)


def test_B03_repaired_rows_keep_their_original_in_the_log(load: Load, connection: Connection, tmp_path: Path) -> None:
    bow_tie = feature("tie")
    bow_tie["geometry"]["coordinates"] = [[[114, 22], [114.001, 22.001], [114.001, 22], [114, 22.001], [114, 22]]]
    sliver = feature("sliver")
    sliver["geometry"]["coordinates"] = [[[114, 22], [114.001, 22], [114.0005, 22], [114, 22]]]
    account = load("buildings", write_geojson(tmp_path / "b.geojson", [bow_tie, sliver, feature("good")]))
    assert (account.read, account.inserted, account.rejected, account.repaired) == (3, 2, 1, 1)
    log = connection.execute(
        "SELECT code, is_rejected, original FROM cim.load_rejection ORDER BY source_row"
    ).fetchall()
    assert [(code, is_rejected) for code, is_rejected, _ in log] == [
        ("geometry/repaired", False),
        ("geometry/invalid", True),
    ]
    assert log[0][2]["geometry"] == bow_tie["geometry"]
    assert one(connection, "SELECT bool_and(ST_IsValid(geom)) FROM cim.building") is True


def test_areas_make_a_tree_and_tag_what_lies_in_them(load: Load, connection: Connection, tmp_path: Path) -> None:
    load(
        "buildings", write_geojson(tmp_path / "b.geojson", [feature("in", 114.05, 22.54), feature("out", 113.0, 22.0)])
    )
    areas = [feature("440300", 114.0, 22.5), feature("440305000000", 114.0, 22.5), feature("440305001001", 114.0, 22.5)]
    for area, size in zip(areas, (0.5, 0.4, 0.3), strict=True):
        area["geometry"]["coordinates"] = [
            [[114, 22.5], [114 + size, 22.5], [114 + size, 22.9], [114, 22.9], [114, 22.5]]
        ]
        area["properties"] = {"code": area["properties"]["id"], "name": "某地"}
    account = load("areas", write_geojson(tmp_path / "areas.geojson", areas))
    assert account.inserted == 3
    tree = connection.execute("SELECT code, level, parent_code FROM cim.area ORDER BY code").fetchall()
    assert tree == [
        ("4403", "city", None),
        ("440305", "district", "4403"),
        ("440305001001", "community", "440305001"),
    ]
    assert one(connection, "SELECT area_code FROM cim.building WHERE id = 'b.in'") == "440305001001"
    assert one(connection, "SELECT area_code FROM cim.building WHERE id = 'b.out'") is None
    load("buildings", write_geojson(tmp_path / "later.geojson", [feature("in", 114.35, 22.6)]))
    assert one(connection, "SELECT area_code FROM cim.building WHERE id = 'later.in'") == "440305"


def test_gcj02_is_converted_and_recorded(load: Load, connection: Connection, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("a", 114.062, 22.5404)])
    load("buildings", source, datum="gcj02")
    lon, lat = one(connection, "SELECT ST_XMin(geom), ST_YMin(geom) FROM cim.building")
    assert 300 < (((114.062 - lon) * 102_800) ** 2 + ((22.5404 - lat) * 110_900) ** 2) ** 0.5 < 800
    assert one(connection, "SELECT options ->> 'datum' FROM cim.load_run") == "gcj02"


def test_any_vector_file_becomes_a_collection(load: Load, connection: Connection, tmp_path: Path) -> None:
    source = write_geojson(
        tmp_path / "trees.geojson", [feature(i, 树种="榕树", 胸径=12.5, source="x") for i in range(3)]
    )
    account = load("dataset", source, collection_id="trees")
    assert account.inserted == 3
    assert one(connection, 'SELECT "树种", "胸径", source_ FROM dataset.trees WHERE id = \'trees.0\'') == (
        "榕树",
        12.5,
        "x",
    )
    assert load("dataset", source, collection_id="trees").unchanged == 3
    searched = one(connection, "SELECT indexdef FROM pg_indexes WHERE indexname = 'trees_text_idx'")
    assert "树种" in searched
    with pytest.raises(InvalidParameter, match="a letter"):
        load("dataset", source, collection_id="Trees!")
    with pytest.raises(InvalidParameter, match="built in"):
        load("dataset", source, collection_id="buildings")


def test_a_stated_mapping_is_saved_and_used_again(load: Load, connection: Connection, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("a", gg=100)])
    load("buildings", source, map_words=("height_m=gg*0.3048",))
    assert one(connection, "SELECT mapping FROM cim.mapping")["height_m"] == "gg*0.3048"
    load("buildings", write_geojson(tmp_path / "c.geojson", [feature("c", gg=200)]))
    assert one(connection, "SELECT height_m FROM cim.building WHERE id = 'c.c'") == pytest.approx(60.96)


def test_what_cannot_be_found_or_named_is_refused_before_anything_is_stored(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("a")])
    with pytest.raises(NotFound, match="nowhere"):
        load("buildings", tmp_path / "nowhere.geojson")
    with pytest.raises(InvalidParameter, match="one of"):
        load("houses", source)
    with pytest.raises(InvalidParameter, match="a-z"):
        load("buildings", source, source="My Source")
    with pytest.raises(SourceRefused, match="did you mean"):
        load("buildings", source, map_words=("height_m=idd",))
    assert one(connection, "SELECT count(*) FROM cim.load_run") == 0


def test_the_run_keeps_checksum_crs_licence_and_who(load: Load, connection: Connection, tmp_path: Path) -> None:
    import hashlib

    source = write_geojson(tmp_path / "b.geojson", [feature("a")])
    load("buildings", source, licence="CC BY 4.0", attribution="某局", loaded_by="ann")
    run = one(
        connection, "SELECT fingerprint, options ->> 'crs', licence, attribution, loaded_by, state FROM cim.load_run"
    )
    assert run[0] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert run[1] is not None
    assert run[2:] == ("CC BY 4.0", "某局", "ann", "completed")


def test_rejected_rows_can_be_mended_and_loaded_again(load: Load, connection: Connection, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "b.geojson", [feature("a", height="9"), feature("b", height="nine", lon=114.2)])
    account = load("buildings", source)
    assert account.rejected == 1
    original = one(connection, "SELECT original FROM cim.load_rejection")
    mended = json.loads(json.dumps(original).replace('"nine"', '"9"'))
    account = load("buildings", write_geojson(tmp_path / "mended.geojson", [mended]), source="b")
    assert (account.inserted, account.rejected) == (1, 0)
    assert one(connection, "SELECT count(*) FROM cim.building WHERE height_m = 9") == 2


def test_an_empty_table_gets_its_indexes_back_after_the_first_load(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    query = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'cim' AND tablename = 'building'"
    before = one(connection, query)
    load("buildings", write_geojson(tmp_path / "b.geojson", [feature("a")]))
    assert one(connection, query) == before


def test_an_id_column_that_is_the_same_in_every_row_identifies_nothing(
    load: Load, connection: Connection, tmp_path: Path
) -> None:
    account = load(
        "buildings", write_geojson(tmp_path / "b.geojson", [feature(0, lon=114 + i / 1000) for i in range(9)])
    )
    assert (account.inserted, account.rejected) == (9, 0)
    assert one(connection, "SELECT max(id) FROM cim.building") == "b.9"


def test_columns_with_gaps_are_kept_whole_in_attributes(load: Load, connection: Connection, tmp_path: Path) -> None:
    rows = [feature(i, lon=114 + i / 1000, **({"note": f"第{i}"} if i % 3 == 0 else {})) for i in range(9)]
    assert load("buildings", write_geojson(tmp_path / "b.geojson", rows)).inserted == 9
    found = connection.execute("SELECT source_id, attributes ->> 'note' FROM cim.building ORDER BY id").fetchall()
    assert found == [(str(i), f"第{i}" if i % 3 == 0 else None) for i in range(9)]


def test_sensors_without_a_place_are_refused_naming_the_columns(load: Load, tmp_path: Path) -> None:
    source = tmp_path / "values.csv"
    source.write_text("station,value\na,1\n", encoding="utf-8")
    with pytest.raises(SourceRefused, match=r"station, value; name them by --lon and --lat"):
        load("sensors", source)
