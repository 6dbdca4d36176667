"""What an output is: a name, a media type, and how features are written in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cim.crs import Crs
from cim.model import Collection, Scope
from cim.query.feature_query import FeatureQuery
from cim.query.features import geometry_in
from cim.sql import Sql


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the features: `members` are those of a document's head, `has_bom` a CSV's for spreadsheets."""

    collection: Collection
    scope: Scope
    query: FeatureQuery
    members: Mapping[str, Any] = field(default_factory=dict)
    has_bom: bool = False


@dataclass(frozen=True, slots=True)
class TextForm:
    """A text of one feature after another, written by the database.

    `line` gives an expression over `id`, `geom`, `cim.query.features.shown_columns` and `needs`, fixed columns that it
    takes whether they are shown or not: the feature as text.
    """

    line: Callable[[Collection, Scope, FeatureQuery], Sql]
    head: Callable[[Frame], bytes]
    separator: str = ""
    tail: bytes = b""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """A representation of features: `f` is its short name, `also_f` and `also` other names and media types of it.

    `text` is None for a file that a library writes (`cim.export`). `has_pages`: offered for a page of features too.
    """

    f: str
    media_type: str
    suffix: str
    title: str
    text: TextForm | None = None
    also_f: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    has_pages: bool = False


def geometry_xy(crs: Crs) -> Sql:
    """Expression over `geom`: the geometry in `crs`, easting or longitude first whatever the authority says."""
    return geometry_in(Crs(crs.uri, crs.srid, False, crs.is_geographic))


def free_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or the first of `wanted_2`, `wanted_3` … that is not taken (compared without case); it is taken then."""
    name, number = wanted, 1
    while name.casefold() in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name.casefold())
    return name
