"""`cim load KIND SOURCE…`: the loading pipeline on the command line."""

import getpass
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cim.crs import DATUMS
from cim.errors import CimError, InvalidParameter
from cim.settings import Settings

if TYPE_CHECKING:
    from loaders.run import LoadRequest

PARTLY_REJECTED = 3
"""Exit code when some rows were rejected and the rest are stored."""

SUMS = ("read", "inserted", "updated", "unchanged", "rejected", "deleted")

OFFERS = ("services", "organisations")
"""Kinds that are entries of the catalogue."""


console = Console(stderr=True)


def _kinds() -> list[str]:
    from cim.collections import BUILTIN

    return [*(c.kind for c in BUILTIN), "dataset", *OFFERS]


def load(
    kind: Annotated[
        str,
        typer.Argument(
            help="buildings, areas, sensors, cameras, imagery, dataset, services or organisations",
            autocompletion=_kinds,
        ),
    ],
    sources: Annotated[list[Path], typer.Argument(help="files, or folders of images")],
    collection: Annotated[str | None, typer.Option(help="id of the collection that a dataset becomes or joins")] = None,
    layer: Annotated[str | None, typer.Option(help="layer of a source with several")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="property=field, property=field*factor, property==constant, id=field"),
    ] = None,
    map_file: Annotated[Path | None, typer.Option(help="YAML of the same: property: field")] = None,
    datum: Annotated[
        str,
        typer.Option(
            help="wgs84 (also CGCS2000), gcj02 or bd09: the offset the coordinates carry",
            autocompletion=lambda: list(DATUMS),
        ),
    ] = "wgs84",
    crs: Annotated[str | None, typer.Option(help="CRS of a source that does not say, e.g. EPSG:4547")] = None,
    encoding: Annotated[str | None, typer.Option(help="text encoding of a CSV or shapefile that does not say")] = None,
    delimiter: Annotated[str | None, typer.Option(help="field delimiter of a CSV")] = None,
    lon: Annotated[str | None, typer.Option(help="column of longitude or easting")] = None,
    lat: Annotated[str | None, typer.Option(help="column of latitude or northing")] = None,
    wkt: Annotated[str | None, typer.Option(help="column of geometry as WKT")] = None,
    timezone: Annotated[str | None, typer.Option(help="zone of times without an offset, e.g. Asia/Shanghai")] = None,
    source: Annotated[
        str | None, typer.Option(help="key of the source: first part of every feature id; default from the file name")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="licence to keep with the run")] = None,
    attribution: Annotated[str | None, typer.Option(help="attribution to keep with the run")] = None,
    replace: Annotated[
        bool, typer.Option(help="swap the source's rows in one step: delete what it no longer has")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="do everything but keep nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="end with one JSON line")] = False,
    loaded_by: Annotated[str | None, typer.Option("--by", help="who loads; default the account")] = None,
    job: Annotated[int | None, typer.Option(hidden=True, help="load_run row that an upload made")] = None,
    batch_rows: Annotated[int, typer.Option(help="rows a transaction")] = 20_000,
) -> None:
    """Load files into a collection: read in a sandbox, map, check, merge; nothing is lost or stored twice.

    Example: cim load buildings nanshan.geojson --map height_m=height --datum gcj02
    """
    from cim.cli.catalogue import load_files

    settings = Settings()
    if kind not in _kinds():
        raise InvalidParameter("kind", kind, f"one of {', '.join(_kinds())}")
    if not 1 <= batch_rows <= 1_000_000:
        raise InvalidParameter("batch-rows", batch_rows, "1 to 1000000")
    if kind in OFFERS:
        load_files(
            kind,
            sources,
            by=loaded_by or getpass.getuser(),
            encoding=encoding or "utf-8-sig",
            is_dry=dry_run,
            as_json=as_json,
        )
        return
    from loaders.base import SourceOptions
    from loaders.run import LoadRequest

    options = SourceOptions(
        layer=layer,
        crs=crs,
        datum=datum,
        encoding=encoding,
        delimiter=delimiter,
        lon=lon,
        lat=lat,
        wkt=wkt,
        timezone=timezone,
    )
    words = tuple(_map_words(map_ or [], map_file))
    requests = [
        LoadRequest(
            kind=kind,
            path=path,
            options=options,
            collection_id=collection,
            source=source,
            map_words=words,
            is_replacing=replace,
            is_dry=dry_run,
            licence=licence,
            attribution=attribution,
            loaded_by=loaded_by or getpass.getuser(),
            job_id=job,
            batch_rows=batch_rows,
        )
        for path in sources
    ]
    _load_all(requests, settings, as_json=as_json)


