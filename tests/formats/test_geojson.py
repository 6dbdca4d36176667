"""GeoJSON as people write it, and as attackers do."""

import json
import random

import pytest
import shapely

from cim.errors import DriverRefused, SourceRefused
from loaders import jsonscan
from tests.formats.reading import read


def point(number, **members):
    return {
        "type": "Feature",
        "properties": {"n": number, "name": f"大楼{number}"},
        "geometry": {"type": "Point", "coordinates": [114 + number / 1000, 22.5]},
        **members,
    }


def collection(features, **members):
    return {"type": "FeatureCollection", **members, "features": features}


def write(path, document, **how):
    path.write_text(json.dumps(document, ensure_ascii=False, **how), encoding="utf-8")
    return path


def test_members_before_and_after_the_features_do_not_disturb(tmp_path):
    document = {
        "note": 'braces } ] in "text" \\" and [ more {',
        "type": "FeatureCollection",
        "features": [point(1), point(2)],
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4490"}},
        "attribution": "规划局",
    }
    reading = read(write(tmp_path / "a.geojson", document, indent=2))
    assert reading.column("name") == ["大楼1", "大楼2"]
    assert reading.info.crs == "EPSG:4490"
    assert reading.info.attribution == "规划局"
    assert shapely.get_x(reading.geometry[0]) == pytest.approx(114.001)


def test_a_property_called_features_is_not_taken_for_the_array(tmp_path):
    inner = {"properties": {"features": [{"a": 1}]}}
    reading = read(write(tmp_path / "a.json", {"metadata": inner, "type": "FeatureCollection", "features": [point(7)]}))
    assert reading.column("n") == [7]


@pytest.mark.parametrize("shape", ["array", "feature", "geometry", "sequence", "records", "lines with breaks"])
def test_each_shape_of_document_gives_its_features(tmp_path, shape):
    features = [point(1), point(2), point(3)]
    texts = {
        "array": json.dumps(features),
        "feature": json.dumps(features[0]),
        "geometry": json.dumps(features[0]["geometry"]),
        "sequence": "\n".join(json.dumps(f) for f in features),
        "records": "".join("\x1e" + json.dumps(f, indent=1) + "\n" for f in features),
        "lines with breaks": "\r\n".join([*(json.dumps(f) for f in features), "", ""]),
    }
    path = tmp_path / "a.json"
    path.write_text(texts[shape], encoding="utf-8")
    reading = read(path)
    expected = 1 if shape in ("feature", "geometry") else 3
    assert len(reading.geometry) == expected
    assert reading.geometry[0].equals(shapely.Point(114.001, 22.5))


