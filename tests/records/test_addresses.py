"""Where a service runs is told to those inside of it only, unless it is shared without conditions; in every representation."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psycopg
import pytest

from cim.catalogue.table import xlsx_rows
from cim.gateway.endpoint import endpoint_of, relayed_path
from cim.gateway.policy import parse_allowed
from tests.catalogue.conftest import keyed
from tests.conftest import Server
from tests.records.conftest import write_service

SECRET = ("water.example", "files.example", "tiles.example", "x-pipes.example")
"""Hosts of services that are shared under conditions, or not; `maps.example` is one that is open."""

PATHS = [
    f"{home}/{rest}"
    for home in ("/catalogue", "/collections/catalogue")
    for rest in (
        *("items?limit=100", "items?f=dcat&limit=100", "items?f=html&limit=100"),
        *(f"items/{one}{form}" for one in ("pipes", "terrain", "tiles", "layer") for form in ("", "?f=html", "?f=dcat", "?f=iso")),
    )
] + [
    *("/catalogue?f=dcat", "/catalogue/export?f=csv", "/catalogue/feed?f=atom", "/catalogue/feed?f=rss"),
    *("/catalogue/changes", "/catalogue/items/pipes/health", "/catalogue/items?facets=all&q=water,example"),
]  # fmt: skip


@pytest.fixture(scope="module")
def people(running: Server, module_database_url: str) -> Iterator[dict[str, httpx2.Client]]:
    """Of either organisation, of the district that `pipes` is of and of another, of the city."""
    wanted = {
        "water": ((), "water", None),
        "planning": (("org_admin", "publisher", "reviewer"), "planning", None),
        "luohu": (("district_admin",), "planning", "440303"),
        "futian": (("district_admin",), "planning", "440304"),
        "city": (("reviewer",), None, None),
    }
    with psycopg.connect(module_database_url, autocommit=True) as connection, ExitStack() as stack:
        write_service(
            connection, "layer", kind="arcgis", title_zh="图层", title_en="Layer", organisation_id="water", harvest_id="gis",
            remote_id="https://x-pipes.example/7", provenance={"source": "https://x-pipes.example"},
            endpoints=[{"url": "https://x-pipes.example/7", "kind": "arcgis"}],
        )  # fmt: skip
        connection.execute(
            "INSERT INTO cim.service_health (service_id, state, detail, checked_at, since, next_at) "
            "VALUES ('pipes', 'down', 'no answer from x-pipes.example', now(), now(), now())"
        )
        yield {
            name: stack.enter_context(keyed(running, module_database_url, duties, owner, area))
            for name, (duties, owner, area) in wanted.items()
        }


@pytest.mark.parametrize("path", PATHS)
def test_no_address_of_conditional_services_is_told_to_others(anyone, people, path):
    answer = anyone.get(path)
    assert answer.status_code == 200, answer.text
    assert [host for host in SECRET if host in answer.text] == []


def test_a_workbook_has_the_addresses_of_this_node(anyone, admin, tmp_path: Path):
    for client, wanted in ((anyone, "/services/pipes/"), (admin, "https://water.example/wfs")):
        (tmp_path / "s.xlsx").write_bytes(client.get("/catalogue/export?f=xlsx").content)
        read = {row["id"]: row.get("endpoints") for row in xlsx_rows(tmp_path / "s.xlsx")}
        assert read["pipes"] == [{"url": wanted, "kind": "wfs"}]
        assert read["imagery"] == [{"url": "https://maps.example/wms", "kind": "wms"}]


def test_who_is_inside_is_told_where_it_runs(people, anyone, admin):
    for name, client, is_told in (
        ("anyone", anyone, False),
        ("planning", people["planning"], False),
        ("futian", people["futian"], False),
        ("water", people["water"], True),
        ("luohu", people["luohu"], True),
        ("city", people["city"], True),
        ("admin", admin, True),
    ):
        home = "/collections/catalogue/items"
        for properties in (
            client.get(f"{home}/pipes").json()["properties"],
            client.get(f"{home}?ids=pipes").json()["features"][0]["properties"],
        ):
            wanted = "https://water.example/wfs" if is_told else "/services/pipes/"
            assert properties["endpoints"] == [{"url": wanted, "kind": "wfs"}], name
            assert ("source" in properties["provenance"]) is is_told, name
            assert properties["formats"][0]["name"] == "OGC WFS"
        assert ("water.example" in client.get("/catalogue/export?f=csv").text) is is_told, name
        detail = client.get("/catalogue/items/pipes/health").json()["detail"]
        assert detail == ("no answer from x-pipes.example" if is_told else None), name


def test_what_is_open_is_told_to_everybody(anyone, people):
    properties = anyone.get("/catalogue/items/imagery").json()["properties"]
    assert properties["endpoints"] == [{"url": "https://maps.example/wms", "kind": "wms"}]
    layer = people["water"].get("/catalogue/items/layer").json()["properties"]
    assert layer["externalIds"] == [{"scheme": "gis", "value": "https://x-pipes.example/7"}]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/collections/buildings/items", "/collections/buildings/items"),
        ("https://a.example/wms?map=/srv/x.map&token=1", "/services/s/"),
        ("https://a.example/t/{z}/{x}/{y}.png?token=1", "/services/s/{z}/{x}/{y}.png"),
        ("https://a.example/t/v{z}/{x}?style={style}&token=1", "/services/s/v{z}/{x}?style={style}"),
        ("https://a.example/tile?z={z}&token=1", "/services/s?z={z}"),
    ],
)
def test_the_path_of_an_endpoint_at_this_node_is_the_one_that_leads_there(url, path):
    assert relayed_path(url, "s") == path
    if url.startswith("https"):
        template = endpoint_of(url, "xyz", allowed=parse_allowed("")).template
        assert path == f"/services/s{'/' if template is None else template}"
