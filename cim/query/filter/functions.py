"""The functions that a filter may call: what `/functions` lists and nothing else (OGC 21-065r2, 7.8; 19-079r2, 8.6).

To offer one more, add it to FUNCTIONS. A function that refers to other features gets them by `Context.resolve`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cim.crs import Crs
from cim.errors import UnknownFunction
from cim.model import Collection, Scope
from cim.query.filter.values import INSTANTS, NUMERIC, Expression, Type, as_type, bound, fail, once, per_row
from cim.sql import Sql

MAX_BUFFER_M = 100_000
"""How far a buffer may reach."""

Resolve = Callable[[str, str, bool], Sql]
"""The place of other features, under the caller's rights, as one geometry: by collection, and id or (True) filter in CQL2 text.

Raises InvalidParameter.
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What a filter is compiled for: the rows of `collection` that `scope` may see, coordinates in `crs`.

    `resolve` finds features of other collections; None where a filter may not refer to any. `names`: what a filter calls
    the columns that it may name, where these are not the collection's own names.
    """

    collection: Collection
    scope: Scope
    crs: Crs
    resolve: Resolve | None = None
    names: Mapping[str, str] | None = None


Compile = Callable[[Context, Sequence[Expression]], Sql]
"""SQL of a call whose operands have the declared types. Raises InvalidParameter for a value it cannot take."""


Within = Callable[[Sequence[Expression]], Callable[[Sql], Sql] | None]
"""Of the operands of a call: what a limit of its value says of a column, None where nothing can be said."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One operand: any of `types`."""

    title: str
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: `compile` writes it, and never SQL that could fail for some row.

    Where it may return several types, it returns that of its first operand. `within`: see Expression.
    """

    name: str
    description: str
    arguments: tuple[Argument, ...]
    returns: tuple[Type, ...]
    compile: Compile
    within: Within | None = None

    def __call__(self, context: Context, operands: Sequence[Expression]) -> Expression:
        """The call as an expression. Raises InvalidParameter for a wrong number or type of operands."""
        if len(operands) != len(self.arguments):
            wanted = ", ".join(argument.title for argument in self.arguments)
            fail(f"{self.name}(…)", f"{self.name} takes {len(self.arguments)} operands ({wanted}), not {len(operands)}")
        taken = [_taken(self.name, *pair) for pair in zip(self.arguments, operands, strict=True)]
        sql = self.compile(context, taken)
        is_constant = all(operand.is_constant for operand in taken)
        sql = once(sql) if is_constant else sql
        kind = self.returns[0] if len(self.returns) == 1 else taken[0].type
        boxes = (sql,) if is_constant and kind is Type.GEOMETRY else ()
        shown = f"{self.name}({', '.join(operand.shown for operand in taken)})"
        within = self.within(taken) if self.within else None
        return Expression(kind, shown, sql, is_constant=is_constant, boxes=boxes, within=within)


def _taken(name: str, argument: Argument, operand: Expression) -> Expression:
    for kind in argument.types:
        made = as_type(operand, kind)
        if made.type is kind:
            return made
    wanted = " or ".join(argument.types)
    return fail(operand, f"{name} takes {wanted} as {argument.title}, not {operand.described()}")


def find_function(name: str) -> Function:
    """The function of that name, in any case. Raises UnknownFunction."""
    for function in FUNCTIONS:
        if function.name == name.lower():
            return function
    raise UnknownFunction(name, [function.name for function in FUNCTIONS], parameter="filter")


def _applied(template: str) -> Compile:
    """A function that is one SQL expression of its operands, each named once."""
    return lambda _, operands: Sql.of(template, *(bound(operand) for operand in operands))


def _of_number(template: str) -> Compile:
    """A function of a number; a whole one is taken as numeric, which has no overflow."""

    def compile_number(_: Context, operands: Sequence[Expression]) -> Sql:
        (number,) = operands
        kind = "({})::numeric" if number.type is Type.INTEGER else "({})::double precision"
        return Sql.of(template, Sql.of(kind, bound(number)))

    return compile_number


_G_FITS = "CASE WHEN ST_XMax(g) - ST_XMin(g) < 180 AND ST_YMax(g) - ST_YMin(g) < 180 THEN {} END"
_H_FITS = "CASE WHEN ST_XMax(h) - ST_XMin(h) < 180 AND ST_YMax(h) - ST_YMin(h) < 180 THEN {} END"
"""What spans less than half the earth: an edge of 180 degrees is not one edge on the spheroid, and an error there."""


def _measured(measure: str) -> Compile:
    """A measure of one geometry, called g."""
    template = Sql.of(_G_FITS, Sql.of(measure))
    return lambda _, operands: per_row(template, g=operands[0].sql)


def _distance(_: Context, operands: Sequence[Expression]) -> Sql:
    first, second = operands
    measure = Sql.of("ST_Distance(g::geography, h::geography)")
    return per_row(Sql.of(_G_FITS, Sql.of(_H_FITS, measure)), g=first.sql, h=second.sql)


_REACHED = (
    "ST_Expand(g, CASE WHEN north + d > 85 OR ST_XMin(g) - d / cos(radians(north + d)) < -180 "
    "OR ST_XMax(g) + d / cos(radians(north + d)) > 180 THEN 360 ELSE d / cos(radians(north + d)) END, d)"
)
"""The box of g and d degrees of latitude around it; every longitude near a pole and across the antimeridian."""


def _near(operands: Sequence[Expression]) -> Callable[[Sql], Sql] | None:
    """Within so many metres of a constant geometry: boxes that meet. A degree of latitude has 110,574 m or more."""
    first, second = operands
    if first.is_constant == second.is_constant:
        return None
    varying, constant = (second, first) if first.is_constant else (first, second)

    def near(metres: Sql) -> Sql:
        degrees = Sql.of("LEAST(GREATEST({}, 0) / 109000.0, 180)", metres)
        latitude = Sql.of("GREATEST(abs(ST_YMin({})), abs(ST_YMax({})))", constant.sql, constant.sql)
        return Sql.of("{} && {}", varying.sql, per_row(Sql.of(_REACHED), g=constant.sql, d=degrees, north=latitude))

    return near


def _buffer(_: Context, operands: Sequence[Expression]) -> Sql:
    geometry, metres = operands
    reach = metres.literal
    if not isinstance(reach, int | float) or abs(reach) > MAX_BUFFER_M:
        fail(metres, f"buffer takes a number of metres that is written out, from -{MAX_BUFFER_M:,} to {MAX_BUFFER_M:,}")
    template = Sql.of(_G_FITS, Sql.of("ST_Buffer(g::geography, m)::geometry"))
    return per_row(template, g=geometry.sql, m=bound(as_type(metres, Type.NUMBER)))


def _referring(*, by_filter: bool) -> Compile:
    """The place of other features: both operands are written out."""

    def refer(context: Context, operands: Sequence[Expression]) -> Sql:
        if context.resolve is None:
            fail("feature(…)", "a filter that is referred to cannot refer to other features itself")
        first, second = (operand.literal for operand in operands)
        if not isinstance(first, str) or not isinstance(second, str):
            fail("feature(…)", "the collection and the id or filter are texts that are written out")
        return context.resolve(first, second, by_filter)

    return refer


_TEXT = (Argument("text", (Type.TEXT,)),)
_NUMBER = (Argument("number", NUMERIC),)
_GEOMETRY = (Argument("geometry", (Type.GEOMETRY,)),)

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "lower",
        "the text in small letters",
        _TEXT,
        (Type.TEXT,),
        _applied('(lower({} COLLATE "und-x-icu") COLLATE "C")'),
    ),
    Function(
        "upper",
        "the text in capitals",
        _TEXT,
        (Type.TEXT,),
        _applied('(upper({} COLLATE "und-x-icu") COLLATE "C")'),
    ),
    Function("length", "how many characters the text has", _TEXT, (Type.INTEGER,), _applied("char_length({})")),
    Function("abs", "the number without its sign", _NUMBER, NUMERIC, _of_number("abs({})")),
    Function("round", "the nearest whole number", _NUMBER, NUMERIC, _of_number("round({})")),
    Function("floor", "the next whole number below, or the number itself", _NUMBER, NUMERIC, _of_number("floor({})")),
    Function("ceil", "the next whole number above, or the number itself", _NUMBER, NUMERIC, _of_number("ceil({})")),
    Function(
        "year",
        "the year of a date, or of an instant in UTC",
        (Argument("instant", INSTANTS),),
        (Type.INTEGER,),
        _applied("extract(year FROM {})"),
    ),
    Function(
        "area_m2",
        "the area on the spheroid in square metres, 0 for points and lines",
        _GEOMETRY,
        (Type.NUMBER,),
        _measured("ST_Area(g::geography)"),
    ),
    Function(
        "length_m",
        "the length of lines on the spheroid in metres, 0 for points and polygons",
        _GEOMETRY,
        (Type.NUMBER,),
        _measured("ST_Length(g::geography)"),
    ),
    Function("centroid", "the centre of mass", _GEOMETRY, (Type.GEOMETRY,), _applied("ST_Centroid({})")),
    Function(
        "buffer",
        f"what lies within so many metres, at most {MAX_BUFFER_M:,}; less than 0 takes off from the edge",
        (*_GEOMETRY, Argument("metres", (Type.NUMBER,))),
        (Type.GEOMETRY,),
        _buffer,
    ),
    Function(
        "distance_m",
        "the shortest distance on the spheroid in metres, 0 where they meet",
        (Argument("first", (Type.GEOMETRY,)), Argument("second", (Type.GEOMETRY,))),
        (Type.NUMBER,),
        _distance,
        within=_near,
    ),
    Function(
        "feature",
        "the place of another feature",
        (Argument("collection", (Type.TEXT,)), Argument("id", (Type.TEXT,))),
        (Type.GEOMETRY,),
        _referring(by_filter=False),
    ),
    Function(
        "features",
        "the place of all features of another collection that meet a filter (CQL2 text), at most 1,000, as one",
        (Argument("collection", (Type.TEXT,)), Argument("filter", (Type.TEXT,))),
        (Type.GEOMETRY,),
        _referring(by_filter=True),
    ),
)
