"""The desk's first page: what waits for the one who looks, and what was called this month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_applications import is_judge, waiting_for
from api.portal.desk_me import ABOUT
from api.portal.desk_meters import sides_of, times_of
from api.portal.frame import who_of
from api.portal.listing import MANY, counted, many, organisations_of
from cim.model import Scope

REVIEWS = {"publisher", "reviewer", "org_admin", "district_admin", "city_admin"}
MOST_REVIEWS = 200
SHOWN = 5
"""Rows of the lists beside the tiles."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Something that waits: its message `wait.<key>`, how many, where it is dealt with."""

    key: str
    count: str
    href: str

    @property
    def is_empty(self) -> bool:
        """True where nothing waits."""
        return self.count == "0"


@at_desk
async def overview(request: Request) -> Response:
    """Tiles of what waits, the first of it in lists, calls of this month, and first steps for whom nothing waits."""
    scope = (await who_of(request)).scope
    waiting = await _waiting(request, scope)
    tiles = [
        *_decisions(waiting),
        *await _reviews(request, scope),
        *await _services(request, scope),
        *await _grants(request, scope),
    ]
    return await desk_page(
        request,
        "desk/overview.html",
        "",
        tiles=[one for one in tiles if not one.is_empty],
        waiting=sorted(waiting, key=lambda row: (row["due_at"], row["id"]))[:SHOWN],
        notes=await _notes(request, scope),
        calls=[await _calls(request, scope, side) for side in sides_of(scope)] if scope.organisation_id else [],
        names=await organisations_of(request),
        scope=scope,
        about=ABOUT,
    )


async def _waiting(request: Request, scope: Scope) -> list[Mapping[str, Any]]:
    """Applications that wait for the caller, up to `MANY`."""
    if not is_judge(scope):
        return []
    query = {**waiting_for(scope), "limit": MANY}
    rows: list[Mapping[str, Any]] = (await ask(request, "GET", "/applications", query=query)).document["applications"]
    return rows


def _decisions(waiting: Sequence[Mapping[str, Any]]) -> list[Tile]:
    late = sum(row["is_overdue"] for row in waiting)
    return [
        Tile("overdue", many(late), "desk/applications?view=waiting&overdue=true"),
        Tile("applications", many(len(waiting)), "desk/applications?view=waiting"),
    ]


async def _notes(request: Request, scope: Scope) -> list[Mapping[str, Any]]:
    """The latest notifications that nobody has read."""
    if scope.organisation_id is None:
        return []
    query = {"unread": "true", "limit": SHOWN}
    rows: list[Mapping[str, Any]] = (await ask(request, "GET", "/notifications", query=query)).document["notifications"]
    return rows


async def _reviews(request: Request, scope: Scope) -> list[Tile]:
    """Versions in which the caller has something to do: to review, or to put on the shelf."""
    if not scope.roles & REVIEWS:
        return []
    rows = (await ask(request, "GET", "/admin/reviews", query={"limit": MOST_REVIEWS})).document["reviews"]
    mine = [row for row in rows if {"approve", "publish"} & set(row["allowed"])]
    return [Tile("reviews", str(len(mine)), "desk/reviews")]


async def _services(request: Request, scope: Scope) -> list[Tile]:
    """Services of the organisation that fail, and drafts, among them those that were returned."""
    if scope.organisation_id is None or not scope.roles & REVIEWS:
        return []
    tiles = []
    for key, asked in (
        ("down", {"health": "down"}),
        ("degraded", {"health": "degraded"}),
        ("drafts", {"state": "draft"}),
    ):
        query = {"mine": "true", "limit": 1, "count": "exact", **asked}
        found = (await ask(request, "GET", "/catalogue/items", query=query)).document
        name, value = next(iter(asked.items()))
        tiles.append(Tile(key, str(found["numberMatched"]), f"desk/services?{name}={value}"))
    return tiles


async def _grants(request: Request, scope: Scope) -> list[Tile]:
    if scope.organisation_id is None:
        return []
    ends = await counted(request, "/grants", "grants", organisation=scope.organisation_id, state="expiring")
    waits = await counted(
        request, "/applications", "applications", organisation=scope.organisation_id, state="submitted"
    )
    return [
        Tile("expiring", ends, "desk/grants?state=expiring"),
        Tile("handed_in", waits, "desk/applications?view=ours&state=submitted"),
    ]


async def _calls(request: Request, scope: Scope, side: str) -> Mapping[str, Any]:
    """Calls a day of this month on one side, their sum, and those of today."""
    whose = {} if side == "city" else {"organisation": scope.organisation_id}
    series = (await ask(request, "GET", "/statements/series", query={"side": side, "step": "day", **whose})).document
    times = times_of(series)
    values: Sequence[int] = series["series"][0]["values"] if series["series"] else [0] * len(times)
    return {"side": side, "times": times, "values": values, "sum": sum(values), "today": values[-1] if values else 0}


ROUTES = (Route("/desk", overview, methods=["GET"]),)
