"""The contenders as processes on loopback ports: started together, stopped by their own ids."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cim.db.connect import connect
from cim.query.kept import MIN_FEATURES
from tools.bench.city import City, free_port
from tools.bench.load import Ask, fetch

FIRST_PORT = 18_640
START_S = 90


class Server:
    """One running contender. `logs` is the file that it writes to."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], port: int, log: Path) -> None:
        self.name, self.port, self.log = name, port, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, **env}, stdout=output, stderr=output, start_new_session=True
            )

    def wait(self, path: str) -> None:
        """Until it answers `path`. Raises RuntimeError with the end of its log."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if fetch(self.port, Ask(path))[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.3)
        raise RuntimeError(f"{self.name} does not answer: {self.log.read_text(errors='replace').strip()[-500:]}")

    def stop(self) -> None:
        """End it and the workers it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                continue


def ours(city: City, *, workers: int, env: Mapping[str, str] | None = None) -> Server:
    """OpenCIM over the city."""
    port = free_port(FIRST_PORT)
    command = [sys.executable, "-m", "cim.cli.main", "serve", "--port", str(port), "--workers", str(workers)]
    own = {"DATABASE_URL": city.url, "CIM_DATA_DIR": str(city.folder / "data"), **(env or {})}
    server = Server("ours", command, own, port, city.folder / "ours.log")
    server.wait("/health/ready")
    return server


def await_kept_texts(city: City) -> None:
    """Until the texts of all large collections are kept (`cim.query.kept`). Raises RuntimeError after three minutes."""
    deadline = time.monotonic() + 180
    waiting = (
        "SELECT count(*) FROM cim.collection_stats AS s WHERE feature_count >= %s AND NOT EXISTS "
        "(SELECT FROM cim.kept_form AS k WHERE k.collection_id = s.collection_id AND k.version = s.version)"
    )
    with connect(city.url, application="bench") as connection:
        while connection.execute(waiting, [MIN_FEATURES]).fetchone() != (0,):
            if time.monotonic() > deadline:
                raise RuntimeError("the texts of features are not kept")
            time.sleep(0.5)
        connection.execute("VACUUM (ANALYZE) cim.kept_text")
    time.sleep(1)  # workers are told
