"""What is done to services, as steps: each yields statements, gets the first row of each, and ends with what came of it.

`cim.db.services` runs them over either driver, in one transaction. Every one that changes something ends with an entry of the audit.
"""

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from cim.catalogue.life import (
    EDITORS,
    EVENTS,
    FACES,
    RANKS,
    Event,
    Held,
    allowed_events,
    differences,
    identity_of,
    is_outranked,
    rank_of,
    require_duties,
    require_event,
    takes_edits,
)
from cim.catalogue.service import document_of, missing_for_the_shelf
from cim.errors import Conflict, Forbidden, Incomplete, InvalidParameter, NotFound, PreconditionFailed
from cim.model import Scope, roles_of
from cim.query.audit import Entry, entry_of
from cim.query.service_life import (
    add_version_sql,
    delete_sql,
    editors_sql,
    insert_face_sql,
    is_same_sql,
    lock_sql,
    move_version_sql,
    organisation_sql,
    show_sql,
    standing_sql,
    state_sql,
)
from cim.sql import Sql

Result = TypeVar("Result")
Steps = Generator[Sql | Entry, Any, Result]

OPERATOR = Scope(roles=roles_of("admin"), caller="operator")
"""Who works at the machine itself: the command line and what a node brings along."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a service stands. `face`, `working`: the states of both, None for none; `number`: the version that an edit is of.

    `off_rank`: the rank of who took the face off the shelf.
    """

    id: str
    face: str | None
    working: str | None
    face_number: int
    working_number: int | None
    last_number: int
    held: Held
    document: Mapping[str, Any]
    content_hash: str
    off_rank: int | None = None

    @property
    def number(self) -> int:
        """The version that is worked on; where there is none, that of the face."""
        return self.face_number if self.working_number is None else self.working_number


def standing_of(row: Mapping[str, Any]) -> Standing:
    """From a row of `standing_sql`."""
    is_worked_on = row["working_number"] is not None
    return Standing(
        row["id"],
        row["state"] if row["state"] in FACES else None,
        row["working_state"],
        row["version"],
        row["working_number"],
        row["last_number"] or row["version"],
        Held(row["organisation_id"], row["area_code"], row["organisation_area"]),
        orjson.loads((row["working_document"] if is_worked_on else row["face_document"]) or "{}"),
        (row["working_hash"] if is_worked_on else row["face_hash"]) or "",
        row["off_rank"],
    )


def _standing(service_id: str) -> Steps[Standing]:
    if (yield lock_sql(service_id)) is None:
        raise NotFound("service", service_id)
    return standing_of((yield standing_sql(service_id)))


def _told(scope: Scope, event: str, document: Mapping[str, Any], why: str | None, **detail: Any) -> Entry:
    owner = document.get("organisation_id")
    return entry_of(scope, event, "service", document["id"], why=why, detail=detail, organisation_id=owner)


def _check_owner(scope: Scope, document: Mapping[str, Any], doing: str) -> Steps[None]:
    """Raise where the organisation is none, or is not one that the caller may write services of."""
    owner, area = document.get("organisation_id"), None
    if owner:
        row = yield organisation_sql(owner)
        if row is None:
            raise InvalidParameter(
                "organisation_id",
                owner,
                "no such organisation; /catalogue/organisations lists them",
                rule="no-organisation",
            )
        area = row["area_code"]
    require_duties(scope, Held(owner, document.get("area_code"), area), EDITORS, doing)


def register(scope: Scope, values: Mapping[str, Any]) -> Steps[None]:
    """A draft; its organisation is the caller's where none is named. Raises Forbidden, Conflict where the id is taken."""
    document = document_of({**values, "organisation_id": values.get("organisation_id") or scope.organisation_id})
    yield from _check_owner(scope, document, "register")
    service_id = document["id"]
    if (yield insert_face_sql(service_id, document["kind"], identity_of(scope))) is None:
        raise Conflict(
            f"a service '{service_id}' exists already; edit it, or choose another id", rule="exists", parameter="id"
        )
    yield from _first(scope, document, "draft")


