"""The operators of CQL2 under the names of its JSON encoding (OGC 21-065r2, schema cql2.json)."""

LOGICAL = ("and", "or", "not")
COMPARISON = ("=", "<>", "<", ">", "<=", ">=")
ARITHMETIC = ("+", "-", "*", "/", "^", "%", "div")
PREDICATES = ("like", "between", "in", "isNull")
TEXTUAL = ("casei", "accenti")
SPATIAL = (
    *("s_contains", "s_crosses", "s_disjoint", "s_equals"),
    *("s_intersects", "s_overlaps", "s_touches", "s_within"),
)
TEMPORAL = (
    *("t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals", "t_finishedBy", "t_finishes"),
    *("t_intersects", "t_meets", "t_metBy", "t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts"),
)
ARRAY = ("a_containedBy", "a_contains", "a_equals", "a_overlaps")

OPERANDS: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys(("and", "or"), (2, None)),
    **dict.fromkeys(("not", "isNull", *TEXTUAL), (1, 1)),
    **dict.fromkeys((*COMPARISON, *ARITHMETIC, *SPATIAL, *TEMPORAL, *ARRAY, "like", "in"), (2, 2)),
    "between": (3, 3),
}
"""How many operands each takes: least, most."""

GEOMETRIES = {
    name.upper(): name
    for name in (
        *("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"),
        "GeometryCollection",
    )
}
"""Keyword of well-known text → type of GeoJSON."""

_CANONICAL = {name.lower(): name for name in OPERANDS}


def canonical(name: str) -> str | None:
    """The operator that `name` spells in any case, None when it is none of CQL2's own (then it names a function)."""
    return _CANONICAL.get(name.lower())
