"""The sandboxed reading child: `python -m loaders.child`.

It takes one JSON line a request on its standard input (`open`, then `read`) and answers with frames
(`loaders.frames`) on its standard output. It has no database connection and, once confined, no network; it
may die of what it reads, and its parent reports that.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import orjson

from cim.errors import CimError, LoadFailed
from cim.imports import hide
from loaders.frames import write_frame
from loaders.sandbox import confine


def main() -> None:
    """Serve one source, then end. Errors of `cim.errors` travel as an `error` frame."""
    sink = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # what a native library prints must not get between frames
    head = orjson.loads(sys.stdin.buffer.readline())
    try:
        notes = confine(head["memory_bytes"], head["cpu_s"])
        with tempfile.TemporaryDirectory(prefix="cim-child-", dir=head["scratch"]) as scratch:
            _serve(head, Path(scratch), sink, notes)
    except CimError as error:
        told = {"code": error.code, "detail": error.detail, "parameter": error.parameter, "facts": error.facts}
        write_frame(sink, {"type": "error", **told})
    except MemoryError:
        detail = (
            f"reading the source takes more than {head['memory_bytes'] // 2**20} MiB (setting CIM_LOADER_MEMORY_BYTES)"
        )
        write_frame(sink, {"type": "error", "code": LoadFailed.code, "detail": detail, "parameter": None, "facts": {}})


def _serve(head: dict[str, Any], scratch: Path, sink: IO[bytes], notes: list[str]) -> None:
    # pyogrio imports geopandas and pandas (2 s) where it finds them, and reads Arrow without
    hide("geopandas", "pandas")
    # imported once confined: native libraries start under the limits
    import numpy as np

    from cim.model.declaration import collection_from
    from loaders import registry
    from loaders.ahead import ahead
    from loaders.archive import unpacked
    from loaders.base import SourceOptions
    from loaders.check import to_wgs84
    from loaders.mapping import parse
    from loaders.mended import renumbered, without_marks
    from loaders.repair import Repairer
    from loaders.rows import Plan, prepare
    from loaders.tagging import AreaIndex

    options = SourceOptions(**head["options"])
    path = unpacked(Path(head["path"]), scratch, head["max_unpacked_bytes"], head["max_archive_members"])
    loader, info = registry.choose(path, options)
    info = without_marks(info)
    write_frame(sink, {"type": "info", "loader": loader.name, "sandbox": notes, "info": _plain(info)})
    line = sys.stdin.buffer.readline()
    if not line:
        return
    request = orjson.loads(line)
    collection = collection_from(request["collection"])
    plan = Plan(
        collection=collection,
        mapping=parse(request["mapping"], collection, info),
        source=request["source"],
        run_id=request["run_id"],
        to_wgs84=to_wgs84(info.crs, options.datum),
        areas=AreaIndex.of([(code, bytes.fromhex(wkb)) for code, wkb in request["areas"]]),
        timezone=options.timezone,
    )
    number = 0
    with Repairer() as repairer:
        for batch in ahead(loader.read(path, options, request["batch_rows"])):
            number += 1
            if len(batch.geometry) != len(batch.rows):
                raise LoadFailed(f"{loader.name}: {len(batch.geometry)} geometries for {len(batch.rows)} rows")
            batch = renumbered(batch)
            prepared = prepare(batch, plan, repairer)
            last_row = int(np.max(batch.rows, initial=0))
            write_frame(sink, {"number": number, "last_row": last_row, **_told(batch, prepared)}, prepared.block)
    write_frame(sink, {"type": "end", "batches": number})


def _told(batch: Any, prepared: Any) -> dict[str, Any]:
    """What the frame of a batch says beside its rows."""
    metadata = batch.table.schema.metadata or {}
    return {
        "type": "batch",
        "read": prepared.read,
        "accepted": prepared.accepted,
        "repaired": prepared.repaired,
        "bounds": prepared.bounds,
        "notes": prepared.notes,
        "rejections": [_plain(r) for r in prepared.rejections],
        "stac_collections": orjson.loads(metadata.get(b"stac_collections", b"[]")),
    }


def _plain(value: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(value)


if __name__ == "__main__":
    main()
