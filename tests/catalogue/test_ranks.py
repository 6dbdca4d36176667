"""What was taken off the shelf is put back by the same rank, or by one above."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import psycopg
import pytest

from tests.catalogue import shared
from tests.catalogue.conftest import Admin, keyed, put_on_the_shelf
from tests.conftest import Server
from tests.problems import assert_problem

running, module_database_url = shared.running, shared.module_database_url

WHY = {"why": "it answers wrongly"}


@pytest.fixture(scope="module")
def ranks(admin: Admin, running: Server, module_database_url: str) -> Iterator[dict[str, httpx2.Client]]:
    """Managers of each rank, and reviewers of the organisation; `second` takes no part in edits."""
    wanted = {
        "organisation": (("org_admin", "publisher"), "planning", None),
        "second": (("reviewer",), "planning", None),
        "district": (("district_admin",), "water", "440305"),
        "city": (("city_admin",), None, None),
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(keyed(running, module_database_url, duties, owner, area))
            for name, (duties, owner, area) in wanted.items()
        }


def test_a_suspension_is_ended_by_the_same_rank_or_one_above(admin, ranks):
    put_on_the_shelf(admin, "ranked", area_code="440305")
    home, order = "/catalogue/items/ranked", ("organisation", "district", "city")
    for place, who in enumerate(order):
        for other_place, other in enumerate(order):
            assert ranks[who].post(f"{home}/suspend", json=WHY).status_code == 200
            working = ranks[other].get(home).json()["working"]
            assert working["takenOffBy"] == ("org_admin", "district_admin", "city_admin")[place]
            assert ("resume" in working["allowed"]) is (other_place >= place)
            answer = ranks[other].post(f"{home}/resume")
            if other_place < place:
                problem = assert_problem(answer, status=403, code="forbidden")
                assert working["takenOffBy"] in problem["detail"]
                assert ranks["city"].post(f"{home}/resume").status_code == 200
            else:
                assert answer.status_code == 200, answer.text
                assert answer.json()["working"]["takenOffBy"] is None


def test_no_way_leads_around_it(admin, ranks):
    put_on_the_shelf(admin, "around", area_code="440305")
    home = "/catalogue/items/around"
    assert ranks["city"].post(f"{home}/suspend", json=WHY).status_code == 200
    assert ranks["organisation"].post(f"{home}/withdraw", json=WHY).status_code == 200
    refused = ranks["organisation"].post(f"{home}/republish")
    assert "city_admin" in assert_problem(refused, status=403, code="forbidden")["detail"]
    change = {"title_en": "A new version"}
    assert ranks["organisation"].patch(home, json=change, headers={"If-Match": "*"}).status_code == 200
    sent = ranks["organisation"].post(f"{home}/submit").json()["working"]["contentHash"]
    assert ranks["second"].post(f"{home}/approve", json={"content_hash": sent}).status_code == 200
    waiting = ranks["organisation"].get("/admin/reviews?limit=1000").json()["reviews"]
    (listed,) = [one for one in waiting if one["service"] == "around"]
    assert (listed["face"], listed["allowed"]) == ("withdrawn", [])
    assert_problem(ranks["organisation"].post(f"{home}/publish"), status=403, code="forbidden")
    assert_problem(ranks["district"].post(f"{home}/publish"), status=403, code="forbidden")
    published = ranks["city"].post(f"{home}/publish")
    assert published.json()["working"]["takenOffBy"] is None
    assert ranks["organisation"].post(f"{home}/suspend", json=WHY).status_code == 200
    assert ranks["organisation"].post(f"{home}/resume").status_code == 200


def test_an_attempt_is_in_the_audit(admin, ranks, module_database_url):
    put_on_the_shelf(admin, "tried")
    assert ranks["city"].post("/catalogue/items/tried/suspend", json=WHY).status_code == 200
    assert ranks["organisation"].post("/catalogue/items/tried/resume").status_code == 403
    with psycopg.connect(module_database_url) as connection:
        row = connection.execute(
            "SELECT event, why, detail ->> 'code' FROM cim.audit WHERE subject_id = 'tried' ORDER BY number DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    assert (row[0], row[2]) == ("refused", "forbidden")
    assert "city_admin" in row[1]