@pytest.mark.parametrize("block_bytes", [64, 1000, 4096])
def test_features_are_found_wherever_blocks_end(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(jsonscan, "BLOCK_BYTES", block_bytes)
    chance = random.Random(block_bytes)
    odd = ['"', "\\", "\\\\", "{", "}", "[", "]", "楼", "\n", "\\u00e9", "😀", ","]
    features = []
    for number in range(300):
        feature = point(number)
        feature["properties"]["text"] = "".join(chance.choices(odd, k=chance.randrange(40)))
        feature["properties"]["nested"] = {"list": [{"}": ["{"]}]}
        features.append(feature)
    reading = read(write(tmp_path / "a.geojson", collection(features)), batch_rows=7)
    assert reading.column("text") == [f["properties"]["text"] for f in features]
    assert reading.rows == list(range(1, 301))
    assert reading.largest_batch == 7
    assert json.loads(reading.records[0]["nested"]) == {"list": [{"}": ["{"]}]}


def test_fields_that_come_late_or_change_their_kind_are_kept(tmp_path):
    features = [point(n) for n in range(50)]
    features[48]["properties"]["late"] = 1.5
    features[49]["properties"]["n"] = "forty-nine"
    reading = read(write(tmp_path / "a.geojson", collection(features)), batch_rows=10)
    assert reading.fields["late"] == "number"
    assert reading.fields["n"] == "text"
    assert reading.column("late")[48:] == [1.5, None]
    assert [str(n) for n in reading.column("n")[-2:]] == ["48", "forty-nine"]


def test_ids_keep_all_their_digits_and_repeats_pass_through(tmp_path):
    features = [point(1, id=9007199254740993), point(2, id=9007199254740993), point(3, id=12345678901234567890123)]
    reading = read(write(tmp_path / "a.geojson", collection(features)))
    assert [str(i) for i in reading.column("id")] == ["9007199254740993"] * 2 + ["12345678901234567890123"]


def test_an_id_beside_a_property_of_that_name_is_a_field_of_its_own(tmp_path):
    feature = point(1, id="outer")
    feature["properties"]["id"] = "inner"
    reading = read(write(tmp_path / "a.geojson", collection([feature])))
    assert (reading.records[0]["id"], reading.records[0]["feature_id"]) == ("inner", "outer")


def test_one_line_of_three_megabytes_is_one_feature(tmp_path):
    ring = [[114 + n * 1e-7, 22.5] for n in range(150_000)] + [[114, 22.6], [114, 22.5]]
    feature = {"type": "Feature", "properties": {"n": 1}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    path = write(tmp_path / "a.geojson", collection([feature, point(2)]))
    assert path.stat().st_size > 3_000_000
    reading = read(path)
    assert shapely.get_num_coordinates(reading.geometry[0]) == len(ring)
    assert reading.rows == [1, 2]


@pytest.mark.parametrize("depth", [33, 100, 10_000])
def test_B05_collections_nested_too_deep_are_rejected_and_their_neighbours_stay(tmp_path, depth):
    inner = '{"type":"Point","coordinates":[1,2]}'
    nested = '{"type":"GeometryCollection","geometries":[' * depth + inner + "]}" * depth
    deep = '{"type":"Feature","properties":{"n":2},"geometry":' + nested + "}"
    path = tmp_path / "a.geojson"
    texts = [json.dumps(point(1)), deep, json.dumps(point(3))]
    path.write_text('{"type":"FeatureCollection","features":[' + ",".join(texts) + "]}")
    reading = read(path)
    assert reading.rows == [1, 3]
    assert reading.codes == ["geometry/nesting"]
    assert reading.rejections[0].row == 2


def test_B05_collections_nested_as_deep_as_allowed_are_read(tmp_path):
    geometry = {"type": "Point", "coordinates": [1, 2]}
    for _ in range(32):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}
    path = write(tmp_path / "a.geojson", collection([{"type": "Feature", "properties": {}, "geometry": geometry}]))
    assert read(path).geometry[0].geom_type == "GeometryCollection"


def test_B05_brackets_200000_deep_do_no_harm(tmp_path):
    path = tmp_path / "a.geojson"
    deep = (
        '{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":' + "[" * 200_000 + "]" * 200_000
    )
    path.write_text('{"type":"FeatureCollection","features":[' + json.dumps(point(1)) + "," + deep + "}}]}")
    reading = read(path)
    assert reading.rows == [1]
    assert reading.codes == ["geometry/nesting"]


def test_B12_a_truncated_file_gives_the_rows_before_the_break_and_says_where(tmp_path):
    whole = json.dumps(collection([point(n) for n in range(1, 101)]), indent=1).encode()
    cut = whole.index(b'"n": 70')
    path = tmp_path / "a.geojson"
    path.write_bytes(whole[:cut])
    reading = read(path)
    assert reading.rows == list(range(1, 70))
    assert isinstance(reading.trouble, SourceRefused)
    line = 1 + whole[:cut].count(b"\n")
    assert f"byte {cut}, line {line}" in reading.trouble.detail
    assert "69 features before it were read" in reading.trouble.detail
    path.write_bytes(whole)
    again = read(path)
    assert (again.rows, again.trouble) == (list(range(1, 101)), None)


def test_B12_a_sequence_cut_in_its_last_line_says_so(tmp_path):
    path = tmp_path / "a.geojsonl"
    path.write_text("\n".join(json.dumps(point(n)) for n in range(1, 11))[:-20])
    reading = read(path)
    assert reading.rows == list(range(1, 10))
    assert "line 10" in reading.trouble.detail


def test_numbers_that_are_none_are_passed_on_for_the_checks_to_reject(tmp_path):
    path = tmp_path / "a.geojson"
    texts = [json.dumps(point(1)).replace("114.001", number) for number in ("1e999", "NaN", "-Infinity")]
    path.write_text('{"type":"FeatureCollection","features":[' + ",".join(texts) + "]}")
    reading = read(path)
    assert reading.rows == [1, 2, 3]
    assert not any(abs(shapely.get_x(g)) < 1e300 for g in reading.geometry)


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        ({"type": "Point", "coordinates": ["1", "2"]}, "is not a number"),
        ({"type": "Point", "coordinates": [1]}, "fewer than two"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "not closed"),
        ({"type": "Polygon", "coordinates": [[0, 0], [1, 1]]}, "list"),
        ({"type": "Circle", "coordinates": [0, 0], "radius": 3}, "no geometry type"),
        ({"type": "LineString"}, "list is expected"),
        ("POINT (1 2)", "no geometry type"),
        ({"type": "GeometryCollection", "geometries": [{"type": "Circle"}]}, "member"),
    ],
)
def test_what_is_no_geometry_is_rejected_with_the_reason(tmp_path, geometry, said):
    broken = {"type": "Feature", "properties": {"n": 2}, "geometry": geometry}
    reading = read(write(tmp_path / "a.geojson", collection([point(1), broken])))
    assert reading.rows == [1]
    assert said in reading.rejections[0].reason
    assert reading.rejections[0].original["properties"]["n"] == 2


