"""Statements over organisations and people. Values are bound; the text depends on the shape asked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cim.model import Scope
from cim.query.listing import Listing, any_of, within
from cim.sql import Cast, Identifier, Sql

ORGANISATIONS = Listing(
    Sql.of(
        "SELECT o.id, o.name_zh, o.name_en, o.contact, o.area_code, o.state, o.created_at FROM cim.organisation AS o"
    ),
    Sql.of("o.id"),
)
PEOPLE = Listing(
    Sql.of(
        "SELECT p.id, p.organisation_id, p.login, p.name, p.email, p.duties, p.area_code, p.state, p.created_at, "
        "p.password_hash IS NOT NULL AS has_password, p.issuer, o.area_code AS organisation_area, "
        "o.state AS organisation_state FROM cim.person AS p JOIN cim.organisation AS o ON o.id = p.organisation_id"
    ),
    Sql.of("p.id"),
)
_CASTS = {"duties": "text[]", "is_public": "boolean"}


def organisations_seen(scope: Scope) -> list[Sql]:
    """Those in force are everybody's to know; a suspended one is known to itself and to whoever acts for it."""
    if scope.is_city:
        return []
    parts = [Sql.of("o.state = 'active'")]
    if scope.organisation_id is not None:
        parts.append(Sql.of("o.id = {}", scope.organisation_id))
    return [any_of([*parts, *_district(scope)])]


def people_seen(scope: Scope) -> list[Sql]:
    """The caller; those of the organisation of an org admin; those of the district of a district admin; all for the city."""
    if scope.is_city:
        return []
    parts = [Sql.of("p.id = {}", scope.person_id)] if scope.person_id is not None else []
    if "org_admin" in scope.roles and scope.organisation_id is not None:
        parts.append(Sql.of("p.organisation_id = {}", scope.organisation_id))
    return [any_of([*parts, *_district(scope)])]


def hangs_on_seen(scope: Scope, column: Sql) -> list[Sql]:
    """Conditions on rows whose `column` is the organisation they hang on: the caller's own, those of the district, or all."""
    if scope.is_city:
        return []
    parts = [Sql.of("{} = {}", column, scope.organisation_id)] if scope.organisation_id is not None else []
    for condition in _district(scope):
        parts.append(Sql.of("{} IN (SELECT o.id FROM cim.organisation AS o WHERE {})", column, condition))
    return [any_of(parts)]


def keys_seen(scope: Scope) -> list[Sql]:
    """One's own keys, for an org admin those of the organisation, those of the district, or all."""
    if scope.is_city:
        return []
    parts = []
    if scope.person_id is not None:
        parts.append(Sql.of("k.person_id = {}", scope.person_id))
    if scope.key_prefix is not None:
        parts.append(Sql.of("k.prefix = {}", scope.key_prefix))
    if "org_admin" in scope.roles and scope.organisation_id is not None:
        parts.append(Sql.of("k.organisation_id = {}", scope.organisation_id))
    for condition in _district(scope):
        parts.append(Sql.of("k.organisation_id IN (SELECT o.id FROM cim.organisation AS o WHERE {})", condition))
    return [any_of(parts)]


def _district(scope: Scope) -> list[Sql]:
    if "district_admin" not in scope.roles or scope.area_code is None:
        return []
    return [within(Sql.of("o.area_code"), scope.area_code)]


def insert_organisation_sql(values: Mapping[str, Any]) -> Sql:
    """Make an organisation; no row when the id is taken."""
    return _insert("organisation", values)


def insert_person_sql(values: Mapping[str, Any]) -> Sql:
    """Make a person; no row when id or login is taken."""
    return _insert("person", values)


def update_sql(table: str, key: str, values: Mapping[str, Any]) -> Sql:
    """Write some columns of one row of `organisation`, `person` or `scenario`; no row when there is none."""
    sets = [Sql.of("{} = {}", Identifier(name), _bound(name, value)) for name, value in values.items()]
    return Sql.of("UPDATE cim.{} SET {} WHERE id = {} RETURNING id", Identifier(table), Sql.join(", ", sets), key)


def _insert(table: str, values: Mapping[str, Any]) -> Sql:
    return Sql.of(
        "INSERT INTO cim.{} ({}) VALUES ({}) ON CONFLICT DO NOTHING RETURNING id",
        Identifier(table),
        Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in values]),
        Sql.join(", ", [_bound(name, value) for name, value in values.items()]),
    )


def _bound(name: str, value: Any) -> Sql:
    return Sql.of("{}", Cast(value, _CASTS.get(name, "text")))


def insert_scenario_sql(values: Mapping[str, Any]) -> Sql:
    """Register a scenario; no row when the id is taken."""
    return _insert("scenario", values)


def delete_organisation_sql(organisation_id: str) -> Sql:
    """Delete an organisation that nothing hangs on; no row when something does."""
    return Sql.of(
        "DELETE FROM cim.organisation AS o WHERE id = {} AND NOT EXISTS (SELECT FROM cim.service WHERE organisation_id = o.id) "
        "AND NOT EXISTS (SELECT FROM cim.person WHERE organisation_id = o.id) "
        "AND NOT EXISTS (SELECT FROM cim.api_key WHERE organisation_id = o.id) "
        "AND NOT EXISTS (SELECT FROM cim.scenario WHERE organisation_id = o.id) "
        "AND NOT EXISTS (SELECT FROM cim.application WHERE organisation_id = o.id) "
        "AND NOT EXISTS (SELECT FROM cim.service_grant WHERE organisation_id = o.id) RETURNING id",
        organisation_id,
    )


def invite_sql(person_id: str, digest: str, expires_at: datetime) -> Sql:
    """The right to set a password once; one given before ends."""
    return Sql.of(
        "INSERT INTO cim.invitation (person_id, digest, expires_at) VALUES ({}, {}, {}) "
        "ON CONFLICT (person_id) DO UPDATE SET digest = EXCLUDED.digest, expires_at = EXCLUDED.expires_at",
        person_id,
        digest,
        Cast(expires_at, "timestamptz"),
    )


def take_invitation_sql(digest: str) -> Sql:
    """Use up an invitation in force of somebody in force; the row says whose it was."""
    return Sql.of(
        "DELETE FROM cim.invitation AS i USING cim.person AS p JOIN cim.organisation AS o ON o.id = p.organisation_id "
        "WHERE i.digest = {} AND i.expires_at > now() AND p.id = i.person_id AND p.state = 'active' AND o.state = 'active' "
        "RETURNING p.id, p.login, p.organisation_id",
        digest,
    )


def organisation_in_force_sql(organisation_id: str) -> Sql:
    """A row where there is such an organisation and it is not suspended."""
    return Sql.of("SELECT id, area_code FROM cim.organisation WHERE id = {} AND state = 'active'", organisation_id)
