"""The people of the desk's tests: two organisations, an owner of services and a caller, and the city's own."""

from contextlib import ExitStack
from typing import Any

import httpx2

ADMIN = "admin-key-of-the-tests-of-the-desk"
PASSWORD = "correct horse 正确 battery"
PEOPLE = {
    "zhao.city": ("city-hall", ["city_admin"]),
    "qian.publisher": ("planning", ["publisher"]),
    "sun.reviewer": ("planning", ["reviewer"]),
    "li.owner": ("planning", ["org_admin", "publisher"]),
    "zhou.caller": ("water", ["org_admin"]),
    "wu.reader": ("water", []),
}
"""Login → organisation and duties; everybody's password is `PASSWORD`."""
ORGANISATIONS = {
    "city-hall": ("市政府", "City hall", None),
    "planning": ("规划局", "Planning bureau", "440305"),
    "water": ("水务局", "Water authority", "440304"),
}


def populate(base: str) -> None:
    """Make organisations and people by the API, as an admin would."""
    with httpx2.Client(base_url=base, timeout=30, headers={"Authorization": f"Bearer {ADMIN}"}) as admin:
        for key, (zh, en, area) in ORGANISATIONS.items():
            body: dict[str, Any] = {"id": key, "name_zh": zh, "name_en": en}
            _made(admin.post("/organisations", json={**body, **({"area_code": area} if area else {})}))
        for login, (organisation, duties) in PEOPLE.items():
            body = {"login": login, "organisation_id": organisation, "duties": duties, "password": PASSWORD}
            _made(admin.post("/people", json=body))


def session(base: str, login: str, stack: ExitStack) -> httpx2.Client:
    """A client of the API as somebody who logged in: to set the scene that a page then shows."""
    client = stack.enter_context(httpx2.Client(base_url=base, timeout=30))
    answer = client.post("/login", json={"login": login, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


def draft(key: str, **more: Any) -> dict[str, Any]:
    """A registration that the shelf takes: a service over the town's buildings, of the planning bureau."""
    return {
        "id": key,
        "kind": "features",
        "organisation_id": "planning",
        "title_zh": f"全市建筑 {key}",
        "title_en": f"Buildings of the city {key}",
        "description_zh": "全市建筑轮廓与高度。",
        "description_en": "Footprints and heights.",
        "themes": ["buildings"],
        "collection_id": "buildings",
        "endpoints": [{"url": "/collections/buildings"}],
        "share_class": "conditional",
        "licence": "CC-BY-4.0",
        "contact": "desk@planning.example",
        **more,
    }


def on_the_shelf(base: str, key: str, **more: Any) -> None:
    """Register, submit, approve and publish, each by whom it may be done by."""
    with ExitStack() as stack:
        author, reviewer, owner = (
            session(base, login, stack) for login in ("qian.publisher", "sun.reviewer", "li.owner")
        )
        _made(author.post("/catalogue/items", json=draft(key, **more)))
        _made(author.post(f"/catalogue/items/{key}/submit", json={}))
        content = reviewer.get(f"/catalogue/items/{key}/draft").json()["contentHash"]
        _made(reviewer.post(f"/catalogue/items/{key}/approve", json={"content_hash": content}))
        _made(owner.post(f"/catalogue/items/{key}/publish", json={}))


def _made(answer: httpx2.Response) -> None:
    assert answer.status_code < 300, answer.text
