"""What is taken of an organisation and of a person."""

import secrets
from collections.abc import Mapping
from typing import Any

from cim.errors import InvalidBody, InvalidParameter, UnknownParameter
from cim.model.scope import DUTIES
from cim.people.members import email_member, key_member, one_of, some_of, text_member
from cim.query.areas import parse_area_code

STATES = ("active", "suspended")
ORGANISATION_MEMBERS = ("id", "name_zh", "name_en", "contact", "area_code", "state")
PERSON_MEMBERS = ("login", "name", "email", "organisation_id", "duties", "area_code", "state", "subject", "password")


def checked_organisation(body: Mapping[str, Any], *, is_partial: bool = False) -> dict[str, Any]:
    """Columns of `cim.organisation` that the body writes. Raises UnknownParameter, InvalidParameter, InvalidBody."""
    _known(body, ORGANISATION_MEMBERS)
    values = {name: _organisation_member(name, value) for name, value in body.items()}
    if is_partial:
        if "id" in values:
            raise InvalidParameter("id", values["id"], "an id cannot be changed")
        _some(values)
        return values
    if "id" not in values or not (values.get("name_zh") or values.get("name_en")):
        raise InvalidBody("id, and name_zh or name_en, are needed", rule="id-and-name")
    return {"name_zh": "", "name_en": "", **values}


def _organisation_member(name: str, value: Any) -> Any:
    match name:
        case "id":
            return key_member(name, value)
        case "state":
            return one_of(name, value, STATES)
        case "area_code":
            return area_member(name, value)
        case "contact":
            return text_member(name, value, 300)
    return text_member(name, value, 200) or ""


def checked_person(body: Mapping[str, Any], *, is_partial: bool = False) -> dict[str, Any]:
    """Columns of `cim.person` that the body writes, and `password` as it came. Raises as `checked_organisation`."""
    _known(body, (*PERSON_MEMBERS, "current_password") if is_partial else PERSON_MEMBERS)
    values = {name: _person_member(name, value) for name, value in body.items()}
    if is_partial:
        for name in ("login", "subject"):
            if name in values:
                raise InvalidParameter(name, values[name], "cannot be changed")
        _some(values)
        return values
    for name in ("login", "organisation_id"):
        if not values.get(name):
            raise InvalidParameter(name, "", "is needed to make a person", rule="needed")
    return {"id": f"p-{secrets.token_hex(8)}", "name": values["login"], "duties": [], **values}


def _person_member(name: str, value: Any) -> Any:
    match name:
        case "login":
            return key_member(name, value).lower()
        case "organisation_id":
            return key_member(name, value)
        case "duties":
            return some_of(name, value, DUTIES)
        case "state":
            return one_of(name, value, STATES)
        case "area_code":
            return area_member(name, value)
        case "email":
            return email_member(name, value)
        case "subject":
            return text_member(name, value, 255, is_needed=True)
        case "password" | "current_password":
            return value
    return text_member(name, value, 100, is_needed=True)


def area_member(name: str, value: Any) -> str | None:
    """A division code, trimmed, or None. Raises InvalidParameter."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidParameter(name, value, "a division code as a text, such as 440305", rule="area-code")
    return parse_area_code(value, parameter=name)


def _known(body: Mapping[str, Any], members: tuple[str, ...]) -> None:
    for name in body:
        if name not in members:
            raise UnknownParameter(name, members)


def _some(values: Mapping[str, Any]) -> None:
    if not values:
        raise InvalidBody("nothing to change: the body is empty")
