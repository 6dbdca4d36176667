"""Addresses in answers: those beneath the registered endpoint become ours, no others, and nothing else changes."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from lxml import etree

from cim.errors import InvalidParameter
from cim.gateway.endpoint import endpoint_of
from cim.gateway.rewrite import JSON, XML, Rewriter, form_of, rewriter

PUBLIC = "https://city.example/services/x"
HREF = "{http://www.w3.org/1999/xlink}href"


def of(url: str, kind: str = "wms", *, secret: str | None = None) -> Rewriter:
    return rewriter(
        endpoint_of(url, kind, allowed=frozenset({("localhost", 80), ("localhost", 8080)})), PUBLIC, secret_name=secret
    )


DOCUMENTS = [
    ("wms_geoserver-cap.xml", "http://localhost:8080/geoserver/wms", 9),
    ("wms_mesonet-caps.xml", "http://mesonet.agron.iastate.edu/cgi-bin/wms/nexrad/n0r-t.cgi", 13),
    ("wms_mesonet-caps-130.xml", "http://mesonet.agron.iastate.edu/cgi-bin/wms/nexrad/n0r-t.cgi", 13),
    ("wms_BOM_geofabric_130.xml", "http://geofabric.bom.gov.au/simplefeatures/ows", 158),
    ("wms_dov_getcapabilities_130.xml", "https://www.dov.vlaanderen.be/geoserver/gw_meetnetten/meetnetten/ows", 6),
    ("wms_esri_topographic_index_130.xml", "https://services.ga.gov.au/gis/services/Topographic_Map_Indexes/MapServer/WMSServer", 3),
    ("wms_nccs_nasa_getcap_130.xml", "http://dataserver.nccs.nasa.gov/thredds/wms/seasonal/ocn_ana_3D_ll", 130),
    ("wfs_CUZK_GetCapabilities_2_0_0.xml", "https://services.cuzk.cz/wfs/inspire-cp-wfs.asp", 10),
    ("wfs_dov_getcapabilities_110.xml", "https://www.dov.vlaanderen.be/geoserver/gw_meetnetten/meetnetten/wfs", 8),
    ("wfs_dov_getcapabilities_200.xml", "https://www.dov.vlaanderen.be/geoserver/gw_meetnetten/meetnetten/wfs", 15),
    ("wfs_geo2france_200.xml", "https://www.geo2france.fr/geoserver/cr_hdf/wfs", 15),
    ("wmts_arcgis_ol.xml", "https://services.arcgisonline.com/arcgis/rest/services/Demographics/USA_Population_Density/MapServer/WMTS", 5),
    ("sfs-wmts-cap-world.xml", "http://server.caris.com/spatialfusionserver/services/ows/wmts/World", 5),
    ("csw_pycsw_apiso_capabilities.xml", "http://localhost/pycsw/csw.py", 10),
]  # fmt: skip


def addresses(body: bytes) -> list[str]:
    """Every attribute and text of an XML document that is an address, by a parser, in order; namespaces are none."""
    root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    found = []
    for element in root.iter(etree.Element):
        values = [v for k, v in element.attrib.items() if "schemaLocation" not in k and not k.endswith("namespace")]
        found += [v.strip() for v in [*values, element.text or ""] if re.match(r"\s*https?://\S+\s*\Z", v)]
    return found


@pytest.mark.parametrize(("name", "endpoint", "at_least"), DOCUMENTS)
def test_capabilities_of_real_servers_name_our_addresses_and_keep_the_rest(
    shared_data: Path, name: str, endpoint: str, at_least: int
) -> None:
    body = (shared_data / "catalogues" / name).read_bytes()
    before, after = addresses(body), addresses(of(endpoint).rewritten(body, XML))
    parts = urlsplit(endpoint)
    ours = re.compile(
        rf"https?://{re.escape(parts.netloc)}(:80|:443)?{re.escape(parts.path)}(?=[/?#]|\Z)", re.IGNORECASE
    )
    changed = 0
    for old, new in zip(before, after, strict=True):
        if ours.match(old):
            assert new == ours.sub(PUBLIC, old)
            changed += 1
        else:
            assert new == old
    assert changed >= at_least


def test_links_of_a_real_ogc_api_are_ours_and_nothing_else_changes(shared_data: Path) -> None:
    for name in ("ogcapi_landing.json", "ogcapi_collections.json"):
        body = (shared_data / "catalogues" / name).read_bytes()
        made = of("https://my.server.org/", "ogcapi").rewritten(body, JSON)
        assert b"https://my.server.org" not in made
        assert orjson.loads(made.replace(PUBLIC.encode(), b"https://my.server.org")) == orjson.loads(body)


def test_only_addresses_beneath_the_endpoint_are_changed() -> None:
    one = of("https://maps.example/city/wms", "ogcapi")
    for same in (
        "https://maps.example/city/wms2", "https://maps.example/city", "https://maps.example/", "https://maps.example.evil/city/wms",
        "https://maps.example:8443/city/wms", "https://evil.example/?u=https://maps.example/city/wms", "ftp://maps.example/city/wms",
        "https://maps.example@evil.example/city/wms", "see https://maps.example/city/wms",
    ):  # fmt: skip
        body = orjson.dumps({"href": same})
        assert one.rewritten(body, JSON) == body
        assert one.address(same) is None
    for path in ("", "/", "/a/b", "?x=1&y=2", "/{z}/{x}", "#top"):
        for origin in (
            "https://maps.example",
            "http://maps.example",
            "https://MAPS.example:443",
            "http://maps.example:80",
            "",
        ):
            body = orjson.dumps({"href": f"{origin}/city/wms{path}", "n": 1})
            assert orjson.loads(one.rewritten(body, JSON)) == {"href": PUBLIC + path, "n": 1}


def test_names_stay_also_where_they_are_addresses() -> None:
    one = of("https://gis.example/WFSServer", "wfs")
    url = "https://gis.example/WFSServer"
    kept = (
        f'<a xmlns:x="{url}" targetNamespace="{url}" xsi:schemaLocation="{url} {url}?request=DescribeFeatureType" codeSpace="{url}">'
        f"<Identifier>{url}</Identifier><p>see {url} or ask</p><!-- {url} --></a>"
    ).encode()
    expected = kept.replace(f" {url}?request".encode(), f" {PUBLIC}?request".encode())
    assert one.rewritten(kept, XML) == expected
    body = f'{{"id":"{url}","$schema":"{url}","conformsTo":["{url}"],"note":"at {url}","x":12345678901234567890.10}}'.encode()
    assert one.rewritten(body, JSON) == body


def test_escaped_slashes_lists_and_paths_from_the_root_are_understood() -> None:
    one = of("https://maps.example/api", "stac")
    body = rb'{"href":"https:\/\/maps.example\/api\/items","tiles":["https://maps.example/api/{z}", "https://maps.example/api/2"]}'
    assert orjson.loads(one.rewritten(body, JSON)) == {
        "href": f"{PUBLIC}/items",
        "tiles": [f"{PUBLIC}/{{z}}", f"{PUBLIC}/2"],
    }
    rooted = b'{"href" : "/api/items","title":"/api/items","list":["/api/items"]}'
    assert orjson.loads(one.rewritten(rooted, JSON)) == {
        "href": f"{PUBLIC}/items",
        "title": "/api/items",
        "list": ["/api/items"],
    }


def test_fixed_parameters_and_credentials_do_not_show_in_addresses() -> None:
    one = of("http://maps.example/cgi-bin/mapserv?map=/city.map", secret="token")
    body = b'<O xlink:href="http://maps.example/cgi-bin/mapserv?map=/city.map&amp;TOKEN=s3cret&amp;service=WMS&amp;"/>'
    assert one.rewritten(body, XML) == f'<O xlink:href="{PUBLIC}?service=WMS&amp;"/>'.encode()
    text = b'{"href":"http://maps.example/cgi-bin/mapserv?map=/city.map\\u0026token=s3cret\\u0026f=json"}'
    assert orjson.loads(one.rewritten(text, JSON)) == {"href": f"{PUBLIC}?f=json"}
    assert one.address("http://maps.example/cgi-bin/mapserv?token=s3cret&x=1") == f"{PUBLIC}?x=1"


@pytest.mark.parametrize("form", [JSON, XML])
def test_a_document_that_is_none_is_read_in_time_and_kept(form: str) -> None:
    one = of("https://maps.example/city/wms")
    for body in (
        b"",
        b"\xff\xfe<\x00",
        b'"' * 300_000,
        b"<" * 300_000,
        b"https://maps.example/city/wms " * 20_000,
        b" " * 300_000,
    ):
        assert one.rewritten(body, form) == body


def test_what_is_called_is_the_registered_folder() -> None:
    allowed: frozenset[tuple[str, int]] = frozenset()
    tileset = endpoint_of("https://h.example/a/tileset.json", "3dtiles", allowed=allowed)
    assert (tileset.base, tileset.entry) == ("/a", "tileset.json")
    assert tileset.target("b/1.glb", "") == "/a/b/1.glb"
    folder = endpoint_of("https://h.example/a/", "ogcapi", allowed=allowed)
    assert (folder.base, folder.entry, folder.target("", "")) == ("/a", "", "/a/")
    tiles = endpoint_of("https://h.example/t/{z}/{x}/{y}.png?style=1", "xyz", allowed=allowed)
    assert (tiles.base, tiles.template, tiles.target("1/2/3.png", "")) == (
        "/t",
        "/{z}/{x}/{y}.png",
        "/t/1/2/3.png?style=1",
    )
    root = endpoint_of("https://h.example", "rest", allowed=allowed)
    assert (root.target("", ""), root.target("v1/x", "a=1")) == ("/", "/v1/x?a=1")


def test_a_caller_changes_no_parameter_that_the_registration_fixed() -> None:
    one = endpoint_of("https://h.example/mapserv?map=/city.map", "wms", allowed=frozenset())
    assert one.target("", "MAP=/etc/x&request=GetMap&m%61p=2") == "/mapserv?map=/city.map&request=GetMap"
    assert one.target("", "token=mine", secret=("token", "s")) == "/mapserv?map=/city.map&token=s"
    for query in ("a b", "a=\x00", "a=ä", "x" * 9000):
        with pytest.raises(InvalidParameter):
            one.target("", query)


@pytest.mark.parametrize(
    ("media_type", "kind", "form"),
    [
        ("application/json", "rest", JSON), ("application/geo+json", "ogcapi", JSON), ("text/plain", "arcgis", JSON),
        ("text/plain", "wms", None), ("text/xml", "wms", XML), ("application/vnd.ogc.wms_xml", "wms", XML),
        ("application/gml+xml", "wfs", XML), ("image/svg+xml", "wms", None), ("image/png", "wms", None), ("", "wms", None),
    ],
)  # fmt: skip
def test_what_holds_addresses_is_known_by_its_media_type(media_type: str, kind: str, form: str | None) -> None:
    assert form_of(media_type, kind) == form
