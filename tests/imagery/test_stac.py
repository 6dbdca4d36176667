"""STAC on disk becomes imagery: items as rows, collections beside them, nothing beyond the folder."""

import json
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import shapely

from cim.errors import SourceRefused
from loaders.base import SourceOptions
from loaders.stac import StacLoader
from tests.formats.reading import read

ITEMS = [
    ("stac_LC80140332018166LGN00.json", "LC80140332018166LGN00", datetime(2018, 6, 15, 15, 39, 9, tzinfo=UTC), 16),
    (
        "stac_classification_landsat_example.json",
        "LC08_L2SP_047027_20201204_02_T1",
        datetime(2020, 12, 4, 19, 2, 11, 194486, tzinfo=UTC),
        25,
    ),
    ("stac_example-landsat8.json", "LC81530252014153LGN00", datetime(2018, 10, 1, 1, 8, 32, 33000, tzinfo=UTC), 2),
    (
        "stac_example-sentinel2.json",
        "S2A_MSIL1C_20210908T042701_R133_T46RER_20210908T070248",
        datetime(2021, 9, 8, 4, 27, 1, 24000, tzinfo=UTC),
        19,
    ),
]
COLLECTIONS = [
    ("stac_collection.json", "landsat-8-l1"),
    ("stac_landsat-collection-example.json", "landsat-c2-l2"),
    ("stac_sentinel-2-l2a_collection.json", "sentinel-2-l2a"),
]


def collections_of(path):
    found = []
    for batch in StacLoader().read(path, SourceOptions(), 100):
        found += json.loads((batch.table.schema.metadata or {}).get(b"stac_collections", b"[]"))
    return found


def item(identity, **changes):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": identity,
        "geometry": {"type": "Point", "coordinates": [114, 22.5]},
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "links": [],
        "assets": {},
        **changes,
    }


def catalogue(kind, identity, *links):
    document = {"type": kind, "stac_version": "1.0.0", "id": identity, "description": "d", "links": []}
    document["links"] = [{"rel": rel, "href": href} for rel, href in links]
    return {**document, "extent": {}, "license": "CC0-1.0"} if kind == "Collection" else document


def put(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(("name", "identity", "taken", "assets"), ITEMS)
def test_real_items_say_what_pystac_reads(shared_data, name, identity, taken, assets):
    path = shared_data / "imagery" / name
    reading = read(path)
    assert (reading.loader, reading.rejections, len(reading.records)) == ("STAC", [], 1)
    row = reading.records[0]
    expected = pystac.Item.from_dict(json.loads(path.read_text()), migrate=False)
    assert (row["id"], row["datetime"]) == (identity, taken) == (expected.id, expected.datetime)
    assert len(json.loads(row["assets"])) == assets
    assert reading.geometry[0].equals(shapely.geometry.shape(expected.geometry))
    assert row["cloud_cover_percent"] == expected.properties.get("eo:cloud_cover")
    assert row["platform"] == expected.properties.get("platform")


def test_a_projection_is_read_from_epsg_numbers_and_from_codes(shared_data):
    rows = {name: read(shared_data / "imagery" / name).records[0] for name, *_ in ITEMS}
    assert [r["crs"] for r in rows.values()] == ["EPSG:32618", "EPSG:32610", "EPSG:32614", "EPSG:32646"]
    # 7741 rows, 7871 columns (proj:shape is rows first); of Sentinel-2 those of its 10 m bands
    assert (rows["stac_LC80140332018166LGN00.json"]["width"], rows["stac_LC80140332018166LGN00.json"]["height"]) == (
        7871,
        7741,
    )
    sentinel = rows["stac_example-sentinel2.json"]
    assert (sentinel["width"], sentinel["height"], sentinel["gsd_m"]) == (10980, 10980, 10.0)


def test_what_no_column_takes_is_kept(shared_data):
    path = shared_data / "imagery" / "stac_classification_landsat_example.json"
    kept = json.loads(read(path).records[0]["stac_properties"])
    document = json.loads(path.read_text())
    assert kept["landsat:wrs_path"] == document["properties"]["landsat:wrs_path"]
    assert kept["stac_extensions"] == document["stac_extensions"]
    assert [link["rel"] for link in kept["links"]] == ["cite-as", "via", "via"]
    assert kept["stac_version"] == "1.1.0"
    assert "datetime" not in kept


def test_real_item_collections_give_a_row_an_item(shared_data):
    candidate = read(shared_data / "imagery" / "stac_sample-item-collection.json")
    assert (len(candidate.records), candidate.rejections) == (10, [])
    assert candidate.info.driver == "STAC ItemCollection 1.0.0-rc.4"
    assert {r["stac_collection"] for r in candidate.records} == {"HLSL30.v1.5"}
    joplin = read(shared_data / "imagery" / "joplin_index.geojson")
    assert (len(joplin.records), joplin.rejections) == (30, [])
    assert {(r["stac_collection"], r["crs"], r["width"]) for r in joplin.records} == {("joplin", "EPSG:3857", 2500)}
    assert {r["gsd_m"] for r in joplin.records} == {0.5971642834779395}
    bounds = np.array([g.bounds for g in joplin.geometry])
    assert [*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)] == pytest.approx(
        [-94.69116, 37.03325, -94.40277, 37.10777], abs=1e-5
    )


@pytest.mark.parametrize(("name", "identity"), COLLECTIONS)
def test_real_collections_travel_beside_the_rows(shared_data, name, identity):
    path = shared_data / "imagery" / name
    reading = read(path)
    assert (reading.records, reading.rejections) == ([], [])
    assert [c["id"] for c in collections_of(path)] == [identity]
    assert any("no item is here" in note for note in reading.info.notes)


