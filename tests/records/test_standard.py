"""OGC API Records 1.0 (20-004r1), by requirement."""

from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator
from owslib.ogcapi.records import Records

from tests.problems import assert_problem
from tests.records.conftest import ON_THE_SHELF, SERVICES, found

HOME = "/collections/catalogue"
REL = "http://www.opengis.net/def/rel/ogc/1.0"
CONF = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf"

LANGUAGE = {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}
LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {"href": {"type": "string", "pattern": "^https?://"}},
}
CONTACT = {
    "type": "object",
    "anyOf": [{"required": ["name"]}, {"required": ["organization"]}],
    "properties": {
        "phones": {"items": {"required": ["value"], "properties": {"value": {"pattern": r"^\+[1-9]{1}[0-9]{3,14}$"}}}},
        "emails": {"items": {"required": ["value"]}},
        "roles": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    },
}
INSTANT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z$"}
RECORD = {
    "type": "object",
    "required": ["id", "type", "geometry", "properties", "time"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "type": {"const": "Feature"},
        "geometry": {"type": ["object", "null"]},
        "time": {
            "type": ["object", "null"],
            "properties": {
                "interval": {
                    "minItems": 2,
                    "maxItems": 2,
                    "items": {"anyOf": [{"pattern": r"^\d{4}-\d{2}-\d{2}$"}, {"const": ".."}]},
                }
            },
        },
        "conformsTo": {"type": "array", "items": {"type": "string"}},
        "links": {"type": "array", "items": LINK},
        "linkTemplates": {"type": "array", "items": {"type": "object", "required": ["uriTemplate"]}},
        "properties": {
            "type": "object",
            "required": ["type", "title"],
            "properties": {
                "type": {"type": "string", "maxLength": 64},
                "title": {"type": "string"},
                "description": {"type": "string"},
                "created": INSTANT,
                "updated": INSTANT,
                "keywords": {"type": "array", "items": {"type": "string"}},
                "themes": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "required": ["concepts", "scheme"],
                        "properties": {
                            "concepts": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "object", "required": ["id"]},
                            },
                            "scheme": {"type": "string"},
                        },
                    },
                },
                "language": LANGUAGE,
                "languages": {"type": "array", "items": LANGUAGE},
                "externalIds": {"type": "array", "items": {"type": "object", "required": ["value"]}},
                "formats": {"type": "array", "items": {"anyOf": [{"required": ["name"]}, {"required": ["mediaType"]}]}},
                "contacts": {"type": "array", "items": CONTACT},
                "license": {"type": "string"},
                "rights": {"type": "string"},
            },
        },
    },
}
"""recordGeoJSON.yaml of the standard, with what it refers to, in short."""


AT_A_POINT = '{"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Point", "coordinates": [114, 22.6]}]}'


def links_of(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in document["links"] if link["rel"] == rel]


def test_searchable_catalog_conformance(anyone):
    declared = anyone.get("/conformance").json()["conformsTo"]
    names = (
        "record-core",
        "record-collection",
        "record-core-query-parameters",
        "records-api",
        "searchable-catalog",
        "json",
        "html",
        "oas30",
        "autodiscovery",
    )
    assert {f"{CONF}/{name}" for name in names} <= set(declared)
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in declared


@pytest.mark.parametrize("home", ["/catalogue", HOME])
def test_record_collection(anyone, home):
    document = anyone.get(home).json()
    assert (document["id"], document["type"], document["itemType"]) == (
        "catalogue",
        "Collection",
        "record",
    )  # mandatory-properties-collection, itemType
    assert [link["href"] for link in links_of(document, "self")] == [str(anyone.base_url) + home]  # links A
    assert {link["type"] for link in links_of(document, "alternate")} >= {"text/html", "application/ld+json"}  # links B
    assert {link["href"].partition("?")[0] for link in links_of(document, "items")} == {
        str(anyone.base_url) + f"{home}/items"
    }  # links-records
    assert links_of(document, "profile")[0]["href"].endswith("/OGC/0/ogc-catalog")  # json/catalog-content-profile
    for rel in ("queryables", "sortables"):
        (link,) = links_of(document, f"{REL}/{rel}")
        assert anyone.get(link["href"]).headers["content-type"] == "application/schema+json"
    assert all(
        set(one) == {"field", "direction"} for one in document["defaultSortOrder"]
    )  # sorting/defaultSortOrder-definition


def test_records_api_catalogs_response(anyone):
    listed = {one["id"]: one for one in anyone.get("/collections").json()["collections"]}
    assert [one for one in listed if listed[one]["itemType"] == "record"] == ["catalogue"]
    assert listed["catalogue"] == anyone.get(HOME).json()


