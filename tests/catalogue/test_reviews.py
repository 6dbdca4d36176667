"""The reviewers' work list: everything that waits, also beside a face, for those who have a duty there."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import psycopg
import pytest

from cim.model import EVERYTHING
from cim.query.reviews import ReviewQuery, reviews_sql
from tests.catalogue.conftest import Admin, keyed, put_on_the_shelf, service
from tests.conftest import Server
from tests.problems import assert_problem

WORK = "/admin/reviews"


def waiting(client: httpx2.Client, **query: object) -> list[dict[str, object]]:
    answer = client.get(WORK, params=query)
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, object]] = answer.json()["reviews"]
    return listed


def names(client: httpx2.Client, **query: object) -> list[object]:
    return [one["service"] for one in waiting(client, **query)]


@pytest.fixture(scope="module")
def work(admin: Admin) -> Admin:
    """Waiting in this order: a draft beside a face, a service that is new, one that is approved; and one not submitted."""
    put_on_the_shelf(admin, "faced", area_code="440305")
    seen = admin.get("/catalogue/items/faced").headers["etag"]
    change = {"title_en": "Better imagery", "licence": "CC0-1.0"}
    assert admin.patch("/catalogue/items/faced", json=change, headers={"If-Match": seen}).status_code == 200
    for one, owner in (("fresh", "water"), ("checked", "planning"), ("unsent", "planning")):
        admin.post("/catalogue/items", json=service(one, organisation_id=owner)).raise_for_status()
    for one in ("faced", "fresh", "checked"):
        admin.post(f"/catalogue/items/{one}/submit").raise_for_status()
    content = admin.get("/catalogue/items/checked/draft").json()["contentHash"]
    admin.reviewer.post("/catalogue/items/checked/approve", json={"content_hash": content}).raise_for_status()
    return admin


@pytest.fixture(scope="module")
def people(work: Admin, running: Server, module_database_url: str) -> Iterator[dict[str, httpx2.Client]]:
    """Somebody of each duty."""
    wanted = {
        "reviewer of water": (("reviewer",), "water", None),
        "boss of planning": (("org_admin",), "planning", None),
        "nanshan": (("district_admin",), "water", "440305"),
        "futian": (("district_admin",), "roads", "440304"),
        "clerk": ((), "planning", None),
    }
    with ExitStack() as stack:
        work.put("/catalogue/organisations/roads", json={"name_zh": "路", "name_en": "Roads"}).raise_for_status()
        yield {
            name: stack.enter_context(keyed(running, module_database_url, duties, owner, area))
            for name, (duties, owner, area) in wanted.items()
        }


def test_what_waits_is_listed_the_oldest_first_with_who_and_what_differs(work):
    faced, fresh, checked = waiting(work.reviewer)
    assert [one["service"] for one in (faced, fresh, checked)] == ["faced", "fresh", "checked"]
    assert (faced["face"], faced["face_version"], faced["version"], faced["state"]) == ("published", 1, 2, "in_review")
    assert faced["differs"] == ["licence", "title_en"]
    assert (faced["title_en"], faced["organisation_en"]) == ("Better imagery", "Planning Bureau")
    assert None not in (faced["submitted_by"], faced["submitted_at"], faced["edited_by"])
    assert (fresh["face"], fresh["differs"]) == (None, None)
    assert (checked["state"], checked["reviewed_by"] is not None) == ("approved", True)
    versions = work.get("/catalogue/items/faced/versions").json()["versions"]
    assert faced["content_hash"] == versions[0]["content_hash"]
    compared = next(link["href"] for link in faced["links"] if link["rel"] == "related")
    assert sorted(work.get(compared).json()["members"]) == faced["differs"]


def test_it_says_what_the_caller_may_do_and_what_is_their_own(work, people):
    assert [(one["own"], one["allowed"]) for one in waiting(work.reviewer)] == [
        (False, ["return", "approve"]),
        (False, ["return", "approve"]),
        (False, ["return"]),
    ]
    mine = waiting(work)
    assert [(one["own"], one["allowed"]) for one in mine] == [
        (True, ["recall"]),
        (True, ["recall"]),
        (True, ["publish"]),
    ]
    assert_problem(
        work.post("/catalogue/items/faced/approve", json={"content_hash": mine[0]["content_hash"]}), status=409, code="conflict"
    )  # fmt: skip
    boss = {one["service"]: one["allowed"] for one in waiting(people["boss of planning"])}
    assert boss == {"faced": ["recall"], "checked": ["publish"]}


def test_everybody_reads_of_the_services_that_they_have_a_duty_for(work, people, anyone):
    assert names(people["reviewer of water"]) == ["fresh"]
    assert names(people["boss of planning"]) == ["faced", "checked"]
    assert names(people["nanshan"]) == ["faced"]
    assert names(people["futian"]) == []
    assert_problem(people["clerk"].get(WORK), status=403, code="forbidden")
    assert_problem(anyone.get(WORK), status=401, code="unauthorized")


def test_it_is_asked_by_state_and_organisation_page_by_page(work, people):
    assert names(work, state="approved") == ["checked"]
    assert names(work, state="in_review") == ["faced", "fresh"]
    assert names(work, organisation="water") == ["fresh"]
    found, address = [], f"{WORK}?limit=1"
    while address:
        page = work.get(address).json()
        found += [one["service"] for one in page["reviews"]]
        address = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert found == ["faced", "fresh", "checked"]
    cursor = next(link["href"] for link in work.get(f"{WORK}?limit=1").json()["links"] if link["rel"] == "next")
    other = cursor.replace("limit=1", "limit=1&state=approved")
    assert_problem(work.get(other), status=400, code="invalid-parameter", parameter="cursor")
    assert_problem(work.get(WORK, params={"state": "draft"}), status=400, code="invalid-parameter", parameter="state")
    assert_problem(work.get(WORK, params={"stat": "draft"}), status=400, code="unknown-parameter", parameter="stat")


def test_the_list_is_read_in_the_order_of_its_index(work, module_database_url):
    text, values = reviews_sql(ReviewQuery(), EVERYTHING, "somebody").compile_psycopg()
    with psycopg.connect(module_database_url) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_sort = off")
        plan = "\n".join(line for (line,) in connection.execute(b"EXPLAIN " + text.encode(), values).fetchall())
    assert "service_version_waiting_idx" in plan, plan
    assert "Sort" not in plan, plan
