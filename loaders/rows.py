"""One batch of a source → rows ready for COPY, and rejections that say why the others are not."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cim.collections.derive import INSTANT, RULES
from cim.model.collection import LEADING, Collection, Kind, Property
from loaders.base import Batch, Rejection
from loaders.blocks import copy_binary, ewkb
from loaders.check import area_m2, check
from loaders.convert import arrow_type, convert, flat
from loaders.mapping import Mapping, Rule
from loaders.repair import Repairer
from loaders.synonyms import SYNONYMS
from loaders.tagging import AreaIndex

MAX_ID_CHARACTERS = 200
MAX_ORIGINAL_BYTES = 2_000_000

Rough = dict[str, frozenset[int]]
"""Field → rows whose value does not say all that its text says."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of one source become rows of one collection."""

    collection: Collection
    mapping: Mapping
    source: str
    run_id: int
    to_wgs84: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None
    areas: AreaIndex
    timezone: str | None = None
    geometry_is_derived: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """`block`: the accepted rows as COPY takes them. `read` = accepted + distinct rejected rows."""

    block: bytes
    read: int
    accepted: int
    repaired: int
    rejections: list[Rejection]
    bounds: tuple[float, float, float, float] | None
    notes: list[str]


def prepare(batch: Batch, plan: Plan, repairer: Repairer) -> Prepared:
    """Map, convert, check and complete one batch."""
    count = len(batch.rows)
    reasons: dict[int, Rejection] = {}

    def reject(index: int, code: str, reason: str, field: str | None = None, value: str | None = None) -> None:
        if index not in reasons:
            reasons[index] = Rejection(
                int(batch.rows[index]), code, reason, field, value, original(batch, index), is_rejected=True
            )

    columns, rough = _properties(batch, plan, reject)
    identity = _identity(batch, plan.mapping, reject)
    checked = check(
        batch.geometry,
        plan.to_wgs84,
        plan.collection.geometry_type,
        repairer,
        may_be_missing=not plan.collection.needs_geometry,
    )
    for index, (code, reason, value) in checked.bad.items():
        reject(index, code, reason, "geometry", value)
    columns["area_code"] = plan.areas.codes_of(checked.bounds)
    columns["valid_from"] = columns["valid_to"] = pa.nulls(count, INSTANT)
    rule = RULES.get(plan.collection.kind)
    sources = {name: r.field for name, r in plan.mapping.rules.items() if r.field}
    notes = rule(columns, area_m2(checked.geometry, checked.bounds), sources) if rule else []
    notes.extend(f"{name} says roughly when in some rows; the word is kept in attributes" for name in rough)
    _reject_repeated(identity, reject)
    placed = [replace(found, bounds=_known_bounds(checked.bounds[index])) for index, found in reasons.items()]
    kept = np.ones(count, bool)
    kept[list(reasons)] = False
    repairs = [
        Rejection(
            int(batch.rows[i]),
            code,
            reason,
            "geometry",
            None,
            original(batch, i),
            is_rejected=False,
            bounds=_known_bounds(checked.bounds[i]),
        )
        for i, (code, reason) in checked.repaired.items()
        if kept[i]
    ]
    table = _table(batch, plan, columns, identity, checked.geometry, kept, rough)
    bounds = _total(checked.bounds[kept])
    undecoded = {r.row for r in batch.rejections if r.is_rejected}
    return Prepared(
        block=copy_binary(table, {"attributes", *(p.name for p in plan.collection.properties if p.kind is Kind.JSON)}),
        read=count + len(undecoded),
        accepted=int(kept.sum()),
        repaired=len(repairs),
        rejections=[*batch.rejections, *placed, *repairs],
        bounds=bounds,
        notes=notes,
    )


