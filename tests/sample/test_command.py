"""`cim sample` on the command line: same seed, same bytes; bounded memory; other formats."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pyogrio

from sample_data.generate import write_city
from sample_data.plan import plan_city

MOST_MEMORY_MB = 400

MEASURED = """
import sys
from pathlib import Path
from sample_data.generate import write_city
from sample_data.plan import plan_city
counts = write_city(plan_city(50_000, 100_000, 25_000), Path(sys.argv[1]))
# not getrusage: its peak begins with what the parent had when it forked
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(counts["buildings"], int(peak.split()[1]) // 1024)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        write_city(plan_city(300, seed=seed), tmp_path / name)
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one["buildings.parquet"] != other["buildings.parquet"]


def test_more_sensors_leave_the_buildings_as_they_are(tmp_path):
    write_city(plan_city(300, 10, 5), tmp_path / "few")
    write_city(plan_city(300, 2000, 5), tmp_path / "many")
    few, many = (pq.read_table(tmp_path / n / "buildings.parquet") for n in ("few", "many"))
    assert few.equals(many)
    assert pq.read_metadata(tmp_path / "many" / "sensors.parquet").num_rows == 2000


def test_fifty_thousand_buildings_need_little_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True, timeout=280
    )
    count, memory_mb = map(int, done.stdout.split())
    assert count == pq.read_metadata(tmp_path / "buildings.parquet").num_rows == 50_000
    assert memory_mb <= MOST_MEMORY_MB


def test_the_command_ends_with_its_counts_as_json_and_writes_other_formats(tmp_path):
    command = [sys.executable, "-c", "from cim.cli.main import run; run()", "sample", "--out", tmp_path / "city"]
    done = subprocess.run(
        [*command, "--buildings", "150", "--formats", "parquet,fgb,geojson", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["buildings"], report["sensors"], report["cameras"]) == (150, 150, 30)
    for name in ("buildings.fgb", "buildings.geojson", "cameras.fgb"):
        assert pyogrio.read_info(tmp_path / "city" / name)["features"] == (30 if "cameras" in name else 150)


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    command = [sys.executable, "-c", "from cim.cli.main import run; run()", "sample", "--out", tmp_path / "city"]
    done = subprocess.run([*command, "--formats", "dwg", "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "fgb" in json.loads(done.stdout)["error"]["detail"]
