"""A city and a district, two databases and two servers: catalogues, calls passed through, and both ledgers compared."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psycopg
import pytest

from cim.catalogue.harvest.run import Harvest
from cim.catalogue.load import load_organisations, load_services
from cim.catalogue.nodes import node_purpose
from cim.catalogue.tiers import run_any
from cim.db.services import first_row
from cim.errors import UpstreamUnreachable
from cim.gateway.sealing import sealer_of
from cim.query.harvests import insert_harvest_sql
from cim.query.nodes import insert_node_sql
from cim.settings import Settings
from tests.catalogue.conftest import ADMIN, WAIT, service
from tests.catalogue.sources import serving_source
from tests.conftest import Server, clone, serving
from tests.problems import assert_problem

Connection = psycopg.Connection[Any]


def own(name: str, **members: Any) -> dict[str, Any]:
    """A service of buildings in the district's own database."""
    endpoints = [{"url": "/collections/buildings/items", "kind": "features"}]
    shared = {"kind": "features", "share_class": "unconditional", "state": "published", "area_code": "440305"}
    return service(
        name,
        endpoints=endpoints,
        collection_id="buildings",
        organisation_id="nanshan-planning",
        **{**shared, **members},
    )


@pytest.fixture(scope="module")
def there(cluster: str, template: str) -> Iterator[str]:
    """The database of the district."""
    with clone(cluster, template) as url:
        yield url


@pytest.fixture(scope="module")
def inside(there: str) -> Iterator[Connection]:
    """The district's database, with an organisation, services, and the organisation of the city's key."""
    with psycopg.connect(there, autocommit=True) as opened:
        rows = [{"id": "nanshan-planning", "name_zh": "南山规划局"}, {"id": "city-hall", "name_zh": "市政府"}]
        load_organisations(opened, rows)
        services = [
            own("a"),
            own("b", title_en="B"),
            own("secret", share_class="not_shared"),
            own("draft", state="draft"),
        ]
        assert load_services(opened, services).rejected == 0
        yield opened


@pytest.fixture(scope="module")
def district(there: str, inside: Connection) -> Iterator[Server]:
    more = {
        "CIM_NODE_ID": "nanshan",
        "CIM_NODE_KIND": "district",
        "CIM_AREA_CODE": "440305",
        "CIM_NODE_PARENT": "city-hall",
    }
    with serving(there, CIM_ADMIN_KEY=ADMIN, **more) as server:
        yield server


@pytest.fixture(scope="module")
def key(district: Server, inside: Connection) -> str:
    """The key that the district gives to the city."""
    made = httpx2.post(
        f"{district.url}/admin/keys", json={"role": "reader", "label": "city"}, headers={"X-API-Key": ADMIN}
    ).json()
    inside.execute("UPDATE cim.api_key SET organisation_id = 'city-hall' WHERE prefix = %s", [made["prefix"]])
    return str(made["key"])


@pytest.fixture(scope="module")
def city(module_database_url: str, district: Server, key: str) -> Iterator[httpx2.Client]:
    """A city admin; the district is registered."""
    pair = district.url.removeprefix("http://")
    with (
        serving(module_database_url, CIM_ADMIN_KEY=ADMIN, CIM_ALLOWED_UPSTREAMS=pair) as server,
        httpx2.Client(base_url=server.url, timeout=60, headers={"X-API-Key": ADMIN}) as client,
    ):
        node = {
            "id": "nanshan",
            "url": district.url,
            "title_zh": "南山区",
            "title_en": "Nanshan",
            "area_code": "440305",
        }
        made = client.post("/admin/nodes", json={**node, "key": key, "interval_s": None})
        assert made.status_code == 201, made.text
        assert key not in made.text
        yield client


def taken(city: httpx2.Client) -> tuple[int, ...]:
    answer = city.post("/admin/nodes/nanshan/run", headers=WAIT)
    assert answer.status_code == 200, answer.text
    account = answer.json()["account"]
    return tuple(account[name] for name in ("inserted", "updated", "unchanged", "rejected", "withdrawn"))


