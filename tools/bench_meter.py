"""What metering and rights cost: cached tiles through `/services/…`, with and without them, in turns on one machine.

`python tools/bench_meter.py --rounds 3` prints the ratio of each way to the same server without rights and meter, for tiles of the
sizes that `make bench` has. The load is wrk, one worker answers; calls are booked meanwhile by the same worker into the same
database, so that their whole cost is seen.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cim.db.embedded import Cluster
from cim.db.keys import create_key
from cim.db.migrate import upgrade
from cim.db.ownership import owned
from cim.db.rights import Rights
from tools.bench.city import free_port
from tools.bench.load import Ask, fetch
from tools.bench.places import _tile
from tools.bench.run import nearest_tile

FIRST_PORT = 18_800
CONNECTIONS = 8
SIZES = (33_000, 190_000)
"""Bytes of the tiles, about."""
ZOOMS = range(12, 17)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the same tile. `server`: with rights and meter (`whole`), or without (`bare`)."""

    name: str
    server: str
    path: str
    has_key: bool


def ways(tile: str) -> tuple[Way, ...]:
    """The first one is what the others are measured by."""
    return (
        Way("through a service, no rights, no meter", "bare", f"/services/open/tiles/{tile}", has_key=False),
        Way("anybody's service, without a key", "whole", f"/services/open/tiles/{tile}", has_key=False),
        Way("by key and grant", "whole", f"/services/granted/tiles/{tile}", has_key=True),
        Way("by key and grant with a quota and a rate", "whole", f"/services/limited/tiles/{tile}", has_key=True),
        Way(
            "not through a service: the collection's own tile, by key",
            "whole",
            f"/collections/buildings/tiles/{tile}",
            has_key=True,
        ),
    )


def serve(kind: str, port: int) -> None:
    """Run one server; the bare one is the same without rights and meter."""
    import uvicorn

    from api.server import ServerConfig
    from cim.settings import Settings

    config = ServerConfig(Settings(port=port))
    if kind == "bare":
        config.app = _bare
    uvicorn.Server(config).run()


def _bare() -> Any:
    from dataclasses import replace

    from api import hot
    from api.app import create_app
    from api.gateway.door import ROUTE, SENT, Terms
    from api.routes import gateway
    from cim.metering.call import Admitted, Call
    from cim.model import Scope
    from cim.settings import Settings

    app = create_app(Settings())
    anybody, nothing = Scope(), Admitted(Call("open"), "", 0, 0, 0.0)

    async def nobody(_: Any) -> Scope:
        return anybody

    async def let_in(_: Any, called: Any, __: Any) -> tuple[Terms, Admitted]:
        return Terms((called, anybody, None, ()), anybody, nothing.call, None), nothing

    async def uncounted(_: Any, response: Any, *__: Any) -> Any:
        return response

    def remember(request: Any, *_: Any) -> None:
        request.scope["state"]["sent"] = replace(request.scope[SENT], route=ROUTE)

    plain = hot.is_plain

    app.gateway.admit = let_in  # type: ignore[attr-defined]
    app.gateway.remember = remember  # type: ignore[attr-defined]
    hot.is_plain = lambda data, **_: plain(data, below=b"/services/")
    gateway.scope_of = nobody  # type: ignore[assignment]
    gateway.counted = uncounted  # type: ignore[assignment]
    return app


def prepare(url: str, buildings: int, folder: Path) -> str:
    """A city, three services over its buildings, and an organisation that may call them; its key."""
    upgrade(url)
    env = {**os.environ, "DATABASE_URL": url, "CIM_DATA_DIR": str(folder)}
    words = [
        "sample",
        "--buildings",
        str(buildings),
        "--sensors",
        "0",
        "--cameras",
        "0",
        "--out",
        str(folder / "files"),
        "--load",
    ]
    subprocess.run(
        [sys.executable, "-m", "cim.cli.main", *words],
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('owner', '甲', 'Owner'), ('caller', '乙', 'Caller') "
            "ON CONFLICT DO NOTHING"
        )
        for name, share in (("open", "unconditional"), ("granted", "conditional"), ("limited", "conditional")):
            connection.execute(
                "INSERT INTO cim.service (id, state, kind, organisation_id, title_zh, title_en, collection_id, share_class, endpoints) "
                "VALUES (%s, 'published', 'collection', 'owner', '建筑', 'Buildings', 'buildings', %s, "
                """'[{"url": "/collections/buildings"}]')""",
                (name, share),
            )
        connection.execute(
            "INSERT INTO cim.service_grant (service_id, organisation_id, granted_by, quota_day, rate_calls, rate_seconds) VALUES "
            "('granted', 'caller', 'bench', NULL, NULL, NULL), ('limited', 'caller', 'bench', 1000000000, 100000, 1)"
        )
        key = create_key(connection, Rights("reader"), label="bench")
        connection.execute("UPDATE cim.api_key SET organisation_id = 'caller'")
    return key


