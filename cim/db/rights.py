"""What a key is allowed, as it is asked for and kept: the same check for the command line and for HTTP."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cim.errors import InvalidParameter
from cim.model import ROLES, Collection, Scope, roles_of
from cim.query.areas import parse_area_code
from cim.sql import Cast, Sql

MAX_NAMES = 200
MIN_PRECISION_M = 1.0
MAX_PRECISION_M = 100_000.0

MEMBERS = ("role", "collections", "area_code", "hidden", "precision_m")
"""Columns of `cim.api_key` that make a Scope."""

OF_KEY = ("organisation_id", "person_id", "duties", "services", "grant_id")
"""Columns of `cim.api_key` that say whom it acts for in the catalogue."""

_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")


@dataclass(frozen=True, slots=True)
class Rights:
    """Role, and the limits of it: None (or no name) for no limit. An admin has none; an editor sees what they edit whole."""

    role: str = "reader"
    collections: tuple[str, ...] | None = None
    area_code: str | None = None
    hidden: tuple[str, ...] = ()
    precision_m: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As lists and answers show them."""
        return {
            "role": self.role,
            "collections": None if self.collections is None else list(self.collections),
            "area_code": self.area_code,
            "hidden": list(self.hidden),
            "precision_m": self.precision_m,
        }

    def bound(self) -> Sql:
        """The values of `MEMBERS`, to stand in VALUES."""
        collections = None if self.collections is None else list(self.collections)
        return Sql.of(
            "{}, {}, {}, {}, {}",
            self.role,
            Cast(collections, "text[]"),
            Cast(self.area_code, "text"),
            Cast(list(self.hidden), "text[]"),
            Cast(self.precision_m, "float8"),
        )


def scope_of_key(row: Mapping[str, Any]) -> Scope:
    """What the caller with a key may see, from a row with `MEMBERS`, `OF_KEY`, `prefix` and `label`."""
    return Scope(
        roles=roles_of(row["role"]) | frozenset(row["duties"]),
        area_code=row["area_code"],
        hidden=frozenset(row["hidden"]),
        caller=f"key {row['prefix']} {row['label']}".strip(),
        collections=None if row["collections"] is None else frozenset(row["collections"]),
        precision_m=row["precision_m"],
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        key_prefix=row["prefix"],
        services=None if row["services"] is None else frozenset(row["services"]),
        grant_id=row["grant_id"],
    )


def checked_rights(asked: Mapping[str, Any], known: Iterable[Collection]) -> Rights:
    """Rights from `MEMBERS` as a JSON body has them; `known` are the collections of this node.

    A name that none of them has is refused: a slip in `hidden` would hide nothing. Raises InvalidParameter.
    """
    collections = list(known)
    role = asked.get("role", "reader")
    if not isinstance(role, str) or role not in ROLES:
        raise InvalidParameter("role", role, f"one of {', '.join(ROLES)}")
    rights = Rights(
        role=role,
        collections=_collections(asked.get("collections"), collections),
        area_code=_area(asked.get("area_code")),
        hidden=_hidden(asked.get("hidden"), collections),
        precision_m=parse_precision(asked.get("precision_m")),
    )
    _check_role(rights)
    return rights


def _check_role(rights: Rights) -> None:
    given = {name: value for name, value in rights.to_dict().items() if name != "role" and value not in (None, [])}
    forbidden = {"admin": tuple(given), "editor": ("hidden", "precision_m")}.get(rights.role, ())
    for name in forbidden:
        if name in given:
            allowed = (
                "an admin's key is not limited" if rights.role == "admin" else "an editor sees what they edit whole"
            )
            raise InvalidParameter(name, given[name], allowed)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) <= MAX_NAMES
    if not is_list or not all(isinstance(one, str) and _NAME.fullmatch(one) for one in value):
        raise InvalidParameter(name, value, f"a list of at most {MAX_NAMES} names")
    return tuple(sorted(set(value)))


def _collections(value: Any, known: Sequence[Collection]) -> tuple[str, ...] | None:
    if value is None:
        return None
    ids = [one.id for one in known]
    names = _texts("collections", value)
    for name in names:
        if name not in ids:
            raise InvalidParameter("collections", name, f"each one of {', '.join(ids[:50])}")
    return names


def _hidden(value: Any, known: Sequence[Collection]) -> tuple[str, ...]:
    if value is None:
        return ()
    names = _texts("hidden", value)
    for name in unknown_properties(names, known):
        raise InvalidParameter("hidden", name, "properties of collections here, as name or collection.name")
    return names


def unknown_properties(names: Iterable[str], known: Iterable[Collection]) -> list[str]:
    """Those of `names` (a property's, or `collection.name`) that none of the collections has, in order."""
    there = {text for one in known for name in one.names() for text in (name, f"{one.id}.{name}")}
    return sorted(set(names) - there)


def _area(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidParameter("area_code", value, "a division code as a text, such as 440305")
    return parse_area_code(value, parameter="area_code")


def parse_precision(value: Any, *, parameter: str = "precision_m") -> float | None:
    """Metres of the cells that places are told by. Raises InvalidParameter."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not MIN_PRECISION_M <= value <= MAX_PRECISION_M:
        raise InvalidParameter(parameter, value, f"a number of metres from {MIN_PRECISION_M:g} to {MAX_PRECISION_M:,g}")
    return float(value)
