"""What consumers, owners and the city read of calls, and what a month of a data product costs."""

import csv
import io
import json
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import psycopg
import pytest

from cim.db import closes
from cim.db.keys import create_key
from cim.db.rights import Rights
from cim.metering.call import Admitted, Call, Days, line_of
from cim.metering.prices import Rate, Tier
from cim.metering.shipper import connected, ship
from cim.metering.spool import Spool
from cim.settings import Settings
from tests.conftest import serving
from tests.metering.conftest import rows
from tests.problems import assert_problem

ZONE = ZoneInfo("Asia/Shanghai")
DAYS = Days(ZONE)
EVIL = '=HYPERLINK("http://x")规划'


def first_of_last_month() -> date:
    return (datetime.now(ZONE).date().replace(day=1) - timedelta(days=1)).replace(day=1)


MONTH = first_of_last_month()
LATER = MONTH + timedelta(days=15)


def at(day: date, hour: int = 12, minute: int = 0) -> float:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE).timestamp()


def calls(n: int, service: str, organisation: str, when: float, **more: Any) -> list[bytes]:
    scenario = more.pop("scenario", "")
    facts = {"status": 200, "outcome": "answered", "sent_bytes": 1000, "rows": 10, "duration_ms": 1.0, **more}
    lines = []
    for i in range(n):
        call = Call(service, organisation, scenario_id=scenario)
        admitted = Admitted(call, str(uuid.uuid4()), DAYS.number(when + i), int((when + i) * 1e6), 0.0)
        lines.append(line_of(admitted, **facts))
    return lines


@pytest.fixture(scope="module")
def keys(module_database_url: str, tmp_path_factory: Any) -> dict[str, str]:
    """Two organisations, services of one and of the other, last month's calls: closed but for its last day."""
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('planning', %s, '+cmd'), ('water', '水务', 'Water')",
            (EVIL,),
        )
        for service, owner in (("roads", "planning"), ("maps", "planning"), ("pipes", "water")):
            connection.execute(
                "INSERT INTO cim.service (id, state, kind, organisation_id, title_zh, title_en) "
                "VALUES (%s, 'published', 'wms', %s, '@sum', 'A title')",
                (service, owner),
            )
        made = {}
        for organisation, duties in (("planning", "{publisher}"), ("water", "{}")):
            made[organisation] = create_key(connection, Rights("reader"), label=organisation)
            connection.execute(
                "UPDATE cim.api_key SET organisation_id = %s, duties = %s WHERE label = %s",
                (organisation, duties, organisation),
            )
        made["nobody"] = create_key(connection, Rights("reader"), label="nobody")
        made["admin"] = create_key(connection, Rights("admin"), label="admin")
    book(module_database_url, tmp_path_factory.mktemp("spool"))
    return made


@pytest.fixture(scope="module")
def client(module_database_url: str) -> Iterator[Any]:
    """A server that closes no day of these by itself."""
    with (
        serving(module_database_url, CIM_METER_CLOSE_AFTER_S=str(100 * 86_400)) as running,
        httpx2.Client(base_url=running.url, timeout=30) as opened,
    ):
        yield opened


