"""Statements over the catalogue: search, one, organisations. Values are bound; the text depends on the shape asked."""

from cim.model import Scope
from cim.query.health import availability_sql
from cim.sql import Cast, Identifier, Sql

_SHOWN = Sql.of(
    "s.id, s.state, s.kind, s.organisation_id, o.name_zh AS organisation_zh, o.name_en AS organisation_en, s.title_zh, "
    "s.title_en, s.description_zh, s.description_en, s.themes::text AS themes, s.endpoints::text AS endpoints, "
    "s.collection_id, s.share_class, s.cim_level, s.area_code, ST_AsGeoJSON(s.geom, 7) AS geometry, "
    "ST_XMin(s.geom) AS min_lon, ST_YMin(s.geom) AS min_lat, ST_XMax(s.geom) AS max_lon, ST_YMax(s.geom) AS max_lat, "
    "s.licence, s.contact, s.update_cycle, s.version, s.created_at, s.updated_at, s.published_at, s.time_from, s.time_to, "
    "s.quality, s.content_hash, s.harvest_id, s.remote_id, s.provenance::text AS provenance, s.state_reason, "
    "h.state AS health, h.checked_at AS health_checked_at, {} AS availability",
    availability_sql(),
)

OWNED = Sql.of(
    "LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id LEFT JOIN cim.service_health AS h ON h.service_id = s.id"
)


def shown_to(scope: Scope) -> Sql:
    """Columns of a service `s`, its organisation `o` and its health `h` that its representations take.

    `shows_address`: whether the caller is told where the service runs (`cim.catalogue.shown` heeds it): everybody for what is
    shared without conditions, those inside for the rest.
    """
    inside = own_services(scope, Identifier("s"))
    return Sql.of("{}, (s.share_class = 'unconditional' OR {}) AS shows_address", _SHOWN, inside)


def visible_services(scope: Scope, alias: Identifier) -> Sql:
    """The condition that every statement over the catalogue has: services, or records, that exist for the caller.

    What is on the shelf does for everybody, and what they are inside of in every state. Lists, counts, facets and single
    records all have it.
    """
    if _is_of_the_city(scope):
        return Sql.of("true")
    return Sql.of("({})", Sql.join(" OR ", [Sql.of("{}.state = 'published'", alias), *_own_ways(scope, alias)]))


def own_services(scope: Scope, alias: Identifier) -> Sql:
    """The condition on services, or records, that the caller sees in every state: the organisation's, the district's, the city's."""
    if _is_of_the_city(scope):
        return Sql.of("true")
    return Sql.of("({})", Sql.join(" OR ", _own_ways(scope, alias) or [Sql.of("false")]))


def _is_of_the_city(scope: Scope) -> bool:
    return "city_admin" in scope.roles or (scope.organisation_id is None and "reviewer" in scope.roles)


def _own_ways(scope: Scope, alias: Identifier) -> list[Sql]:
    ways = []
    if scope.organisation_id is not None:
        ways.append(Sql.of("{}.organisation_id = {}", alias, Cast(scope.organisation_id, "text")))
    if "district_admin" in scope.roles and scope.area_code:
        low, high = Cast(scope.area_code, "text"), Cast(scope.area_code + ":", "text")
        ways.append(Sql.of("({}.area_code >= {} AND {}.area_code < {})", alias, low, alias, high))
        ways.append(
            Sql.of(
                "{}.organisation_id IN (SELECT id FROM cim.organisation WHERE area_code >= {} AND area_code < {})",
                alias,
                low,
                high,
            )
        )
    return ways


def service_sql(service_id: str, scope: Scope) -> Sql:
    """The row of one service, if it exists for the caller."""
    visible = visible_services(scope, Identifier("s"))
    return Sql.of(
        "SELECT {} FROM cim.service AS s {} WHERE s.id = {} AND {}", shown_to(scope), OWNED, service_id, visible
    )


def id_sql(service_id: str) -> Sql:
    """A row when the id is taken."""
    return Sql.of("SELECT id FROM cim.service WHERE id = {}", service_id)


def offers_sql(kind: str, collection_id: str) -> Sql:
    """A row when a service of this kind offers the collection."""
    return Sql.of("SELECT id FROM cim.service WHERE kind = {} AND collection_id = {} LIMIT 1", kind, collection_id)


def organisations_sql() -> Sql:
    """Every organisation."""
    return Sql.of("SELECT id, name_zh, name_en, contact FROM cim.organisation ORDER BY id")


def owners_sql() -> Sql:
    """Id and organisation of every service."""
    return Sql.of("SELECT id, organisation_id FROM cim.service")


def put_organisation_sql(organisation_id: str, name_zh: str, name_en: str, contact: str | None) -> Sql:
    """Write an organisation anew."""
    return Sql.of(
        "INSERT INTO cim.organisation (id, name_zh, name_en, contact) VALUES ({}, {}, {}, {}) "
        "ON CONFLICT (id) DO UPDATE SET name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en, contact = EXCLUDED.contact",
        organisation_id,
        name_zh,
        name_en,
        contact,
    )
