"""`make bench-load`: our load beside `ogr2ogr -f PostgreSQL` with COPY, same file, same machine, same run.

Both fill a table that ends with the same indexes. ogr2ogr only reads and writes; ours also confines the reader,
maps, checks every geometry, computes areas, tags each building with its community, merges by id and accounts.
Prints a table of seconds, ratio (ogr2ogr / ours; 1 or more is the goal) and peak memory of our processes.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from rich.console import Console
from rich.table import Table

from cim.db.connect import database
from cim.db.migrate import upgrade
from cim.settings import Settings

console = Console(width=None if sys.stdout.isatty() else 140)


def footprints(count: int) -> pa.Table:
    """Clustered, turned L-shaped footprints of 7 vertices around Shenzhen, with six attributes."""
    random = np.random.default_rng(4403)
    centre = np.column_stack([random.uniform(113.8, 114.4, 2000), random.uniform(22.5, 22.8, 2000)])
    cluster = random.integers(0, 2000, count)
    place = centre[cluster] + random.normal(0, 0.004, (count, 2))
    size = random.uniform(5, 20, (count, 2)) * 1e-5
    angle = random.uniform(0, np.pi, count)
    outline = np.array([(-1, -1), (1, -1), (1, 1), (0.2, 1), (0.2, 0.3), (-1, 0.3), (-1, -1)])
    x, y = outline[:, 0] * size[:, :1], outline[:, 1] * size[:, 1:]
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    corners = np.stack([place[:, :1] + x * cosine - y * sine, place[:, 1:] + x * sine + y * cosine], axis=2)
    rings = shapely.linearrings(corners.reshape(-1, 2), indices=np.repeat(np.arange(count), len(outline)))
    return pa.table(
        {
            "id": [f"B{i:07d}" for i in range(count)],
            "name": [f"楼{i % 1000}号" for i in range(count)],
            "floors_above": random.integers(1, 40, count),
            "height_m": random.uniform(3, 120, count).round(1),
            "use": random.choice(["residential", "commercial", "office", "industrial"], count),
            "year_built": random.integers(1980, 2024, count),
            "geometry": shapely.to_wkb(shapely.polygons(rings)),
        }
    )


def write(table: pa.Table, folder: Path) -> dict[str, Path]:
    """The same rows as FlatGeobuf (spatially sorted by its index) and GeoParquet."""
    fgb, parquet = folder / "bench.fgb", folder / "bench.parquet"
    pyogrio.write_arrow(
        table, fgb, driver="FlatGeobuf", geometry_name="geometry", geometry_type="Polygon", crs="EPSG:4326"
    )
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}},
    }
    stamped = table.replace_schema_metadata({"geo": json.dumps(geo)})
    pq.write_table(stamped, parquet, row_group_size=65_536, compression="zstd")
    return {"FlatGeobuf": fgb, "GeoParquet": parquet}


def grid_of_areas(folder: Path) -> Path:
    """1 city, 25 districts and 625 communities as squares: what each building is tagged with."""
    features = []

    def add(code: str, x: float, y: float, width: float, height: float) -> None:
        box = shapely.box(x, y, x + width, y + height)
        geometry = json.loads(shapely.to_geojson(box))
        features.append({"type": "Feature", "geometry": geometry, "properties": {"code": code, "name": code}})

    add("4403", 113.75, 22.45, 0.7, 0.4)
    for i in range(5):
        for j in range(5):
            x, y = 113.75 + i * 0.14, 22.45 + j * 0.08
            add(f"4403{i * 5 + j + 1:02d}", x, y, 0.14, 0.08)
            for k in range(25):
                code = f"4403{i * 5 + j + 1:02d}001{k + 1:03d}"
                add(code, x + k % 5 * 0.028, y + k // 5 * 0.016, 0.028, 0.016)
    path = folder / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


class Peak:
    """Peak resident memory of a process and its children while the block runs, in MiB."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stop, self.mib = pid, threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            try:
                top = psutil.Process(self._pid)
                total = sum(
                    p.memory_info().rss for p in [top, *top.children(recursive=True)] if "postgres" not in p.name()
                )
            except psutil.Error:
                continue
            self.mib = max(self.mib, total / 2**20)

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return self.mib


