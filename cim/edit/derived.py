"""What follows from the values of a written feature: the rules of the loaders, for one row."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from math import isclose
from typing import Any

from cim.model import Collection, Kind

KINDS_WITH_RULES = ("buildings", "areas", "sensors", "cameras", "imagery")
"""Keys of `cim.collections.derive.RULES`, which is imported when the first feature is written."""


def completed(
    collection: Collection, rows: Sequence[Mapping[str, object]], areas_m2: Sequence[float | None]
) -> list[dict[str, Any]]:
    """Each row's values of all properties with what follows from them, and its `valid_from`, `valid_to`.

    `areas_m2` are those of the geometries on the ellipsoid. Kinds without a rule keep the valid time they have.
    """
    names = [*collection.names(), "valid_from", "valid_to"]
    whole = [{name: row.get(name) for name in names} for row in rows]
    if not whole or collection.kind not in KINDS_WITH_RULES:
        return whole
    import numpy as np
    import pyarrow as pa

    from cim.collections.derive import INSTANT, RULES

    types = {**_arrow_types(), Kind.INSTANT: INSTANT}
    plain = [p for p in collection.properties if p.kind is not Kind.JSON]
    columns = {p.name: pa.array([row[p.name] for row in whole], types[p.kind]) for p in plain}
    columns |= {p.name: pa.nulls(len(whole), pa.string()) for p in collection.properties if p not in plain}
    columns |= {"valid_from": pa.nulls(len(whole), INSTANT), "valid_to": pa.nulls(len(whole), INSTANT)}
    RULES[collection.kind](columns, np.array(areas_m2, dtype=np.float64), {"height_m": "api"})
    for name in (*(p.name for p in plain), "valid_from", "valid_to"):
        for row, value in zip(whole, columns[name].to_pylist(), strict=True):
            row[name] = value
    return whole


def _arrow_types() -> dict[Kind, Any]:
    import pyarrow as pa

    return {
        Kind.TEXT: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.BOOLEAN: pa.bool_(),
        Kind.DATE: pa.date32(),
    }


def patched(
    collection: Collection, stored: Mapping[str, object], given: Mapping[str, object], *, is_moved: bool
) -> dict[str, object]:
    """Stored values with `given` over them; what had followed from a value that changes is left out, to follow anew."""
    values = {**stored, **given}
    for name in _stale(collection, stored, given, is_moved):
        if name not in given:
            values[name] = None
    return values


def _stale(collection: Collection, stored: Mapping[str, Any], given: Mapping[str, object], is_moved: bool) -> list[str]:
    """Names of values that had been derived from what changes."""
    stale = [name for name in ("footprint_area_m2", "area_m2") if is_moved and collection.has(name)]
    if collection.kind != "buildings":
        return stale
    floors, footprint, area = (stored.get(n) for n in ("floors_above", "footprint_area_m2", "floor_area_m2"))
    is_known = floors is not None and footprint is not None and area is not None
    if is_known and isclose(area or 0.0, (floors or 0) * (footprint or 0.0), rel_tol=1e-6):
        stale += ["floor_area_m2"] if is_moved or {"floors_above", "footprint_area_m2"} & given.keys() else []
    if str(stored.get("height_source") or "").startswith("derived") and "floors_above" in given:
        stale += ["height_m", "height_source"]
    if "height_m" in given:
        stale.append("height_source")
    completed_on = stored.get("completed_on")
    if "completed_on" in given and completed_on is not None and stored.get("year_built") == completed_on.year:
        stale.append("year_built")
    if given.get("demolished_on") is not None:
        stale.append("status")
    return stale


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as `jsonb_populate_recordset` takes it: dates and instants as texts."""
    return {name: value.isoformat() if isinstance(value, date | datetime) else value for name, value in row.items()}
