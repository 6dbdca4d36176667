"""Real documents of sources: what is found in each, counted and read again by OWSLib; what is hostile is refused."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from owslib.wfs import WebFeatureService
from owslib.wms import WebMapService
from owslib.wmts import WebMapTileService

from cim.catalogue.harvest import HARVESTERS, entries_of, harvester_for
from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.fetch import asked
from cim.catalogue.harvest.found import Found, is_chinese, service_id
from cim.catalogue.service import checked
from cim.errors import CimError, SourceRefused, TooNested

EXPECTED = {
    "arcgis_national_map_mapserver.json": ("arcgis", 74),
    "arcgis_redlands_featureserver.json": ("arcgis", 3),
    "arcgis_sampleserver6_CensusMS.json": ("arcgis", 4),
    "arcgis_sampleserver6_services.json": ("arcgis", 7),
    "ckan_search_result.json": ("ckan", 4),
    "csw_dov_getrecordbyid.xml": ("csw", 1),
    "csw_geobretagne_mdmetadata.xml": ("iso", 1),
    "csw_pycsw_apiso_capabilities.xml": ("csw", 1),
    "dcat_us_geospatial.json": ("dcat", 2),
    "dcat_us_usda.json": ("dcat", 3),
    "iso19139_srv.xml": ("iso", 1),
    "mapserver-wfs-cap.xml": ("wfs", 25),
    "ogcapi_collections.json": ("ogcapi", 23),
    "ogcapi_landing.json": ("ogcapi", 1),
    "open_canada_8a09413a.xml": ("iso", 1),
    "open_canada_e5a71860.xml": ("iso", 1),
    "sfs-wmts-cap-world.xml": ("wmts", 2),
    "wfs_CUZK_GetCapabilities_2_0_0.xml": ("wfs", 3),
    "wfs_dov_getcapabilities_110.xml": ("wfs", 1),
    "wfs_dov_getcapabilities_200.xml": ("wfs", 1),
    "wfs_geo2france_200.xml": ("wfs", 8),
    "wms_BOM_geofabric_130.xml": ("wms", 75),
    "wms_dov_getcapabilities_130.xml": ("wms", 1),
    "wms_esri_topographic_index_130.xml": ("wms", 3),
    "wms_geoserver-cap.xml": ("wms", 3),
    "wms_mesonet-caps-130.xml": ("wms", 3),
    "wms_mesonet-caps.xml": ("wms", 3),
    "wms_nccs_nasa_getcap_130.xml": ("wms", 7),
    "wmts_arcgis_ol.xml": ("wmts", 1),
    "wmts_koordinates.xml": ("wmts", 1),
}
"""File → kind and services, as counted in the files by hand and by OWSLib."""

ENTITY = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "%s">]><r>&x;</r>'
BOMB = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><r>&b;</r>'


def read(path: Path) -> tuple[str, dict[str, Found]]:
    document = Document("https://source.example/x", path.read_bytes())
    harvester = harvester_for(document, "auto")
    return harvester.kind, {one.remote_id: one for one in harvester.read(document, None) if isinstance(one, Found)}


def test_every_real_document_is_known_by_its_kind_and_gives_its_services(shared_data):
    files = sorted((shared_data / "catalogues").iterdir())
    found = {path.name: read(path) for path in files}
    assert {name: (kind, len(entries)) for name, (kind, entries) in found.items()} == EXPECTED
    for _, entries in found.values():
        for one in entries.values():
            values = {name: value for name, value in one.values.items() if name != "endpoints"}
            checked({**values, "id": service_id("real", one.remote_id)})
            assert values.get("title_zh") or values.get("title_en")


@pytest.mark.parametrize(
    ("prefix", "opened"),
    [
        (
            "wms_",
            lambda body: WebMapService(
                "http://x", xml=body, version="1.3.0" if b'version="1.3.0"' in body else "1.1.1"
            ),
        ),
        (
            "wfs_",
            lambda body: WebFeatureService(
                "http://x", xml=body, version="2.0.0" if b'version="2.0.0"' in body else "1.1.0"
            ),
        ),
        ("wmts_", lambda body: WebMapTileService("http://x", xml=body)),
    ],
)
def test_layers_titles_and_boxes_are_those_that_owslib_reads(shared_data, prefix: str, opened: Callable[[bytes], Any]):
    count = 0
    for path in sorted((shared_data / "catalogues").glob(f"{prefix}*.xml")):
        _, entries = read(path)
        contents = opened(path.read_bytes()).contents
        assert set(entries) == set(contents), path.name
        for name, layer in contents.items():
            ours = entries[name].values
            title = " ".join((layer.title or name).split())
            assert title[:199] in (ours.get("title_en", "")[:199], ours.get("title_zh", "")[:199]), (path.name, name)
            box = layer.boundingBoxWGS84
            if box and "bbox" in ours and box[0] <= box[2]:
                clamped = [max(box[0], -180), max(box[1], -90), min(box[2], 180), min(box[3], 90)]
                assert ours["bbox"] == pytest.approx(clamped, abs=1e-6), (path.name, name)
            count += 1
    assert count >= 2


def test_metadata_beyond_the_title_is_taken_over(shared_data):
    _, entries = read(shared_data / "catalogues" / "csw_dov_getrecordbyid.xml")
    one = entries["6c39d716-aecc-4fbc-bac8-4f05a49a78d5"]
    assert one.values["title_en"] == "Grondwatermeetnetten"
    assert one.values["contact"] == "info@vmm.be"
    assert one.values["time_from"] == "1900-01-01"
    assert {"grondwater", "geoscientificInformation"} <= set(one.values["themes"])
    assert "Modellicentie" in one.values["licence"]
    assert one.values["endpoints"][0]["kind"] == "wms"
    _, entries = read(shared_data / "catalogues" / "wms_nccs_nasa_getcap_130.xml")
    assert all(one.facts["crs"] and one.facts["formats"] and one.values["time_from"] for one in entries.values())


def test_chinese_is_told_by_its_script():
    capabilities = (
        '<WMS_Capabilities version="1.3.0" xmlns:xlink="http://www.w3.org/1999/xlink"><Service><Title>s</Title></Service><Capability>'
        "<Layer><Title>规划</Title><CRS>EPSG:4490</CRS><Layer><Name>a</Name><Title>土地利用</Title><Abstract>Land use</Abstract></Layer>"
        "<Layer><Name>b</Name><Title>地図カタカナ</Title></Layer></Layer></Capability></WMS_Capabilities>"
    ).encode()
    document = Document("https://x.example/wms?service=WMS", capabilities)
    first, second = list(harvester_for(document, "auto").read(document, None))
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert (first.values["title_zh"], first.values["description_en"]) == ("土地利用", "Land use")
    assert "title_en" not in first.values
    assert first.facts["crs"] == ["EPSG:4490"]
    assert first.values["themes"] == ["规划"]
    assert second.values["title_en"] == "地図カタカナ"
    assert not is_chinese("한국어")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_b07_b08_a_dtd_with_entities_is_refused_in_whatever_encoding(tmp_path, encoding):
    """B07 (external entities), B08 (expansion): nothing of a DTD reaches the parser."""
    canary = tmp_path / "canary"
    canary.write_text("CANARY-4403")
    for body in (ENTITY % canary.as_uri().encode(), BOMB, ENTITY % b"http://127.0.0.1:1/x"):
        text = body.decode().replace('version="1.0"', f'version="1.0" encoding="{encoding}"')
        with pytest.raises(SourceRefused) as caught:
            _ = Document("https://x.example/", text.encode("iso-8859-1" if encoding == "latin-1" else encoding)).xml
        assert "CANARY" not in caught.value.detail


def test_a_dtd_that_only_names_the_grammar_is_cut_out():
    body = b'<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://127.0.0.1:1/r.dtd" [ <!ELEMENT r EMPTY> ]><r/>'
    assert Document("https://x.example/", body).root == "r"
    with pytest.raises(SourceRefused):
        _ = Document("https://x.example/", b"<!DOCTYPE r SYSTEM 'a'><!DOCTYPE q [<!ENTITY a 'b'>]><r/>").xml
    with pytest.raises(SourceRefused):
        _ = Document("https://x.example/", b"<r>" + b"<a>" * 100_000).xml


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"[" * 200 + b"]" * 200])
def test_json_nested_without_end_is_refused(body):
    with pytest.raises(CimError) as caught:
        harvester_for(Document("https://x.example/", body), "auto")
    assert isinstance(caught.value, TooNested | SourceRefused)


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"<html><body/></html>", b"{}", b"[]", b"null", b'{"result": 5, "success": true}', b"\xff\xfe"],
)
def test_what_is_no_source_is_refused_and_names_the_kinds(body):
    with pytest.raises(SourceRefused):
        harvester_for(Document("https://x.example/", body), "auto")


_ODD: list[Any] = [None, 5, "x", [], {}, [None], [{}], [5], {"a": None}]


@pytest.mark.parametrize("harvester", HARVESTERS, ids=lambda one: one.kind)
def test_members_of_a_wrong_kind_break_nothing(harvester, shared_data):
    """Each member of each real JSON document in turn is replaced by what it should not be."""
    for path in sorted((shared_data / "catalogues").glob("*.json")):
        whole = json.loads(path.read_bytes())
        for top in whole if isinstance(whole, dict) else ():
            for odd in _ODD:
                document = Document("https://x.example/a", json.dumps({**whole, top: odd}).encode())
                if harvester.is_ours(document):
                    with suppress(SourceRefused):
                        entries_of(harvester, document, None)


def test_an_address_is_asked_for_its_capabilities_unless_it_asks_itself():
    assert asked("https://x.example/wms", "service=WMS&request=GetCapabilities").endswith(
        "?service=WMS&request=GetCapabilities"
    )
    assert asked("https://x.example/wms?SERVICE=WMS&map=a", "service=WMS&request=GetCapabilities").endswith(
        "map=a&request=GetCapabilities"
    )
