"""Statistics over what matches, against sums in plain Python."""

import csv
import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer
from shapely.geometry import shape

from cim.model import Kind, Property
from tests.city import City, square
from tests.problems import assert_problem

PATH = "/collections/buildings/aggregate"


@pytest.fixture(scope="module")
def rows(city: City, client: Any) -> list[dict[str, Any]]:
    """30 buildings; every seventh without a height, every tenth without a use."""
    made = []
    for n in range(30):
        row = {
            "use": None if n % 10 == 0 else ("office", "residential")[n % 2],
            "height_m": None if n % 7 == 0 else 3.0 * n,
            "footprint_area_m2": 100.0 + n,
            "completed_on": f"{2000 + n % 3}-0{1 + n % 4}-15",
            "valid_from": "2020-01-01T16:30:00Z",
            "area_code": ("440301001001", "440301002", "440305", None)[n % 4],
        }
        city.building(square(114.0 + n * 0.001, 22.5), **row)
        made.append({**row, "lon": 114.0 + n * 0.001})
    city.settle(client)
    return made


def check(measure: dict[str, Any], values: list[float]) -> None:
    if not values:
        assert measure == {"sum": None, "avg": None, "min": None, "max": None}
        return
    assert measure["sum"] == pytest.approx(sum(values))
    assert measure["avg"] == pytest.approx(sum(values) / len(values))
    assert (measure["min"], measure["max"]) == (min(values), max(values))


def heights(rows: list[dict[str, Any]]) -> list[float]:
    return [row["height_m"] for row in rows if row["height_m"] is not None]


def test_totals_without_groups(rows: Any, client: Any) -> None:
    document = client.get(PATH).json()
    assert (document["collection"], document["groupBy"], document["groups"]) == ("buildings", None, [])
    assert document["total"]["count"] == 30
    check(document["total"]["height_m"], heights(rows))
    check(document["total"]["footprint_area_m2"], [row["footprint_area_m2"] for row in rows])


def test_groups_by_use_add_up_to_the_total(rows: Any, client: Any) -> None:
    document = client.get(PATH, params={"group-by": "use"}).json()
    groups = {one["group"]["use"]: one for one in document["groups"]}
    assert set(groups) == {"office", "residential", None}
    for use, group in groups.items():
        members = [row for row in rows if row["use"] == use]
        assert group["count"] == len(members)
        check(group["height_m"], heights(members))
    assert sum(group["count"] for group in groups.values()) == document["total"]["count"] == 30


@pytest.mark.parametrize(("level", "digits"), [("city", 4), ("district", 6), ("street", 9), ("community", 12)])
def test_groups_by_area_level(rows: Any, client: Any, level: str, digits: int) -> None:
    document = client.get(PATH, params={"group-by": level}).json()
    counts = {one["group"][level]: one["count"] for one in document["groups"]}
    expected: dict[str | None, int] = {}
    for row in rows:
        code = row["area_code"]
        key = code[:digits] if code and len(code) >= digits else None
        expected[key] = expected.get(key, 0) + 1
    assert counts == expected


def test_a_polygon_and_filters_by_post(rows: Any, client: Any) -> None:
    ring = [[113.9, 22.4], [114.01005, 22.4], [114.01005, 22.6], [113.9, 22.6], [113.9, 22.4]]
    body = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"use": "office"}, "group-by": "use"}
    document = client.post(PATH, json=body).json()
    members = [row for row in rows if row["lon"] <= 114.01005 and row["use"] == "office"]
    assert document["total"]["count"] == len(members)
    check(document["total"]["height_m"], heights(members))


def test_nothing_found_is_a_count_of_zero(rows: Any, client: Any) -> None:
    document = client.get(PATH, params={"area": "9999", "group-by": "use"}).json()
    assert document["groups"] == []
    assert document["total"]["count"] == 0
    check(document["total"]["height_m"], [])


def test_directions_are_not_averaged(rows: Any, client: Any, city: City) -> None:
    city.feature("cameras", "POINT(114 22)", direction_deg=350.0)
    city.feature("cameras", "POINT(114 22)", direction_deg=10.0)
    total = client.get("/collections/cameras/aggregate").json()["total"]
    assert total["count"] == 2
    assert "direction_deg" not in total


