"""Repair of invalid polygons by a helper process that may die.

GEOS can neither be interrupted nor trusted with hostile rings (catalogue A1–A4), so each repair runs in a
small process under an alarm whose default action ends it. Only the `structure` method is used. The helper
speaks length-prefixed WKB on its standard input and output: `python -m loaders.repair`.
"""

import signal
import struct
import subprocess
import sys
from types import TracebackType

import shapely

REPAIR_S = 1.0
"""Seconds one repair may take before the geometry counts as too complex."""

REPAIR_BUDGET_S = 120.0
"""Seconds one load may spend on repairs that end without a result."""

MAX_REPAIR_VERTICES = 50_000
"""Invalid geometries with more vertices are not tried."""


class Repairer:
    """`mend(geometry)` gives a valid geometry, or None when that takes too long; a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._wasted_s = 0.0

    def __enter__(self) -> "Repairer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def mend(self, geometry: shapely.Geometry) -> shapely.Geometry | None:
        """A valid geometry made of the same rings by the `structure` method, or None."""
        if self._wasted_s >= REPAIR_BUDGET_S or shapely.get_num_coordinates(geometry) > MAX_REPAIR_VERTICES:
            return None
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loaders.repair"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        wkb = shapely.to_wkb(geometry)
        try:
            process.stdin.write(struct.pack("<I", len(wkb)) + wkb)
            process.stdin.flush()
            head = process.stdout.read(4)
            answer = process.stdout.read(struct.unpack("<I", head)[0]) if len(head) == 4 else b""
        except OSError:
            answer = b""
        if not answer:
            self._wasted_s += REPAIR_S
            self._stop()
            return None
        mended: shapely.Geometry = shapely.from_wkb(answer)
        return mended


def main() -> None:
    """Answer each geometry with its repaired form; end by SIGALRM when one takes longer than REPAIR_S."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        geometry = shapely.from_wkb(source.read(struct.unpack("<I", head)[0]))
        signal.setitimer(signal.ITIMER_REAL, REPAIR_S)
        answer = shapely.to_wkb(shapely.make_valid(geometry, method="structure", keep_collapsed=False))
        signal.setitimer(signal.ITIMER_REAL, 0)
        sink.write(struct.pack("<I", len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    main()
