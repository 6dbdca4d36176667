"""What a harvest is declared by: checked members, or an address on the command line."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg

from cim.catalogue.harvest import KINDS
from cim.catalogue.service import SHARE_CLASSES, checked
from cim.db.services import first_row
from cim.errors import InvalidParameter, NotFound, UnknownParameter
from cim.gateway.policy import Allowed, checked_url, parse_allowed
from cim.query.harvests import MEMBERS, harvest_sql, insert_harvest_sql
from cim.settings import Settings

MIN_INTERVAL_S, MAX_INTERVAL_S = 60, 90 * 86_400

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


def checked_id(value: Any) -> str:
    """The id of a harvest or a node. Raises InvalidParameter."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidParameter("id", value, "1 to 30 of a-z, 0-9 and -, beginning with a letter or digit")
    return value


def checked_harvest(document: Mapping[str, Any], *, allowed: Allowed, is_partial: bool = False) -> dict[str, Any]:
    """The members of a harvest. Raises UnknownParameter, InvalidParameter, UpstreamRefused."""
    for name in document:
        if name not in (*MEMBERS, "id"):
            raise UnknownParameter(name, (*MEMBERS, "id"))
    values = {name: value for name, value in document.items() if name != "id"}
    if not is_partial:
        values.setdefault("kind", "auto")
        for name in ("url", "organisation_id"):
            if not values.get(name):
                raise InvalidParameter(name, "", "is needed to harvest")
    if "kind" in values and values["kind"] not in KINDS:
        raise InvalidParameter("kind", values["kind"], f"one of {', '.join(KINDS)}")
    if "url" in values:
        if not isinstance(values["url"], str):
            raise InvalidParameter("url", values["url"], "an http or https address")
        checked_url(values["url"], allowed=allowed, parameter="url")
    if values.get("state", "active") not in ("active", "paused"):
        raise InvalidParameter("state", values["state"], "active or paused")
    if values.get("share_class") not in (None, *SHARE_CLASSES):
        raise InvalidParameter("share_class", values["share_class"], f"one of {', '.join(SHARE_CLASSES)}")
    every = values.get("interval_s")
    if every is not None and (
        isinstance(every, bool) or not isinstance(every, int) or not MIN_INTERVAL_S <= every <= MAX_INTERVAL_S
    ):
        raise InvalidParameter("interval_s", every, f"null, or {MIN_INTERVAL_S:,} to {MAX_INTERVAL_S:,} seconds")
    checked({n: values[n] for n in ("organisation_id", "area_code") if values.get(n) is not None}, is_partial=True)
    return values


def id_for(url: str) -> str:
    """An id from an address: its host, and a piece of the hash of all of it."""
    host = re.sub(r"[^a-z0-9]+", "-", (urlsplit(url).hostname or "").lower()).strip("-")[:20].strip("-")
    return f"{host or 'source'}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"


def declared(
    connection: psycopg.Connection[Any],
    settings: Settings,
    source: str,
    *,
    harvest_id: str | None,
    kind: str,
    organisation: str | None,
    every: int | None,
    by: str,
    is_kept: bool,
) -> dict[str, Any]:
    """The harvest that `source` names, or one of the address that it is, made where it is new. Raises NotFound."""
    if "://" not in source:
        row = first_row(connection, harvest_sql(source))
        if row is None:
            raise NotFound("harvest", source)
        return row
    identity = checked_id(harvest_id or id_for(source))
    row = first_row(connection, harvest_sql(identity))
    if row is not None:
        return row
    document = {"url": source, "kind": kind, "organisation_id": organisation, "interval_s": every}
    values = checked_harvest(document, allowed=parse_allowed(settings.allowed_upstreams))
    if not is_kept:
        return {"id": identity, "share_class": "conditional", "area_code": None, **values}
    try:
        first_row(connection, insert_harvest_sql(identity, values, by))
    except psycopg.errors.ForeignKeyViolation as error:
        raise InvalidParameter("organisation", organisation, "no such organisation; load or PUT it first") from error
    row = first_row(connection, harvest_sql(identity))
    assert row is not None
    return row