def test_group_by_any_property(rows: Any, client: Any) -> None:
    groups = client.get(PATH, params={"group-by": "height_m", "measures": "count"}).json()["groups"]
    assert {one["group"]["height_m"]: one["count"] for one in groups} == dict(Counter(row["height_m"] for row in rows))
    answer = client.post(PATH, json={"group-by": ["use"]})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="group-by")


def test_two_keys_give_a_group_for_each_pair(rows: Any, client: Any) -> None:
    document = client.get(PATH, params={"group-by": "use,district"}).json()
    found = {(one["group"]["use"], one["group"]["district"]): one["count"] for one in document["groups"]}
    expected = Counter((row["use"], row["area_code"][:6] if row["area_code"] else None) for row in rows)
    assert found == dict(expected)
    assert document["groupBy"] == "use,district"


def test_median_percentile_and_distinct_with_their_total(rows: Any, client: Any) -> None:
    measures = "median(height_m),percentile(height_m,90),distinct(use),max(height_m)"
    document = client.get(PATH, params={"group-by": "use", "measures": measures}).json()
    assert set(document["total"]) == {"count", "height_m", "use"}
    for use, group in [*((one["group"]["use"], one) for one in document["groups"]), ("total", document["total"])]:
        members = rows if use == "total" else [row for row in rows if row["use"] == use]
        values = heights(members)
        assert group["height_m"]["median"] == pytest.approx(np.percentile(values, 50))
        assert group["height_m"]["p90"] == pytest.approx(np.percentile(values, 90))
        assert group["height_m"]["max"] == max(values)
        assert group["use"]["distinct"] == len({row["use"] for row in members} - {None})
        assert group["count"] == len(members)


def test_a_histogram_of_each_group_and_of_all(rows: Any, client: Any) -> None:
    document = client.get(PATH, params={"group-by": "use", "measures": "histogram(height_m,20)"}).json()
    for use, group in [*((one["group"]["use"], one) for one in document["groups"]), ("total", document["total"])]:
        values = heights(rows if use == "total" else [row for row in rows if row["use"] == use])
        counts, edges = np.histogram(values, bins=np.arange(0, 121, 20))
        expected = [
            {"from": low, "to": low + 20, "count": int(count)}
            for low, count in zip(edges, counts, strict=False)
            if count
        ]
        assert group["height_m"]["histogram"] == expected


@pytest.mark.parametrize(("unit", "width"), [("year", 4), ("month", 7), ("day", 10)])
def test_buckets_of_time(rows: Any, client: Any, unit: str, width: int) -> None:
    groups = client.get(PATH, params={"group-by": f"{unit}(completed_on)"}).json()["groups"]
    found = {one["group"][f"{unit}(completed_on)"]: one["count"] for one in groups}
    assert found == dict(Counter(row["completed_on"][:width] for row in rows))
    assert list(found) == sorted(found)


def test_buckets_of_an_instant_are_utc(rows: Any, client: Any) -> None:
    groups = client.get(PATH, params={"group-by": "hour(valid_from)"}).json()["groups"]
    assert {one["group"]["hour(valid_from)"]: one["count"] for one in groups} == {"2020-01-01T16": 30}


