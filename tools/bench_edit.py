"""What an edit costs: features created, updated and replaced by HTTP, beside the same change as one transaction of pgbench.

`python tools/bench_edit.py --rounds 3` prints edits a second and their ratio to the raw database, in turns on one machine.
The raw transaction writes the same rows: the feature, its former version, statistics, change, and the mark for loads.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from cim.db.ownership import owned
from cim.db.programs import client_program
from tools.bench.city import free_port
from tools.bench.load import Ask, fetch

FIRST_PORT = 18_900
ADMIN = "admin-key-of-the-bench-of-edits"
_RATE = re.compile(r"^tps = ([\d.]+)", re.M)

_SCRIPT = """
local ids = {{ {ids} }}
function init(arguments) math.randomseed(os.time()) end
function request()
  local id = ids[math.random(#ids)]
  return wrk.format("{method}", "{path}" .. ({has_id} and ("/" .. id) or ""), {{["Content-Type"] = "{kind}",
    ["If-Match"] = {has_id} and "*" or nil, ["Authorization"] = "Bearer {key}"}}, [==[{body}]==])
end
function done(summary, latency, requests)
  io.write(string.format("bench %d %d %d\\n", summary.requests, summary.duration, summary.errors.status))
end
"""


def _raw(columns: str, ids: int) -> str:
    """The same change as an update: what pgbench runs for each."""
    return f"""\\set n random(1, {ids})
BEGIN;
SELECT id FROM cim.building WHERE id = (SELECT id FROM public.bench_id WHERE n = :n) FOR UPDATE \\gset
UPDATE cim.collection_stats SET version = version + 1 WHERE collection_id = 'buildings' RETURNING version \\gset
INSERT INTO cim.change (collection_id, version, recorded_at, changed_by) VALUES ('buildings', :version, now(), 'raw');
INSERT INTO cim.building_history ({columns}, superseded_at) SELECT {columns}, now() FROM cim.building WHERE id = :id;
UPDATE cim.building SET name = 'raw', recorded_at = now() WHERE id = :id;
INSERT INTO cim.edited (collection_id, feature_id, edited_by) VALUES ('buildings', :id, 'raw')
  ON CONFLICT (collection_id, feature_id) DO UPDATE SET edited_at = now();
SELECT to_jsonb(b) FROM cim.building AS b WHERE id = :id;
COMMIT;
"""


def prepare(url: str, buildings: int, folder: Path) -> tuple[list[str], str]:
    """A city; the ids of its buildings, and the columns of a version."""
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
    ]
    command = [sys.executable, "-m", "cim.cli.main", *words, "--load"]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE public.bench_id AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM cim.building"
        )
        connection.execute("CREATE UNIQUE INDEX ON public.bench_id (n)")
        connection.execute("VACUUM ANALYZE")
        ids = [str(row[0]) for row in connection.execute("SELECT id FROM cim.building ORDER BY id").fetchall()]
        named = connection.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns "
            "WHERE table_schema = 'cim' AND table_name = 'building'"
        ).fetchone()
    assert named is not None
    return ids, str(named[0])


def http_rate(port: int, ask: tuple[str, str, str, bool], ids: Sequence[str], connections: int, seconds: int) -> float:
    """Edits a second. Raises RuntimeError for answers that are no success, but for twins that came in between (412)."""
    method, kind, body, has_id = ask
    script = _SCRIPT.format(
        ids=", ".join(json.dumps(one) for one in ids),
        method=method,
        path="/collections/buildings/items",
        has_id=str(has_id).lower(),
        kind=kind,
        key=ADMIN,
        body=body,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edit.lua"
        path.write_text(script, encoding="utf-8")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(path), f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^bench (\d+) (\d+) (\d+)$", done.stdout, re.M)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    requests, duration, bad = (int(part) for part in found.groups())
    if bad > requests * 0.02:
        raise RuntimeError(f"{bad} of {requests} answers were no success")
    return (requests - bad) / (duration / 1e6)


def raw_rate(url: str, script: Path, connections: int, seconds: int) -> float:
    """Transactions a second."""
    command = [str(client_program("pgbench")), "-n", "-M", "prepared", "-c", str(connections), "-j", "1"]
    done = subprocess.run([*command, "-T", str(seconds), "-f", str(script), url], capture_output=True, text=True)
    found = _RATE.search(done.stdout)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    return float(found[1])


def asks() -> dict[str, tuple[str, str, str, bool]]:
    """Name → method, media type, body, and whether the address names a feature."""
    ring = [[114.05, 22.54], [114.0502, 22.54], [114.0502, 22.5402], [114.05, 22.5402], [114.05, 22.54]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"use": "office", "height_m": 30},
    }
    return {
        "update (PATCH, a name)": ("PATCH", "application/merge-patch+json", '{"properties": {"name": "x"}}', True),
        "replace (PUT, with its place)": ("PUT", "application/geo+json", json.dumps(feature), True),
        "create (POST)": ("POST", "application/geo+json", json.dumps(feature), False),
    }


def measure(url: str, ids: Sequence[str], columns: str, folder: Path, rounds: int, seconds: int) -> None:
    """Print the table."""
    port = free_port(FIRST_PORT)
    env = {**os.environ, "DATABASE_URL": url, "CIM_DATA_DIR": str(folder / "ours"), "CIM_ADMIN_KEY": ADMIN}
    script = folder / "raw.sql"
    script.write_text(_raw(columns, len(ids)), encoding="utf-8")
    with (folder / "ours.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cim.cli.main", "serve", "--port", str(port)], env=env, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if fetch(port, Ask("/health/ready"))[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        for connections in (1, 8):
            found: dict[str, list[float]] = {}
            for _ in range(rounds):
                found.setdefault("raw", []).append(raw_rate(url, script, connections, seconds))
                for name, ask in asks().items():
                    found.setdefault(name, []).append(http_rate(port, ask, ids, connections, seconds))
            raw = statistics.median(found.pop("raw"))
            print(f"\n{connections} connections: the raw transaction {raw:,.0f}/s")
            for name, rates in found.items():
                rate = statistics.median(rates)
                print(f"  {name:32} {rate:7,.0f}/s   {rate / raw:.2f} of raw")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buildings", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cim-bench-edit-"))
    folder.chmod(0o755)
    try:
        with owned(Cluster(folder / "data")) as url:
            ids, columns = prepare(url, asked.buildings, folder)
            measure(url, ids, columns, folder, asked.rounds, asked.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
