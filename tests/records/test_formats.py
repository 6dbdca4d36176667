"""Records in other words: facets, DCAT, ISO 19115-3, feeds, tables."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree
from owslib.iso3 import MD_Metadata

from cim.catalogue.table import csv_rows, xlsx_rows
from tests.records.conftest import ON_THE_SHELF, SERVICES

HOME = "/collections/catalogue"
ATOM = {"a": "http://www.w3.org/2005/Atom", "at": "http://purl.org/atompub/tombstones/1.0"}


def counts(answer, facet):
    return {one["value"]: one["count"] for one in answer["facets"][facet]["buckets"]}


def test_facets_count_what_matches_under_the_same_rights(anyone, admin):
    answer = anyone.get(f"{HOME}/items", params={"facets": "all", "limit": 1}).json()
    shelf = [SERVICES[one] for one in ON_THE_SHELF]
    assert answer["numberMatched"] == 5
    assert counts(answer, "theme") == Counter(theme for one in shelf for theme in one["themes"])
    assert counts(answer, "kind") == Counter(one["kind"] for one in shelf)
    assert counts(answer, "organisation") == {"planning": 4, "water": 1}
    assert counts(answer, "shareClass") == Counter(one.get("share_class", "conditional") for one in shelf)
    assert counts(answer, "area") == {"440305": 1, "440303": 1, "4403": 1}
    assert counts(answer, "cimLevel") == {"2": 1, "4": 1}
    assert counts(answer, "updateCycle") == {"yearly": 1, "daily": 1}
    assert "state" not in answer["facets"]
    assert counts(admin.get(f"{HOME}/items", params={"facets": "state"}).json(), "state") == {
        "published": 5,
        "draft": 1,
        "withdrawn": 1,
    }
    some = anyone.get(
        f"{HOME}/items", params={"facets": "theme:1:value_asc,kind", "theme": "规划", "area": "440303"}
    ).json()
    assert set(some["facets"]) == {"theme", "kind"}
    assert some["facets"]["theme"]["buckets"] == [{"value": "water", "count": 1}]
    assert some["facets"]["theme"]["more"] is True
    described = anyone.get(f"{HOME}/facets")
    assert described.headers["content-type"] == "application/facets+json"
    assert set(described.json()["facets"]) == set(answer["facets"])
    listed = anyone.get("/catalogue/themes").json()["concepts"]
    assert {one["id"]: one["count"] for one in listed} == counts(answer, "theme")


def test_dcat_of_a_service_a_file_and_the_catalogue(anyone):
    service = anyone.get(f"{HOME}/items/imagery", headers={"Accept": "application/ld+json"})
    assert service.headers["content-type"] == "application/ld+json"
    node = service.json()
    assert (node["@type"], node["dct:identifier"]) == ("dcat:DataService", "imagery")
    assert {one["@language"]: one["@value"] for one in node["dct:title"]} == {
        "zh": "历史影像服务",
        "en": "Historical imagery",
    }
    assert node["dct:temporal"]["dcat:endDate"]["@value"] == "2020-12-31"
    assert node["dct:spatial"]["dcat:bbox"]["@value"].startswith("POLYGON((113.8 22.5, 114.1 22.5")
    assert node["dct:accrualPeriodicity"]["@id"].endswith("/frequency/ANNUAL")
    assert node["dct:accessRights"]["@id"].endswith("/access-right/PUBLIC")
    assert node["dct:license"]["@id"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert node["dcat:endpointURL"] == [{"@id": f"{anyone.base_url}/services/imagery/"}]
    prefixes = set(node["@context"])
    assert all(key.partition(":")[0] in prefixes for key in node if not key.startswith("@"))
    file = anyone.get(f"{HOME}/items/terrain?f=dcat").json()
    assert (file["@type"], len(file["dcat:distribution"])) == ("dcat:Dataset", 1)
    seen, address = [], "/catalogue/items?f=dcat&limit=2"
    while address:
        page = anyone.get(address).json()
        assert page["@type"] == "dcat:Catalog"
        seen += [one["dct:identifier"] for one in (*page["dcat:service"], *page["dcat:dataset"])]
        address = page["hydra:view"].get("hydra:next", {}).get("@id")
    assert sorted(seen) == sorted(ON_THE_SHELF)


@pytest.mark.parametrize("service_id", sorted(ON_THE_SHELF))
def test_iso_19115_3_is_read_by_owslib(anyone, service_id):
    answer = anyone.get(f"{HOME}/items/{service_id}?f=iso")
    assert answer.headers["content-type"].startswith("application/xml")
    root = etree.fromstring(answer.content)
    names = [etree.QName(child).localname for child in root]
    order = [
        "metadataIdentifier",
        "defaultLocale",
        "metadataScope",
        "contact",
        "dateInfo",
        "metadataStandard",
        "otherLocale",
    ]
    order += ["metadataLinkage", "referenceSystemInfo", "identificationInfo", "distributionInfo", "resourceLineage"]
    assert sorted(names, key=order.index) == names
    read = MD_Metadata(root)
    members = SERVICES[service_id]
    assert read.identifier == service_id
    assert read.hierarchy == ("dataset" if members["kind"] == "file" else "service")
    (told,) = read.identification
    assert told.title == (members["title_zh"] or members["title_en"])
    assert told.abstract == (members["description_zh"] or members["description_en"])
    if "geom" in members:
        box = told.bbox or told.extent.boundingBox
        assert tuple(float(edge) for edge in (box.minx, box.miny, box.maxx, box.maxy)) == pytest.approx(members["geom"])


def test_feeds_tell_what_is_new_and_what_is_gone(anyone):
    answer = anyone.get("/catalogue/feed")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = etree.fromstring(answer.content)
    entries = feed.findall("a:entry", ATOM)
    assert {entry.findtext("a:id", None, ATOM).rpartition("/")[2] for entry in entries} == ON_THE_SHELF
    assert all(entry.findtext("a:updated", None, ATOM).endswith("Z") for entry in (feed, *entries))
    (gone,) = feed.findall("at:deleted-entry", ATOM)
    assert gone.get("ref").endswith("/catalogue/items/gone")
    assert gone.get("when").endswith("Z")
    assert "已下架" not in answer.text
    rss = etree.fromstring(anyone.get("/catalogue/feed?f=rss&limit=3").content)
    assert len(rss.findall("channel/item")) <= 3
    titles = [
        item.findtext("title") for item in etree.fromstring(anyone.get("/catalogue/feed?f=rss").content).iter("item")
    ]
    assert len(titles) == 5


def test_B45_a_table_is_inert_and_comes_back_as_it_was(anyone, tmp_path: Path):
    hostile = SERVICES["terrain"]["title_en"]
    english = {"Accept-Language": "en"}
    table = anyone.get("/catalogue/export?f=csv", headers=english)
    cells = [cell for row in csv.reader(io.StringIO(table.content.decode())) for cell in row]
    assert "'" + hostile in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    workbook = tmp_path / "services.xlsx"
    workbook.write_bytes(anyone.get("/catalogue/export?f=xlsx").content)
    for rows in (csv_rows(table.content.decode()), xlsx_rows(workbook)):
        read = {row["id"]: row for row in rows}
        assert set(read) == ON_THE_SHELF
        assert (read["terrain"]["title_en"], read["terrain"]["contact"]) == (hostile, "+8675588888888")
        assert read["imagery"]["endpoints"] == SERVICES["imagery"]["endpoints"]
        assert read["imagery"]["bbox"] == pytest.approx(SERVICES["imagery"]["geom"])
        assert read["pipes"]["themes"] == ["water", "规划"]
    assert anyone.get("/catalogue/export?f=csv&bom=true").content.startswith(b"\xef\xbb\xbf")
    assert len(csv_rows(anyone.get("/catalogue/export?f=csv&kind=wms").text)) == 1


def test_B43_names_and_links_are_shown_as_text(anyone):
    for path in (f"{HOME}/items/terrain?f=html", f"{HOME}/items?f=html&kind=file"):
        page = anyone.get(path)
        assert "content-security-policy" in page.headers
        assert "<script>alert(1)" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
        assert 'href="javascript:' not in page.text