def tiles_of(url: str, port: int) -> list[str]:
    """Tiles of about `SIZES`, of those that the most buildings lie in."""
    with psycopg.connect(url) as connection:
        middles = connection.execute(
            "SELECT ST_X(ST_Centroid(geom)), ST_Y(ST_Centroid(geom)) FROM cim.building"
        ).fetchall()
    tiles = []
    for zoom in ZOOMS:
        counts = Counter(_tile(zoom, lon, lat) for lon, lat in middles)
        tiles += [tile for tile, _ in counts.most_common(20)]
    return ["WebMercatorQuad/{}/{}/{}".format(*nearest_tile(port, tiles, size)) for size in SIZES]


def rate(port: int, way: Way, key: str, seconds: int) -> float:
    """Answers a second."""
    headers = ["-H", f"Authorization: Bearer {key}"] if way.has_key else []
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers, f"http://127.0.0.1:{port}{way.path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{way.name}: {said}")
    return next(float(line.split()[1]) for line in said.splitlines() if line.startswith("Requests/sec"))


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Turn:
    """Answers a second, and CPU of the worker and of PostgreSQL in µs an answer."""

    rate: float
    worker_us: float
    database_us: float


def measure(cluster: Cluster, url: str, key: str, folder: Path, rounds: int, seconds: int) -> None:
    """Print what each way gives for each tile, measured in turns of which every other one goes backwards."""
    servers: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}
    try:
        for number, kind in enumerate(("bare", "whole")):
            port = free_port(FIRST_PORT + 20 * number)
            env = {**os.environ, "DATABASE_URL": url, "CIM_DATA_DIR": str(folder / kind), "CIM_PORT": str(port)}
            command = [sys.executable, __file__, "--serve", kind, "--port", str(port)]
            with (folder / f"{kind}.log").open("wb") as log:
                servers[kind] = port, subprocess.Popen(command, env=env, stdout=log, stderr=log)
            _wait(port, folder / f"{kind}.log")
        for tile in tiles_of(url, servers["bare"][0]):
            listed = ways(tile)
            found: dict[str, list[Turn]] = {way.name: [] for way in listed}
            for turn in range(rounds):
                for way in listed[:: -1 if turn % 2 else 1]:
                    found[way.name].append(one_turn(cluster, *servers[way.server], way, key, seconds))
            size = len(fetch(servers["bare"][0], Ask(listed[0].path))[1])
            print(f"\n{tile}: {size:,} bytes")
            report(found)
    finally:
        for _, process in servers.values():
            process.terminate()
            process.wait(30)


def one_turn(cluster: Cluster, port: int, process: subprocess.Popen[bytes], way: Way, key: str, seconds: int) -> Turn:
    """Measure a way once, a second after it began."""
    rate(port, way, key, 1)
    before = cpu_s(process.pid), database_s(cluster)
    answers = rate(port, way, key, seconds)
    used = cpu_s(process.pid) - before[0], database_s(cluster) - before[1]
    return Turn(answers, *(one / (answers * seconds) * 1e6 for one in used))


def database_s(cluster: Cluster) -> float:
    """CPU seconds of PostgreSQL's processes."""
    server = psutil.Process(int((cluster.data / "postmaster.pid").read_text().split()[0]))
    return sum(cpu_s(one.pid) for one in server.children())


def _wait(port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if fetch(port, Ask("/health/ready"))[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])


def report(found: Mapping[str, Sequence[Turn]]) -> None:
    """Medians, and ratios of the turns to the first way of the same turn."""
    base = next(iter(found.values()))
    print(f"{'way':<57} {'answers/s':>9} {'ratio':>6} {'worker µs':>9} {'ratio':>6} {'database µs':>11}")
    for name, turns in found.items():
        ratio = statistics.median(one.rate / other.rate for one, other in zip(turns, base, strict=True))
        work = statistics.median(other.worker_us / one.worker_us for one, other in zip(turns, base, strict=True))
        rates, worker, database = (
            statistics.median(getattr(one, what) for one in turns) for what in ("rate", "worker_us", "database_us")
        )
        print(f"{name:<57} {rates:>9.0f} {ratio:>6.2f} {worker:>9.1f} {work:>6.2f} {database:>11.1f}")


def main() -> None:
    """Run the bench, or one of its servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buildings", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--serve", choices=("bare", "whole"))
    parser.add_argument("--port", type=int, default=FIRST_PORT)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.port)
        return
    folder = Path(tempfile.mkdtemp(prefix="cim-bench-meter-"))
    folder.chmod(0o755)
    try:
        cluster = Cluster(folder / "data")
        with owned(cluster) as url:
            key = prepare(url, asked.buildings, folder)
            measure(cluster, url, key, folder, asked.rounds, asked.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
