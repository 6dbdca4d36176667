"""CSV (RFC 4180, UTF-8): `id`, the properties, and where it is.

Features of a collection of points have two columns, `lon` and `lat` (`x` and `y`, easting and northing, in a projected
system); all others `geometry`, as WKT with easting or longitude first. Text is between quotes, null is an empty cell.
Text that looks like a formula is made inert (`cim.cells`).
"""

from functools import lru_cache

from cim.cells import BOM, RISKY, inert
from cim.crs import Crs
from cim.model import Collection, Kind, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import shown_properties
from cim.query.output.form import Frame, Output, TextForm, free_name, geometry_xy
from cim.sql import Cast, Identifier, Sql

_TEXTUAL = (Kind.TEXT, Kind.JSON)


def place_names(collection: Collection, scope: Scope, query: FeatureQuery) -> tuple[str, ...]:
    """The columns that say where: (x, y) of a collection of points, else one of WKT; none where no place is wanted."""
    if not query.has_geometry:
        return ()
    taken = {"id", *(p.name.casefold() for p in shown_properties(collection, scope, shown=query.shown))}
    wanted: tuple[str, ...] = ("geometry",)
    if collection.geometry_type == "Point":
        wanted = ("lon", "lat") if query.crs.is_geographic else ("x", "y")
    return tuple(free_name(name, taken) for name in wanted)


def place_cells(collection: Collection, query: FeatureQuery) -> tuple[Sql, ...]:
    """Expressions over `geom` for `place_names`: numbers or a text, NULL where there is no geometry."""
    return _place(collection.geometry_type == "Point", query.crs) if query.has_geometry else ()


@lru_cache(maxsize=128)
def _place(is_point: bool, crs: Crs) -> tuple[Sql, ...]:
    geometry, decimals = geometry_xy(crs), Cast(crs.decimals, "int")
    if not is_point:
        return (Sql.of("ST_AsText({}, {})", geometry, decimals),)
    return (
        Sql.of("round(ST_X({})::numeric, {})::float8", geometry, decimals),
        Sql.of("round(ST_Y({})::numeric, {})::float8", geometry, decimals),
    )


def _line(collection: Collection, scope: Scope, query: FeatureQuery) -> Sql:
    columns = tuple((p.name, p.kind) for p in shown_properties(collection, scope, shown=query.shown))
    return _text(columns, place_cells(collection, query))


@lru_cache(maxsize=1024)
def _text(columns: tuple[tuple[str, Kind], ...], place: tuple[Sql, ...]) -> Sql:
    cells = [_quoted(Sql.of("id"))]
    cells += [_cell(Identifier(name), kind) for name, kind in columns]
    cells += [Sql.of("({})::text", cell) if len(place) > 1 else _quoted(cell) for cell in place]
    return Sql.of("concat({}, chr(13), chr(10))", Sql.join(", ',', ", cells))


def _cell(column: Identifier, kind: Kind) -> Sql:
    if kind in _TEXTUAL:
        return _quoted(Sql.of("{}::text", column))
    if kind is Kind.BOOLEAN:
        return Sql.of("CASE {} WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END", column)
    return Sql.of("""btrim(to_json({})::text, '"')""", column)


def _quoted(text: Sql) -> Sql:
    """A text between quotes, NULL where there is none."""
    return Sql.of(
        """'"' || CASE WHEN {} ~ {} THEN '''' ELSE '' END || replace({}, '"', '""') || '"'""", text, RISKY, text
    )


def _head(frame: Frame) -> bytes:
    collection, scope, query = frame.collection, frame.scope, frame.query
    shown = shown_properties(collection, scope, shown=query.shown)
    names = ["id", *(p.name for p in shown), *place_names(collection, scope, query)]
    line = ",".join('"' + inert(name).replace('"', '""') + '"' for name in names) + "\r\n"
    return (BOM if frame.has_bom else b"") + line.encode()


CSV = Output("csv", "text/csv", "csv", "CSV", TextForm(_line, _head), has_pages=True)