def _properties(batch: Batch, plan: Plan, reject: Callable[..., None]) -> tuple[dict[str, pa.Array], Rough]:
    count = len(batch.rows)
    columns: dict[str, pa.Array] = {}
    rough: Rough = {}
    for target in plan.collection.properties:
        rule = plan.mapping.rules.get(target.name)
        if rule is None or (rule.field is not None and rule.field not in batch.table.column_names):
            columns[target.name] = pa.nulls(count, arrow_type(target.kind))
            continue
        raw = _raw(batch, rule, count)
        if target.codes is not None:
            columns[target.name] = _coded(raw, target, plan.collection.kind)
            continue
        converted = convert(raw, target, factor=rule.factor, zone=plan.timezone)
        for index, (value, allowed) in converted.failures.items():
            reject(
                index, f"type/{target.kind.value}", f"{rule.field or target.name}: {allowed}", rule.field, value[:200]
            )
        columns[target.name] = converted.column
        if converted.rough and rule.field is not None:
            rough[rule.field] = converted.rough
    return columns, rough


def _raw(batch: Batch, rule: Rule, count: int) -> pa.Array:
    if rule.field is None:
        return pa.array([rule.constant] * count, pa.string())
    return flat(batch.table.column(rule.field))


def _coded(raw: pa.Array, target: Property, kind: str) -> pa.Array:
    """Words of the source as codes: the code itself, its titles, its synonyms, else `other` where that is a code."""
    assert target.codes is not None
    text = convert(raw, Property(target.name, Kind.TEXT, "", "")).column
    known: dict[str, str | None] = dict(SYNONYMS.get((kind, target.name), {}))
    for code, titles in target.codes.items():
        known.update({code: code, titles[0].lower(): code, titles[1].lower(): code})
    fallback = "other" if "other" in target.codes else None
    encoded = text.dictionary_encode()
    words = [known.get(word.lower(), fallback) for word in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices) if len(words) else pa.nulls(len(text), pa.string())


def _identity(batch: Batch, mapping: Mapping, reject: Callable[..., None]) -> pa.Array:
    """Source ids as text; the row number where the source has no id."""
    if mapping.id_field is None or mapping.id_field not in batch.table.column_names:
        return pa.array(batch.rows).cast(pa.string())
    text = convert(flat(batch.table.column(mapping.id_field)), Property("id", Kind.TEXT, "", ""))
    for index, (value, _) in text.failures.items():
        reject(index, "id/invalid", "the id holds a NUL character", mapping.id_field, value[:200])
    for empty in np.flatnonzero(pc.is_null(text.column).to_numpy(zero_copy_only=False)):
        reject(int(empty), "id/missing", f"the row has no value in its id field {mapping.id_field}", mapping.id_field)
    lengths = pc.fill_null(pc.utf8_length(text.column), 0)
    for long in np.flatnonzero(pc.greater(lengths, MAX_ID_CHARACTERS).to_numpy(zero_copy_only=False)):
        reject(int(long), "id/too-long", f"an id has at most {MAX_ID_CHARACTERS} characters", mapping.id_field)
    return text.column


def _reject_repeated(identity: pa.Array, reject: Callable[..., None]) -> None:
    """Later rows with an id that the batch has already; repeats over batches are found in the database."""
    if pc.count_distinct(identity, mode="only_valid").as_py() == len(identity) - identity.null_count:
        return
    seen: set[str] = set()
    for index, value in enumerate(identity.to_pylist()):
        if value is None:
            continue
        if value in seen:
            reject(index, "duplicate-id", "an earlier row of the source has the same id", None, value[:200])
        seen.add(value)


def _table(
    batch: Batch,
    plan: Plan,
    columns: dict[str, pa.Array],
    identity: pa.Array,
    geometry: npt.NDArray[Any],
    kept: npt.NDArray[np.bool_],
    rough: Rough,
) -> pa.Table:
    prefix = pa.scalar(plan.source + ".")
    keep = None if kept.all() else pa.array(kept)
    shapes = geometry if keep is None else geometry[kept]
    fixed = {
        "id": pc.binary_join_element_wise(prefix, identity, ""),
        "source": pa.repeat(plan.source, len(identity)),
        "source_id": identity,
        "area_code": columns["area_code"],
        "valid_from": columns["valid_from"],
        "valid_to": columns["valid_to"],
        "load_run_id": pa.repeat(pa.scalar(plan.run_id, pa.int64()), len(identity)),
        "source_row": pa.array(batch.rows, pa.int64()),
        "attributes": attributes(batch, plan.mapping, plan.collection, rough),
    }
    table = pa.table({**fixed, **{p.name: columns[p.name] for p in plan.collection.properties}})
    if keep is not None:
        table = table.filter(keep)
    geom = ewkb(shapes, plan.collection.srid, plan.collection.geometry_type)
    return table.add_column(LEADING.index("geom"), "geom", geom)


