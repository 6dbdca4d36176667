"""Order of features and the walk through it: OGC API Features Part 8 (draft 24-030), checked against Python's own sort."""

import itertools
import random
from typing import Any

import pytest

from cim.model import Kind, Property
from tests.city import City, square
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"
USES = ("office", "residential", "industrial", None)


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> dict[str, dict[str, Any]]:
    """80 buildings, many of them alike, some without values; id → facts."""
    random.seed(11)
    facts: dict[str, dict[str, Any]] = {}
    for n in range(80):
        one = {
            "use": random.choice(USES),
            "height_m": random.choice([3.0, 12.5, 30.0, 100.25, None]),
            "name": random.choice(["楼", "塔", "Tower", "tower", None]),
            "completed_on": random.choice(["1999-12-31", "2010-05-01", None]),
            "floors_above": n,
        }
        made = city.building(square(114.0 + n * 0.001, 22.5), key=f"b{n:03}", area_code=f"44030{1 + n % 2}001", **one)
        facts[made] = one
    city.settle(client)
    return facts


def in_order(facts: dict[str, dict[str, Any]], *keys: str) -> list[str]:
    """Ids as `sortby` must give them: NULLs last, ties by id in the direction of the last key."""
    order = sorted(facts, reverse=keys[-1].startswith("-"))
    for key in reversed(keys):
        name = key.lstrip("+-")
        with_value = [made for made in order if facts[made][name] is not None]
        with_value.sort(key=lambda made: facts[made][name], reverse=key.startswith("-"))
        # Python keeps equal members in place, reversed too
        order = with_value + [made for made in order if facts[made][name] is None]
    return order


def walk(client: Any, path: str = ITEMS, **parameters: Any) -> list[str]:
    """Ids of all pages, by their next links."""
    seen: list[str] = []
    answer = client.get(path, params=parameters)
    while True:
        assert answer.status_code == 200, answer.text
        document = answer.json()
        seen += [feature["id"] for feature in document["features"]]
        following = [link["href"] for link in document["links"] if link["rel"] == "next"]
        if not following:
            return seen
        answer = client.get(following[0])


@pytest.mark.parametrize(
    "keys",
    [
        ("use",),
        ("-use",),
        ("height_m",),
        ("-height_m",),
        ("name",),
        ("completed_on", "-height_m"),
        ("-use", "height_m"),
        ("use", "-completed_on", "name"),
        ("-status", "-use"),
        ("-name", "-completed_on", "-use", "-height_m"),
        ("+floors_above",),
    ],
)
def test_req_sorting_sortby_response(town: Any, client: Any, keys: tuple[str, ...]) -> None:
    """/req/sorting/sortby-definition, -response, /req/features-sorting/response: in every direction, page by page."""
    facts = {made: {**one, "status": None} for made, one in town.items()}
    assert walk(client, sortby=",".join(keys), limit=7) == in_order(facts, *keys)
    assert walk(client, sortby=",".join(keys), limit=1000) == in_order(facts, *keys)


def test_by_id_backwards(town: Any, client: Any) -> None:
    assert walk(client, sortby="-id", limit=9) == sorted(town, reverse=True)
    assert walk(client, sortby="id,name", limit=9) == sorted(town)


@pytest.mark.parametrize("condition", [{"bbox": "114.0,22.4,114.03,22.6"}, {"area": "440302001"}, {"use": "office"}])
@pytest.mark.parametrize("sortby", ["-use", "height_m,-name"])
def test_a_sort_keeps_to_the_conditions(town: Any, client: Any, condition: Any, sortby: str) -> None:
    kept = set(walk(client, limit=1000, **condition))
    assert 0 < len(kept) < len(town)
    ordered = [made for made in in_order(town, *sortby.split(",")) if made in kept]
    assert walk(client, sortby=sortby, limit=4, **condition) == ordered


def test_a_plus_in_an_address_is_a_space_there(town: Any, client: Any) -> None:
    plain = client.get(f"{ITEMS}?sortby=+height_m&limit=80").json()["features"]
    assert [feature["id"] for feature in plain] == in_order(town, "height_m")


@pytest.mark.parametrize(
    "sortby",
    [
        [{"field": "height_m", "direction": "desc"}, {"field": "name"}],
        ["-height_m", "+name"],
        "-height_m,name",
    ],
)
def test_a_search_is_sorted_too(town: Any, client: Any, sortby: Any) -> None:
    seen: list[str] = []
    body: Any = {"sortby": sortby, "limit": 30}
    while body:
        document = client.post("/collections/buildings/search", json=body).json()
        seen += [feature["id"] for feature in document["features"]]
        following = next((link for link in document["links"] if link["rel"] == "next"), None)
        body = following and following["body"]
    assert seen == in_order(town, "-height_m", "name")


def test_a_cursor_keeps_to_its_order(town: Any, client: Any) -> None:
    page = client.get(ITEMS, params={"sortby": "-height_m", "limit": 5}).json()
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    cursor = following.split("cursor=")[1].split("&")[0]
    for parameters in (
        {},
        {"sortby": "height_m"},
        {"sortby": "-height_m,name"},
        {"sortby": "-height_m", "cursor": "A"},
    ):
        answer = client.get(ITEMS, params={"cursor": cursor, **parameters})
        assert_problem(answer, status=400, code="invalid-parameter", parameter="cursor")
    answer = client.get(ITEMS, params={"sortby": "-height_m", "cursor": cursor, "properties": "name", "limit": 3})
    assert [one["id"] for one in answer.json()["features"]] == in_order(town, "-height_m")[5:8]