def test_bins_of_a_number(rows: Any, client: Any) -> None:
    groups = client.get(PATH, params={"group-by": "bin(height_m,25)"}).json()["groups"]
    found = {one["group"]["bin(height_m,25)"]: one["count"] for one in groups}
    expected = Counter(None if row["height_m"] is None else row["height_m"] // 25 * 25 for row in rows)
    assert found == dict(expected)


@pytest.mark.parametrize("kind", ["square", "hex"])
def test_cells_of_a_grid_hold_the_middle_of_their_features(rows: Any, client: Any, kind: str) -> None:
    """Each feature's middle lies in the cell it is counted in, and cells do not overlap."""
    name = f"{kind}(300)"
    document = client.get(PATH, params={"group-by": name, "f": "geojson"}).json()
    middles = [shapely.Point(row["lon"] + 1e-4, 22.5 + 1e-4) for row in rows]
    cells = [shape(feature["geometry"]) for feature in document["features"]]
    assert len(cells) > 5
    for feature, cell in zip(document["features"], cells, strict=True):
        assert feature["properties"]["count"] == sum(cell.contains(middle) for middle in middles)
        edge = Geod(a=6378137, b=6378137).geometry_length(shapely.LineString(list(cell.exterior.coords)[1:3]))
        assert edge == pytest.approx(300, rel=0.01)
    assert sum(feature["properties"]["count"] for feature in document["features"]) == 30
    whole = shapely.unary_union(cells)
    assert whole.area == pytest.approx(sum(cell.area for cell in cells), rel=1e-6)
    grid = client.get(PATH, params={"group-by": name}).json()["grid"]
    assert grid == {"kind": kind, "edge_m": 300.0, "latitude": 23}


@pytest.fixture(scope="module")
def points(rows: Any, city: City, client: Any) -> np.ndarray:
    """2,000 places of a dataset, drawn at random; the last 200 lie on corners and edges of its cells of 250 m."""
    city.dataset("points", Property("n", Kind.INTEGER, "n", "n"))
    random = np.random.default_rng(4403)
    drawn = random.uniform((114.0, 22.5), (114.05, 22.53), (1800, 2))
    insert = (
        "INSERT INTO dataset.points (id, source, source_id, geom, n) SELECT 'p.' || n, 'p', n::text, "
        "ST_SetSRID(ST_MakePoint(x, y), 4326), n %% 7 FROM unnest(%s::float8[], %s::float8[], %s::int[]) AS p(x, y, n)"
    )
    city.connection.execute(insert, [list(drawn[:, 0]), list(drawn[:, 1]), list(range(1800))])
    city.refresh("points")
    city.settle(client)
    edges = []
    for kind in ("square", "hex"):
        answer = client.get("/collections/points/aggregate", params={"group-by": f"{kind}(250)", "f": "geojson"})
        for feature in answer.json()["features"][:25]:
            ring = feature["geometry"]["coordinates"][0]
            edges += [ring[1], np.mean(ring[1:3], axis=0)]
    edges = np.array([*edges, *edges])
    city.connection.execute(insert, [list(edges[:, 0]), list(edges[:, 1]), list(range(1800, 1800 + len(edges)))])
    city.refresh("points")
    city.settle(client)
    return np.concatenate([drawn, edges])


@pytest.mark.parametrize("kind", ["square", "hex"])
def test_each_place_is_in_one_cell_of_the_plane(points: np.ndarray, client: Any, kind: str) -> None:
    """Against PROJ's plate carrée and shapely; a place on an edge is in one of the cells that have it."""
    document = client.get(
        "/collections/points/aggregate", params={"group-by": f"{kind}(250)", "measures": "sum(n)", "f": "geojson"}
    ).json()
    plane = Transformer.from_crs(
        "+proj=longlat +R=6378137", f"+proj=eqc +lat_ts={round(np.mean((22.5, 22.53)))} +R=6378137", always_xy=True
    )
    places = shapely.points(*plane.transform(points[:, 0], points[:, 1]))
    cells = [shapely.transform(shape(f["geometry"]), plane.transform, interleaved=False) for f in document["features"]]
    edge_m = [shapely.length(shapely.linestrings(cell.exterior.coords[:2])) for cell in cells]
    assert edge_m == pytest.approx([250] * len(cells), abs=0.05)
    tree = shapely.STRtree(cells)
    counts = [one["properties"]["count"] for one in document["features"]]
    assert sum(counts) == len(places) == 2000
    surely = np.bincount(tree.query(places[:1800], predicate="within")[1], minlength=len(cells))
    perhaps = np.bincount(tree.query(places, predicate="dwithin", distance=0.05)[1], minlength=len(cells))
    assert all(low <= count <= high for low, count, high in zip(surely, counts, perhaps, strict=True))
    assert surely.sum() > 1795


def test_two_grids_a_property_and_a_histogram_at_once(points: np.ndarray, client: Any) -> None:
    asked = {"group-by": "hex(2000),n,square(3000)", "measures": "distinct(n),histogram(n,2)"}
    document = client.get("/collections/points/aggregate", params=asked).json()
    keys = [tuple(one["group"].values()) for one in document["groups"]]
    assert len(set(keys)) == len(keys) > 40
    for one in document["groups"]:
        n = one["group"]["n"]
        assert one["n"] == {
            "distinct": 1,
            "histogram": [{"from": n // 2 * 2, "to": n // 2 * 2 + 2, "count": one["count"]}],
        }
    assert sum(one["count"] for one in document["groups"]) == document["total"]["count"] == 2000
    assert document["total"]["n"]["distinct"] == 7


def test_groups_by_area_have_the_area_s_shape(rows: Any, client: Any, city: City) -> None:
    city.feature("areas", square(114.0, 22.5, 0.01), key="440301", code="440301", level="district")
    city.settle(client)
    answer = client.get(PATH, params={"group-by": "district", "f": "geojson"})
    assert answer.headers["content-type"] == "application/geo+json"
    shapes = {one["properties"]["district"]: one["geometry"] for one in answer.json()["features"]}
    assert set(shapes) == {"440301", "440305", None}
    assert shape(shapes["440301"]).equals(square(114.0, 22.5, 0.01))
    assert shapes["440305"] is None


def test_csv_has_a_row_a_group(rows: Any, client: Any) -> None:
    answer = client.get(PATH, params={"group-by": "use", "measures": "avg(height_m),sum(height_m)", "f": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert set(table[0]) == {"use", "count", "height_m_avg", "height_m_sum"}
    for line in table:
        values = heights([row for row in rows if row["use"] == (line["use"] or None)])
        assert float(line["height_m_sum"]) == pytest.approx(sum(values))
    total = list(csv.DictReader(io.StringIO(client.get(PATH, params={"f": "csv"}).text)))
    assert [line["count"] for line in total] == ["30"]


def test_B45_a_text_that_a_spreadsheet_would_run_is_inert(rows: Any, client: Any, city: City) -> None:
    made = city.dataset("formulas", Property("word", Kind.TEXT, "词", "word"))
    for word in ("=1+1", "+1", "-1", "@SUM(A1)", "plain"):
        city.feature(made.id, "POINT(114 22)", word=word)
    city.settle(client)
    answer = client.get("/collections/formulas/aggregate", params={"group-by": "word", "f": "csv"})
    words = [line["word"] for line in csv.DictReader(io.StringIO(answer.text))]
    assert sorted(words) == sorted(["'=1+1", "'+1", "'-1", "'@SUM(A1)", "plain"])


@pytest.mark.parametrize(
    ("parameter", "value", "code"),
    [
        ("group-by", "hight_m", "unknown-property"),
        ("group-by", "use,use", "invalid-parameter"),
        ("group-by", "use,status,district,name", "invalid-parameter"),
        ("group-by", "year(use)", "invalid-parameter"),
        ("group-by", "hour(completed_on)", "invalid-parameter"),
        ("group-by", "century(completed_on)", "invalid-parameter"),
        ("group-by", "square(0)", "invalid-parameter"),
        ("group-by", "hex(1e999)", "invalid-parameter"),
        ("group-by", "hex(nan)", "invalid-parameter"),
        ("group-by", "bin(height_m,0)", "invalid-parameter"),
        ("group-by", "bin(use,1)", "invalid-parameter"),
        ("group-by", "bin(nothing,1)", "unknown-property"),
        ("group-by", "", "unknown-property"),
        ("measures", "sum(use)", "invalid-parameter"),
        ("measures", "sum(hight_m)", "unknown-property"),
        ("measures", "percentile(height_m)", "invalid-parameter"),
        ("measures", "percentile(height_m,101)", "invalid-parameter"),
        ("measures", "histogram(height_m,-1)", "invalid-parameter"),
        ("measures", "pg_sleep(height_m)", "invalid-parameter"),
        ("measures", "sum(height_m,3)", "invalid-parameter"),
        ("measures", "", "invalid-parameter"),
        ("measures", "histogram(height_m,1),histogram(height_m,2)", "invalid-parameter"),
    ],
)
def test_what_cannot_be_grouped_or_measured_is_refused(
    rows: Any, client: Any, parameter: str, value: str, code: str
) -> None:
    for answer in (client.get(PATH, params={parameter: value}), client.post(PATH, json={parameter: value})):
        assert_problem(answer, status=400, code=code, parameter=parameter)


def test_more_groups_than_an_answer_takes_are_refused(rows: Any, client: Any, city: City) -> None:
    city.dataset("many", Property("n", Kind.INTEGER, "n", "n"))
    city.connection.execute(
        "INSERT INTO dataset.many (id, source, source_id, n) SELECT 'x.' || n, 'x', n::text, n FROM generate_series(1, 10001) AS n"
    )
    city.refresh("many")
    city.settle(client)
    answer = client.get("/collections/many/aggregate", params={"group-by": "n"})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="group-by")
    assert (
        client.get("/collections/many/aggregate", params={"group-by": "bin(n,1000)"}).json()["total"]["count"] == 10001
    )
