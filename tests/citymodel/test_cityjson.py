"""Buildings of CityJSON become footprints with heights; a broken object takes no other with it."""

import json
from collections import Counter

import numpy as np
import pyproj
import pytest
import shapely

from cim.errors import SourceRefused
from tests.citymodel.models import ORIGIN, cube, document, put, street
from tests.formats.reading import read

DUTCH = {"crs": "EPSG:28992"}
# file, options, driver, rows, where footprints are from, parts merged, other objects: counts of the data's README
REAL = [
    ("3dbag_b2.city.json", {}, "CityJSON", 2, "ground surfaces of LoD 2.2", 2, None),
    ("3dbag_b2.city.jsonl", {}, "CityJSONSeq", 2, "ground surfaces of LoD 2.2", 2, None),
    ("3dbag_tile_901_trimmed.city.jsonl", {}, "CityJSONSeq", 52, "LoD 0", 52, None),
    ("fcb_small.city.jsonl", {}, "CityJSONSeq", 3, "LoD 0", 3, None),
    ("delft.city.json", {}, "CityJSON", 160, "all surfaces of LoD 1, seen from above", 0, 410),
    ("multi_lod.city.json", DUTCH, "CityJSON", 10, "ground surfaces of LoD 2.2", 0, None),
    ("rotterdam_subset.city.json", DUTCH, "CityJSON", 16, "ground surfaces of LoD 2", 0, None),
]


@pytest.mark.parametrize(("name", "options", "driver", "count", "source", "parts", "others"), REAL)
def test_every_real_model_gives_a_row_a_building(shared_data, name, options, driver, count, source, parts, others):
    reading = read(shared_data / "citymodel" / name, **options)
    assert (reading.trouble, reading.rejections, len(reading.records)) == (None, [], count)
    assert (reading.info.driver, reading.info.feature_count, reading.info.crs) == (driver, count, "EPSG:28992")
    assert set(reading.column("footprint_source")) == {source}
    assert len(set(reading.column("id"))) == count
    assert all(g.geom_type == "MultiPolygon" and shapely.is_valid(g) and g.area > 1 for g in reading.geometry)
    assert all(0 < h < 40 for h in reading.column("height_m"))
    notes = " ".join(reading.info.notes)
    assert (f"{parts} building parts are merged" in notes) == bool(parts)
    assert (f"{others} objects are no buildings" in notes) == bool(others)


@pytest.mark.parametrize("name", ["multi_lod.city.json", "rotterdam_subset.city.json"])
def test_without_a_crs_the_message_names_the_option(shared_data, name):
    with pytest.raises(SourceRefused, match=f"{name} does not state a CRS; state it by --crs") as refused:
        read(shared_data / "citymodel" / name)
    assert refused.value.parameter == "crs"


def test_a_document_and_its_sequence_give_the_same_rows(shared_data):
    one = read(shared_data / "citymodel" / "3dbag_b2.city.json")
    other = read(shared_data / "citymodel" / "3dbag_b2.city.jsonl")
    by_id = {r["id"]: (r, g) for r, g in zip(other.records, other.geometry, strict=True)}
    for record, shape in zip(one.records, one.geometry, strict=True):
        twin, twin_shape = by_id[record["id"]]
        assert record == twin
        assert shape.equals_exact(twin_shape, 0.0015, normalize=True)


def test_heights_agree_with_the_attributes_of_3dbag(shared_data):
    """Highest roof minus ground level as 3DBAG measured them, to half a metre for 9 of 10 buildings."""
    reading = read(shared_data / "citymodel" / "3dbag_tile_901_trimmed.city.jsonl")
    assert set(reading.column("height_source")) == {"derived: highest minus lowest vertex of LoD 2.2"}
    stated = np.array([r["h_dak_max"] - r["h_maaiveld"] for r in reading.records])
    assert (np.abs(np.array(reading.column("height_m")) - stated) < 0.5).mean() >= 0.9


