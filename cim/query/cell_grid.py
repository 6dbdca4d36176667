"""Grids that statistics are counted on: squares and hexagons of a plane, and which of them a feature is in, by arithmetic."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cim.sql import Cast, Identifier, Sql

METRES_A_DEGREE = 6378137 * math.pi / 180
KINDS = ("square", "hex")
BOX = Identifier("box of the place")
"""Column that the first step takes: `geom::box3d`, taken out of the geometry once a row."""

_ROWS = 10_000_000
"""More than a grid has rows: a cell's number is its column times this and its row."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of the plane x = longitude · cos(`latitude`), y = latitude, in metres of a sphere of 6,378,137 m.

    `size_m` is the length of a cell's edge, true at `latitude` (a whole degree near the middle of the collection, so
    that cells stay where they are while the collection grows). A feature is in the cell that holds the middle of its box,
    in one of them where that lies on an edge.
    """

    kind: str
    size_m: float
    latitude: int

    def cell(self, key: str) -> dict[str, object]:
        """The cell `column,row` as a GeoJSON Polygon in CRS84."""
        column, row = (int(part) for part in key.split(","))
        ring = list(self._square(column, row) if self.kind == "square" else self._hexagon(column, row))
        wide = METRES_A_DEGREE * math.cos(math.radians(self.latitude))
        return {
            "type": "Polygon",
            "coordinates": [[[round(x / wide, 7), round(y / METRES_A_DEGREE, 7)] for x, y in [*ring, ring[0]]]],
        }

    def _square(self, column: int, row: int) -> Iterator[tuple[float, float]]:
        for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)):
            yield (column + x) * self.size_m, (row + y) * self.size_m

    def _hexagon(self, column: int, row: int) -> Iterator[tuple[float, float]]:
        """Flat at the top; `column` and `row` are axial coordinates."""
        x, y = self.size_m * 1.5 * column, self.size_m * math.sqrt(3) * (row + column / 2)
        for corner in range(6):
            angle = math.radians(60 * corner)
            yield x + self.size_m * math.cos(angle), y + self.size_m * math.sin(angle)

    def steps(self) -> tuple[Sql, ...]:
        """Columns to be added to a row that has `BOX`, one step after the other, each made of those of the step before.

        The last one is the number of the cell. One expression for all of it would be made of itself over and over.
        """
        wide = METRES_A_DEGREE * math.cos(math.radians(self.latitude)) / self.size_m
        x = Sql.of("(ST_XMin({}) + ST_XMax({})) / 2 * {}", BOX, BOX, Cast(wide, "float8"))
        y = Sql.of("(ST_YMin({}) + ST_YMax({})) / 2 * {}", BOX, BOX, Cast(METRES_A_DEGREE / self.size_m, "float8"))
        if self.kind == "square":
            return (_number(Sql.of("floor({})", x), Sql.of("floor({})", y)),)
        return (Sql.of('{} AS "cell x", {} AS "cell y"', x, y), *_HEXAGON)


def _number(column: Sql, row: Sql) -> Sql:
    return Sql.of("{} * {} + {}", column, Cast(_ROWS, "float8"), row)


_HEXAGON = (
    Sql.of('"cell x" * 2 / 3 AS "cell q", ("cell y" * sqrt(3::float8) - "cell x") / 3 AS "cell r"'),
    Sql.of(
        '"cell q", "cell r", round("cell q") AS "whole q", round("cell r") AS "whole r", round(-"cell q" - "cell r") AS "whole s"'
    ),
    Sql.of(
        '"whole q", "whole r", "whole s", abs("whole q" - "cell q") AS "off q", abs("whole r" - "cell r") AS "off r", '
        'abs("whole s" + "cell q" + "cell r") AS "off s"'
    ),
    _number(
        Sql.of('CASE WHEN "off q" > "off r" AND "off q" > "off s" THEN -"whole r" - "whole s" ELSE "whole q" END'),
        Sql.of(
            'CASE WHEN "off q" > "off r" AND "off q" > "off s" THEN "whole r" '
            'WHEN "off r" > "off s" THEN -"whole q" - "whole s" ELSE "whole r" END'
        ),
    ),
)
"""Axial coordinates: cube coordinates q + r + s = 0 are rounded, and the one that was rounded most is mended."""


def cell_name(number: float | None) -> str | None:
    """The key `column,row` of a cell's number."""
    if number is None:
        return None
    whole = int(number)
    row = (whole + _ROWS // 2) % _ROWS - _ROWS // 2
    return f"{(whole - row) // _ROWS},{row}"
