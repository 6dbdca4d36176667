"""Who may call a service, and what of it: the grant in force, and the Scope under it.

What a worker knows of grants it asks again after `TTL_S`, so one that was revoked is dead everywhere within that time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from cim.db.pool import Runs
from cim.errors import Conflict, Forbidden, NotFound, Unauthorized
from cim.memo import Known, Memo
from cim.model import Scope
from cim.query.grants import in_force_sql

TTL_S = 2.0
MAX_KNOWN = 50_000


class Face(Protocol):
    """What of a service decides who may call it."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def organisation_id(self) -> str | None:
        """Who offers it."""
        ...

    @property
    def share_class(self) -> str:
        """One of `cim.catalogue.service.SHARE_CLASSES`."""
        ...

    @property
    def state(self) -> str:
        """Only what is `published` is called."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """The right of an organisation to call a service, and its conditions.

    `quota_day`: calls of a day of the platform; `rate_calls` within `rate_seconds`; None for any number.
    `area_code`, `hidden`, `precision_m`: as a `Scope` has them.
    """

    id: int
    service_id: str
    organisation_id: str
    application_id: int | None = None
    scenario_id: str | None = None
    quota_day: int | None = None
    rate_calls: int | None = None
    rate_seconds: int | None = None
    expires_at: datetime | None = None
    area_code: str | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)
    precision_m: float | None = None


class Grants:
    """The grants that one worker has lately seen."""

    def __init__(self, database: Runs) -> None:
        self._database = database
        self._known: Memo[tuple[str, str], tuple[Grant, ...]] = Memo(TTL_S, MAX_KNOWN)

    async def admitted(self, service: Face, scope: Scope, *, scenario_id: str | None = None) -> Grant | None:
        """The grant by which the caller may call the service; None where none is needed.

        Unconditional services are anybody's; conditional ones the owner's and those of organisations with a grant; services
        that are not shared the owner's; all are a city admin's. `scenario_id`: for which scenario of the caller's
        organisation the call is made; else the grant without one goes before the oldest.

        Raises NotFound for a service off the shelf (Conflict for its owner and admins), Unauthorized for a caller without a key
        where one is needed, Forbidden.
        """
        is_owner = _is_owner(service, scope)
        if service.state != "published":
            if service.state == "suspended":
                raise Forbidden("the service is suspended; only what is published can be called")
            if not (is_owner or scope.is_city):
                raise NotFound("service", service.id)
            raise Conflict(f"the service is {service.state}; only what is published can be called")
        if scope.services is not None and service.id not in scope.services:
            raise Forbidden("the key sent is for other services")
        if service.share_class == "unconditional" or is_owner:
            return None
        if not scope.roles:
            raise Unauthorized(
                "this service is called with a key: send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"
            )
        if scope.organisation_id is not None and _is_by_grant(service, scope):
            grant = _chosen(await self._in_force(service.id, scope.organisation_id), scenario_id, scope.grant_id)
            if grant is not None:
                return grant
        if scope.is_city:
            return None
        raise Forbidden(_why_not(service, scope, scenario_id))

    async def _in_force(self, service_id: str, organisation_id: str) -> Sequence[Grant]:
        key = (service_id, organisation_id)
        known = self._known.good(key)
        if known is not None:
            return known.value
        rows = await self._database.fetch_rows(in_force_sql(service_id, organisation_id))
        now = datetime.now(UTC)
        grants = tuple(one for one in map(grant_of, rows) if one.expires_at is None or one.expires_at > now)
        ends = [(one.expires_at - now).total_seconds() for one in grants if one.expires_at is not None]
        return self._known.keep(key, grants, lambda: grants, most_s=min(ends, default=math.inf))

    def known(self, service: Face, scope: Scope) -> Known[tuple[Grant, ...]] | None:
        """What is known of the grants by which `admitted` decided; None where it asked for none."""
        if scope.organisation_id is None or not _is_by_grant(service, scope):
            return None
        return self._known.last((service.id, scope.organisation_id))


def _is_owner(service: Face, scope: Scope) -> bool:
    return service.organisation_id is not None and service.organisation_id == scope.organisation_id


def _is_by_grant(service: Face, scope: Scope) -> bool:
    return service.share_class == "conditional" and not _is_owner(service, scope)


def _chosen(grants: Sequence[Grant], scenario_id: str | None, grant_id: int | None) -> Grant | None:
    if grant_id is not None:
        grants = [one for one in grants if one.id == grant_id]
    if scenario_id is None:
        return next(iter(grants), None)
    return next((one for one in grants if one.scenario_id == scenario_id), None)


def _why_not(service: Face, scope: Scope, scenario_id: str | None) -> str:
    if service.share_class == "not_shared":
        return "the service is not shared: only its organisation calls it"
    if scope.grant_id is not None:
        return "the grant of the key sent is for another service, or has ended"
    if scope.organisation_id is None:
        return "the key sent acts for no organisation, and the service is called by grant"
    named = f" for the scenario '{scenario_id[:80]}'" if scenario_id is not None else ""
    return f"'{scope.organisation_id}' has no grant in force{named}; apply for the service by POST /applications"


def grant_of(row: Any) -> Grant:
    """A grant from a row of `cim.query.grants`."""
    return Grant(
        id=row["id"],
        service_id=row["service_id"],
        organisation_id=row["organisation_id"],
        application_id=row["application_id"],
        scenario_id=row["scenario_id"],
        quota_day=row["quota_day"],
        rate_calls=row["rate_calls"],
        rate_seconds=row["rate_seconds"],
        expires_at=row["expires_at"],
        area_code=row["area_code"],
        hidden=frozenset(row["hidden"]),
        precision_m=row["precision_m"],
    )


def scope_under(grant: Grant | None, scope: Scope, *, collection_id: str | None = None) -> Scope:
    """What the caller sees in a call by the grant: no more than the key allows, and no more than the grant.

    `collection_id`: of the collection that the service offers. The call sees it and no other, also where the key itself is
    good for none: the service is the way to the data. Raises Forbidden where the areas of key and grant have nothing in common.
    """
    collections = scope.collections if collection_id is None else frozenset({collection_id})
    if grant is None:
        return replace(scope, collections=collections)
    sizes = [size for size in (scope.precision_m, grant.precision_m) if size is not None]
    return replace(
        scope,
        collections=collections,
        area_code=_common_area(scope.area_code, grant.area_code),
        hidden=scope.hidden | grant.hidden,
        precision_m=max(sizes, default=None),
    )


def _common_area(one: str | None, other: str | None) -> str | None:
    """The smaller of two areas of which one holds the other: codes are prefixes of those within."""
    if one is None or other is None:
        return one if other is None else other
    small, large = (one, other) if len(one) >= len(other) else (other, one)
    if not small.startswith(large):
        raise Forbidden(f"the key sees {one} only and the grant is for {other}: they have nothing in common")
    return small