def test_footprints_are_those_of_lod_0(shared_data):
    path = shared_data / "citymodel" / "fcb_small.city.jsonl"
    header, *features = [json.loads(line) for line in path.read_text().splitlines()]
    scale, translate = (np.array(header["transform"][k]) for k in ("scale", "translate"))
    expected = {}
    for feature in features:
        points = np.array(feature["vertices"]) * scale + translate
        for value in feature["CityObjects"].values():
            for geometry in value.get("geometry", []):
                if geometry["lod"] == "0":
                    rings = [points[ring][:, :2] for ring in geometry["boundaries"][0]]
                    expected[feature["id"]] = shapely.Polygon(rings[0], rings[1:])
    reading = read(path)
    found = dict(zip(reading.column("id"), reading.geometry, strict=True))
    assert set(found) == set(expected)
    for identity, shape in found.items():
        assert shapely.symmetric_difference(shape, expected[identity]).area < 0.05


def test_a_measured_height_wins_and_is_called_so(shared_data):
    reading = read(shared_data / "citymodel" / "delft.city.json")
    assert set(reading.column("height_source")) == {"source: measuredHeight"}
    assert reading.column("height_m") == reading.column("measuredHeight")
    assert Counter(reading.column("bronhouder")) == {"G0503": 160}


def test_places_are_right(shared_data):
    """The middle of the model's stated extent, projected by pyproj."""
    reading = read(shared_data / "citymodel" / "delft.city.json")
    low_x, low_y, _, high_x, high_y, _ = [84616.468, 447422.999, -0.452, 85140.839, 447750.636, 16.846]
    total = shapely.union_all(np.array(reading.geometry))
    assert shapely.box(low_x, low_y, high_x, high_y).buffer(0.01).contains(total)


def test_standard_attributes_get_the_names_of_the_collection(tmp_path):
    objects, vertices = street(3)
    objects["a"]["attributes"] = {
        "storeysAboveGround": 4,
        "storeysBelowGround": 1,
        "yearOfConstruction": "1985-05-01",
        "function": "1000",
    }
    objects["b"]["attributes"] = {"storeysAboveGround": 9999, "yearOfConstruction": "0001", "measuredHeight": -9999}
    objects["c"]["attributes"] = {"id": "other", "nested": {"a": [1]}, "function": "school"}
    reading = read(put(tmp_path / "a.city.json", document(objects, vertices)))
    a, b, c = reading.records
    assert (a["floors_above"], a["floors_below"], a["year_built"], a["function_code"]) == (4, 1, 1985, "1000")
    assert (b["floors_above"], b["year_built"], b["height_m"]) == (None, None, 6.0)
    assert (c["id"], c["id_"], c["nested"], c["function"]) == ("c", "other", '{"a":[1]}', "school")


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
@pytest.mark.parametrize(
    "name", ["urn:ogc:def:crs:EPSG::7415", "https://www.opengis.net/def/crs/EPSG/0/28992", "EPSG:7415"]
)
def test_versions_and_ways_to_write_the_crs(tmp_path, version, name):
    objects, vertices = street(1)
    model = document(objects, vertices, version=version, metadata={"referenceSystem": name})
    reading = read(put(tmp_path / "a.city.json", model))
    assert reading.info.crs == "EPSG:28992"
    east, north, _ = ORIGIN
    assert reading.geometry[0].equals(shapely.MultiPolygon([shapely.box(east, north, east + 10, north + 10)]))


def test_an_unknown_version_is_refused(tmp_path):
    with pytest.raises(SourceRefused, match=r"CityJSON 0\.8; 1\.0, 1\.1, 2\.0 are read"):
        read(put(tmp_path / "a.city.json", document({}, [], version="0.8")))


def test_latitude_comes_first_where_the_crs_says_so(tmp_path):
    """EPSG:6697 is latitude, longitude, height; a house in Tokyo."""
    vertices = [[0, 0, 0], [100, 0, 0], [100, 200, 0], [0, 200, 0]]
    objects = {
        "a": {"type": "Building", "geometry": [{"type": "MultiSurface", "lod": "0", "boundaries": [[[0, 1, 2, 3]]]}]}
    }
    model = document(
        objects,
        vertices,
        transform={"scale": [1e-6, 1e-6, 0.001], "translate": [35.68, 139.71, 0]},
        metadata={"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/6697"},
    )
    reading = read(put(tmp_path / "a.city.json", model))
    assert reading.info.crs == "EPSG:6668"
    assert reading.geometry[0].bounds == pytest.approx((139.71, 35.68, 139.7102, 35.6801), abs=1e-9)


