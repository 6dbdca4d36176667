"""`q`: OGC API Features Part 9 (draft 24-031) over names and addresses, Chinese and Latin."""

import unicodedata
from typing import Any

import pytest

from cim.model import Kind, Property, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.items import page_sql
from tests.city import City
from tests.problems import assert_problem

ITEMS = "/collections/buildings/items"

TOWN: dict[str, dict[str, str | None]] = {
    "a": {"name": "福田科技大厦", "name_en": "Futian Technology Tower", "address": "深南大道 1001 号"},
    "b": {"name": "科福大厦", "name_en": "TOWER  OF\tFutian", "address": None},
    "c": {"name": "ＡＢＣ大楼", "name_en": None, "address": "前海路２号"},
    "d": {"name": None, "name_en": "50% off_shop 'quoted' \\ back", "address": "南山区"},
    "e": {"name": "𠮷野家", "name_en": "Straße Café", "address": "田福路"},
    "f": {"name": None, "name_en": None, "address": None},
}


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> Any:
    """Six buildings of awkward names."""
    for key, one in TOWN.items():
        city.building(key=key, **one)
    city.settle(client)
    return city


def folded(text: str | None) -> str:
    return " ".join(unicodedata.normalize("NFKC", text or "").lower().split())


def found(client: Any, q: str) -> set[str]:
    answer = client.get(ITEMS, params={"q": q, "limit": 100})
    assert answer.status_code == 200, answer.text
    return {feature["id"].removeprefix("test.") for feature in answer.json()["features"]}


@pytest.mark.parametrize(
    "q",
    [
        *(
            "福田",
            "大厦",
            "前海",
            "深南大道 1001",
            "田福",
            "科技大",
            "futian",
            "FUTIAN",
            "tower of futian",
            "abc",
            "ａｂｃ",
        ),
        *(
            "futian tower",
            "50%",
            "off_shop",
            "'quoted'",
            "\\ back",
            "吉野",
            "𠮷野",
            "cafe",
            "café",
            "CAFÉ",
            "路2号",
            "zz",
        ),
        *("福田,前海", "福田,前海,南山", "tower, 南山 ", "ＡＢＣ大楼,zz", "%%", "__", "a' OR '1'='1"),
    ],
)
def test_req_text_search_q_response(town: Any, client: Any, q: str) -> None:
    """/req/text-search/q-definition C, D, E and q-response: terms are or-ed, words of one stand together in order."""
    terms = [folded(term) for term in q.split(",")]
    expected = {
        key for key, one in TOWN.items() if any(term in folded(text) for term in terms for text in one.values() if text)
    }
    assert found(client, q) == expected


def test_the_expected_is_not_empty(town: Any, client: Any) -> None:
    assert found(client, "福田") == {"a"}
    assert found(client, "tower of futian") == {"b"}
    assert found(client, "前海,南山") == {"c", "d"}
    assert found(client, "大厦") == {"a", "b"}


@pytest.mark.parametrize("q", ["", "a", "福", " ", "福田,", "a b c", ",".join(f"term{n}" for n in range(11))])
def test_a_q_that_cannot_be_searched(town: Any, client: Any, q: str) -> None:
    assert_problem(client.get(ITEMS, params={"q": q}), status=400, code="invalid-parameter", parameter="q")


def test_q_joins_other_conditions_sorts_and_statistics(town: Any, client: Any) -> None:
    answer = client.get(ITEMS, params={"q": "大厦,大楼", "sortby": "-name", "limit": 2}).json()
    assert [one["id"] for one in answer["features"]] == ["test.c", "test.b"]
    following = next(link["href"] for link in answer["links"] if link["rel"] == "next")
    assert [one["id"] for one in client.get(following).json()["features"]] == ["test.a"]
    assert client.get("/collections/buildings/aggregate", params={"q": "大厦"}).json()["total"]["count"] == 2
    body = {"q": ["大厦", "大楼"], "properties": {"name": "福田科技大厦"}}
    assert [one["id"] for one in client.post("/collections/buildings/search", json=body).json()["features"]] == [
        "test.a"
    ]