def book(url: str, folder: Path) -> None:
    spool = Spool(folder, 10**8)
    spool.open()
    lines = [
        *calls(1500, "roads", "water", at(MONTH)),
        *calls(
            10,
            "roads",
            "water",
            at(MONTH + timedelta(days=1)),
            status=504,
            outcome="upstream-timeout",
            sent_bytes=0,
            rows=0,
        ),
        *calls(20, "sold", "buyer", at(LATER), sent_bytes=100_000, rows=50),
        *calls(3, "sold", "buyer", at(LATER), status=404, sent_bytes=10_000, rows=1),
        *calls(2, "sold", "buyer", at(LATER), outcome="aborted", sent_bytes=35_000, rows=50),
        *calls(4, "sold", "buyer", at(LATER), status=500, sent_bytes=70_000, rows=900),
        *calls(5, "sold", "buyer", at(LATER), outcome="upstream-error", sent_bytes=900_000, rows=800),
        *calls(6, "sold", "buyer", at(LATER), status=403, outcome="refused", sent_bytes=500_000, rows=700),
        *calls(1, "sold", "unlucky", at(LATER), status=502, outcome="upstream-error", sent_bytes=3_000_000, rows=600),
        *calls(5, "roads", "water", at(MONTH + timedelta(days=1)), status=429, outcome="quota", sent_bytes=0, rows=0),
        *calls(7, "maps", "water", at(MONTH, 0, 0), scenario="s1"),
        *calls(3, "maps", "planning", at(MONTH, 13, 5)),
        *calls(2, "pipes", "planning", at(MONTH, 23, 59)),
        *calls(4, "maps", "anonymous", at(MONTH, 8)),
    ]
    for line in lines:
        spool.append(line)
    spool.seal()
    settings = Settings(database_url=url, data_dir=folder, meter_window_days=70)
    with connected(settings) as connection:
        assert ship(spool, connection, settings).new == len(lines)
        closes.close_due(connection, DAYS, at(MONTH + timedelta(days=20)))


def ask(client: Any, keys: dict[str, str], who: str | None, path: str = "/statements", **asked: Any) -> Any:
    headers = {"Authorization": f"Bearer {keys[who]}"} if who else {}
    if path in ("/statements", "/statements/series"):
        asked = {"from": MONTH.isoformat(), "to": (MONTH + timedelta(days=9)).isoformat(), **asked}
    return client.get(path, params=asked, headers=headers)


def groups(answer: Any, *keys: str) -> list[tuple[Any, ...]]:
    assert answer.status_code == 200, answer.text
    return [tuple(one[key] for key in (*keys, "calls", "denied", "failed")) for one in answer.json()["groups"]]


def test_a_consumer_reads_what_it_called(client: Any, keys: dict[str, str]) -> None:
    answer = ask(client, keys, "water")
    assert groups(answer, "service") == [("maps", 7, 0, 0), ("roads", 1510, 5, 10)]
    assert answer.json()["total"] == {"calls": 1517, "denied": 5, "failed": 10, "bytes": 1_507_000, "rows": 15_070}
    assert answer.json()["is_final"]
    assert groups(ask(client, keys, "water", by="scenario"), "scenario") == [("", 1510, 5, 10), ("s1", 7, 0, 0)]
    by_day = ask(client, keys, "water", by="day,service", service="roads")
    assert groups(by_day, "day") == [
        (MONTH.isoformat(), 1500, 0, 0),
        ((MONTH + timedelta(days=1)).isoformat(), 10, 5, 10),
    ]
    assert groups(ask(client, keys, "water", by="month"), "month") == [(f"{MONTH:%Y-%m}", 1517, 5, 10)]


def test_an_owner_reads_what_was_called_of_its_services_and_by_whom(client: Any, keys: dict[str, str]) -> None:
    answer = ask(client, keys, "planning", side="owner")
    assert groups(answer, "service", "organisation") == [
        ("maps", "anonymous", 4, 0, 0),
        ("maps", "planning", 3, 0, 0),
        ("maps", "water", 7, 0, 0),
        ("roads", "water", 1510, 5, 10),
    ]
    # consumer and owner read the same of the same calls
    theirs = ask(client, keys, "water", service="roads").json()["total"]
    assert ask(client, keys, "planning", side="owner", service="roads", consumer="water").json()["total"] == theirs


def test_the_city_reads_everything_and_others_their_own_only(client: Any, keys: dict[str, str]) -> None:
    assert groups(ask(client, keys, "admin"), "organisation") == [
        ("anonymous", 4, 0, 0),
        ("planning", 5, 0, 0),
        ("water", 1517, 5, 10),
    ]
    assert groups(ask(client, keys, "admin", by="owner"), "owner") == [("planning", 1524, 5, 10), ("water", 2, 0, 0)]
    assert groups(ask(client, keys, "admin", side="consumer", organisation="planning"), "service") == [
        ("maps", 3, 0, 0),
        ("pipes", 2, 0, 0),
    ]
    assert_problem(ask(client, keys, None), status=401, code="unauthorized")
    assert_problem(ask(client, keys, "nobody"), status=403, code="forbidden")
    assert_problem(ask(client, keys, "water", organisation="planning"), status=403, code="forbidden")
    assert_problem(ask(client, keys, "water", side="city"), status=403, code="forbidden")
    assert_problem(ask(client, keys, "water", "/statements/closes"), status=403, code="forbidden")