def attributes(batch: Batch, mapping: Mapping, collection: Collection, rough: Rough) -> pa.Array:
    """What no property took, words that became codes and rough ones, as JSON text; null where nothing is left."""
    used = mapping.used_fields()
    coded = {mapping.rules[p.name].field for p in collection.properties if p.codes and p.name in mapping.rules}
    names = [n for n in batch.table.column_names if n not in used or n in coded or n in rough]
    count = len(batch.rows)
    if not names:
        return pa.nulls(count, pa.string())
    pieces = []
    for name in names:
        value = json_texts(flat(batch.table.column(name)))
        if name in rough and name in used - coded:
            said = np.isin(np.arange(count), list(rough[name]))
            value = pc.if_else(pa.array(said), value, pa.scalar(None, pa.string()))
        head = pa.scalar(orjson.dumps(name).decode() + ":")
        pieces.append(pc.fill_null(pc.binary_join_element_wise(head, value, ",", ""), ""))
    joined = pc.utf8_rtrim(pc.binary_join_element_wise(*pieces, ""), characters=",")
    text = pc.binary_join_element_wise("{", joined, "}", "")
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), text)


def json_texts(column: pa.Array) -> pa.Array:
    """Each value as JSON text; null for null, NaN and infinity."""
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        return finite.cast(pa.string())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_string(kind) and not pc.any(pc.match_substring_regex(column, r'["\\\x00-\x1f]')).as_py():
        return pc.binary_join_element_wise('"', column, '"', "")
    return pa.array(
        [
            None if v is None else orjson.dumps(_jsonable(v), default=str).decode().replace("\\u0000", "")
            for v in column.to_pylist()
        ],
        pa.string(),
    )


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_jsonable(v) for v in value]
    return value


def original(batch: Batch, index: int) -> dict[str, Any]:
    """Row `index` as it came: a GeoJSON feature in the source's CRS, cut where it is huge."""
    properties: dict[str, Any] = {
        name: orjson.loads(orjson.dumps(_jsonable(batch.table.column(name)[index].as_py()), default=str))
        for name in batch.table.column_names
    }
    geometry = batch.geometry[index]
    shape: Any = None
    if geometry is not None:
        if shapely.get_num_coordinates(geometry) * 40 > MAX_ORIGINAL_BYTES:
            properties["_geometry_left_out"] = f"{shapely.get_num_coordinates(geometry)} vertices"
        else:
            shape = _geometry_json(geometry)
    return {"type": "Feature", "geometry": shape, "properties": properties}


def _geometry_json(geometry: shapely.Geometry) -> Any:
    """GeoJSON of a geometry; of one that GeoJSON cannot write (NaN, infinity) its WKT."""
    if np.isfinite(shapely.get_coordinates(geometry)).all():
        return orjson.loads(shapely.to_geojson(geometry))
    return {"wkt": shapely.to_wkt(geometry, rounding_precision=-1)[:MAX_ORIGINAL_BYTES]}


def _known_bounds(bounds: npt.NDArray[np.float64]) -> tuple[float, float, float, float] | None:
    """Where a row lies, None where that is nowhere on Earth."""
    west, south, east, north = (float(value) for value in bounds)
    return (west, south, east, north) if west >= -180 and south >= -90 and east <= 180 and north <= 90 else None


def _total(bounds: npt.NDArray[np.float64]) -> tuple[float, float, float, float] | None:
    """The box around all `(n, 4)` bounds; rows without a geometry do not count."""
    known = bounds[~np.isnan(bounds).any(axis=1)]
    if not len(known):
        return None
    low, high = known[:, :2].min(axis=0), known[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
