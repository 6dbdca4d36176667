"""How much a service is called is told to everybody who may see it; by whom it is called is told to nobody here."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx2
import psycopg
import pytest

from cim.settings import Settings
from tests.conftest import Server
from tests.problems import assert_problem


@pytest.fixture(scope="module")
def today(running: Server, module_database_url: str):
    """Calls of `pipes` by two organisations, one of them also 30 days ago; gives the platform's day."""
    day = datetime.now(ZoneInfo(Settings().time_zone)).date()
    rows = [(0, "planning", 5, 1), (0, "roads", 7, 0), (29, "roads", 100, 2), (30, "roads", 9_000, 0)]
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        for ago, organisation, calls, failed in rows:
            connection.execute(
                "INSERT INTO cim.call_day (day, organisation_id, service_id, scenario_id, calls, denied, failed, bytes, rows) "
                "VALUES (%s, %s, 'pipes', '', %s, 3, %s, 0, 0)",
                (day - timedelta(days=ago), organisation, calls, failed),
            )
    return day


def test_calls_of_thirty_days_are_told_by_day_without_names(anyone: httpx2.Client, today) -> None:
    answer = anyone.get("/catalogue/items/pipes/usage")
    used = answer.json()
    assert (used["calls"], used["failed"]) == (112, 3)
    assert [used["from"], used["to"]] == [used["days"][0]["day"], used["days"][-1]["day"]]
    assert used["to"] == today.isoformat()
    assert len(used["days"]) == 30
    assert used["days"][-1] == {"day": today.isoformat(), "calls": 12, "failed": 1}
    assert used["days"][1]["calls"] == 0
    assert "roads" not in answer.text


def test_what_is_not_there_has_no_usage(anyone: httpx2.Client) -> None:
    assert_problem(anyone.get("/catalogue/items/nothing/usage"), status=404, code="not-found")
    unknown = anyone.get("/catalogue/items/pipes/usage?days=7")
    assert_problem(unknown, status=400, code="unknown-parameter", parameter="days")