@pytest.mark.parametrize(
    ("sortby", "code"),
    [
        ("hight_m", "unknown-property"),
        ("geometry", "unknown-property"),
        ("attributes", "unknown-property"),
        ("--use", "unknown-property"),
        ("", "invalid-parameter"),
        ("use,", "invalid-parameter"),
        ("use,-use", "invalid-parameter"),
        ("use,name,status,height_m,year_built", "invalid-parameter"),
    ],
)
def test_a_sort_that_cannot_be(town: Any, client: Any, sortby: str, code: str) -> None:
    answer = client.get(ITEMS, params={"sortby": sortby})
    assert_problem(answer, status=400, code=code, parameter="sortby")


@pytest.mark.parametrize(
    "sortby", [7, [7], [{"name": "use"}], [{"field": "use", "direction": "up"}], [{"field": 3}], []]
)
def test_a_body_with_a_sort_that_cannot_be(town: Any, client: Any, sortby: Any) -> None:
    answer = client.post("/collections/buildings/search", json={"sortby": sortby})
    assert_problem(answer, status=400, code="invalid-parameter", parameter="sortby")


def test_long_texts_numbers_and_names_of_our_own(city: City, client: Any, town: Any) -> None:
    """Values that a cursor must carry unchanged, and properties called like columns of the statement."""
    kinds = {
        "number": Kind.NUMBER,
        "size": Kind.INSTANT,
        "body": Kind.TEXT,
        "page": Kind.BOOLEAN,
        "position": Kind.INTEGER,
    }
    city.dataset("odd", *(Property(name, kind, name, name) for name, kind in kinds.items()))
    facts = {}
    for n in range(12):
        one = {
            "number": [0.1 + 0.2, 1e300, -1e-300, 5e-324, None][n % 5],
            "size": f"2020-01-01T00:00:00.{n % 3:06}+00:00",
            "body": "长" * 50 + '"\\\u2028' + "x" * 3000 + str(n),
            "page": n % 2 == 0,
            "position": 2**62 + n % 4,
        }
        facts[city.feature("odd", "POINT(1 1)", key=f"{n:02}", **one)] = one
    city.settle(client)
    for keys in (("number",), ("-size", "number"), ("page", "-position"), ("-position", "size")):
        assert walk(client, "/collections/odd/items", sortby=",".join(keys), limit=3) == in_order(facts, *keys)
    assert walk(client, "/collections/odd/items", sortby="body", limit=5) == sorted(facts)
    shown = client.get("/collections/odd/items", params={"limit": 1}).json()["features"][0]["properties"]
    assert list(shown)[:5] == list(kinds)


def test_a_walk_under_writes_meets_each_surviving_row_once(city: City, client: Any, town: Any) -> None:
    """Rows come, go and change between pages: one that stays as it is comes once, none comes twice."""
    city.dataset(
        "moving", Property("rank", Kind.INTEGER, "rank", "rank"), Property("kind", Kind.TEXT, "k", "k", is_indexed=True)
    )
    for n in range(60):
        city.feature("moving", "POINT(1 1)", key=f"{n:03}", rank=n % 7 or None, kind="abc"[n % 3])
    city.settle(client)
    for sortby, round_number in zip(("rank", "-kind,rank", "-rank,-kind", "id"), itertools.count()):
        random.seed(round_number)
        before = dict(city.connection.execute("SELECT id, rank FROM dataset.moving").fetchall())
        touched: set[str] = set()
        seen: list[str] = []
        url: str | None = f"/collections/moving/items?sortby={sortby}&limit=8"
        while url:
            document = client.get(url).json()
            seen += [feature["id"] for feature in document["features"]]
            url = next((link["href"] for link in document["links"] if link["rel"] == "next"), None)
            gone, changed = random.sample(sorted(set(before) - touched), 2)
            city.connection.execute("DELETE FROM dataset.moving WHERE id = %s", [gone])
            city.connection.execute("UPDATE dataset.moving SET rank = 3 WHERE id = %s", [changed])
            city.feature(
                "moving", "POINT(1 1)", key=f"new{round_number}{len(touched):03}", rank=random.randint(1, 6), kind="b"
            )
            touched |= {gone, changed}
        untouched = set(before) - touched
        assert {made for made in seen if made in untouched} == untouched
        assert len([made for made in seen if made in untouched]) == len(untouched)


def test_req_sortables(town: Any, client: Any) -> None:
    """OGC 23-058r2 /req/sortables/link, op, response; 24-030 /req/sorting/get-sortables-success, defaultSortOrder."""
    collection = client.get("/collections/sensors").json()
    assert collection["defaultSortOrder"] == ["id"]
    links = [link for link in collection["links"] if link["rel"] == "http://www.opengis.net/def/rel/ogc/1.0/sortables"]
    answer = client.get(links[0]["href"], headers={"Accept": "application/schema+json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    document = answer.json()
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == links[0]["href"]
    assert document["type"] == "object"
    assert document["additionalProperties"] is False
    assert {"id", "name", "kind", "latest_result", "valid_from", "area_code"} <= set(document["properties"])
    assert "recent_results" not in document["properties"]
    for schema in document["properties"].values():
        assert schema["type"] in ("string", "number", "integer", "boolean")
        assert "geometry" not in schema.get("format", "")
    for name in document["properties"]:
        assert client.get("/collections/sensors/items", params={"sortby": name}).status_code == 200, name
    conforms = client.get("/conformance").json()["conformsTo"]
    for uri in ("5/1.0/conf/sortables", "8/1.0/conf/sortables", "8/1.0/conf/sorting", "8/1.0/conf/features-sorting"):
        assert f"http://www.opengis.net/spec/ogcapi-features-{uri}" in conforms