def test_a_catalogue_is_followed_to_its_items(tmp_path):
    put(tmp_path / "catalog.json", catalogue("Catalog", "root", ("child", "./2020/collection.json"), ("self", "x")))
    links = [("item", "./a/a.json"), ("item", "b.json"), ("parent", "../catalog.json"), ("item", "./a/a.json")]
    put(tmp_path / "2020" / "collection.json", catalogue("Collection", "c2020", *links))
    put(tmp_path / "2020/a/a.json", item("a", collection="c2020", assets={"d": {"href": "./a.tif"}}))
    put(
        tmp_path / "2020/b.json",
        item("b", collection="c2020", assets={"d": {"href": "../x/b.tif"}, "w": {"href": "https://h/b"}}),
    )
    for source in (tmp_path, tmp_path / "catalog.json"):
        reading = read(source)
        assert [r["id"] for r in reading.records] == ["a", "b"]
        assert [json.loads(r["assets"])["d"]["href"] for r in reading.records] == ["2020/a/a.tif", "x/b.tif"]
        assert json.loads(reading.records[1]["assets"])["w"]["href"] == "https://h/b"
        assert [c["id"] for c in collections_of(source)] == ["c2020"]


def test_nothing_outside_the_folder_is_opened(tmp_path):
    put(tmp_path / "secret.json", item("secret"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.json").symlink_to(tmp_path / "secret.json")
    links = [
        ("item", "../secret.json"),
        ("item", "link.json"),
        ("item", f"{tmp_path}/secret.json"),
        ("item", f"file://{tmp_path}/secret.json"),
        ("item", "http://127.0.0.1:9/secret.json"),
        ("child", "//127.0.0.1:9/secret.json"),
        ("item", "%2e%2e/secret.json"),
        ("item", "missing.json"),
        ("item", "good.json"),
    ]
    put(tmp_path / "in" / "catalog.json", catalogue("Catalog", "root", *links))
    put(tmp_path / "in" / "good.json", item("good"))
    reading = read(tmp_path / "in")
    assert [r["id"] for r in reading.records] == ["good"]
    notes = " ".join(reading.info.notes)
    assert "4 links or files lead out of the source's folder" in notes
    assert "3 links or files lead elsewhere" in notes
    assert "1 links or files name a file that is not there" in notes


def test_a_catalogue_that_contains_itself_ends(tmp_path):
    put(tmp_path / "catalog.json", catalogue("Catalog", "a", ("child", "b.json"), ("child", "catalog.json")))
    put(tmp_path / "b.json", catalogue("Catalog", "b", ("child", "catalog.json"), ("item", "i.json")))
    put(tmp_path / "i.json", item("i"))
    assert [r["id"] for r in read(tmp_path).records] == ["i"]


def test_catalogues_nested_too_deep_are_refused(tmp_path):
    for level in range(40):
        put(tmp_path / f"{level}.json", catalogue("Catalog", str(level), ("child", f"{level + 1}.json")))
    put(tmp_path / "40.json", item("i"))
    with pytest.raises(SourceRefused, match="nested deeper than 24"):
        read(tmp_path / "0.json")


BROKEN = [
    ({"id": ""}, "stac/id", "an item needs an id"),
    ({"properties": {}}, "stac/datetime", "an item has a datetime, or both"),
    ({"properties": {"datetime": "yesterday"}}, "stac/datetime", "not an RFC 3339 instant"),
    ({"properties": {"datetime": 5}}, "stac/datetime", "not an RFC 3339 instant"),
    ({"assets": ["a"]}, "stac/assets", "assets is an object of objects"),
    ({"geometry": {"type": "Polygon", "coordinates": "x"}}, "stac/geometry", "not GeoJSON"),
    ({"properties": None}, "stac/type", "not a STAC item"),
]


@pytest.mark.parametrize(("changes", "code", "reason"), BROKEN)
def test_a_broken_item_is_rejected_and_its_siblings_are_read(tmp_path, changes, code, reason):
    features = [item("a"), item("b", **changes), item("c")]
    path = put(tmp_path / "items.json", {"type": "FeatureCollection", "stac_version": "1.0.0", "features": features})
    reading = read(path)
    assert [r["id"] for r in reading.records] == ["a", "c"]
    assert reading.rows == [1, 3]
    assert [(r.row, r.code) for r in reading.rejections] == [(2, code)]
    assert reason in reading.rejections[0].reason
    assert reading.rejections[0].original["type"] == "Feature"


def test_a_geometry_nested_deep_is_rejected(tmp_path):
    deep = {"type": "Point", "coordinates": [114, 22]}
    for _ in range(200):
        deep = {"type": "GeometryCollection", "geometries": [deep]}
    path = put(
        tmp_path / "items.json", {"type": "FeatureCollection", "features": [item("a"), item("b", geometry=deep)]}
    )
    assert read(path).codes == ["stac/geometry"]


def test_an_item_with_a_span_and_no_instant_is_read(tmp_path):
    span = {"datetime": None, "start_datetime": "2020-01-01T00:00:00+08:00", "end_datetime": "2020-02-01T00:00:00Z"}
    row = read(put(tmp_path / "i.json", item("i", properties=span))).records[0]
    assert (row["datetime"], row["start_datetime"]) == (None, datetime(2019, 12, 31, 16, tzinfo=UTC))


def test_plain_geojson_is_left_to_the_geojson_loader(shared_data, tmp_path):
    assert StacLoader().probe(shared_data / "admin" / "sz.json", SourceOptions()) is None
    mentions = {"type": "FeatureCollection", "note": 'says "stac_version"', "features": []}
    assert StacLoader().probe(put(tmp_path / "m.json", mentions), SourceOptions()) is None