def test_a_districts_catalogue_is_taken_in_change_by_change(city, inside, module_database_url, district):
    assert taken(city)[0] >= 2
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        rows = opened.execute(
            "SELECT id, state, organisation_id, endpoints -> 0 ->> 'url', provenance ->> 'source', area_code FROM cim.service "
            "WHERE harvest_id = 'nanshan' AND remote_id IN ('a', 'b', 'secret', 'draft') ORDER BY id"
        ).fetchall()
        assert rows == [
            (f"nanshan.{name}", "published", "nanshan", f"{district.url}/services/{name}", district.url, "440305")
            for name in "ab"
        ]
        assert taken(city) == (0, 0, 0, 0, 0)
        load_services(inside, [own("b", title_en="B again"), own("c")])
        assert taken(city)[:2] == (1, 1)
        assert opened.execute("SELECT title_en FROM cim.service WHERE id = 'nanshan.b'").fetchone() == ("B again",)
        with httpx2.Client(base_url=district.url, headers={"X-API-Key": ADMIN}) as admin:
            left = admin.post("/catalogue/items/c/withdraw", json={"why": "old"})
            assert left.status_code == 200, left.text
            assert taken(city) == (0, 0, 0, 0, 1)
            state = opened.execute("SELECT state, state_reason FROM cim.service WHERE id = 'nanshan.c'").fetchone()
            assert state is not None
            assert state[0] == "withdrawn"
            assert admin.post("/catalogue/items/c/republish", json={"why": "new"}).status_code == 200
        assert taken(city)[1] == 1
        load_services(inside, [own("c", share_class="not_shared")])
        assert taken(city) == (0, 0, 0, 0, 1)
        load_services(inside, [own("c")])
        assert taken(city)[1] == 1
        assert opened.execute("SELECT state FROM cim.service WHERE id = 'nanshan.c'").fetchone() == ("published",)


