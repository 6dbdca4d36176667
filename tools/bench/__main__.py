"""`make bench`: run it. See docs/performance.md."""

import argparse
import platform
import shutil
import signal
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg
from rich.console import Console

from cim.collections.buildings import BUILDINGS
from cim.collections.imagery import IMAGERY
from cim.db.connect import connect
from cim.errors import SetupProblem
from cim.model import Collection
from cim.model.collection import Extent
from tools.bench import peers
from tools.bench.city import City, cache_folder, city
from tools.bench.places import Places, places
from tools.bench.report import Outcome, markdown, show
from tools.bench.rows import Row, cached_row, rows
from tools.bench.run import CONNECTIONS, Pace, measure, nearest_tile
from tools.bench.servers import Server, await_kept_texts, ours
from tools.bench.statements import every_feature
from tools.bench.walk import copy_walk, our_walk

CACHED = {"cached-33": (33_000, "tiles_16"), "cached-190": (190_000, "tiles_14")}
WALK = "walk"

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def arguments() -> argparse.Namespace:
    """What is wanted."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--buildings", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="rows, comma separated")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each contender; the middle one counts")
    parser.add_argument("--workers", type=int, default=2, help="processes of each Python server, ours and the peers'")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder of data and peers")
    return parser.parse_args()


def main() -> None:
    """Make the city, start the contenders, measure, print."""
    wanted = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    for program, package in (("wrk", "wrk"), ("pgbench", "postgresql-15")):
        if not shutil.which(program) and not list(Path("/usr/lib/postgresql").glob(f"*/bin/{program}")):
            raise SystemExit(f"{program} is missing: apt-get install {package}")
    with ExitStack() as stack:
        try:
            made = stack.enter_context(city(wanted.cache, wanted.buildings))
        except SetupProblem as error:
            raise SystemExit(str(error)) from error
        console.print(f"{made.buildings:,} buildings in {made.folder}; drawing places")
        with connect(made.url) as connection:
            drawn = places(connection)
            buildings = _buildings(connection)
        outcomes = _measure_all(wanted, made, drawn, buildings, stack)
    title = (
        f"{wanted.buildings:,} buildings, {CONNECTIONS} connections, {wanted.workers} worker processes, median of "
        f"{wanted.rounds} × {wanted.seconds:g} s, {platform.machine()}"
    )
    show(console, outcomes, title)
    if wanted.markdown:
        wanted.markdown.write_text(markdown(outcomes, title), encoding="utf-8")


def _buildings(connection: psycopg.Connection) -> Collection:
    """The collection with its statistics, as the server knows it: they decide how it is asked."""
    row = connection.execute(
        "SELECT feature_count, ST_XMin(bounds), ST_YMin(bounds), ST_XMax(bounds), ST_YMax(bounds) "
        "FROM cim.collection_stats WHERE collection_id = 'buildings'"
    ).fetchone()
    assert row is not None
    return BUILDINGS.with_stats(row[0], Extent((row[1], row[2], row[3], row[4])))


def _measure_all(
    wanted: argparse.Namespace, made: City, drawn: Places, buildings: Collection, stack: ExitStack
) -> list[Outcome]:
    chosen = [key for key in wanted.only.split(",") if key]
    known = rows(drawn, buildings, IMAGERY)
    keys = [*(row.key for row in known), *CACHED, WALK]
    if unknown := set(chosen) - set(keys):
        raise SystemExit(f"--only: {', '.join(sorted(unknown))}; there is {', '.join(keys)}")
    server = ours(made, workers=wanted.workers, env={"CIM_TILE_CACHE_BYTES": "0"})  # but in the cached rows
    stack.callback(server.stop)
    with console.status("texts of features are kept"):
        await_kept_texts(made)
    servers = {"ours": server, **({} if wanted.no_peers else _peers(wanted, made, stack, known, chosen))}
    pace = Pace(wanted.seconds, wanted.rounds)
    outcomes = [measure(row, made, servers, pace, console.print) for row in known if not chosen or row.key in chosen]
    for key, (size, tiles) in CACHED.items():
        if chosen and key not in chosen:
            continue
        if not wanted.no_peers and "martin-cached" not in servers:
            _join(servers, "martin-cached", lambda: peers.martin(wanted.cache, made, 0, is_cached=True), stack)
        if "ours-cached" not in servers:
            servers["ours-cached"] = ours(made, workers=wanted.workers)
            stack.callback(servers["ours-cached"].stop)
        row = cached_row(key, f"{size // 1000} kB", nearest_tile(server.port, getattr(drawn, tiles), size))
        cached = {"ours": servers["ours-cached"], "martin": servers.get("martin-cached")}
        outcomes.append(measure(row, made, {n: s for n, s in cached.items() if s}, pace, console.print))
    if not chosen or WALK in chosen:
        outcomes.append(_walk(made, server, buildings, wanted.rounds))
    return outcomes


def _peers(
    wanted: argparse.Namespace, made: City, stack: ExitStack, known: tuple[Row, ...], chosen: list[str]
) -> dict[str, Server]:
    """The peers that the chosen rows need and that are to be had; of the others the reason is printed."""
    needed = {name for row in known if not chosen or row.key in chosen for name in row.asks}
    started: dict[str, Server] = {}
    for name, start in peers.PEERS.items():
        if name in needed:
            _join(started, name, lambda start=start: start(wanted.cache, made, wanted.workers), stack)
    return started


def _join(servers: dict[str, Server], name: str, start: object, stack: ExitStack) -> None:
    try:
        with console.status(f"starting {name}"):
            servers[name] = start()  # type: ignore[operator]
    except (peers.Absent, RuntimeError) as error:
        console.print(f"without {name}: {error}", markup=False)
        return
    stack.callback(servers[name].stop)


def _walk(made: City, server: Server, buildings: Collection, rounds: int) -> Outcome:
    row = Row(WALK, "walk all features (features a second, one client)", {}, reach_raw=0.7)
    outcome = Outcome(row)
    raw, own = [], []
    for _ in range(rounds):
        raw.append(copy_walk(made.url, every_feature(buildings), made.buildings))
        try:
            own.append(our_walk(server.port, made.buildings))
        except ValueError as error:
            outcome.notes.append(str(error))
            break
        console.print(f"walk: COPY {raw[-1]:,.0f}/s, ours {own[-1]:,.0f}/s")
    outcome.raw["COPY"] = statistics.median(raw)
    if own:
        outcome.rates["ours"] = statistics.median(own)
    return outcome


if __name__ == "__main__":
    main()
