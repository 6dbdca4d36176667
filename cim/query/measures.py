"""What statistics are made of: `measures` is a list such as `sum(floor_area_m2),median(height_m),histogram(height_m,10)`."""

import re
from dataclasses import dataclass

from cim.bbox import parse_number
from cim.errors import InvalidParameter, UnknownProperty
from cim.model import Collection, Kind, Property, Scope
from cim.query.features import shown_properties
from cim.query.predicate import visible_properties
from cim.sql import Cast, Sql

MAX_MEASURES = 40

_DIRECTIONS = frozenset({"deg"})
_NUMBERS = (Kind.INTEGER, Kind.NUMBER)
_ORDERED = (*_NUMBERS, Kind.DATE, Kind.INSTANT)
_KINDS = {"sum": _NUMBERS, "avg": _NUMBERS, "median": _NUMBERS, "min": _ORDERED, "max": _ORDERED}
_CALL = re.compile(r"([a-z]+)\(([^(),]+)(?:,([^(),]+))?\)")
_ALLOWED = "must be count, or sum|avg|min|max|median|distinct(property), percentile(property,0 to 100), histogram(property,width)"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of each group: `name` is its member in the answer, `share` of a percentile (0 to 1), `width` of a histogram's bins."""

    declared: Property
    name: str
    share: float | None = None
    width: float | None = None

    @property
    def is_mergeable(self) -> bool:
        """True where the total follows from the groups."""
        return self.share is None and self.name != "distinct"


def measured(collection: Collection, scope: Scope) -> tuple[Property, ...]:
    """Numbers with a unit: what can be summed and averaged. Directions cannot."""
    return tuple(
        p
        for p in visible_properties(collection, scope)
        if p.kind is Kind.NUMBER and p.unit is not None and p.unit not in _DIRECTIONS
    )


def default_measures(collection: Collection, scope: Scope) -> list[Measure]:
    """Sum, average, smallest and largest of all that is measured."""
    return [Measure(p, name) for p in measured(collection, scope) for name in ("sum", "avg", "min", "max")]


def parse_measures(collection: Collection, scope: Scope, text: str, *, parameter: str = "measures") -> list[Measure]:
    """The measures of a list; `count` is always there. Raises InvalidParameter, UnknownProperty."""
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    if len(parts) > MAX_MEASURES:
        raise InvalidParameter(parameter, text, f"at most {MAX_MEASURES} measures")
    known = {p.name: p for p in shown_properties(collection, scope) if p.kind is not Kind.JSON}
    measures = [_measure(collection, known, part, parameter) for part in parts if part != "count"]
    if len({(one.declared.name, one.name) for one in measures}) < len(measures):
        raise InvalidParameter(parameter, text, "a measure is given more than once")
    return measures


def _measure(collection: Collection, known: dict[str, Property], text: str, parameter: str) -> Measure:
    call = _CALL.fullmatch(text)
    if call is None:
        raise InvalidParameter(parameter, text, _ALLOWED)
    function, name, number_text = call[1], call[2].strip(), call[3]
    if name not in known:
        raise UnknownProperty(collection.id, name, known, parameter=parameter)
    declared = known[name]
    takes_number = function in ("percentile", "histogram")
    if (number_text is not None) != takes_number or function not in (*_KINDS, "distinct", "percentile", "histogram"):
        raise InvalidParameter(parameter, text, _ALLOWED)
    kinds = _NUMBERS if takes_number else _KINDS.get(function, tuple(Kind))
    if declared.kind not in kinds:
        raise InvalidParameter(parameter, text, f"{function} takes a property that is {' or '.join(kinds)}")
    if not takes_number:
        return Measure(declared, function, share=0.5 if function == "median" else None)
    number = parse_number(number_text.strip())
    if function == "percentile":
        if number is None or not 0 <= number <= 100:
            raise InvalidParameter(parameter, text, "a percentile is a number from 0 to 100")
        return Measure(declared, f"p{number:g}", share=number / 100)
    if number is None or number <= 0:
        raise InvalidParameter(parameter, text, "the width of a histogram's bins is a number above 0")
    return Measure(declared, "histogram", width=number)


def columns_of(measures: list[Measure]) -> list[tuple[str, str, Sql]]:
    """What the database computes: (property, name, aggregate), each once; a histogram is a statement of its own."""
    columns: dict[tuple[str, str], Sql] = {}
    for one in measures:
        column = one.declared.column
        if one.name in ("sum", "avg"):
            columns[one.declared.name, "number"] = Sql.of("count({})", column)
            columns[one.declared.name, "sum"] = Sql.of("sum({})::float8", column)
        elif one.name in ("min", "max"):
            columns[one.declared.name, one.name] = Sql.of("min({})" if one.name == "min" else "max({})", column)
        elif one.name == "distinct":
            columns[one.declared.name, one.name] = Sql.of("count(DISTINCT {})", column)
        elif one.share is not None:
            share = Cast(one.share, "float8")
            columns[one.declared.name, one.name] = Sql.of(
                "percentile_cont({}) WITHIN GROUP (ORDER BY {})", share, column
            )
    return [(name, kind, sql) for (name, kind), sql in columns.items()]