def test_record_core_every_record_is_valid(anyone):
    validator = Draft202012Validator(RECORD)
    page = anyone.get(f"{HOME}/items", params={"limit": 100})
    assert page.headers["content-type"] == "application/geo+json"  # json/record-response A
    document = page.json()
    assert (document["type"], document["numberReturned"], document["numberMatched"]) == ("FeatureCollection", 5, 5)
    assert {record["id"] for record in document["features"]} == ON_THE_SHELF
    assert links_of(document, "profile")[0]["href"].endswith("/OGC/0/ogc-record")  # json/record-content-profile
    for listed in document["features"]:
        record = anyone.get(f"{HOME}/items/{listed['id']}").json()  # records-api/record-op, record-response
        for one in (listed, record):
            assert list(validator.iter_errors(one)) == []  # mandatory-properties-record, time-interval, contact
            assert len(links_of(one, "collection")) == 1  # record-core/links
        assert record["properties"] == listed["properties"]


def test_record_core_of_a_known_and_of_another_licence(anyone):
    known = anyone.get(f"{HOME}/items/imagery").json()
    assert known["properties"]["license"] == "CC-BY-4.0"  # license A
    other = anyone.get(f"{HOME}/items/pipes").json()
    assert other["properties"]["license"] == "other"  # license B
    assert "供水数据许可 2.0" in other["properties"]["rights"]
    (link,) = links_of(other, "license")
    assert "供水数据许可 2.0" in anyone.get(link["href"]).text


def test_record_core_templated_link(anyone, admin):
    known = admin.get(f"{HOME}/items/tiles").json()
    assert known["properties"]["endpoints"][0]["url"] == "https://tiles.example/{z}/{x}/{y}.png"
    for record in (known, anyone.get(f"{HOME}/items/tiles").json()):  # called through this node, by whomever
        (template,) = record["linkTemplates"]
        assert template["uriTemplate"] == f"{anyone.base_url}/services/tiles/{{z}}/{{x}}/{{y}}.png"
        assert set(template["variables"]) == {"z", "x", "y"}
        assert not any("{" in link["href"] for link in record["links"])


def test_a_record_says_how_the_service_has_been(anyone, module_database_url):
    assert "health" not in anyone.get(f"{HOME}/items/tiles").json()["properties"]
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cim.service_health (service_id, state, checked_at, since, next_at) "
            "VALUES ('imagery', 'degraded', '2026-11-20T08:00:00Z', now(), now())"
        )
        connection.execute(
            "INSERT INTO cim.service_health_day (service_id, day, probes, up, degraded) "
            "VALUES ('imagery', (now() AT TIME ZONE 'UTC')::date, 8, 5, 1)"
        )
    for record in (
        anyone.get(f"{HOME}/items/imagery").json(),
        anyone.get(f"{HOME}/items?ids=imagery").json()["features"][0],
    ):
        wanted = {"state": "degraded", "checked": "2026-11-20T08:00:00Z", "availability30Days": 0.75}
        assert record["properties"]["health"] == wanted
        (link,) = [link for link in record["links"] if link["href"].endswith("/health")]
        assert anyone.get(link["href"]).json()["availability30Days"] == 0.75


