"""Statements over the catalogue: search, one, organisations. Values are bound; the text depends on the shape asked."""

from dataclasses import dataclass

import orjson

from cim.bbox import Bbox
from cim.model import Scope
from cim.query.predicate import envelope
from cim.sql import Cast, Identifier, Sql

_SHOWN = Sql.of(
    "s.id, s.state, s.kind, s.organisation_id, o.name_zh AS organisation_zh, o.name_en AS organisation_en, s.title_zh, "
    "s.title_en, s.description_zh, s.description_en, s.themes::text AS themes, s.endpoints::text AS endpoints, "
    "s.collection_id, s.share_class, s.cim_level, s.area_code, ST_AsGeoJSON(s.geom, 7) AS geometry, "
    "ST_XMin(s.geom) AS min_lon, ST_YMin(s.geom) AS min_lat, ST_XMax(s.geom) AS max_lon, ST_YMax(s.geom) AS max_lat, "
    "s.licence, s.contact, s.update_cycle, s.time_from, s.time_to, s.quality, s.state_reason, "
    "s.version, s.created_at, s.updated_at, s.published_at"
)
_FROM = Sql.of("FROM cim.service AS s LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id")
_SEARCHED = Sql.of(
    "concat_ws(' ', s.id, s.title_zh, s.title_en, s.description_zh, s.description_en, o.name_zh, o.name_en, "
    "(SELECT string_agg(theme, ' ') FROM jsonb_array_elements_text(s.themes) AS theme))"
)


@dataclass(frozen=True, slots=True)
class ServiceQuery:
    """What is asked of the catalogue. `words` must all occur; `state` is one of `cim.catalogue.life.STATES`."""

    state: str | None = None
    words: tuple[str, ...] = ()
    kind: str | None = None
    theme: str | None = None
    organisation: str | None = None
    share_class: str | None = None
    area: str | None = None
    bbox: Bbox | None = None
    limit: int = 10
    after: str | None = None

    def fingerprint(self) -> bytes:
        """The conditions without page size and position: what a cursor is bound to."""
        facts = (
            self.state,
            self.words,
            self.kind,
            self.theme,
            self.organisation,
            self.share_class,
            self.area,
            self.bbox,
        )
        return b"catalogue\n" + repr(facts).encode()


def visible_services(scope: Scope) -> Sql:
    """The condition that every statement over the catalogue has: services, alias `s`, that exist for the caller.

    What is on the shelf does for everybody; members of the owner, those of the district, the city's reviewers and its
    admins see theirs in every state. Lists, counts, facets and single records all have it.
    """
    if "city_admin" in scope.roles or (scope.organisation_id is None and "reviewer" in scope.roles):
        return Sql.of("true")
    ways = [Sql.of("s.state = 'published'")]
    if scope.organisation_id is not None:
        ways.append(Sql.of("s.organisation_id = {}", Cast(scope.organisation_id, "text")))
    if "district_admin" in scope.roles and scope.area_code:
        low, high = scope.area_code, scope.area_code + ":"
        ways.append(Sql.of("(s.area_code >= {} AND s.area_code < {})", Cast(low, "text"), Cast(high, "text")))
        ways.append(
            Sql.of(
                "s.organisation_id IN (SELECT id FROM cim.organisation WHERE area_code >= {} AND area_code < {})",
                Cast(low, "text"),
                Cast(high, "text"),
            )
        )
    return Sql.of("({})", Sql.join(" OR ", ways))


def _pattern(word: str) -> str:
    """`word` anywhere, its own wildcards taken as they are."""
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def services_sql(query: ServiceQuery, scope: Scope) -> Sql:
    """Rows of a page in the order of ids, one more than the limit."""
    conditions = [visible_services(scope)]
    if query.words:
        patterns = Cast([_pattern(word) for word in query.words], "text[]")
        every = Sql.of("ARRAY(SELECT lower(pattern) FROM unnest({}) AS pattern)", patterns)
        conditions.append(Sql.of("lower({}) LIKE ALL ({})", _SEARCHED, every))
    for column, value in (
        ("state", query.state),
        ("kind", query.kind),
        ("organisation_id", query.organisation),
        ("share_class", query.share_class),
    ):
        if value is not None:
            conditions.append(Sql.of("s.{} = {}", Identifier(column), value))
    if query.theme is not None:
        conditions.append(Sql.of("s.themes @> {}", Cast(orjson.dumps([query.theme]).decode(), "jsonb")))
    if query.area is not None:
        conditions.append(Sql.of("s.area_code >= {} AND s.area_code < {}", query.area, query.area + ":"))
    if query.bbox is not None:
        boxes = Sql.join(" OR ", [Sql.of("s.geom && {}", envelope(part)) for part in query.bbox.parts()])
        conditions.append(Sql.of("({})", boxes))
    if query.after is not None:
        conditions.append(Sql.of("s.id > {}", query.after))
    return Sql.of(
        "SELECT {} {} WHERE {} ORDER BY s.id LIMIT {}",
        _SHOWN,
        _FROM,
        Sql.join(" AND ", conditions),
        Cast(query.limit + 1, "bigint"),
    )


def service_sql(service_id: str, scope: Scope) -> Sql:
    """The row of one service, if it exists for the caller."""
    return Sql.of("SELECT {} {} WHERE s.id = {} AND {}", _SHOWN, _FROM, service_id, visible_services(scope))


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