def test_a_district_admin_reads_those_of_the_district(
    client: Any, keys: dict[str, str], module_database_url: str
) -> None:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute("UPDATE cim.organisation SET area_code = '440305' WHERE id = 'water'")
        made = {"district": create_key(connection, Rights("reader"), label="district")}
        connection.execute(
            "UPDATE cim.api_key SET duties = '{district_admin}', area_code = '440305' WHERE label = 'district'"
        )
    assert groups(ask(client, made, "district", organisation="water"), "service") == [
        ("maps", 7, 0, 0),
        ("roads", 1510, 5, 10),
    ]
    assert_problem(ask(client, made, "district", organisation="planning"), status=403, code="forbidden")
    assert_problem(ask(client, made, "district", organisation="nobody"), status=403, code="forbidden")


def test_pages_go_on_where_the_last_one_ended(client: Any, keys: dict[str, str]) -> None:
    whole = groups(ask(client, keys, "admin", by="service,organisation,day"), "service", "organisation", "day")
    found, asked = [], {"by": "service,organisation,day", "limit": 2}
    answer = ask(client, keys, "admin", **asked)
    while True:
        found += groups(answer, "service", "organisation", "day")
        following = [link["href"] for link in answer.json()["links"] if link["rel"] == "next"]
        if not following:
            break
        path = following[0].partition(":")[2].partition("/statements")
        answer = client.get("/statements" + path[2], headers={"Authorization": f"Bearer {keys['admin']}"})
    assert found == whole
    assert len(whole) == 6
    assert_problem(
        ask(client, keys, "water", cursor="nonsense"), status=400, code="invalid-parameter", parameter="cursor"
    )


def test_B45_names_that_look_like_formulas_are_inert_in_csv(client: Any, keys: dict[str, str]) -> None:
    answer = ask(client, keys, "admin", by="organisation,service", f="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    table = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    mine = next(row for row in table if row["organisation"] == "planning")
    assert mine["organisation_name_zh"] == "'" + EVIL
    assert mine["organisation_name_en"] == "'+cmd"
    assert mine["service_title_zh"] == "'@sum"
    assert mine["calls"] == "3"
    for row in table:
        assert not any(str(cell).startswith(("=", "+", "-", "@")) for cell in row.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("side", "theirs"),
        ("from", "yesterday"),
        ("to", "1999-01-01"),
        ("by", "colour"),
        ("by", "service,service"),
        ("limit", "0"),
    ],
)
def test_what_is_wrong_is_named(client: Any, keys: dict[str, str], name: str, value: str) -> None:
    assert_problem(ask(client, keys, "admin", **{name: value}), status=400, code="invalid-parameter", parameter=name)


def test_charts_have_every_step_and_no_other_time_zone(client: Any, keys: dict[str, str]) -> None:
    day = {"from": MONTH.isoformat(), "to": MONTH.isoformat()}
    hours = ask(client, keys, "admin", "/statements/series", step="hour", by="service", **day).json()
    assert len(hours["times"]) == 24
    assert hours["times"][0] == f"{MONTH}T00:00:00+08:00"
    lines = {one["key"]: one["values"] for one in hours["series"]}
    assert list(lines) == ["roads", "maps", "pipes"]
    assert {(one["name_zh"], one["name_en"]) for one in hours["series"]} == {("@sum", "A title")}
    callers = ask(client, keys, "admin", "/statements/series", by="organisation", **day).json()["series"]
    assert {one["key"]: one.get("name_zh") for one in callers}["water"] == "水务"
    assert lines["roads"][12] == 1500
    assert [(n, value) for n, value in enumerate(lines["maps"]) if value] == [(0, 7), (8, 4), (13, 3)]
    assert lines["pipes"][23] == 2
    minutes = ask(client, keys, "planning", "/statements/series", step="minute", **day).json()
    assert len(minutes["times"]) == 1440
    assert {n: value for n, value in enumerate(minutes["series"][0]["values"]) if value} == {785: 3, 1439: 2}
    days = ask(client, keys, "water", "/statements/series", step="day", measure="denied").json()
    assert days["times"][:2] == [MONTH.isoformat(), (MONTH + timedelta(days=1)).isoformat()]
    assert days["series"][0]["values"] == [0, 5, 0, 0, 0, 0, 0, 0, 0, 0]
    refused = ask(client, keys, "admin", "/statements/series", step="minute")
    assert_problem(refused, status=400, code="invalid-parameter", parameter="step")


