"""Application scenarios (应用场景): what an organisation builds with services, as it registers them."""

import secrets
from collections.abc import Mapping
from typing import Any

from cim.errors import InvalidBody, InvalidParameter, UnknownParameter
from cim.people.members import key_member, one_of, text_member, url_member

MEMBERS = ("id", "title_zh", "title_en", "description", "contact", "url", "state", "is_public")
STATES = ("active", "archived")
_LONGEST = {"title_zh": 200, "title_en": 200, "description": 4000, "contact": 300}


def checked_scenario(body: Mapping[str, Any], *, is_partial: bool = False) -> dict[str, Any]:
    """Columns of `cim.scenario` that the body writes. Raises UnknownParameter, InvalidParameter, InvalidBody."""
    for name in body:
        if name not in MEMBERS:
            raise UnknownParameter(name, MEMBERS)
    values = {name: _member(name, value) for name, value in body.items()}
    if is_partial:
        if "id" in values:
            raise InvalidParameter("id", values["id"], "an id cannot be changed")
        if not values:
            raise InvalidBody("nothing to change: the body is empty")
        return values
    if not values.get("title_zh") and not values.get("title_en"):
        raise InvalidParameter("title_zh", "", "a title in Chinese or English is needed", rule="title")
    return {"id": f"s-{secrets.token_hex(6)}", **values}


def _member(name: str, value: Any) -> Any:
    match name:
        case "id":
            return key_member(name, value)
        case "state":
            return one_of(name, value, STATES)
        case "is_public":
            if not isinstance(value, bool):
                raise InvalidParameter(name, value, "true or false")
            return value
        case "url":
            return url_member(name, value)
    text = text_member(name, value, _LONGEST[name])
    return text if name == "contact" else text or ""
