"""The life of a service as one table: which event leads from which state to which, and who may do it.

A service has a public face (`published`, `suspended`, `withdrawn`, at last `archived`) and, beside it or before there is
one, a working version (`draft`, `in_review`, `approved`). Each event is of one of the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cim.errors import Conflict, Forbidden, Unauthorized
from cim.model import Scope

WORKING = ("draft", "in_review", "approved")
"""States of a version that is worked on: 草稿, 审核中, 审核通过."""
FACES = ("published", "suspended", "withdrawn", "archived")
"""States of what the public sees, or saw: 已上架, 已暂停, 已下架, 已归档."""
STATES = (*WORKING, *FACES)

EDITORS = ("publisher", "org_admin", "district_admin", "city_admin")
REVIEWERS = ("reviewer", "district_admin", "city_admin")
MANAGERS = ("org_admin", "district_admin", "city_admin")


@dataclass(frozen=True, slots=True)
class Event:
    """`sources`: states it may come from; `target`: the state it leads to, None for none at all. `duties`: who may do it."""

    name: str
    title_zh: str
    sources: tuple[str, ...]
    target: str | None
    duties: tuple[str, ...]
    needs_reason: bool = False

    @property
    def is_review(self) -> bool:
        """True where nobody may do it to what they edited or submitted themselves."""
        return self.name in ("approve", "return")

    @property
    def is_of_face(self) -> bool:
        """True where the state that counts is the face's; else the working version's."""
        return self.sources[0] in FACES


RANKS = ("org_admin", "district_admin", "city_admin")
"""Duties of `MANAGERS`, each above those before it: what one of them took off the shelf none below puts back."""

EVENTS = {
    event.name: event
    for event in (
        Event("submit", "提交审核", ("draft",), "in_review", EDITORS),
        Event("recall", "撤回提交", ("in_review",), "draft", EDITORS),
        Event("return", "退回修改", ("in_review", "approved"), "draft", REVIEWERS, needs_reason=True),
        Event("approve", "审核通过", ("in_review",), "approved", REVIEWERS),
        Event("publish", "上架", ("approved",), "published", MANAGERS),
        Event("discard", "放弃草稿", ("draft",), None, EDITORS),
        Event("suspend", "暂停", ("published",), "suspended", MANAGERS, needs_reason=True),
        Event("resume", "恢复", ("suspended",), "published", MANAGERS),
        Event("withdraw", "下架", ("published", "suspended"), "withdrawn", MANAGERS, needs_reason=True),
        Event("republish", "重新上架", ("withdrawn",), "published", MANAGERS),
        Event("archive", "归档", ("withdrawn",), "archived", MANAGERS, needs_reason=True),
    )
}
"""Name → event."""


def allowed_events(face: str | None, working: str | None) -> list[str]:
    """Events that a service may take, whoever asks; states of its face and of its working version, None where it has none."""
    return [event.name for event in EVENTS.values() if takes(event, face, working)]


def takes(event: Event, face: str | None, working: str | None) -> bool:
    """True where a service in these states may take the event. What is suspended is not put back by a new version."""
    if event.is_of_face:
        return face in event.sources
    if event.name == "publish" and face == "suspended":
        return False
    return working in event.sources


def takes_edits(face: str | None, working: str | None) -> bool:
    """True where a service may be edited: what is in review stays as it is until it is back, what is archived for good."""
    return working not in ("in_review", "approved") and face != "archived"


@dataclass(frozen=True, slots=True)
class Held:
    """Whose a service is: its organisation, its area, and the district that the organisation is of."""

    organisation_id: str | None
    area_code: str | None
    organisation_area: str | None


def duties_at(scope: Scope, held: Held) -> frozenset[str]:
    """The duties that the caller has for this service. A reviewer without an organisation is the city's."""
    duties = scope.roles & {"city_admin"}
    if scope.organisation_id is not None and scope.organisation_id == held.organisation_id:
        duties |= scope.roles & {"publisher", "reviewer", "org_admin"}
    if scope.organisation_id is None:
        duties |= scope.roles & {"reviewer"}
    if scope.area_code and any(
        (code or "").startswith(scope.area_code) for code in (held.area_code, held.organisation_area)
    ):
        duties |= scope.roles & {"district_admin"}
    return duties


def rank_of(scope: Scope, held: Held) -> int:
    """The caller's rank for this service, from 1; 0 without one of `RANKS`."""
    duties = duties_at(scope, held)
    return max((rank for rank, duty in enumerate(RANKS, start=1) if duty in duties), default=0)


def is_outranked(scope: Scope, held: Held, event: Event, face: str | None, off_rank: int | None) -> bool:
    """True where the event would put back on the shelf what somebody above the caller took off it, by rank `off_rank`."""
    puts_back = event.target == "published" and face in ("suspended", "withdrawn")
    return puts_back and rank_of(scope, held) < (off_rank or 0)


def identity_of(scope: Scope) -> str:
    """Who the caller is, for the separation of duties: a person with several keys is one."""
    if scope.person_id is not None:
        return f"person {scope.person_id}"
    return f"key {scope.key_prefix}" if scope.key_prefix is not None else scope.caller or "anonymous"


def require_duties(scope: Scope, held: Held, duties: tuple[str, ...], doing: str) -> None:
    """Raise Unauthorized for the anonymous caller, Forbidden for one who has none of the duties here."""
    if not scope.roles:
        raise Unauthorized("this needs a key or a session: send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
    if not duties_at(scope, held) & set(duties):
        raise Forbidden(
            f"to {doing} this service needs, for its organisation or its district, one of: {', '.join(duties)}",
            rule="duty",
            facts={"duty": list(duties)},
        )


def require_event(event: Event, face: str | None, working: str | None) -> None:
    """Raise Conflict, with the events that are allowed, where a service in these states cannot take the event."""
    if takes(event, face, working):
        return
    allowed = allowed_events(face, working)
    state = " with a version that is ".join(part for part in (face, working) if part)
    raise Conflict(
        f"a service that is {state} cannot {event.name}; it can {', '.join(allowed) or 'nothing'}",
        rule="state",
        facts={"state": face or working, "working": working, "allowed": allowed},
    )


def differences(former: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Member → `from` and `to`, of those that differ between two documents."""
    names = [*former, *(name for name in later if name not in former)]
    return {
        name: {"from": former.get(name), "to": later.get(name)} for name in names if former.get(name) != later.get(name)
    }