PLAN = {
    "monthly_fee": "100.00",
    "per_call": {"free": 1000, "tiers": [{"up_to": 300, "price": "0.015"}, {"up_to": None, "price": "0.0101"}]},
    "per_mb": {"tiers": [{"price": "2.5"}]},
}


def test_a_settlement_is_made_of_closed_days_by_the_plan_that_held(
    client: Any, keys: dict[str, str], module_database_url: str
) -> None:
    planning = {"Authorization": f"Bearer {keys['planning']}"}
    now = f"{datetime.now(ZONE):%Y-%m}"
    assert client.put(f"/prices/roads/{now}", json=PLAN, headers=planning).status_code == 204
    # the plan held last month already: no request can say so, since the past keeps its prices
    refused = client.put(f"/prices/roads/{MONTH:%Y-%m}", json=PLAN, headers=planning)
    assert_problem(refused, status=400, code="invalid-parameter", parameter="month")
    rows(module_database_url, "UPDATE cim.price_plan SET valid_from = %s RETURNING 1", MONTH)
    path = f"/statements/settlements/{MONTH:%Y-%m}"
    answer = ask(client, keys, "water", path)
    document = answer.json()
    [line] = document["lines"]
    # 1,500 calls that did not fail, 1,000 free: 300 × 0.015 + 200 × 0.0101 = 6.52; 1.5 MB × 2.5 = 3.75
    assert [(one["charge"], one["quantity"], one["amount"]) for one in line["charges"]] == [
        ("monthly_fee", "1", "100.00"),
        ("per_call", "1500", "6.52"),
        ("per_mb", "1.5", "3.75"),
    ]
    assert (line["amount"], line["payee"], line["consumer"], line["currency"]) == ("110.27", "planning", "water", "CNY")
    assert document["totals"] == [{"currency": "CNY", "amount": "110.27"}]
    assert not document["is_final"]
    assert document["close"]["number"] == 20
    # the payee reads the same line, and nothing as a consumer
    assert ask(client, keys, "planning", path, side="owner").json()["lines"] == [line]
    assert ask(client, keys, "planning", path).json()["lines"] == []
    assert ask(client, keys, "admin", path).json()["lines"] == [line]
    # calls booked later do not change it: they go to open days
    assert ask(client, keys, "water", path).content == answer.content
    table = list(csv.DictReader(io.StringIO(ask(client, keys, "water", path, f="csv").content.decode("utf-8-sig"))))
    assert sum(Decimal(row["amount"]) for row in table) == Decimal("110.27")


