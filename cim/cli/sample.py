"""`cim sample`: generate the sample city, and load it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cim.errors import InvalidParameter
from cim.settings import Settings

if TYPE_CHECKING:
    from sample_data.plan import CityPlan

SOURCE = "sample"
"""Source key of everything that the sample city loads."""

FIRST_FILL = "cim run"
"""Who loads the city of an empty database: until its last part is completed the next `cim run` goes on."""

LICENCE, ATTRIBUTION = "CC0-1.0", "OpenCIM sample city (invented)"
LOADS = (
    ("areas", "areas.geojson"),
    ("buildings", "buildings.parquet"),
    ("sensors", "sensors.parquet"),
    ("cameras", "cameras.parquet"),
    ("imagery", "imagery"),
)
"""Kind and file, in the order to load them: what stands in an area is tagged with its code when it comes."""

console = Console(stderr=True)


def sample(
    out: Annotated[Path, typer.Option(help="folder for the files; made where it is missing")] = Path("sample_city"),
    buildings: Annotated[int, typer.Option(min=10, max=1_000_000, help="how many buildings")] = 2_000,
    sensors: Annotated[
        int | None, typer.Option(min=0, max=4_000_000, help="how many sensor channels; default as many as buildings")
    ] = None,
    cameras: Annotated[
        int | None, typer.Option(min=0, max=2_000_000, help="how many cameras; default a fifth of the buildings")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="the same seed and counts give the same city, byte for byte")] = 4403,
    formats: Annotated[
        str, typer.Option(help="comma separated, besides GeoParquet: fgb, gpkg, geojson, geojsonl")
    ] = "parquet",
    load: Annotated[bool, typer.Option("--load", help="load the city into the database")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="end with one JSON line")] = False,
) -> None:
    """Generate an invented, Shenzhen-like city: areas, buildings, sensors, cameras, imagery, services.

    Example: cim sample --buildings 1000000 --sensors 2000000 --cameras 500000 --out reference_city
    """
    from sample_data.formats import FORMATS, write_format
    from sample_data.plan import plan_city

    wanted = [word.strip() for word in formats.split(",") if word.strip() and word.strip() != "parquet"]
    for word in wanted:
        if word not in FORMATS:
            raise InvalidParameter("formats", word, f"parquet, {', '.join(FORMATS)}")
    plan = plan_city(buildings, sensors, cameras, seed)
    report = _generate(plan, out)
    for word in wanted:
        for kind in ("buildings", "sensors", "cameras"):
            with _progress() as drawn:
                write_format(out / f"{kind}.parquet", word, drawn)
    loaded = _load(Settings(), out, "cim sample", False) if load else []
    if as_json:
        line = {"folder": str(out), "seed": seed, **report, "loaded": loaded}
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.flush()


def first_fill(url: str) -> Literal["due", "stopped", "done"]:
    """`due` for a database without a feature, `stopped` where the city that was made for it is not whole."""
    from cim.db.account import last_state
    from cim.db.connect import connect

    with connect(url) as connection:
        row = connection.execute("SELECT coalesce(sum(feature_count), 0) FROM cim.collection_stats").fetchone()
        if row is None or row[0] == 0:
            return "due"
        states = [last_state(connection, kind, loaded_by=FIRST_FILL) for kind, _ in LOADS]
    return "stopped" if any(states) and states[-1] != "completed" else "done"


def generate_and_load(
    settings: Settings, *, buildings: int = 2_000, is_replacing: bool = False
) -> list[dict[str, Any]]:
    """Load a generated city into the database of `settings`; gives an account a kind. Leaves no files.

    `is_replacing`: rows of an earlier sample city that this one has not are taken out.
    """
    from loaders.scratch import scratch
    from sample_data.plan import plan_city

    with scratch("cim-sample-") as folder:
        _generate(plan_city(buildings), folder)
        return _load(settings, folder, FIRST_FILL, is_replacing)


def _generate(plan: "CityPlan", folder: Path) -> dict[str, Any]:
    from sample_data.generate import write_city

    started = time.monotonic()
    try:
        with _progress() as drawn:
            counts = write_city(plan, folder, drawn)
    except ValueError as error:
        raise InvalidParameter("buildings", plan.buildings, str(error)) from error
    seconds = round(time.monotonic() - started, 2)
    console.print(
        f"sample city (seed {plan.seed}) in {folder}: "
        + ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        + f" ({seconds:.1f} s)"
    )
    return {**counts, "seconds": seconds}


def _load(settings: Settings, folder: Path, loaded_by: str, is_replacing: bool) -> list[dict[str, Any]]:
    from cim.catalogue.load import load_organisations, load_services, read_rows
    from cim.db.connect import connect, database

    with database(settings) as url:
        with connect(url) as connection:
            load_organisations(connection, read_rows(folder / "organisations.yaml", "organisations"))
            services = load_services(connection, read_rows(folder / "services.yaml", "services"))
        console.print(f"[green]catalogue[/green]: {services.read:,} services read, {services.rejected:,} rejected")
        return _load_collections(settings, url, folder, loaded_by, is_replacing)


def _load_collections(
    settings: Settings, url: str, folder: Path, loaded_by: str, is_replacing: bool
) -> list[dict[str, Any]]:
    from cim.db.connect import connect
    from loaders.base import SourceOptions
    from loaders.run import LoadRequest, load_source

    reports = []
    for kind, name in LOADS:
        request = LoadRequest(
            kind=kind,
            path=folder / name,
            options=SourceOptions(),
            source=SOURCE,
            licence=LICENCE,
            attribution=ATTRIBUTION,
            loaded_by=loaded_by,
            is_replacing=is_replacing,
        )
        with connect(url) as connection, _progress() as drawn:
            account = load_source(connection, settings, request, _Watched(drawn, kind))
        console.print(f"[green]{kind}[/green]: {account.read:,} read, {account.rejected:,} rejected")
        reports.append({"kind": kind, **account.to_dict()})
    return reports


class _Watched:
    """A Watcher of `loaders.run` that draws one bar."""

    def __init__(self, drawn: "_Drawn", kind: str) -> None:
        self._drawn, self._kind, self._done, self._total = drawn, kind, 0, 0

    def opened(self, opened: Any) -> None:
        """Take the number of rows."""
        self._total = opened.info.feature_count or 0

    def resumed(self, batches: int) -> None:
        """Batches of an earlier try are skipped."""

    def advanced(self, rows_read: int) -> None:
        """Move the bar."""
        self._done += rows_read
        self._drawn(f"load {self._kind}", self._done, max(self._total, self._done))


class _Drawn:
    """A progress bar a stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


@contextmanager
def _progress() -> Iterator[_Drawn]:
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        yield _Drawn(progress)
