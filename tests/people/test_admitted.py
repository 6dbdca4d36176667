"""Who may call a service, and what of it, by the grants of a real database."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from cim.catalogue.grant import Grant, Grants, scope_under
from cim.db.pool import Database
from cim.errors import Conflict, Forbidden, NotFound, Unauthorized
from cim.model import EVERYTHING, Scope
from cim.settings import Settings


@dataclass(frozen=True)
class Service:
    id: str = "roads"
    organisation_id: str | None = "planning"
    share_class: str = "conditional"
    state: str = "published"


OF_WATER = Scope(roles=frozenset({"reader"}), organisation_id="water")
OF_PLANNING = Scope(roles=frozenset({"reader"}), organisation_id="planning")
ANYONE = Scope()


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[Any]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def asked(module_database_url: str, connection: Any) -> Iterator[Callable[..., Any]]:
    """`asked(service, scope)`: what `admitted` gives, by one worker's look-up."""
    connection.execute("DELETE FROM cim.service_grant")
    runner = asyncio.Runner()
    database = Database(Settings(DATABASE_URL=module_database_url))
    runner.run(database.open())
    grants = Grants(database)
    yield lambda service, scope, **more: runner.run(grants.admitted(service, scope, **more))
    runner.run(database.close())
    runner.close()


def grant(connection: Any, **columns: Any) -> int:
    values = {"service_id": "roads", "organisation_id": "water", "granted_by": "the tests", **columns}
    names = ", ".join(values)
    row = connection.execute(
        f"INSERT INTO cim.service_grant ({names}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING id",
        list(values.values()),
    ).fetchone()
    return int(row[0])


def test_an_unconditional_service_is_anybodys(asked):
    assert asked(Service(share_class="unconditional"), ANYONE) is None
    assert asked(Service(share_class="unconditional"), OF_WATER) is None


def test_a_conditional_service_needs_a_key_and_a_grant(asked, connection):
    with pytest.raises(Unauthorized):
        asked(Service(), ANYONE)
    with pytest.raises(Forbidden, match="apply"):
        asked(Service(), OF_WATER)
    assert asked(Service(), OF_PLANNING) is None
    assert asked(Service(), EVERYTHING) is None
    grant(connection, service_id="rivers", quota_day=7)
    found = asked(Service(id="rivers"), OF_WATER)
    assert (found.organisation_id, found.quota_day) == ("water", 7)


def test_a_service_that_is_not_shared_is_its_owners(asked, connection):
    grant(connection, service_id="secrets")
    service = Service(id="secrets", share_class="not_shared")
    assert asked(service, OF_PLANNING) is None
    assert asked(service, EVERYTHING) is None
    with pytest.raises(Forbidden, match="not shared"):
        asked(service, OF_WATER)


@pytest.mark.parametrize("state", ["draft", "in_review", "approved", "withdrawn", "archived"])
def test_what_is_off_the_shelf_is_called_by_nobody(asked, state):
    with pytest.raises(NotFound):
        asked(Service(state=state, share_class="unconditional"), OF_WATER)
    with pytest.raises(Conflict, match=state.replace("_", ".")):
        asked(Service(state=state, share_class="unconditional"), OF_PLANNING)


def test_a_suspended_service_says_so(asked):
    with pytest.raises(Forbidden, match="suspended"):
        asked(Service(state="suspended", share_class="unconditional"), OF_WATER)


def test_a_key_for_some_services_calls_those_only(asked, connection):
    grant(connection)
    limited = replace(OF_WATER, services=frozenset({"roads"}))
    assert asked(Service(), limited) is not None
    with pytest.raises(Forbidden, match="other services"):
        asked(Service(id="rivers", share_class="unconditional"), limited)


def test_a_grant_that_ended_is_none(asked, connection):
    grant(connection, expires_at="2020-01-01T00:00:00Z")
    connection.execute("UPDATE cim.service_grant SET revoked_at = now()")
    grant(connection, scenario_id="flood", expires_at="2020-01-01T00:00:00Z")
    with pytest.raises(Forbidden):
        asked(Service(), OF_WATER)


def test_B39_a_revoked_grant_is_dead_within_five_seconds_and_one_that_lasts_is_not_asked_for_each_call(
    asked, connection
):
    grant(connection)
    assert asked(Service(), OF_WATER) is not None
    connection.execute("UPDATE cim.service_grant SET revoked_at = now()")
    revoked = time.monotonic()
    assert asked(Service(), OF_WATER) is not None  # known still: no SQL
    while time.monotonic() < revoked + 5:
        try:
            asked(Service(), OF_WATER)
        except Forbidden:
            return
        time.sleep(0.1)
    pytest.fail("a revoked grant was good for five seconds")


def test_the_grant_of_the_scenario_is_taken(asked, connection):
    plain, flood = grant(connection), grant(connection, scenario_id="flood")
    assert asked(Service(), OF_WATER).id == plain
    assert asked(Service(), OF_WATER, scenario_id="flood").id == flood
    with pytest.raises(Forbidden, match="fire"):
        asked(Service(), OF_WATER, scenario_id="fire")


def test_a_scope_under_a_grant_is_no_more_than_either():
    given = Grant(1, "roads", "water", area_code="440305", hidden=frozenset({"height_m"}), precision_m=100.0)
    under = scope_under(given, replace(OF_WATER, area_code="4403", hidden=frozenset({"use"}), precision_m=50.0))
    assert (under.area_code, under.hidden, under.precision_m) == ("440305", {"use", "height_m"}, 100.0)
    assert scope_under(given, replace(OF_WATER, area_code="440305001")).area_code == "440305001"
    with pytest.raises(Forbidden, match="in common"):
        scope_under(given, replace(OF_WATER, area_code="440304"))


def test_the_service_is_the_way_to_its_collection_and_to_no_other():
    closed = replace(OF_WATER, collections=frozenset())
    assert scope_under(None, closed, collection_id="buildings").collections == {"buildings"}
    assert scope_under(None, OF_WATER, collection_id="buildings").collections == {"buildings"}
    assert scope_under(None, closed).collections == frozenset()
