"""The desk (管理): its sections, the overview, and the frame that its pages share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.portal.forms import a_page
from api.portal.frame import page, who_of
from cim.catalogue.life import EDITORS, MANAGERS, REVIEWERS
from cim.model import Scope
from cim.model.scope import DUTIES


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the desk's list: `desk/<key>`, its message `section.<key>`, and who has a use for it."""

    key: str
    is_for: Callable[[Scope], bool] = lambda _: True


def _has_duty(*duties: str) -> Callable[[Scope], bool]:
    return lambda scope: bool(scope.roles & set(duties))


SECTIONS: tuple[Section, ...] = (
    Section(""),
    Section("services", _has_duty(*DUTIES)),
    Section("reviews", _has_duty(*REVIEWERS, *MANAGERS)),
    Section("bulk", _has_duty(*EDITORS)),
    Section("harvests", _has_duty("org_admin", "city_admin")),
    Section("loads", lambda scope: scope.is_admin),
    Section("applications"),
    Section("grants"),
    Section("keys"),
    Section("scenarios"),
    Section("meters"),
    Section("settlements"),
    Section("prices", _has_duty("publisher", "org_admin", "city_admin")),
    Section("people", _has_duty("org_admin", "district_admin", "city_admin")),
    Section("organisations", _has_duty("org_admin", "district_admin", "city_admin")),
    Section("nodes", lambda scope: scope.is_city),
    Section("audit", _has_duty("org_admin", "city_admin")),
)
"""In the order they are listed. A new section is one line, its page in one file, its messages in one."""

at_desk = a_page("desk", needs_login=True)
"""Around every handler of the desk."""


async def desk_page(request: Request, template: str, section: str, **values: Any) -> Response:
    """A page of the desk; `section` is the key of the one it belongs to."""
    scope = (await who_of(request)).scope
    shown = [one.key for one in SECTIONS if one.is_for(scope)]
    return await page(request, template, "desk", section=section or "overview", sections=shown, **values)