def test_a_call_passes_through_and_both_meters_agree(city, district, inside):
    taken(city)
    ids = set()
    for number in range(7):
        answer = httpx2.get(
            f"{str(city.base_url).rstrip('/')}/services/nanshan.{'ab'[number % 2]}", params={"limit": 1}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["type"] == "FeatureCollection"
        ids.add(answer.headers["x-call-id"])
    assert len(ids) == 7
    day = (datetime.now(UTC) + timedelta(hours=8)).date().isoformat()
    until = time.monotonic() + 30
    while True:
        told = city.get("/admin/nodes/nanshan/calls", params={"day": day}).json()
        if sum(one["here"] for one in told["services"]) == 7 and told["agrees"]:
            break
        assert time.monotonic() < until, told
        time.sleep(0.5)
    assert {one["service"]: (one["here"], one["there"]) for one in told["services"]} == {"a": (4, 4), "b": (3, 3)}
    rows = inside.execute("SELECT call_id::text, origin, organisation_id FROM cim.call").fetchall()
    assert {row[0] for row in rows} == ids
    assert {row[1:] for row in rows} == {("city", "city-hall")}
    httpx2.get(
        f"{district.url}/services/a",
        params={"limit": 1},
        headers={"X-OpenCIM-Call": next(iter(ids)), "X-OpenCIM-Node": "city"},
    )
    until = time.monotonic() + 20
    while inside.execute("SELECT count(*) FROM cim.call WHERE origin = 'here'").fetchone() != (1,):
        assert time.monotonic() < until
        time.sleep(0.3)
    inside.execute("DELETE FROM cim.call WHERE call_id = %s", [sorted(ids)[0]])
    told = city.get("/admin/nodes/nanshan/calls", params={"day": day}).json()
    assert not told["agrees"]
    assert [one["onlyHere"] for one in told["services"] if one["onlyHere"]] == [[sorted(ids)[0]]]


def test_the_feed_goes_on_from_any_page_and_tells_nothing_that_is_not_public(district):
    seen: list[str] = []
    since = None
    while True:
        page = httpx2.get(
            f"{district.url}/catalogue/changes", params={"limit": 1, **({"since": since} if since else {})}
        ).json()
        seen += [one["id"] for one in page["changes"] if one["change"] == "put"]
        since = page["next"]
        if not page["more"]:
            break
    assert len(seen) == len(set(seen))
    assert {"a", "b"} <= set(seen)
    assert not {"secret", "draft"} & set(seen)
    assert_problem(httpx2.get(f"{district.url}/catalogue/changes?since=x"), status=400, code="invalid-parameter")


def test_who_may_register_nodes_and_read_calls(city, district, inside, key):
    base = str(city.base_url)
    assert_problem(httpx2.get(f"{base}/admin/nodes"), status=401, code="unauthorized")
    made = city.post("/admin/keys", json={"role": "reader", "label": "d"}).json()
    with httpx2.Client(base_url=base, headers={"X-API-Key": made["key"]}) as other:
        for path in ("/admin/nodes", "/admin/nodes/nanshan", "/admin/nodes/nanshan/calls?day=2026-01-01"):
            assert_problem(other.get(path), status=403, code="forbidden")
        assert_problem(other.post("/admin/nodes/nanshan/run"), status=403, code="forbidden")
    assert_problem(httpx2.get(f"{district.url}/catalogue/relayed?day=2026-01-01"), status=401, code="unauthorized")
    shown = httpx2.get(f"{district.url}/catalogue/relayed?day=2026-01-01", headers={"X-API-Key": key}).json()
    assert shown["rows"] == []
    wrong = {
        "id": "x",
        "url": "http://127.0.0.1:5432",
        "title_zh": "x",
        "title_en": "x",
        "area_code": "4403",
        "key": "12345678",
    }
    assert_problem(city.post("/admin/nodes", json=wrong), status=422, code="upstream-refused")


def test_a_district_admin_acts_only_in_the_district(inside, district):
    load_organisations(inside, [{"id": "futian-planning", "name_zh": "福田规划局"}])
    load_services(inside, [own("futian", area_code="440304", state="draft")])
    inside.execute(
        "UPDATE cim.service SET organisation_id = 'futian-planning', area_code = '440304' WHERE id = 'futian'"
    )
    made = httpx2.post(f"{district.url}/admin/keys", json={"role": "reader", "label": "x", "area_code": "440305"},
                       headers={"X-API-Key": ADMIN}).json()  # fmt: skip
    inside.execute("UPDATE cim.api_key SET duties = '{district_admin}' WHERE prefix = %s", [made["prefix"]])
    with httpx2.Client(base_url=district.url, headers={"X-API-Key": made["key"]}) as admin:
        assert admin.post("/catalogue/items/a/suspend", json={"why": "x"}).status_code == 200
        assert admin.post("/catalogue/items/a/resume", json={"why": "x"}).status_code == 200
        assert admin.post("/catalogue/items/futian/submit", json={}).status_code in (403, 404)


def page(names: str, following: str, *, more: bool) -> bytes:
    """A page of a feed with services of these names."""
    put = [{"id": name, "change": "put", "service": own(name)} for name in names]
    return json.dumps({"node": "x", "changes": put, "next": following, "more": more}).encode()


def declared(opened: Connection, settings: Settings, url: str) -> Harvest:
    """A node whose feed is a source of the test."""
    load_organisations(opened, [{"id": "far", "name_zh": "远区"}])
    first_row(opened, insert_harvest_sql("far", {"kind": "node", "url": url, "organisation_id": "far"}, "test"))
    sealed = sealer_of(settings).seal(b"key-of-the-node", node_purpose("far"))
    first_row(opened, insert_node_sql("far", {"title_zh": "远区", "title_en": "Far", "area_code": "4403"}, sealed))
    return Harvest("far", url, "far", "node", area_code="4403")


def test_a_run_that_is_killed_goes_on_behind_the_last_page(database_url, tmp_path):
    """A real process, SIGKILL while it waits for the second page."""
    second = "/catalogue/changes?limit=200&since=p1"
    with serving_source() as source, psycopg.connect(database_url, autocommit=True) as opened:
        settings = Settings(
            database_url=database_url, data_dir=tmp_path, allowed_upstreams=source.pair, secret_key="k" * 32
        )
        harvest = declared(opened, settings, source.url)
        source.documents["/catalogue/changes?limit=200"] = page("ab", "p1", more=True)
        source.documents[second] = page("bc", "p2", more=False)
        source.held = second
        environment = {
            **os.environ, "DATABASE_URL": database_url, "CIM_DATA_DIR": str(tmp_path), "CIM_ALLOWED_UPSTREAMS": source.pair,
            "CIM_SECRET_KEY": "k" * 32,
        }  # fmt: skip
        command = [sys.executable, "-m", "cim.cli.main", "catalogue", "harvest", "far"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until = time.monotonic() + 60
        while second not in source.asked:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.05)
        process.kill()
        process.communicate()
        assert opened.execute("SELECT count(*) FROM cim.service WHERE harvest_id = 'far'").fetchone() == (2,)
        assert opened.execute("SELECT state FROM cim.intake_run ORDER BY id").fetchall() == [("running",)]
        source.released.set()
        source.asked.clear()
        account = run_any(opened, settings, harvest, by="test")["account"]
        assert (account["inserted"], account["unchanged"]) == (1, 1)
        assert source.asked == [second]
        states = opened.execute("SELECT state FROM cim.intake_run ORDER BY id").fetchall()
        assert states == [("failed",), ("completed",)]


def test_a_run_that_fails_in_the_middle_goes_on_behind_the_last_page(database_url, tmp_path):
    with serving_source() as source, psycopg.connect(database_url, autocommit=True) as opened:
        settings = Settings(
            database_url=database_url, data_dir=tmp_path, allowed_upstreams=source.pair, secret_key="k" * 32
        )
        harvest = declared(opened, settings, source.url)
        source.documents["/catalogue/changes?limit=200"] = page("ab", "p1", more=True)
        source.documents["/catalogue/changes?limit=200&since=p1"] = (500, {}, b"")
        with pytest.raises(UpstreamUnreachable):
            run_any(opened, settings, harvest, by="test")
        source.documents["/catalogue/changes?limit=200&since=p1"] = page("bc", "p2", more=False)
        account = run_any(opened, settings, harvest, by="test")["account"]
        assert (account["inserted"], account["unchanged"]) == (1, 1)
        assert source.headers[-1]["x-api-key"] == "key-of-the-node"


def test_a_node_that_was_removed_may_be_registered_again_and_is_taken_in_anew(city, district, key, module_database_url):
    taken(city)
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        count = "SELECT count(*) FROM cim.service_secret WHERE service_id LIKE 'nanshan.%'"
        before = opened.execute(count).fetchone()
        assert city.delete("/admin/nodes/nanshan").status_code == 204
        assert opened.execute(count).fetchone() == (0,)
        node = {
            "id": "nanshan",
            "url": district.url,
            "title_zh": "南山区",
            "title_en": "Nanshan",
            "area_code": "440305",
        }
        assert city.post("/admin/nodes", json={**node, "key": key, "interval_s": None}).status_code == 201
        assert_problem(city.post("/admin/nodes", json={**node, "key": key}), status=409, code="conflict")
        taken(city)
        assert opened.execute(count).fetchone() == before
        assert httpx2.get(f"{str(city.base_url).rstrip('/')}/services/nanshan.a").status_code == 200


def test_calls_are_told_by_service_by_bucket_by_id(district, inside, key):
    """Three calls made by hand: the digests are sums of 60 bits of MD5, as anybody can make them."""
    calls = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(3)]
    inside.execute("CREATE TABLE cim.call_made PARTITION OF cim.call FOR VALUES FROM ('2026-11-19') TO ('2026-11-21')")
    for number, call in enumerate(calls):
        inside.execute(
            "INSERT INTO cim.call (day, call_id, received_at, service_id, organisation_id, key_prefix, grant_id, scenario_id, "
            "method, status, outcome, bytes, rows, duration_ms, origin) "
            "VALUES (%s, %s, now(), 'a', 'city-hall', '', '', '', 'GET', 200, 'answered', 1, 0, 1, 'town')",
            ["2026-11-20" if number else "2026-11-19", call],
        )
    at = f"{district.url}/catalogue/relayed"
    asked = {"day": "2026-11-20", "node": "town"}

    def rows(**more: str) -> list[dict[str, Any]]:
        answer = httpx2.get(at, params={**asked, **more}, headers={"X-API-Key": key})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["rows"])

    mixed = [hashlib.md5(call.encode(), usedforsecurity=False).hexdigest() for call in calls]
    total = sum(int(one[4:19], 16) for one in mixed[1:])
    assert rows() == [{"name": "a", "calls": 2, "digest": str(total)}]
    assert {row["name"]: row["calls"] for row in rows(service="a")} == {one[:3]: 1 for one in mixed[1:]}
    assert rows(service="a", bucket=mixed[1][:3]) == [{"name": calls[1], "calls": 1, "digest": ""}]
    assert rows(service="a", bucket=mixed[0][:3]) == [{"name": calls[0], "calls": 0, "digest": ""}], "the day before"
    for wrong in ({"bucket": "abc"}, {"service": "a", "bucket": "xyz"}):
        bad = httpx2.get(at, params={**asked, **wrong}, headers={"X-API-Key": key})
        assert_problem(bad, status=400, code="invalid-parameter")
