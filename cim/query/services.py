"""Statements over the catalogue: search, one, write. Values are bound; the text depends on the shape asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from cim.bbox import Bbox
from cim.query.predicate import envelope
from cim.sql import Cast, Identifier, Sql

_SHOWN = Sql.of(
    "s.id, s.state, s.kind, s.organisation_id, o.name_zh AS organisation_zh, o.name_en AS organisation_en, s.title_zh, "
    "s.title_en, s.description_zh, s.description_en, s.themes::text AS themes, s.endpoints::text AS endpoints, "
    "s.collection_id, s.share_class, s.cim_level, s.area_code, ST_AsGeoJSON(s.geom, 7) AS geometry, "
    "ST_XMin(s.geom) AS min_lon, ST_YMin(s.geom) AS min_lat, ST_XMax(s.geom) AS max_lon, ST_YMax(s.geom) AS max_lat, "
    "s.licence, s.contact, s.update_cycle, s.version, s.created_at, s.updated_at, s.published_at"
)
_FROM = Sql.of("FROM cim.service AS s LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id")
_SEARCHED = Sql.of(
    "concat_ws(' ', s.id, s.title_zh, s.title_en, s.description_zh, s.description_en, o.name_zh, o.name_en, "
    "(SELECT string_agg(theme, ' ') FROM jsonb_array_elements_text(s.themes) AS theme))"
)

_WHEN_NONE = {
    **dict.fromkeys(("title_zh", "title_en", "description_zh", "description_en"), ""),
    "share_class": "conditional",
}
_CASTS = {"themes": "jsonb", "endpoints": "jsonb", "cim_level": "int"}


@dataclass(frozen=True, slots=True)
class ServiceQuery:
    """What is asked of the catalogue. `words` must all occur; `states` is what the caller may see."""

    states: tuple[str, ...]
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
            self.states,
            self.words,
            self.kind,
            self.theme,
            self.organisation,
            self.share_class,
            self.area,
            self.bbox,
        )
        return b"catalogue\n" + repr(facts).encode()


def _pattern(word: str) -> str:
    """`word` anywhere, its own wildcards taken as they are."""
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def services_sql(query: ServiceQuery) -> Sql:
    """Rows of a page in the order of ids, one more than the limit."""
    conditions = [Sql.of("s.state = ANY({})", Cast(list(query.states), "text[]"))]
    if query.words:
        patterns = Cast([_pattern(word) for word in query.words], "text[]")
        every = Sql.of("ARRAY(SELECT lower(pattern) FROM unnest({}) AS pattern)", patterns)
        conditions.append(Sql.of("lower({}) LIKE ALL ({})", _SEARCHED, every))
    for column, value in (
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


def service_sql(service_id: str) -> Sql:
    """The row of one service in whatever state."""
    return Sql.of("SELECT {} {} WHERE s.id = {}", _SHOWN, _FROM, service_id)


def offers_sql(kind: str, collection_id: str) -> Sql:
    """A row when a service of this kind offers the collection."""
    return Sql.of("SELECT id FROM cim.service WHERE kind = {} AND collection_id = {} LIMIT 1", kind, collection_id)


def insert_sql(values: Mapping[str, Any]) -> Sql:
    """Register a draft; no row when the id is taken."""
    names, bound = zip(*_assignments({"title_zh": None, "title_en": None, **values}), strict=True)
    return Sql.of(
        "INSERT INTO cim.service ({}) VALUES ({}) ON CONFLICT (id) DO NOTHING RETURNING id",
        Sql.join(", ", names),
        Sql.join(", ", bound),
    )


def update_sql(service_id: str, version: int, values: Mapping[str, Any]) -> Sql:
    """Edit a service that is still at `version`; no row when it is not."""
    sets = [Sql.of("{} = {}", name, value) for name, value in _assignments(values)]
    return Sql.of(
        "UPDATE cim.service SET {}, version = version + 1, updated_at = now() WHERE id = {} AND version = {} RETURNING id",
        Sql.join(", ", sets),
        service_id,
        version,
    )


def merge_sql(service_id: str, values: Mapping[str, Any]) -> Sql:
    """Edit a service by the members that differ from what is stored; no row when none does."""
    names, bound = zip(*_assignments({k: v for k, v in values.items() if k != "id"}), strict=True)
    return Sql.of(
        "UPDATE cim.service SET {}, version = version + 1, updated_at = now() "
        "WHERE id = {} AND ROW({}) IS DISTINCT FROM ROW({}) RETURNING id",
        Sql.join(", ", [Sql.of("{} = {}", name, value) for name, value in zip(names, bound, strict=True)]),
        service_id,
        Sql.join(", ", names),
        Sql.join(", ", bound),
    )


def publish_sql(service_id: str) -> Sql:
    """Put a draft on the shelf."""
    return Sql.of(
        "UPDATE cim.service SET state = 'published', published_at = now() WHERE id = {} AND state = 'draft'", service_id
    )


def move_sql(service_id: str, version: int, state: str) -> Sql:
    """Take a service that is still at `version` to `state`; no row when it is not."""
    return Sql.of(
        "UPDATE cim.service SET state = {}, version = version + 1, updated_at = now(), "
        "published_at = CASE WHEN {}::text = 'published' THEN now() ELSE published_at END "
        "WHERE id = {} AND version = {} RETURNING id",
        state,
        state,
        service_id,
        version,
    )


def delete_sql(service_id: str) -> Sql:
    """Delete a draft; no row when it is none."""
    return Sql.of("DELETE FROM cim.service WHERE id = {} AND state = 'draft' RETURNING id", service_id)


def _assignments(values: Mapping[str, Any]) -> list[tuple[Sql, Sql]]:
    """Column and bound value of each member that a caller wrote."""
    pairs = []
    for name, value in values.items():
        if name == "bbox":
            box = Sql.of("NULL") if value is None else Sql.of("ST_MakeEnvelope({}, {}, {}, {}, 4326)", *value)
            pairs.append((Sql.of("geom"), box))
            continue
        if name in ("themes", "endpoints"):
            value = orjson.dumps(value or []).decode()
        elif value is None:
            value = _WHEN_NONE.get(name)
        bound = Sql.of("{}", Cast(value, _CASTS[name])) if name in _CASTS else Sql.of("{}", value)
        pairs.append((Sql.of("{}", Identifier(name)), bound))
    return pairs


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