def test_a_hidden_name_is_not_searched(town: City) -> None:
    def ids(q: str, hidden: frozenset[str]) -> list[str]:
        sql = page_sql(town.collection("buildings"), FeatureQuery(terms=(q,)), Scope(hidden=hidden))
        row = town.run(sql).fetchone()
        return [key for key in TOWN if row[0] and f'"test.{key}"'.encode() in row[0]]

    assert ids("福田", frozenset()) == ["a"]
    assert ids("福田", frozenset({"name"})) == []
    assert ids("futian", frozenset({"name"})) == ["a", "b"]
    assert ids("福田", frozenset({"name", "name_en", "address"})) == []


def test_a_dataset_is_searched_by_its_texts(city: City, client: Any, town: Any) -> None:
    city.dataset(
        "shops", Property("店名", Kind.TEXT, "店名", "店名", is_searchable=True), Property("n", Kind.INTEGER, "n", "n")
    )
    city.dataset("numbers", Property("n", Kind.INTEGER, "n", "n"))
    made = city.feature("shops", "POINT(1 1)", 店名="莲花山书店", n=1)
    city.feature("numbers", "POINT(1 1)", n=1)
    city.settle(client)
    features = client.get("/collections/shops/items", params={"q": "书店"}).json()["features"]
    assert [one["id"] for one in features] == [made]
    assert client.get("/collections/numbers/items", params={"q": "书店"}).json()["features"] == []


def test_text_search_is_declared(client: Any, town: Any) -> None:
    conforms = client.get("/conformance").json()["conformsTo"]
    for name in ("text-search", "features-text-search"):
        assert f"http://www.opengis.net/spec/ogcapi-features-9/1.0/conf/{name}" in conforms
    parameter = client.get("/api").json()["components"]["parameters"]["q"]
    assert (parameter["explode"], parameter["schema"]["type"]) == (False, "array")


def test_common_rare_and_late_words_are_paged_alike_in_a_large_collection(city: City, client: Any) -> None:
    """25,000 names: one word in all, one in every seventh, one in the last hundred, one in three far apart, one whose pairs all have."""
    city.dataset("names", Property("name", Kind.TEXT, "名", "Name", is_searchable=True))
    city.run_text(
        "INSERT INTO dataset.names (id, source, source_id, name, area_code) SELECT 't.' || lpad(n::text, 5, '0'), 't', n::text, "
        "'街道' || CASE WHEN n % 7 = 0 THEN '花园' ELSE '' END || CASE WHEN n >= 24900 THEN '尽头' ELSE '' END "
        "|| CASE WHEN n IN (5, 12000, 24950) THEN '独一' ELSE '' END "
        "|| CASE WHEN n = 24990 THEN '街道街' ELSE '和道街' END, CASE WHEN n % 2 = 0 THEN '440305' ELSE '440304' END "
        "FROM generate_series(0, 24999) AS n"
    )
    city.refresh("names")
    city.settle(client)

    def pages(limit: int, most: int, **asked: str) -> list[int]:
        url, found = "/collections/names/items", []
        params: dict[str, Any] | None = {"limit": limit, **asked}
        for _ in range(most):
            document = client.get(url, params=params).json()
            found += [int(feature["id"].removeprefix("t.")) for feature in document["features"]]
            following = [link["href"] for link in document["links"] if link["rel"] == "next"]
            if not following:
                break
            url, params = following[0], None
        return found

    assert pages(10, 3, q="街道") == list(range(30))
    assert pages(1000, 9, q="花园") == list(range(0, 25_000, 7))
    assert pages(30, 9, q="尽头") == list(range(24_900, 25_000))
    assert pages(2, 9, q="独一") == [5, 12_000, 24_950]
    assert pages(10, 2, q="街道", area="440305") == list(range(0, 40, 2))
    assert pages(10, 2, q="街道", filter="name LIKE '%尽头%'") == list(range(24_900, 24_920))
    assert pages(10, 2, q="没有") == []
    assert pages(10, 2, q="街道街") == [24_990]
    assert pages(10, 3, q="街道", sortby="-name,id") == pages(10, 3, sortby="-name,id")
    assert pages(10, 2, q="街道", sortby="-id") == list(range(24_999, 24_979, -1))
    assert sorted(pages(30, 9, q="尽头", sortby="name")) == list(range(24_900, 25_000))
    assert sorted(pages(2, 9, q="独一", sortby="-name")) == [5, 12_000, 24_950]
    assert pages(10, 2, q="街道街", sortby="name") == [24_990]
