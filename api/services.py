"""One service as the catalogue's routes share it: the row that the caller may see, the version in work, the entity tag."""

import hashlib
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from api.context import database_of
from cim.catalogue.life import EDITORS, EVENTS, RANKS, Held, allowed_events, duties_at, is_outranked, takes_edits
from cim.catalogue.review import standing_of
from cim.catalogue.service import missing_for_the_shelf
from cim.errors import NotFound
from cim.model import Scope
from cim.query.service_life import standing_sql
from cim.query.services import service_sql

VARY = "Accept, Accept-Language, Cookie, Authorization, X-API-Key"
"""What an answer of the catalogue depends on."""


async def visible_row(request: Request, scope: Scope) -> Any:
    """The service's row if the caller may see it. Raises NotFound: what is not on the shelf does not exist for others."""
    service_id = request.path_params["service_id"]
    row = None
    if "\x00" not in service_id:
        row = await database_of(request).fetch_row(service_sql(service_id, scope))
    if row is None:
        raise NotFound("service", service_id)
    return row


def is_inside(scope: Scope, held: Held) -> bool:
    """True where the caller is of the owner's organisation, or has a duty for the service."""
    return (scope.organisation_id is not None and scope.organisation_id == held.organisation_id) or bool(
        duties_at(scope, held)
    )


async def working_of(request: Request, scope: Scope, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """For the owner's people and the city's: the version that an edit is of, what the shelf misses, and what may be done.

    `stateReason`: why the face is off the shelf, `takenOffBy`: the duty of who took it off.
    `allowed` are events that the state takes and the caller's duties allow, `mayEdit` says it of an edit. None for everybody else.
    """
    if scope.organisation_id is None and not scope.roles:
        return None
    found = await database_of(request).fetch_row(standing_sql(row["id"]))
    if found is None:
        return None
    at = standing_of(found)
    if not is_inside(scope, at.held):
        return None
    duties = duties_at(scope, at.held)
    return {
        "version": at.number,
        "state": at.working or at.face,
        "contentHash": at.content_hash,
        "stateReason": found["state_reason"],
        "missing": missing_for_the_shelf(at.document),
        "takenOffBy": None if at.off_rank is None else RANKS[at.off_rank - 1],
        "allowed": [
            name
            for name in allowed_events(at.face, at.working)
            if duties & set(EVENTS[name].duties)
            and not is_outranked(scope, at.held, EVENTS[name], at.face, at.off_rank)
        ],
        "mayEdit": bool(duties & set(EDITORS)) and takes_edits(at.face, at.working),
        "document": dict(at.document),
    }


def tag_of(row: Mapping[str, Any], working: Mapping[str, Any] | None, body: bytes) -> str:
    """The version, by which edits are checked, and the content, which differs by language and with its organisation."""
    number = row["version"] if working is None else working["version"]
    return f'"{number}.{hashlib.blake2b(body, digest_size=6).hexdigest()}"'