def test_null_and_empty_geometries_are_rows(tmp_path):
    features = [
        {"type": "Feature", "properties": {"n": 1}, "geometry": None},
        {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": []}},
    ]
    reading = read(write(tmp_path / "a.geojson", collection(features)))
    assert reading.geometry[0] is None
    assert reading.geometry[1].is_empty


def test_a_broken_feature_with_its_brackets_in_order_costs_one_row(tmp_path):
    path = tmp_path / "a.geojson"
    texts = [json.dumps(point(1)), '{"type": "Feature", oops}', '{"hello": 1}', json.dumps(point(4))]
    path.write_text('{"type":"FeatureCollection","features":[\n' + ",\n".join(texts) + "]}")
    reading = read(path)
    assert reading.rows == [1, 4]
    assert reading.codes == ["json/invalid", "json/not-a-feature"]
    assert "line 3" in reading.rejections[0].reason


def test_half_a_surrogate_pair_costs_its_row(tmp_path):
    path = tmp_path / "a.geojson"
    half = json.dumps(point(2)).replace('"n": 2', '"n": "\\ud83d"')
    assert "ud83d" in half
    path.write_text('{"type":"FeatureCollection","features":[' + json.dumps(point(1)) + "," + half + "]}")
    reading = read(path)
    assert (reading.rows, reading.codes) == ([1], ["json/invalid"])


def test_an_empty_collection_has_no_rows_and_no_fields(tmp_path):
    reading = read(write(tmp_path / "a.geojson", collection([])))
    assert (reading.records, reading.info.fields, reading.info.geometry_type) == ([], (), None)


def test_another_encoding_is_read_where_it_is_stated_and_refused_where_it_is_not(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_bytes(json.dumps(collection([point(n) for n in range(20)]), ensure_ascii=False).encode("gb18030"))
    with pytest.raises(SourceRefused, match="--encoding GB18030"):
        read(path)
    assert read(path, encoding="GBK").column("name")[3] == "大楼3"


def test_one_row_that_is_not_utf8_is_rejected(tmp_path):
    path = tmp_path / "a.geojson"
    text = json.dumps(collection([point(n) for n in range(20)]), ensure_ascii=False)
    path.write_bytes(text.encode().replace("大楼7".encode(), b"\xc2\xa5\xff7"))
    reading = read(path)
    assert reading.codes == ["encoding/invalid"]
    assert len(reading.rows) == 19


@pytest.mark.parametrize(
    "text", ["[1, 2]", '{"features": [1]}', '{"a": 1}', "[]x", '{"type": "Topology", "objects": {}}']
)
def test_other_json_is_refused(tmp_path, text):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(DriverRefused, match="JSON"):
        read(path)
