"""FeatureQuery + Scope + Collection → the one WHERE clause that every answer uses.

Constants are brought to the column's SRID, never the column. Expressions of parameters alone stand in scalar
sub-selects, so that a generic plan evaluates them once and not once a row.
"""

from cim.bbox import Bbox
from cim.interval import Interval
from cim.model import Collection, Property, Scope
from cim.query.areas import AFTER_DIGITS
from cim.query.feature_query import FeatureQuery
from cim.query.masking import hides, sees_whole
from cim.query.text_search import contains, may_contain
from cim.sql import Cast, Identifier, Sql

BROAD_SHARE = 0.1
"""From this share of a collection's bounds on, a page is cheaper by walking the ids than by gathering the box."""

WIDE_FEATURES = 50
"""From so many features to be expected in a box on, those well inside it are worth telling from those at its edge."""
INWARD_DEGREES = 3e-5
"""More than what two places lose by single precision, in which boxes are compared."""

STORED_SRID = 4326

BROAD_AREA_DIGITS = 4
"""A city or a province: as good as the whole node, so its code is checked row by row."""


def visible_properties(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """The properties the caller may see; the others do not exist for them."""
    if not scope.hidden and scope.precision_m is None:
        return collection.properties
    return tuple(p for p in collection.properties if not hides(collection, scope, p.name))


def is_broad(collection: Collection, query: FeatureQuery) -> bool:
    """True when the box covers so much of the collection that its index would gather more than it saves."""
    if query.bbox is None or query.bbox.srid != STORED_SRID or collection.extent.bounds_crs84 is None:
        return False
    return query.bbox.share_of(collection.extent.bounds_crs84) >= BROAD_SHARE


def is_wide(collection: Collection, query: FeatureQuery) -> bool:
    """True when many features are to be expected in the box, of all times."""
    box, bounds, count = query.bbox, collection.extent.bounds_crs84, collection.feature_count
    if box is None or box.srid != STORED_SRID or bounds is None or count is None or query.interval is not None:
        return False
    if any(min(part.max_x - part.min_x, part.max_y - part.min_y) < 4 * INWARD_DEGREES for part in box.parts()):
        return False  # nothing is well inside
    return box.share_of(bounds) * count > WIDE_FEATURES


def is_gathered(query: FeatureQuery, scope: Scope) -> bool:
    """True when a page must come from the index of its area or words: a walk by id may pass the whole table before it finds one."""
    codes = (query.area, scope.area_code)
    return bool(query.terms) or any(code is not None and len(code) > BROAD_AREA_DIGITS for code in codes)


def where(
    collection: Collection,
    query: FeatureQuery,
    scope: Scope,
    *,
    is_page: bool = False,
    by_index: bool = True,
    reads: bool = True,
) -> Sql:
    """The condition, to be written after WHERE; TRUE where nothing is asked.

    `is_page`: rows are wanted in the order of ids and few of them; then a broad condition is kept from its index.
    `by_index` False: rows are looked at one by one, so what serves an index alone is left out. `reads` False: of words
    there is only what their index tells, without reading the texts.
    """
    conditions = _conditions(collection, query, scope, walks=is_page, by_index=by_index, reads=reads)
    asked = Sql.join(" AND ", conditions) if conditions else Sql.of("TRUE")
    rule = row_rule(collection, scope)
    return Sql.of("({}) AND ({})", asked, rule) if rule else asked


def row_rule(collection: Collection, scope: Scope) -> Sql:
    """The condition on rows that the caller may see at all; the empty statement when they may see every row.

    Within an area these are the rows that carry its code or one below it, a row without a code is in none; areas are
    told by their own code.
    """
    if not scope.sees(collection.id):
        return Sql.of("FALSE")
    if scope.area_code is None:
        return Sql()
    column = Identifier("code" if collection.kind == "areas" else "area_code")
    return Sql.of("{} >= {} AND {} < {}", column, scope.area_code, column, scope.area_code + AFTER_DIGITS)


def _conditions(
    collection: Collection, query: FeatureQuery, scope: Scope, *, walks: bool, by_index: bool, reads: bool
) -> list[Sql]:
    conditions = []
    if query.ids is not None:
        conditions.append(Sql.of("id = ANY({})", Cast(list(query.ids), "text[]")))
    if query.bbox is not None:
        walked = walks and is_broad(collection, query)
        conditions.append(_in_bbox(query.bbox, walks=walked, is_wide=is_wide(collection, query)))
    if query.geometry is not None:
        conditions.append(_intersects(query.geometry))
    if query.interval is not None:
        conditions.append(_during(collection, query.interval))
    if query.area is not None:
        conditions.append(area_condition(query.area, walks=walks and len(query.area) <= BROAD_AREA_DIGITS))
    for declared, value in query.equals:
        conditions.append(_equals(declared, value))
    if query.terms:
        if by_index and sees_whole(collection, scope):  # of others `cim.query.source` asks it of the true columns
            conditions.append(may_contain(collection, query.terms))
        if reads:
            conditions.append(contains(collection, scope, query.terms))
    conditions.extend(Sql.of("({})", relation.condition) for relation in query.relations)
    if query.filter is not None:
        conditions.append(Sql.of("({})", query.filter))
    if query.after is not None:
        conditions.append(Sql.of("id > {}", query.after))
    return conditions


def envelope(box: Bbox) -> Sql:
    """The box as a geometry in EPSG:4326, evaluated once a statement.

    The edges of a box in another system are curves here: they are followed in steps of a hundredth of its size.
    """
    if box.srid == STORED_SRID:
        return Sql.of("(SELECT ST_MakeEnvelope({}, {}, {}, {}, 4326))", box.min_x, box.min_y, box.max_x, box.max_y)
    step = max(box.max_x - box.min_x, box.max_y - box.min_y, 1e-6) / 100
    return Sql.of(
        "(SELECT ST_Transform(ST_Segmentize(ST_MakeEnvelope({}, {}, {}, {}, {}), {}), 4326))",
        box.min_x,
        box.min_y,
        box.max_x,
        box.max_y,
        Cast(box.srid, "int"),
        Cast(step, "float8"),
    )


def _in_bbox(box: Bbox, *, walks: bool, is_wide: bool) -> Sql:
    """Features that intersect the box, and those without geometry (OGC 17-069r4, /req/core/fc-bbox-response C).

    ST_Intersects brings the condition of the index along (`geom && …`); written beside it, it would be looked at twice.
    """
    parts = [Sql.of("ST_Intersects(geom, {})", envelope(part)) for part in box.parts()]
    if walks:
        return Sql.of("(geom IS NULL OR {}) IS TRUE", Sql.join(" OR ", parts))
    if is_wide:
        parts = [_mostly_inside(part) for part in box.parts()]
    return Sql.of("({} OR geom IS NULL)", Sql.join(" OR ", parts))


def _mostly_inside(box: Bbox) -> Sql:
    """The same for many features: what lies well inside the box needs no look at its corners."""
    whole = envelope(box)
    inside = Sql.of("(SELECT ST_Expand({}, {}))", whole, Cast(-INWARD_DEGREES, "float8"))
    return Sql.of("(geom && {} AND (geom @ {} OR ST_Intersects(geom, {})))", whole, inside, whole)


def geometry_of(text: str) -> Sql:
    """Checked GeoJSON text as a geometry, evaluated once a statement."""
    return Sql.of("(SELECT ST_SetSRID(ST_GeomFromGeoJSON({}), 4326))", Cast(text, "text"))


def _intersects(text: str) -> Sql:
    return Sql.of("ST_Intersects(geom, {})", geometry_of(text))


def validity(text: str) -> Sql:
    """Asks why a geometry is not valid: GEOS predicates may fail on one that is not."""
    return Sql.of(
        "SELECT ST_IsValid(g) AS is_valid, CASE WHEN NOT ST_IsValid(g) THEN ST_IsValidReason(g) END AS reason "
        "FROM (SELECT {} AS g) AS given",
        geometry_of(text),
    )


VALID_TIME = (
    "tstzrange(LEAST(COALESCE(valid_from, '-infinity'::timestamptz), COALESCE(valid_to, 'infinity'::timestamptz)), "
    "GREATEST(COALESCE(valid_from, '-infinity'::timestamptz), COALESCE(valid_to, 'infinity'::timestamptz)), '[]'::text)"
)
"""Valid time as a range that holds its end too, whichever end comes first: what the index of place and time has, letter for letter."""


def _during(collection: Collection, interval: Interval) -> Sql:
    """Valid time is half-open and NULL is open, so a feature without any always matches (/req/core/fc-time-response)."""
    conditions = []
    if interval.end is not None:
        conditions.append(Sql.of("(valid_from IS NULL OR valid_from <= {})", Cast(interval.end, "timestamptz")))
    if interval.begin is not None:
        conditions.append(Sql.of("(valid_to IS NULL OR valid_to > {})", Cast(interval.begin, "timestamptz")))
    if conditions and collection.has_time_index:
        ends = Cast(interval.begin, "timestamptz"), Cast(interval.end, "timestamptz")
        conditions.append(Sql.of("{} && (SELECT tstzrange({}, {}, '[]'))", Sql.of(VALID_TIME), *ends))
    return Sql.join(" AND ", conditions) if conditions else Sql.of("TRUE")


def area_condition(code: str, *, walks: bool = False) -> Sql:
    """Features of the area with that code and of the areas in it; `walks`: kept from the index."""
    condition = Sql.of("area_code >= {} AND area_code < {}", code, code + AFTER_DIGITS)
    return Sql.of("({}) IS TRUE", condition) if walks else condition


def _equals(declared: Property, value: object) -> Sql:
    if value is None:
        return Sql.of("{} IS NULL", declared.column)
    return Sql.of("{} = {}", declared.column, Cast(value, declared.kind.sql_type))
