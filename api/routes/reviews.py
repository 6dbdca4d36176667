"""The work list of those who review and publish: versions of services that wait, the longest waiting first."""

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, scope_of, settings_of
from api.documents import JSON, Link, private_json, url_of
from api.listing import DEFAULT_LIMIT, PAGING
from api.params import parse_limit, query_parameters
from cim.catalogue.life import EVENTS, Held, allowed_events, differences, duties_at, identity_of, is_outranked
from cim.errors import Forbidden
from cim.interval import instant_text
from cim.model import Scope
from cim.model.scope import DUTIES
from cim.people.members import one_of
from cim.people.rights import require_caller
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.reviews import WAITING, ReviewQuery, reviews_sql

router = APIRouter(tags=["catalogue"])

FILTERS = ("state", "organisation")
_TOLD_ELSEWHERE = ("document", "face_document", "organisation_area", "is_own", "off_rank")


def _shown(row: Any, scope: Scope, base: str) -> dict[str, Any]:
    """A version that waits: whose it is, who did what when, which members differ from the face, what the caller may do."""
    told = {name: value for name, value in dict(row).items() if name not in _TOLD_ELSEWHERE}
    told |= {name: instant_text(value) for name, value in told.items() if name.endswith("_at")}
    held = Held(row["organisation_id"], row["area_code"], row["organisation_area"])
    duties = duties_at(scope, held)
    events = [EVENTS[name] for name in allowed_events(row["face"], row["state"])]
    home = url_of(base, "catalogue", "items", row["service"])
    links = [Link(home, "item", title="The record"), Link(f"{home}/draft", "working-copy", JSON, "The version in work")]
    if row["face"] is not None:
        compared = f"{home}/versions/{row['face_version']}/compare/{row['version']}"
        links.append(Link(compared, "related", JSON, "Members that differ"))
    return told | {
        "differs": None
        if row["face"] is None
        else sorted(differences(orjson.loads(row["face_document"]), orjson.loads(row["document"]))),
        "own": row["is_own"],
        "allowed": [
            event.name
            for event in events
            if not event.is_of_face
            and duties & set(event.duties)
            and not (event.is_review and row["is_own"])
            and not is_outranked(scope, held, event, row["face"], row["off_rank"])
        ],
        "links": [link.to_dict() for link in links],
    }


async def reviews(request: Request) -> Response:
    """Versions that wait for a review, or approved for the shelf, of the services that the caller has a duty for."""
    scope = await scope_of(request)
    require_caller(scope)
    values = query_parameters(request, (*FILTERS, *PAGING))
    if not scope.roles & set(DUTIES):
        raise Forbidden(f"the work list of reviews is for those with one of the duties {', '.join(DUTIES)}")
    query = ReviewQuery(
        state=one_of("state", values["state"], WAITING) if "state" in values else None,
        organisation_id=values.get("organisation"),
        limit=parse_limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT,
    )
    key, binding = registry_of(request).cursor_key, query.fingerprint()
    if "cursor" in values:
        at, _, service_id = decode_cursor(key, binding, values["cursor"]).partition(" ")
        query = ReviewQuery(query.state, query.organisation_id, (datetime.fromisoformat(at), service_id), query.limit)
    rows = list(await database_of(request).fetch_rows(reviews_sql(query, scope, identity_of(scope))))
    page, base = rows[: query.limit], settings_of(request).public_url
    links = [Link(url_of(base, "admin", "reviews", **values), "self", JSON)]
    if len(rows) > query.limit:
        last = page[-1]
        cursor = encode_cursor(key, binding, f"{last['submitted_at'].isoformat()} {last['service']}")
        links.append(Link(url_of(base, "admin", "reviews", **{**values, "cursor": cursor}), "next", JSON))
    shown = [_shown(row, scope, base) for row in page]
    return private_json({"reviews": shown, "links": [link.to_dict() for link in links]})


router.add_route("/admin/reviews", reviews, methods=["GET"])