def test_a_record_says_where_it_comes_from_and_what_was_reviewed(anyone, admin):
    record = anyone.get(f"{HOME}/items/pipes").json()
    properties = record["properties"]
    assert properties["externalIds"] == [{"scheme": "water-csw", "value": "urn:x:pipes"}]
    known = admin.get(f"{HOME}/items/pipes").json()["properties"]
    assert known["provenance"] == SERVICES["pipes"]["provenance"]
    assert properties["provenance"] == {"harvest": "water-csw"}
    assert len(properties["contentHash"]) == 64
    assert properties["version"] == 1
    (service,) = links_of(record, "service")
    assert service["href"] == f"{anyone.base_url}/services/pipes/"
    assert record["time"] == {"interval": ["2015-06-01", ".."]}
    assert (properties["type"], anyone.get(f"{HOME}/items/terrain").json()["properties"]["type"]) == (
        "service",
        "dataset",
    )


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"q": "aerial"}, {"imagery"}),  # q-response A
        ({"q": "AERIAL"}, {"imagery"}),  # q-definition E
        ({"q": "aerial,sewers"}, {"imagery", "pipes"}),  # q-response B
        ({"q": "aerial  photographs"}, {"imagery"}),  # q-response C
        ({"q": "photographs aerial"}, set()),
        ({"q": "imagery aerial"}, set()),  # of two texts
        ({"q": "影像"}, {"imagery"}),
        ({"q": "水务局"}, {"pipes"}),
        ({"q": "Water Auth"}, {"pipes"}),
        ({"q": "buildings"}, {"own"}),
        ({"words": "影像 规划局"}, {"imagery"}),
        ({"words": "water mains"}, {"pipes"}),
        ({"words": "water photographs"}, set()),
        ({"bbox": "114.25,22.65,114.26,22.66"}, {"pipes", "tiles", "terrain", "own"}),  # bbox; those without a place match
        ({"bbox": "1,1,2,2"}, {"terrain", "own"}),
        ({"datetime": "1990-01-01"}, {"imagery", "tiles", "own"}),  # datetime
        ({"datetime": "2024-03-31/.."}, {"pipes", "terrain", "tiles", "own"}),
        ({"datetime": "2024-04-01T00:00:00Z/.."}, {"pipes", "tiles", "own"}),
        ({"type": "dataset"}, {"terrain"}),  # type-response
        ({"type": "dataset,service"}, ON_THE_SHELF),
        ({"ids": "pipes,own,absent,unfinished"}, {"pipes", "own"}),  # ids-response
        ({"externalIds": "urn:x:pipes"}, {"pipes"}),  # externalIds-response C
        ({"externalIds": "water-csw:urn:x:pipes,no:such"}, {"pipes"}),  # externalIds-response B
        ({"externalIds": "other:urn:x:pipes"}, set()),
        ({"externalIds": "water-csw:"}, {"pipes"}),  # externalIds-response D
        (dict.fromkeys(("bbox", "q", "datetime", "type", "ids", "externalIds", "limit", "profile"), ""), ON_THE_SHELF),  # empty-value
        ({"theme": "规划"}, {"imagery", "pipes", "own"}),
        ({"theme": "规"}, set()),
        ({"area": "4403"}, {"imagery", "pipes", "tiles"}),
        ({"area": "440303"}, {"pipes"}),
        ({"kind": "wms"}, {"imagery"}),
        ({"organisation": "water"}, {"pipes"}),
        ({"share-class": "not_shared"}, {"terrain"}),
        ({"shareClass": "not_shared"}, {"terrain"}),
        ({"cimLevel": "4"}, {"pipes"}),
        ({"updateCycle": "yearly"}, {"imagery"}),
        ({"collectionId": "buildings"}, {"own"}),
        ({"state": "draft"}, set()),
        ({"filter": "cimLevel BETWEEN 1 AND 3 OR title LIKE '%map%'"}, {"imagery", "tiles"}),  # record-filter/response
        ({"filter": "A_CONTAINS(keywords, ('规划', 'water'))"}, {"pipes"}),
        ({"filter": "kind IN ('wms', 'wfs')", "q": "historical", "bbox": "114.25,22.65,114.26,22.66"}, {"pipes"}),
        ({"filter": AT_A_POINT, "filter-lang": "cql2-json"}, {"imagery", "tiles"}),
        ({"filter": "CASEI(title_en) LIKE CASEI('HIST%')"}, {"imagery"}),
        ({"profile": "ogc-record,http://www.opengis.net/def/profile/OGC/0/ogc-record,[ogc-profile:ogc-record]"}, ON_THE_SHELF),
    ],
)  # fmt: skip
def test_record_core_query_parameters(anyone, query, wanted):
    assert set(found(anyone, limit=100, **query) if "limit" not in query else found(anyone, **query)) == wanted
    assert set(found(anyone, "/catalogue/items", **query)) == wanted


def test_sorting(anyone):
    assert found(anyone, sortby="title_en") == [
        "terrain",
        "tiles",
        "own",
        "imagery",
        "pipes",
    ]  # sortby-param B: ascending
    assert found(anyone, sortby="-title_en") == ["pipes", "imagery", "own", "tiles", "terrain"]
    assert found(anyone, sortby="-cimLevel,id") == ["pipes", "imagery", "own", "terrain", "tiles"]
    sortables = anyone.get(f"{HOME}/sortables").json()["properties"]
    assert {"id", "title", "type", "created", "updated"} <= set(sortables)
    for name in sortables:  # sortby-response B
        assert set(found(anyone, sortby=name)) == ON_THE_SHELF
    wrong = anyone.get(f"{HOME}/items", params={"sortby": "keywords"})
    assert_problem(wrong, status=400, code="unknown-property", parameter="sortby")
    assert found(anyone) == sorted(ON_THE_SHELF)


def test_filtering_mandatory_queryables(anyone):
    queryables = anyone.get(f"{HOME}/queryables").json()["properties"]
    assert {"id", "type", "title"} <= set(queryables)
    assert set(queryables["kind"]["enum"]) > {"wms", "file"}