def test_calls_that_failed_or_were_denied_cost_nothing(
    client: Any, keys: dict[str, str], module_database_url: str
) -> None:
    """docs/metering.md, Prices: neither by call, nor by MB, nor by row; nor are they what a monthly fee is due for."""
    plan = {"payee": "treasury", "monthly_fee": "8", **{unit: _flat(price) for unit, price in _SOLD.items()}}
    rows(
        module_database_url,
        "INSERT INTO cim.price_plan (service_id, valid_from, currency, plan, set_by) VALUES ('sold', %s, 'USD', %s, '') RETURNING 1",
        MONTH,
        json.dumps(plan),
    )
    try:
        lines = ask(client, keys, "admin", f"/statements/settlements/{MONTH:%Y-%m}").json()["lines"]
    finally:
        rows(module_database_url, "DELETE FROM cim.price_plan WHERE service_id = 'sold' RETURNING 1")
    buyer, unlucky = sorted((one for one in lines if one["service"] == "sold"), key=lambda one: one["consumer"])
    assert (unlucky["calls"], unlucky["failed"], unlucky["bytes"], unlucky["amount"]) == (1, 1, 3_000_000, "0.00")
    # all of it: 20 × 100,000 + 3 × 10,000 + 2 × 35,000 + 4 × 70,000 + 5 × 900,000 + 6 × 500,000 bytes
    assert (buyer["calls"], buyer["failed"], buyer["denied"], buyer["bytes"]) == (34, 9, 6, 9_880_000)
    # paid: 25 calls × 0.4; 2,000,000 + 30,000 + 70,000 = 2.1 MB × 3; 1,000 + 3 + 100 rows × 0.01 = 11.03
    assert [(one["charge"], Decimal(one["quantity"]), one["amount"]) for one in buyer["charges"]] == [
        ("monthly_fee", Decimal("1"), "8.00"),
        ("per_call", Decimal("25"), "10.00"),
        ("per_mb", Decimal("2.1"), "6.30"),
        ("per_row", Decimal("1103"), "11.03"),
    ]
    assert buyer["amount"] == "35.33"


_SOLD = {"per_call": "0.4", "per_mb": "3", "per_row": "0.01"}


def _flat(price: str) -> dict[str, Any]:
    return {"free": 0, "tiers": [{"up_to": None, "price": price}]}


def test_prices_are_set_by_the_owner_for_months_that_have_not_begun(client: Any, keys: dict[str, str]) -> None:
    soon = (datetime.now(ZONE).date().replace(day=28) + timedelta(days=10)).replace(day=1)
    path = f"/prices/maps/{soon:%Y-%m}"
    planning = {"Authorization": f"Bearer {keys['planning']}"}
    for who, status, code in (("water", 403, "forbidden"), ("nobody", 403, "forbidden"), (None, 401, "unauthorized")):
        headers = {"Authorization": f"Bearer {keys[who]}"} if who else {}
        assert_problem(client.put(path, json=PLAN, headers=headers), status=status, code=code)
    assert client.put(path, json=PLAN, headers=planning).status_code == 204
    [shown] = client.get("/prices/maps").json()["prices"]
    assert (shown["valid_from"], shown["per_call"]["tiers"][1]["price"]) == (f"{soon:%Y-%m}", "0.0101")
    assert client.delete(path, headers=planning).status_code == 204
    assert client.get("/prices/maps").json()["prices"] == []
    for bad in (
        {"monthly_fee": 100},
        {"monthly_fee": "-1"},
        {},
        {"per_call": {"tiers": []}},
        {"per_call": {"tiers": [{"up_to": 5, "price": "1"}]}},
        {"per_call": {"tiers": [{"up_to": 9, "price": "1"}, {"up_to": 5, "price": "1"}, {"price": "1"}]}},
        {"currency": "yuan", "monthly_fee": "1"},
    ):
        assert client.put(path, json=bad, headers=planning).status_code == 400, bad
    assert_problem(client.put(path, json={"payee": "me"}, headers=planning), status=400, code="unknown-parameter")


def test_tiers_by_hand() -> None:
    rate = Rate(10, (Tier(5, Decimal("1")), Tier(20, Decimal("0.5")), Tier(None, Decimal("0.1"))))
    expected = {0: "0", 10: "0", 12: "2", 15: "5", 16: "5.5", 30: "12.5", 40: "13.5"}
    assert {n: rate.amount(Decimal(n)) for n in expected} == {n: Decimal(text) for n, text in expected.items()}


def test_closes_are_listed_with_their_digests(client: Any, keys: dict[str, str], module_database_url: str) -> None:
    listed = ask(client, keys, "admin", "/statements/closes", limit=3).json()["closes"]
    stored = rows(
        module_database_url, "SELECT day, encode(digest, 'hex') FROM cim.call_close ORDER BY day DESC LIMIT 3"
    )
    assert [(one["day"], one["digest"]) for one in listed] == [(day.isoformat(), digest) for day, digest in stored]
    assert listed[0]["previous"] == listed[1]["digest"]
