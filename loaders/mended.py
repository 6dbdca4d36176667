"""Rejected rows that come back mended: each keeps the number that it has in its source, and so its identity.

`cim db rejections` and the API write the fields `cim_row`, `cim_code`, `cim_reason` … before a row's own (`cim.db.rejections`).
"""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa

from cim.db.rejections import MARKS, PLACE
from loaders.base import Batch, Rejection, SourceInfo
from loaders.convert import flat

NUMBER = "cim_row"
_NEEDED = frozenset(MARKS[:3])
_OURS = frozenset({*MARKS, PLACE})


def is_mended(names: frozenset[str] | set[str]) -> bool:
    """True for a source with these fields that rejections were written into."""
    return names >= _NEEDED


def without_marks(info: SourceInfo) -> SourceInfo:
    """The source as it was before its rows were rejected: our fields are left out. Others stay as they are."""
    if not is_mended({f.name for f in info.fields}):
        return info
    fields = tuple(f for f in info.fields if f.name not in _OURS)
    note = f"rejected rows come back: they keep the numbers of {NUMBER}; load them with the same --source"
    return replace(info, fields=fields, notes=(*info.notes, note))


def renumbered(batch: Batch) -> Batch:
    """A batch with the row numbers of `cim_row` and without our fields; a row without a number is rejected."""
    if not is_mended(set(batch.table.column_names)):
        return batch
    numbers = [_number(value) for value in flat(batch.table.column(NUMBER)).to_pylist()]
    table = batch.table.drop_columns([name for name in batch.table.column_names if name in _OURS])
    known = np.array([number is not None for number in numbers], bool)
    rejections = [
        Rejection(
            int(batch.rows[index]),
            "row/unnumbered",
            f"{NUMBER} says which row of the source this is; load new rows from a file of their own",
            NUMBER,
            original={"type": "Feature", "geometry": None, "properties": table.slice(index, 1).to_pylist()[0]},
        )
        for index in np.flatnonzero(~known)
    ]
    return Batch(
        table.filter(pa.array(known)),
        batch.geometry[known],
        np.array([number for number in numbers if number is not None], dtype=np.int64),
        (*batch.rejections, *rejections),
    )


def _number(value: object) -> int | None:
    """A row number as an integer, a float or text says it: 12, 12.0, "12"."""
    found = re.fullmatch(r"\s*(\d{1,18})(?:\.0*)?\s*", str(value))
    return int(found.group(1)) if found else None