def test_what_fits_best_comes_first_and_paging_by_it_is_stable(anyone):
    assert found(anyone, q="历史") == ["own", "imagery"]  # the title itself, then one that begins with it
    assert found(anyone, q="historical") == ["imagery", "pipes"]
    for query in ({"q": "历史,map,of"}, {"sortby": "-kind"}, {"q": "a map,the,map", "sortby": "title"}):
        whole, seen, address = found(anyone, **query), [], f"{HOME}/items"
        page = anyone.get(address, params={**query, "limit": 1}).json()
        while True:
            seen += [record["id"] for record in page["features"]]
            following = links_of(page, "next")
            if not following:
                break
            page = anyone.get(following[0]["href"]).json()
        assert seen == whole


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ({"limit": "0"}, "invalid-parameter", "limit"),
        ({"limit": "-1"}, "invalid-parameter", "limit"),
        ({"offset": "1000000000"}, "unknown-parameter", "offset"),
        ({"startindex": "5"}, "unknown-parameter", "startindex"),
        ({"colour": "red"}, "unknown-parameter", "colour"),
        ({"cursor": "made-up"}, "invalid-parameter", "cursor"),
        ({"q": "%"}, "invalid-parameter", "q"),
        ({"kind": "wmx"}, "invalid-parameter", "kind"),
        ({"cimLevel": "high"}, "invalid-parameter", "cimLevel"),
        ({"bbox": "1,2"}, "invalid-parameter", "bbox"),
        ({"datetime": "yesterday"}, "invalid-parameter", "datetime"),
        ({"facets": "colour"}, "invalid-parameter", "facets"),
        ({"facets": "state"}, "invalid-parameter", "facets"),
        ({"facets": "kind:0"}, "invalid-parameter", "facets"),
        ({"facets": "kind:5:random"}, "invalid-parameter", "facets"),
        ({"profile": "<x>"}, "invalid-parameter", "profile"),
        ({"count": "estimate"}, "invalid-parameter", "count"),
        ({"filter": "hight_m > 2"}, "unknown-property", "filter"),
        ({"filter": "searched LIKE 'x%'"}, "unknown-property", "filter"),
        ({"area": "44x"}, "invalid-parameter", "area"),
        ({"crs": "EPSG:4490"}, "unknown-parameter", "crs"),
    ],
)
def test_B22_what_is_wrong_is_named(anyone, query, code, parameter):
    assert_problem(anyone.get(f"{HOME}/items", params=query), status=400, code=code, parameter=parameter)


def test_B22_a_huge_limit_is_the_maximum(anyone):
    assert len(found(anyone, limit=10**9)) == 5


def test_owslib_reads_the_catalogue(running):
    client = Records(running.url)
    assert client.records() == ["catalogue"]
    assert client.conformance()["conformsTo"]
    assert client.collection("catalogue")["itemType"] == "record"
    assert "title" in client.collection_queryables("catalogue")["properties"]
    page = client.collection_items(
        "catalogue", q="sewers", bbox=[114.2, 22.6, 114.3, 22.7], limit=5, sortby=("title", "desc")
    )
    assert [record["id"] for record in page["features"]] == ["pipes"]
    assert client.collection_items("catalogue", filter="kind = 'xyz'")["features"][0]["id"] == "tiles"
    assert client.collection_item("catalogue", "pipes")["id"] == "pipes"


def test_autodiscovery_links(anyone):
    """A page leads to the catalogue's records."""
    for path in ("/collections?f=html", f"{HOME}?f=html", f"{HOME}/items/tiles?f=html"):
        page = anyone.get(path).text
        assert f'rel="{REL}/ogc-catalog"' in page
    landing = anyone.get("/?f=json").json()
    (link,) = links_of(landing, f"{REL}/ogc-catalog")
    assert anyone.get(link["href"]).json()["type"] == "FeatureCollection"


def test_html_content(anyone):
    page = anyone.get(f"{HOME}/items/pipes?f=html").text
    record = anyone.get(f"{HOME}/items/pipes").json()
    for link in record["links"]:
        if link["rel"] not in ("profile",):
            assert f'href="{link["href"]}"' in page
    assert record["properties"]["title"] in page
    assert "Pipelines underground" in page


def test_oas30(anyone):
    described = anyone.get("/api").json()["paths"]
    for path in (
        HOME,
        f"{HOME}/items",
        f"{HOME}/items/{{serviceId}}",
        f"{HOME}/queryables",
        f"{HOME}/sortables",
        "/catalogue/feed",
        "/catalogue/export",
    ):
        assert "get" in described[path]
    names = {one["name"] for one in described[f"{HOME}/items"]["get"]["parameters"] if "name" in one}
    assert {"q", "type", "ids", "externalIds", "sortby", "facets", "profile", "limit"} <= names