def ours(url: str, kind: str, path: Path) -> tuple[float, float, dict[str, int]]:
    """Seconds, peak MiB and the account of `cim load`."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "cim.cli.main", "load", kind, str(path), "--json"],
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    peak = Peak(process.pid)
    output = process.communicate()[0]
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"cim load {path.name} ended with {process.returncode}: {output.decode()[-500:]}")
    return seconds, peak.stop(), json.loads(output.splitlines()[-1])


def peer(url: str, path: Path, indexes: str) -> float:
    """Seconds of ogr2ogr into an empty table: `indexes` is `place` (key and GiST) or `all` (those of our table)."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS public.peer")
        connection.execute(  # no column with a default: ogr2ogr would insert row by row instead of COPY
            'CREATE TABLE public.peer (ogc_fid bigserial PRIMARY KEY, geom geometry(Polygon, 4326), id text COLLATE "C", '
            'name text, floors_above int, height_m float8, use text COLLATE "C", year_built int)'
        )
        connection.execute("CREATE INDEX ON public.peer USING gist (geom)")
        if indexes == "all":
            connection.execute("CREATE UNIQUE INDEX ON public.peer (id); CREATE INDEX ON public.peer (use, id)")
            connection.execute(
                "CREATE INDEX ON public.peer (left(id, 6)); CREATE INDEX ON public.peer (year_built, id)"
            )
            connection.execute("CREATE INDEX ON public.peer USING gin (cim.bigrams(ARRAY[name]))")
        connection.execute("CHECKPOINT")
    started = time.monotonic()
    target = ["-f", "PostgreSQL", f"PG:{url}", str(path), "-nln", "public.peer", "-append", "-q"]
    subprocess.run(["ogr2ogr", "--config", "PG_USE_COPY", "YES", *target], check=True)
    return time.monotonic() - started


HEADINGS = (
    "source",
    "ogr2ogr, key + GiST",
    "ogr2ogr, our indexes",
    "cim load",
    "ratio",
    "ratio, our indexes",
    "peak MiB",
)


def compared(url: str, peers: Path, path: Path, count: int) -> tuple[float, ...]:
    """One round: seconds of ogr2ogr from `peers` twice and of ours from `path`, both ratios, peak MiB."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE cim.building, cim.building_history")
        connection.execute("DELETE FROM cim.load_run WHERE kind = 'buildings'")
    place, every = peer(url, peers, "place"), peer(url, peers, "all")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE public.peer")
        connection.execute("CHECKPOINT")
    seconds, mib, account = ours(url, "buildings", path)
    assert account["inserted"] == count, account
    return place, every, seconds, place / seconds, every / seconds, mib


def cells(figures: Sequence[float]) -> list[str]:
    """The figures of `compared` as a row shows them."""
    place, every, seconds, ratio, ratio_all, mib = figures
    return [f"{place:.1f} s", f"{every:.1f} s", f"{seconds:.1f} s", f"{ratio:.2f}", f"{ratio_all:.2f}", f"{mib:.0f}"]


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buildings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="the last line of each source is the median of them")
    arguments = parser.parse_args()
    if not shutil.which("ogr2ogr"):
        raise SystemExit("the peer is missing: apt-get install gdal-bin")
    folder = Path(tempfile.mkdtemp(prefix="cim-bench-"))
    folder.chmod(0o755)
    if not os.environ.get("DATABASE_URL"):
        os.environ["CIM_DATA_DIR"] = str(folder / "data")
    try:
        with console.status(f"making {arguments.buildings:,} footprints"):
            files = write(footprints(arguments.buildings), folder)
        with database(Settings()) as url:
            upgrade(url)
            ours(url, "areas", grid_of_areas(folder))
            table = Table(*HEADINGS)
            for name, path in files.items():
                rounds = []
                for number in range(arguments.rounds):
                    with console.status(f"{name}, round {number + 1} of {arguments.rounds}"):
                        rounds.append(compared(url, files["FlatGeobuf"], path, arguments.buildings))
                    table.add_row(f"{name} {number + 1}", *cells(rounds[-1]))
                medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
                table.add_row(f"{name}, median", *cells(medians), style="bold", end_section=True)
            console.print(table)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    console.print(f"peak of this program itself: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