def test_easting_first_coordinates_of_a_northing_first_crs_are_seen(tmp_path):
    """EPSG:4547 lists northing first; most software writes easting first. Only one order lies in its area."""
    objects, vertices = street(1)
    east, north = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:4547", always_xy=True).transform(114.05, 22.54)
    for order in ((east, north), (north, east)):
        model = document(
            objects,
            vertices,
            transform={"scale": [0.001, 0.001, 0.001], "translate": [*order, 0]},
            metadata={"referenceSystem": "EPSG:4547"},
        )
        reading = read(put(tmp_path / "a.city.json", model))
        assert reading.geometry[0].bounds == pytest.approx((east, north, east + 10, north + 10), abs=0.01)
        assert any("northing first" in n for n in reading.info.notes) == (order == (east, north))


def test_several_levels_of_detail_are_one_building(tmp_path):
    vertices = []
    geometry = [cube(vertices, 0, 10, 5, "1"), cube(vertices, 0, 12, 7, "2.2")]
    geometry.append({"type": "MultiSurface", "lod": "0", "boundaries": [[[0, 1, 2, 3]]]})
    reading = read(put(tmp_path / "a.city.json", document({"a": {"type": "Building", "geometry": geometry}}, vertices)))
    assert len(reading.records) == 1
    assert (reading.records[0]["height_m"], reading.geometry[0].area) == (7.0, 100.0)


def test_a_flat_building_has_no_height(tmp_path):
    objects = {
        "a": {"type": "Building", "geometry": [{"type": "MultiSurface", "lod": "0", "boundaries": [[[0, 1, 2, 3]]]}]}
    }
    vertices = [[0, 0, 0], [9000, 0, 0], [9000, 9000, 0], [0, 9000, 0]]
    record = read(put(tmp_path / "a.city.json", document(objects, vertices))).records[0]
    assert (record["height_m"], record["height_source"]) == (None, None)


def test_parts_are_merged_into_their_building(tmp_path):
    objects, vertices = street(3)
    objects["whole"] = {"type": "Building", "attributes": {"name": "塔楼"}, "children": ["b", "c"]}
    for part in ("b", "c"):
        objects[part] |= {"type": "BuildingPart", "parents": ["whole"]}
    reading = read(put(tmp_path / "a.city.json", document(objects, vertices)))
    assert reading.column("id") == ["a", "whole"]
    assert [g.area for g in reading.geometry] == [100.0, 200.0]
    assert reading.column("name") == [None, "塔楼"]


def broken_vertex(objects, vertices, index):
    objects["b"]["geometry"][0]["boundaries"][0][0][0][1] = index
    return document(objects, vertices)


def broken_scale(objects, vertices):
    return document(objects, vertices, transform={"scale": [0.001, 0, 0.001], "translate": [0, 0, 0]})


def missing_parent(objects, vertices):
    objects["b"] |= {"type": "BuildingPart", "parents": ["nobody"]}
    return document(objects, vertices)


def cyclic_parents(objects, vertices):
    objects["b"]["parents"], objects["c"]["parents"] = ["c"], ["b"]
    return document(objects, vertices)


CRAFTED = [
    (
        "vertex index out of range",
        lambda o, v: broken_vertex(o, v, 32),
        {"b"},
        "cityjson/vertex-index",
        "names vertex 32",
    ),
    ("negative vertex index", lambda o, v: broken_vertex(o, v, -1), {"b"}, "cityjson/vertex-index", "names vertex -1"),
    ("scale of zero", broken_scale, {"a", "b", "c", "d"}, "cityjson/transform", "all vertices fall together"),
    ("missing parent", missing_parent, {"b"}, "cityjson/parent-missing", "'nobody' is not in the file"),
    ("cyclic parents", cyclic_parents, {"b", "c"}, "cityjson/parent-cycle", "its own ancestor"),
]


@pytest.mark.parametrize("is_sequence", [False, True])
@pytest.mark.parametrize(("what", "make", "bad", "code", "reason"), CRAFTED, ids=[c[0] for c in CRAFTED])
def test_B15_each_bad_object_is_rejected_by_its_id_and_its_siblings_are_stored(
    tmp_path, what, make, bad, code, reason, is_sequence
):
    model = make(*street(4))
    path = tmp_path / "a.city.jsonl"
    if is_sequence:
        feature = {
            "type": "CityJSONFeature",
            "id": "f",
            "CityObjects": model["CityObjects"],
            "vertices": model["vertices"],
        }
        put(path, {**model, "CityObjects": {}, "vertices": []}, feature)
    else:
        put(path, model)
    reading = read(path)
    assert set(reading.column("id")) == set("abcd") - bad
    assert {r.value for r in reading.rejections} == bad
    assert {r.code for r in reading.rejections} == {code}
    for rejection in reading.rejections:
        assert rejection.reason.startswith(f"{rejection.value}: ")
        assert reason in rejection.reason
        assert rejection.original["properties"]["id"] == rejection.value


