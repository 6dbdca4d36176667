"""Statements over the public register of application scenarios: those that their organisation shows to everybody."""

from collections.abc import Sequence

from cim.query.listing import Listing
from cim.query.records import holds
from cim.sql import Identifier, Sql

_IN_FORCE = Sql.of(
    "g.scenario_id = c.id AND g.organisation_id = c.organisation_id AND g.revoked_at IS NULL "
    "AND (g.expires_at IS NULL OR g.expires_at > now())"
)

PUBLIC = Sql.of("c.is_public AND c.state = 'active' AND o.state = 'active'")
"""The condition that every statement of the register has."""

REGISTER = Listing(
    Sql.of(
        "SELECT c.id, c.organisation_id AS organisation, o.name_zh AS organisation_zh, o.name_en AS organisation_en, c.title_zh, "
        "c.title_en, c.description, c.url, c.created_at, coalesce((SELECT jsonb_agg(DISTINCT jsonb_build_object('id', s.id, "
        "'title_zh', s.title_zh, 'title_en', s.title_en)) FROM cim.service_grant AS g JOIN cim.service AS s ON s.id = g.service_id "
        "WHERE {} AND s.state = 'published'), '[]')::text AS services "
        "FROM cim.scenario AS c JOIN cim.organisation AS o ON o.id = c.organisation_id",
        _IN_FORCE,
    ),
    Sql.of("c.id"),
)


def has_words(terms: Sequence[str]) -> Sql:
    """The condition that one of the terms stands in a title, the description or a name of the organisation."""
    columns = [Sql.of("c.{}", Identifier(name)) for name in ("title_zh", "title_en", "description")]
    columns += [Sql.of("o.{}", Identifier(name)) for name in ("name_zh", "name_en")]
    return Sql.of("({})", Sql.join(" OR ", [holds(column, term) for term in terms for column in columns]))


def uses(service_id: str) -> Sql:
    """The condition that a grant in force for the scenario is of this service, and that the service is on the shelf."""
    return Sql.of(
        "EXISTS (SELECT FROM cim.service_grant AS g JOIN cim.service AS s ON s.id = g.service_id "
        "WHERE {} AND s.state = 'published' AND g.service_id = {})",
        _IN_FORCE,
        service_id,
    )
