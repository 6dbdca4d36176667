"""The desk (管理): its sections, the overview, and the frame that its pages share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.portal.ask import Refused
from api.portal.forms import a_page
from api.portal.frame import page, who_of
from cim.catalogue.life import EDITORS, MANAGERS, REVIEWERS
from cim.model import Scope
from cim.model.scope import DUTIES


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the desk's list: `desk/<key>`, its message `section.<key>`, the group it stands in (message
    `group.<group>`), and who has a use for it."""

    key: str
    group: str
    is_for: Callable[[Scope], bool] = lambda _: True


def _has_duty(*duties: str) -> Callable[[Scope], bool]:
    return lambda scope: bool(scope.roles & set(duties))


SECTIONS: tuple[Section, ...] = (
    Section("", ""),
    Section("services", "services", _has_duty(*DUTIES)),
    Section("reviews", "services", _has_duty(*REVIEWERS, *MANAGERS)),
    Section("bulk", "services", _has_duty(*EDITORS)),
    Section("harvests", "services", _has_duty("org_admin", "city_admin")),
    Section("loads", "services", lambda scope: scope.is_admin),
    Section("applications", "access"),
    Section("grants", "access"),
    Section("keys", "access"),
    Section("scenarios", "access"),
    Section("meters", "meter"),
    Section("settlements", "meter"),
    Section("prices", "meter", _has_duty("publisher", "org_admin", "city_admin")),
    Section("people", "node", _has_duty("org_admin", "district_admin", "city_admin")),
    Section("organisations", "node", _has_duty("org_admin", "district_admin", "city_admin")),
    Section("nodes", "node", lambda scope: scope.is_city),
    Section("audit", "node", _has_duty("org_admin", "city_admin")),
)
"""In the order they are listed. A new section is one line, its page in one file, its messages in one."""

at_desk = a_page("desk", needs_login=True)
"""Around every handler of the desk."""


def acts_for_many(scope: Scope) -> bool:
    """True for those who act for more than one organisation."""
    return scope.is_city or "district_admin" in scope.roles


async def desk_page(
    request: Request, template: str, section: str, *, refused: Refused | None = None, **values: Any
) -> Response:
    """A page of the desk; `section` is the key of the one it belongs to.

    `refused`: what the API did not take of the form that was sent; the page has its status, and `bad` names the field.
    """
    scope = (await who_of(request)).scope
    values = {
        "section": section or "overview",
        "sections": {one.key: one.group for one in SECTIONS if one.is_for(scope)},
        "refused": refused,
        "bad": "" if refused is None else str(refused.problem.get("parameter", "")),
        **values,
    }
    return await page(request, template, "desk", status=200 if refused is None else refused.status, **values)