def _load_all(requests: "Sequence[LoadRequest]", settings: Settings, *, as_json: bool) -> None:
    """Load one after another, go on where one fails, and tell the sums. Exits with 1 where one failed."""
    from cim.db.connect import database

    reports: list[dict[str, Any]] = []
    with database(settings) as url:
        for request in requests:
            try:
                reports.append(_load_one(url, settings, request))
            except CimError as error:
                console.print(f"[red]{request.path.name}: {error.title}.[/red] {_escaped(error.detail)}")
                reports.append({"source": request.path.name, "error": error.told()})
    total = {name: sum(one.get(name, 0) for one in reports) for name in SUMS}
    if as_json:
        told = {**total, "dry_run": requests[0].is_dry, "sources": reports}
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        sys.stdout.flush()
    if any("error" in one for one in reports):
        raise typer.Exit(1)
    if total["rejected"]:
        raise typer.Exit(PARTLY_REJECTED)


def _map_words(stated: list[str], map_file: Path | None) -> list[str]:
    from loaders.mapping import words_of_yaml

    from_file = words_of_yaml(map_file.read_text(encoding="utf-8")) if map_file else []
    return [*from_file, *stated]


def _load_one(url: str, settings: Settings, request: Any) -> dict[str, Any]:
    import time

    from cim.db.connect import connect
    from loaders.run import load_source, source_of

    started = time.monotonic()
    with (
        connect(url) as connection,
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as progress,
    ):
        account = load_source(connection, settings, request, _Drawn(progress, request.path.name))
    seconds = time.monotonic() - started
    report = {"source": request.path.name, **account.to_dict(), "seconds": round(seconds, 3)}
    state = "would be " if request.is_dry else ""
    console.print(
        f"[green]{_escaped(request.path.name)}[/green]: {account.read} read = {account.inserted} {state}inserted + "
        f"{account.updated} updated + {account.unchanged} unchanged + {account.rejected} rejected"
        + (f"; {account.deleted} deleted" if account.deleted else "")
        + (f"; {account.repaired} repaired" if account.repaired else "")
        + f" (run {account.run_id}, {seconds:.1f} s)"
    )
    if account.rejected and not request.is_dry:
        console.print(f"  see why: cim db rejections {account.run_id} --format csv")
        console.print(
            f"  mend them in that file, then: {_escaped(_again(request, source_of(request)))}", soft_wrap=True
        )
    return report


def _again(request: Any, source: str) -> str:
    """The command that loads mended rows of a load, written as CSV."""
    stated = {"source": source, "collection": request.collection_id}
    stated.update({name: getattr(request.options, name) for name in ("datum", "timezone", "lon", "lat", "wkt", "crs")})
    words = [f"--{name} {shlex.quote(value)}" for name, value in stated.items() if value and value != "wgs84"]
    return " ".join(["cim load", request.kind, "mended.csv", *words])


class _Drawn:
    """A `loaders.run.Watcher` that shows the mapping with samples and then a progress bar."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(name, total=None, rate="")

    def opened(self, opened: Any) -> None:
        """Print what the source is and which field goes where."""
        info = opened.info
        console.print(
            f"{_escaped(info.driver)}, layer {_escaped(str(info.layer))}, CRS {_escaped((info.crs or 'none')[:60])}"
            + (f", encoding {info.encoding}" if info.encoding else "")
            + f" → {opened.collection.id}, source key '{opened.source}', mapping {opened.mapping_from}:"
        )
        samples = {f.name: " · ".join(f.samples[:3])[:60] for f in info.fields}
        table = Table("property", "from", "samples", box=None, pad_edge=False)
        table.add_row(
            "id", opened.mapping.id_field or "row number", _escaped(samples.get(opened.mapping.id_field or "", ""))
        )
        for name, rule in opened.mapping.rules.items():
            table.add_row(name, _escaped(str(rule)), _escaped(samples.get(rule.field or "", "")))
        console.print(table)
        rest = sorted(set(samples) - opened.mapping.used_fields())
        if rest:
            console.print(f"  kept in attributes: {_escaped(', '.join(rest)[:200])}")
        for note in info.notes:
            console.print(f"  note: {_escaped(note)}")
        self._progress.update(self._task, total=info.feature_count)

    def resumed(self, batches: int) -> None:
        """Say that an earlier try goes on."""
        console.print(f"  an earlier try was stopped: its {batches} committed batches are skipped")

    def advanced(self, rows_read: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, rows_read)
        speed = self._progress.tasks[0].speed
        self._progress.update(self._task, rate=f"{speed:,.0f}/s" if speed else "")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "�" for c in text))