@pytest.mark.parametrize(
    "geometry",
    [
        5,
        {"type": "Solid", "lod": "1", "boundaries": [[[0, 1, 2]]]},
        {"type": "Solid", "lod": "1", "boundaries": [[[["x"]]]]},
    ],
)
def test_B15_geometry_of_a_wrong_shape_is_rejected(tmp_path, geometry):
    objects, vertices = street(2)
    objects["b"]["geometry"] = [geometry]
    reading = read(put(tmp_path / "a.city.json", document(objects, vertices)))
    assert (reading.column("id"), len(reading.rejections)) == (["a"], 1)


def test_B14_equal_ids_all_reach_the_pipeline(tmp_path):
    """35 features of one id: nothing is dropped here; the pipeline stores one and rejects 34 as duplicate-id."""
    header = document({}, [])
    features = []
    for index in range(35):
        vertices = []
        building = {"type": "Building", "attributes": {"nr": index}, "geometry": [cube(vertices, index)]}
        features.append({"type": "CityJSONFeature", "id": "x", "CityObjects": {"x": building}, "vertices": vertices})
    reading = read(put(tmp_path / "a.city.jsonl", header, *features), batch_rows=10)
    assert reading.column("id") == ["x"] * 35
    assert reading.column("nr") == list(range(35))
    assert reading.rows == list(range(1, 36))


def test_B14_an_id_that_comes_twice_in_one_document_is_seen(tmp_path):
    """A JSON parser would keep the last and say nothing."""
    objects, vertices = street(3)
    text = json.dumps(document(objects, vertices)).replace('"c": {', '"a": {')
    path = tmp_path / "a.city.json"
    path.write_text(text)
    reading = read(path)
    assert reading.column("id") == ["a", "b", "a"]
    assert reading.column("nr") == [0, 1, 2]


def test_a_cut_sequence_gives_its_whole_lines_and_says_where_it_breaks(shared_data, tmp_path):
    whole = (shared_data / "citymodel" / "3dbag_tile_901_trimmed.city.jsonl").read_bytes()
    path = tmp_path / "cut.city.jsonl"
    path.write_bytes(whole[:-2000])
    reading = read(path)
    assert len(reading.records) == 51
    assert "cut off: line 53" in reading.trouble.detail


def test_a_broken_line_is_rejected_and_the_next_is_read(tmp_path):
    objects, vertices = street(1)
    feature = {"type": "CityJSONFeature", "id": "a", "CityObjects": objects, "vertices": vertices}
    path = put(tmp_path / "a.city.jsonl", document({}, []), {"type": "Other"}, feature)
    path.write_text(path.read_text().replace('{"type": "Other"}', '{"type": '))
    reading = read(path)
    assert (reading.column("id"), reading.codes) == (["a"], ["cityjson/feature"])
    assert "line 2" in reading.rejections[0].reason


def test_a_sequence_without_its_header_is_refused(tmp_path):
    objects, vertices = street(1)
    feature = {"type": "CityJSONFeature", "id": "a", "CityObjects": objects, "vertices": vertices}
    with pytest.raises(SourceRefused, match="the first line of a CityJSONSeq is its header"):
        read(put(tmp_path / "a.city.jsonl", feature, feature))


def test_a_cut_document_says_the_line(tmp_path):
    objects, vertices = street(1)
    path = put(tmp_path / "a.city.json", document(objects, vertices))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(SourceRefused, match=r"is no JSON: .* at line 1, column \d+"):
        read(path)


def test_a_building_without_surfaces_is_rejected(tmp_path):
    objects, vertices = street(2)
    objects["b"]["geometry"] = [{"type": "MultiPoint", "lod": "0", "boundaries": [0, 1]}]
    reading = read(put(tmp_path / "a.city.json", document(objects, vertices)))
    assert reading.codes == ["geometry/missing"]
