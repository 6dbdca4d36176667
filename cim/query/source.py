"""Where the rows of a question come from: what stands behind FROM in every statement of the read path."""

from cim.bbox import Bbox
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.known import stored, versions
from cim.query.masking import hides, is_masked, masked_code, masked_place, reach, sees_whole
from cim.query.predicate import area_condition, envelope, geometry_of, is_broad, row_rule
from cim.query.text_search import may_contain
from cim.sql import Sql

_FIXED = ("id", "source", "source_id", "valid_from", "valid_to", "recorded_at", "load_run_id", "source_row")


def rows(
    collection: Collection,
    query: FeatureQuery,
    scope: Scope,
    *,
    within: Bbox | None = None,
    sample: Sql | None = None,
    table: Sql | None = None,
) -> Sql:
    """The table of the collection, or a sub-select with the same columns where the caller sees less or asks of another time.

    What is hidden is NULL in the sub-select, a masked place the centre of its cell: conditions, order and answer all
    take these, so none of them can tell more. `within` is a box that the statement asks of `geom` beside the query;
    `sample`: a TABLESAMPLE clause of the table itself. `table`: what stands in its place, with the same columns.
    """
    table = stored(collection, query.known_at) if table is None else table
    table = Sql.of("{}{}", table, sample) if sample else table
    if sees_whole(collection, scope):
        return table
    kept = _gathered(collection, query, scope, within) if is_masked(collection, scope) else []
    if query.terms:
        kept.append(may_contain(collection, query.terms))
    condition = Sql.of(" WHERE {}", Sql.join(" AND ", kept)) if kept else Sql()
    name = Sql() if query.known_at is None else Sql.of(" AS stored")
    return Sql.of("(SELECT {} FROM {}{}{})", _seen(collection, scope), table, name, condition)


def all_versions(collection: Collection, scope: Scope) -> Sql:
    """Every version there ever was as the caller may see it, with `superseded_at`."""
    if sees_whole(collection, scope):
        return versions(collection)
    return Sql.of("(SELECT {}, superseded_at FROM {} AS stored)", _seen(collection, scope), versions(collection))


def _seen(collection: Collection, scope: Scope) -> Sql:
    """The columns of a table, what is hidden as NULL and a masked place as its cell."""
    masked = is_masked(collection, scope)
    columns = [
        *(Sql.of(name) for name in _FIXED),
        Sql.of("NULL::jsonb AS attributes"),
        Sql.of("{} AS area_code", masked_code(scope)) if masked else Sql.of("area_code"),
        Sql.of("{} AS geom", masked_place(scope)) if masked else Sql.of("geom"),
        *(
            Sql.of("NULL::{} AS {}", Sql.of(p.kind.sql_type), p.column)
            if hides(collection, scope, p.name)
            else Sql.of("{}", p.column)
            for p in collection.properties
        ),
    ]
    return Sql.join(", ", columns)


def _gathered(collection: Collection, query: FeatureQuery, scope: Scope, within: Bbox | None) -> list[Sql]:
    """Conditions on the true columns that follow from those on the masked ones: what the indexes can be asked for."""
    kept = []
    rule = row_rule(collection, scope)
    if rule:
        kept.append(rule)
    if query.area is not None:
        kept.append(area_condition(query.area))
    if within is not None:
        kept.append(Sql.of("geom && {}", reach(scope, envelope(within))))
    if query.bbox is not None and not is_broad(collection, query):
        boxes = [Sql.of("geom && {}", reach(scope, envelope(part))) for part in query.bbox.parts()]
        kept.append(Sql.of("({} OR geom IS NULL)", Sql.join(" OR ", boxes)))
    if query.geometry is not None:
        kept.append(Sql.of("geom && {}", reach(scope, geometry_of(query.geometry))))
    kept.extend(Sql.of("geom && {}", reach(scope, one.box)) for one in query.relations if one.box is not None)
    return kept
