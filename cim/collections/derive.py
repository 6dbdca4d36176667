"""What is filled in where a source or an edit says nothing, and the valid time of each kind: for loads and the API alike.

Every rule is recorded: in the value's own provenance column (`height_source`) and as a note of the run. A
derived value never replaces one the source gave.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cim.collections.areas import CODE_LENGTHS

METRES_PER_FLOOR = 3.0
"""The stated rule for a building that has floors and no height."""

Columns = dict[str, pa.Array]
Sources = Mapping[str, str]
"""Property → the field it came from."""

INSTANT = pa.timestamp("us", tz="UTC")
_MICROSECOND = pa.scalar(1, pa.duration("us"))


def _first(*candidates: pa.Array) -> pa.Array:
    return pc.coalesce(*candidates)


def _instant(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return column.cast(INSTANT)
    return column.cast(pa.timestamp("us")).cast(INSTANT)


def _year_start(years: pa.Array) -> pa.Array:
    """The first of January of each year, as dates."""
    known = years.is_valid().to_numpy(zero_copy_only=False)
    since_epoch = pc.fill_null(years, 1970).to_numpy() - 1970
    return pa.array(since_epoch.astype("datetime64[Y]").astype("datetime64[D]"), pa.date32(), mask=~known)


def buildings(columns: Columns, area_m2: npt.NDArray[np.float64], sources: Sources) -> list[str]:
    """Heights, floor areas, year, status, CIM level and valid time of buildings."""
    notes = []
    floors, height = columns["floors_above"], columns["height_m"]
    from_floors = pc.and_(pc.is_null(height), pc.greater(pc.fill_null(floors, 0), 0))
    stated = pc.if_else(
        pc.is_valid(height), pa.scalar(f"source: {sources.get('height_m', 'height_m')}"), pa.scalar(None, pa.string())
    )
    derived = pa.scalar(f"derived: floors_above × {METRES_PER_FLOOR:g} m")
    columns["height_m"] = _first(
        height, pc.if_else(from_floors, pc.multiply(floors.cast(pa.float64()), METRES_PER_FLOOR), None)
    )
    columns["height_source"] = _first(columns["height_source"], pc.if_else(from_floors, derived, stated))
    if pc.any(from_floors).as_py():
        notes.append(
            f"height_m derived as floors_above × {METRES_PER_FLOOR:g} m where the source has no height (height_source says so)"
        )
    footprint = pa.array(area_m2, from_pandas=True)
    columns["footprint_area_m2"] = _first(columns["footprint_area_m2"], footprint)
    no_floor_area = pc.and_(pc.is_null(columns["floor_area_m2"]), pc.greater(pc.fill_null(floors, 0), 0))
    if pc.any(no_floor_area).as_py():
        notes.append("floor_area_m2 derived as footprint_area_m2 × floors_above where the source has none")
        columns["floor_area_m2"] = _first(
            columns["floor_area_m2"], pc.multiply(columns["footprint_area_m2"], floors.cast(pa.float64()))
        )
    completed, year = columns["completed_on"], columns["year_built"]
    columns["year_built"] = _first(year, pc.year(completed))
    finished = pc.or_(pc.is_valid(completed), pc.is_valid(year))
    stage = pc.if_else(
        pc.is_valid(columns["demolished_on"]),
        "demolished",
        pc.if_else(finished, pa.scalar("completed"), pa.scalar(None, pa.string())),
    )
    columns["status"] = _first(columns["status"], stage)
    columns["cim_level"] = _first(
        columns["cim_level"],
        pc.if_else(pc.is_valid(columns["height_m"]), pa.scalar(2, pa.int64()), pa.scalar(1, pa.int64())),
    )
    begin = pc.min_element_wise(
        columns["planned_on"], columns["approved_on"], columns["construction_started_on"], completed, skip_nulls=True
    )
    columns["valid_from"] = _instant(_first(begin, _year_start(columns["year_built"])))
    columns["valid_to"] = _instant(columns["demolished_on"])
    return notes


def trimmed_code(code: str) -> str:
    """A 行政区划代码 without the zeros that only fill it up: 440305000000 → 440305, 440300 → 4403.

    A code of another length stays as it is.
    """
    if not code.isdigit():
        return code
    for length in sorted(CODE_LENGTHS.values()):
        if len(code) > length and set(code[length:]) == {"0"}:
            return code[:length]
    return code


def areas(columns: Columns, area_m2: npt.NDArray[np.float64], sources: Sources) -> list[str]:
    """Codes trimmed, level and parent from the code, the ellipsoidal area."""
    levels = {length: level for level, length in CODE_LENGTHS.items()}
    lengths = sorted(CODE_LENGTHS.values())
    codes = [None if c is None else trimmed_code(c) for c in columns["code"].to_pylist()]
    parents = [None if c is None else next((c[:n] for n in reversed(lengths) if n < len(c)), None) for c in codes]
    columns["code"] = pa.array(codes, pa.string())
    columns["level"] = _first(columns["level"], pa.array([levels.get(len(c or "")) for c in codes], pa.string()))
    given = columns["parent_code"].to_pylist()
    columns["parent_code"] = pa.array(
        [trimmed_code(g) if g else p for g, p in zip(given, parents, strict=True)], pa.string()
    )
    columns["area_m2"] = pa.array(area_m2, from_pandas=True)
    columns["area_code"] = columns["code"]
    notes = ["area_m2 computed on the ellipsoid"]
    if None in codes:
        notes.append("areas without a code are shown and take no part in the area tree")
    return notes


def sensors(columns: Columns, area_m2: npt.NDArray[np.float64], sources: Sources) -> list[str]:
    """Valid time from installation to removal; `status` active where nothing else is said; `kind` other."""
    columns["kind"] = pc.fill_null(columns["kind"], "other")
    columns["valid_from"] = _instant(columns["installed_on"])
    columns["valid_to"] = _instant(columns["removed_on"])
    return []


def imagery(columns: Columns, area_m2: npt.NDArray[np.float64], sources: Sources) -> list[str]:
    """Valid time: the acquisition, an instant being one microsecond long."""
    columns["stac_collection"] = pc.fill_null(columns["stac_collection"], "imagery")
    columns["valid_from"] = _first(columns["start_datetime"], columns["datetime"])
    end = _first(columns["end_datetime"], columns["datetime"])
    columns["valid_to"] = pc.if_else(pc.is_valid(end), pc.add(end, _MICROSECOND), pa.scalar(None, INSTANT))
    return []


RULES: dict[str, Callable[[Columns, npt.NDArray[np.float64], Sources], list[str]]] = {
    "buildings": buildings,
    "areas": areas,
    "sensors": sensors,
    "cameras": sensors,
    "imagery": imagery,
}
"""Kind → the rule that completes its columns in place and returns notes. Datasets have none."""