def edit(
    scope: Scope, service_id: str, stated: Collection[str], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Steps[None]:
    """A new draft, by `change` of the version that an edit is of; `stated` are its numbers that the caller read, `*` for any.

    Raises Forbidden, PreconditionFailed, Conflict for one that is in review.
    """
    at = yield from _standing(service_id)
    require_duties(scope, at.held, EDITORS, "edit")
    if "*" not in stated and str(at.number) not in stated:
        raise PreconditionFailed(f"the service is at version {at.number} now; read it again", rule="changed")
    document = document_of({**change(at.document), "id": service_id})
    yield from _check_owner(scope, document, "edit")
    yield from _draft(scope, at, document)


def _draft(scope: Scope, at: Standing, document: Mapping[str, Any]) -> Steps[None]:
    """Put a draft in the place of the one before it, beside the face if there is one."""
    _require_open(at)
    number = at.last_number + 1
    if at.working_number is not None:
        yield move_version_sql(at.id, at.working_number, "edit", "archived", "", None)
    yield add_version_sql(at.id, number, "draft", document, identity_of(scope))
    if at.face is None:
        yield show_sql(at.id, number)
    yield _told(scope, "edit", document, None, version=number, members=sorted(differences(at.document, document)))


def _require_open(at: Standing) -> None:
    """Raise Conflict where no edit is taken: what is in review stays as it is until it is returned."""
    if takes_edits(at.face, at.working):
        return
    allowed = allowed_events(at.face, at.working)
    facts = {"state": at.face or at.working, "working": at.working, "allowed": allowed}
    if at.working in ("in_review", "approved"):
        told = f"the version in work is {at.working}: recall or return it before it is edited"
        raise Conflict(told, rule="in-review", facts=facts)
    raise Conflict("the service is archived; register another", rule="archived", facts=facts)


def take(
    scope: Scope,
    service_id: str,
    event: Event,
    *,
    why: str | None = None,
    content_hash: str | None = None,
    rank: int | None = None,
) -> Steps[None]:
    """Do the event. `content_hash`: of the content that is approved, or meant. `rank`: as whose it stands, the caller's where it is None.

    Raises Forbidden, Conflict (out of order, another content, or one's own work), InvalidParameter, Incomplete.
    """
    at = yield from _standing(service_id)
    require_duties(scope, at.held, event.duties, event.name)
    require_event(event, at.face, at.working)
    _check_rank(scope, at, event)
    if event.needs_reason and not why:
        raise InvalidParameter("why", "", f"a reason is needed to {event.name} a service", rule="needed")
    _check_hash(at, event, content_hash)
    if event.is_review:
        yield from _check_separation(scope, at, event)
    if event.name in ("submit", "publish"):
        _check_shelf(at.id, at.document)
    number = at.face_number if event.is_of_face else at.number
    yield from _move(at, event, identity_of(scope), why, rank_of(scope, at.held) if rank is None else rank)
    yield _told(
        scope, event.name, {"id": at.id, "organisation_id": at.held.organisation_id}, why,
        version=number, content_hash=at.content_hash, former=at.face if event.is_of_face else at.working, state=event.target,
    )  # fmt: skip


def _check_rank(scope: Scope, at: Standing, event: Event) -> None:
    if is_outranked(scope, at.held, event, at.face, at.off_rank):
        by = RANKS[(at.off_rank or 1) - 1]
        raise Forbidden(
            f"the service was {at.face} with the duty {by}: to {event.name} it needs that duty or one above, of {', '.join(RANKS)}"
        )


def _check_hash(at: Standing, event: Event, content_hash: str | None) -> None:
    if event.name == "approve" and content_hash is None:
        raise InvalidParameter("content_hash", "", "name the content_hash of the version that was reviewed")
    if content_hash is not None and content_hash != at.content_hash:
        raise Conflict(
            f"the content is another now: {at.content_hash}; read it again",
            rule="changed",
            facts={"content_hash": at.content_hash, "allowed": allowed_events(at.face, at.working)},
        )


def _check_separation(scope: Scope, at: Standing, event: Event) -> Steps[None]:
    people = (yield editors_sql(at.id, at.number))["people"] or ()
    if identity_of(scope) in people:
        allowed = [name for name in allowed_events(at.face, at.working) if not EVENTS[name].is_review]
        raise Conflict(
            f"nobody may {event.name} what they edited or submitted themselves; another reviewer has to",
            rule="own-work",
            facts={"state": at.face or at.working, "working": at.working, "allowed": allowed},
        )


def _check_shelf(service_id: str, document: Mapping[str, Any]) -> None:
    missing = missing_for_the_shelf(document)
    if missing:
        raise Incomplete(service_id, missing)


def _move(at: Standing, event: Event, by: str, why: str | None, rank: int) -> Steps[None]:
    """Write the new state of the version, of the face, or of both."""
    if event.is_of_face:
        assert event.target is not None
        yield move_version_sql(at.id, at.face_number, event.name, event.target, by, why)
        yield state_sql(at.id, event.target, why, None if event.target == "published" else max(rank, at.off_rank or 0))
        if event.target == "archived" and at.working_number is not None:
            yield move_version_sql(at.id, at.working_number, event.name, "archived", by, why)
        return
    if event.target is None:
        yield (
            delete_sql(at.id)
            if at.face is None
            else move_version_sql(at.id, at.number, event.name, "archived", by, why)
        )
        return
    if event.name == "publish" and at.face is not None:
        yield move_version_sql(at.id, at.face_number, "supersede", "archived", by, None)
    yield move_version_sql(at.id, at.number, event.name, event.target, by, why)
    if at.face is None or event.name == "publish":
        yield show_sql(at.id, at.number)


def put(scope: Scope, values: Mapping[str, Any]) -> Steps[str]:
    """Register a service or draft an edit of it; gives `inserted`, `updated` or `unchanged`."""
    if (yield lock_sql(values["id"])) is None:
        yield from register(scope, values)
        return "inserted"
    at = yield from _standing(values["id"])
    document = document_of(values)
    require_duties(scope, at.held, EDITORS, "edit")
    if (yield is_same_sql(at.id, at.number, document)) is not None:
        return "unchanged"
    yield from _check_owner(scope, document, "edit")
    yield from _draft(scope, at, document)
    return "updated"


def put_directly(values: Mapping[str, Any], *, is_published: bool, by: str = OPERATOR.caller) -> Steps[str]:
    """As the operator at the machine: no review is asked for, and it is audited as theirs.

    What has a face gets the content at once and keeps its state; what has none is a draft, or is put on the shelf where
    `is_published`. Gives `inserted`, `updated` or `unchanged`. Raises Incomplete for what the shelf needs.
    """
    scope = Scope(roles=OPERATOR.roles, caller=by)
    document, service_id = document_of(values), values["id"]
    if (yield insert_face_sql(service_id, document["kind"], by)) is not None:
        state = "published" if is_published else "draft"
        if is_published:
            _check_shelf(service_id, document)
        yield from _first(scope, document, state)
        return "inserted"
    at = yield from _standing(service_id)
    state = at.face or ("published" if is_published else "draft")
    is_same = (yield is_same_sql(service_id, at.face_number, document)) is not None
    if is_same and (at.face is not None or not is_published):
        return "unchanged"
    if state == "draft":
        yield from _draft(scope, at, document)
        return "updated"
    if state == "published":
        _check_shelf(service_id, document)
    if state == "archived":
        _require_open(at)
    yield from _replace_face(scope, at, document, state)
    return "updated"


def _first(scope: Scope, document: Mapping[str, Any], state: str) -> Steps[None]:
    service_id = document["id"]
    yield add_version_sql(service_id, 1, state, document, identity_of(scope))
    yield show_sql(service_id, 1)
    yield _told(scope, "register" if state == "draft" else "publish directly", document, None, version=1, state=state)


def _replace_face(scope: Scope, at: Standing, document: Mapping[str, Any], state: str) -> Steps[None]:
    former = at.face_number if at.face is not None else at.number
    yield move_version_sql(at.id, former, "supersede", "archived", "", None)
    number = at.last_number + 1
    yield add_version_sql(at.id, number, state, document, identity_of(scope))
    yield show_sql(at.id, number)
    yield _told(scope, "publish directly", document, None, version=number, state=state)
