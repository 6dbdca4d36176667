"""Memory does not grow with the file: a file ten times as large takes no more."""

import json
import subprocess

import geopandas
import numpy as np
import pytest
import shapely

from loaders.sandbox import spawn

PEAK = """
import sys
from cim.imports import hide
hide("geopandas", "pandas")
from pathlib import Path
from loaders.sandbox import confine
confine(4 << 30, 120)
from loaders.base import SourceOptions
from loaders.registry import choose
path = Path(sys.argv[1])
loader, info = choose(path, SourceOptions())
rows = sum(len(batch.rows) for batch in loader.read(path, SourceOptions(), 2000))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(rows, int(peak.split()[1]) // 1024)
"""


def feature(n):
    corners = [[114 + n / 1e5, 22], [114.1 + n / 1e5, 22], [114.1, 22.1], [114 + n / 1e5, 22]]
    geometry = {"type": "Polygon", "coordinates": [corners]}
    return {"type": "Feature", "properties": {"n": n, "text": "住宅" * 50}, "geometry": geometry}


def write(path, count):
    if path.suffix == ".geojson":
        path.write_text(
            '{"type":"FeatureCollection","features":[' + ",".join(json.dumps(feature(n)) for n in range(count)) + "]}"
        )
    elif path.suffix == ".csv":
        path.write_text("n,lon,lat,text\n" + "".join(f"{n},114,22,{'住宅' * 100}\n" for n in range(count)))
    else:
        columns = {"n": np.arange(count), "text": [f"{n}" * 40 for n in range(count)]}
        frame = geopandas.GeoDataFrame(columns, geometry=shapely.points(np.arange(count) / 1e4, 1.0), crs=4326)
        frame.to_parquet(path, row_group_size=5000) if path.suffix == ".parquet" else frame.to_file(path)


def peak_mib(path):
    process = spawn(["-c", PEAK, str(path)], stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err.decode()
    rows, peak = out.split()
    return int(rows), int(peak)


MOST_MIB = 480
"""What allocators keep varies by 150 MiB from run to run; a file held whole would take over 1 GiB."""


@pytest.mark.parametrize("suffix", [".geojson", ".csv", ".parquet", ".fgb"])
def test_a_large_file_is_not_held_in_memory(tmp_path, suffix):
    large = tmp_path / f"large{suffix}"
    write(large, 160_000)
    rows, mib = peak_mib(large)
    assert rows == 160_000
    assert mib <= MOST_MIB
