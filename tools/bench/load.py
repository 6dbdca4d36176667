"""The load generator: wrk, with a script that draws a random request of the list; and the check before it."""

import http.client
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60

_RESULT = re.compile(r"^bench (\d+) (\d+) (\d+) (\d+) (\d+)$", re.M)

_SCRIPT = """
local places = {{
{places}
}}
local made = {{}}
function init(arguments)
  math.randomseed(4403)
  for i, place in ipairs(places) do
    made[i] = wrk.format(place[1], place[2], {{["Accept"] = place[4], ["Content-Type"] = place[5]}}, place[3])
  end
end
function request() return made[math.random(#made)] end
function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format("bench %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a contender."""

    path: str
    method: str = "GET"
    body: str | None = None
    accept: str = "*/*"


@dataclass(frozen=True, slots=True)
class Measured:
    """Answers a second and bytes an answer."""

    rate: float
    bytes: float


def fetch(port: int, ask: Ask) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers (names in lower case) of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        headers = {"Accept": ask.accept} | ({"Content-Type": "application/json"} if ask.body is not None else {})
        connection.request(ask.method, ask.path, ask.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def features(body: bytes) -> int:
    """How many features, groups or items a JSON answer holds; 1 for a single feature."""
    document = json.loads(body)
    for name in ("features", "groups"):
        if name in document:
            return len(document[name])
    return 1 if document.get("type") == "Feature" else 0


def check(port: int, asks: Sequence[Ask], count: Callable[[bytes], int], least: int, *, number: int) -> None:
    """Raise ValueError unless the first `number` requests answer 200 with `least` features or more."""
    for ask in asks[:number]:
        status, body, _ = fetch(port, ask)
        if status != 200:
            raise ValueError(f"{ask.path[:160]} answered {status}: {body[:200]!r}")
        if (found := count(body)) < least:
            raise ValueError(f"{ask.path[:160]} answered {found} features, {least} or more are to be had")


def _quoted(text: str | None) -> str:
    return "nil" if text is None else json.dumps(text)


def http_rate(port: int, asks: Sequence[Ask], *, connections: int, seconds: float) -> Measured:
    """Answers a second while `connections` ask one after another. Raises RuntimeError for answers that are no success."""
    lines = [
        f"{{{_quoted(a.method)}, {_quoted(a.path)}, {_quoted(a.body)}, {_quoted(a.accept)}, "
        f"{_quoted(None if a.body is None else 'application/json')}}},"
        for a in asks
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ask.lua"
        path.write_text(_SCRIPT.format(places="\n".join(lines)), encoding="utf-8")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"--timeout={TIMEOUT_S}s"]
        done = subprocess.run(
            [*command, "-s", str(path), f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False
        )
    found = _RESULT.search(done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(f"wrk: {(done.stderr or done.stdout).strip()[-600:]}")
    requests, microseconds, size, bad, broken = (int(part) for part in found.groups())
    if bad or broken:
        raise RuntimeError(f"{bad} answers were no success, {broken} connections broke")
    return Measured(requests / (microseconds / 1e6), size / max(requests, 1))
