"""One run: the contenders side by side, each row measured in turns, the middle of the rounds taken."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.city import City
from tools.bench.load import Ask, Measured, check, fetch, http_rate
from tools.bench.raw import KEPT, raw_rate, script
from tools.bench.report import Outcome
from tools.bench.rows import OURS_TILE, Row
from tools.bench.servers import Server

CONNECTIONS = 16
WARM_S = 1.0
CHECKED = 40
FEW = 160
LONGEST_S = 20.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often is measured."""

    seconds: float
    rounds: int


def measure(row: Row, city: City, servers: dict[str, Server], pace: Pace, say: Callable[[str], None]) -> Outcome:
    """All contenders of a row in turns."""
    outcome = Outcome(row)
    contenders: dict[str, Callable[[float], float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, statement in enumerate(row.statements):
            path = Path(folder) / f"{number}.sql"
            path.write_text(script(statement), encoding="utf-8")
            contenders["raw " + statement.name] = lambda s, p=path: raw_rate(
                city.url, p, connections=CONNECTIONS, seconds=s
            )
        sizes: list[float] = []
        for name, asks in row.asks.items():
            server = servers.get(name)
            if server is None:
                continue
            try:
                check(server.port, asks, row.count, row.least, number=CHECKED if name == "ours" else CHECKED // 8)
            except (ValueError, OSError) as error:
                outcome.notes.append(f"{name}: {error}")
                continue
            contenders[name] = lambda s, n=name, p=server.port, a=asks: _paced(n, p, a, s, sizes)
        found = _rounds(contenders, pace, outcome, say)
    for name, rates in found.items():
        middle = statistics.median(rates)
        if name.startswith("raw "):
            outcome.raw[name.removeprefix("raw ")] = middle
        else:
            outcome.rates[name] = middle
    if KEPT in outcome.raw:
        outcome.notes.append(f"raw database over kept texts {outcome.raw[KEPT]:,.0f}/s")
    outcome.bytes = sizes[-1] if sizes else 0.0
    return outcome


def _paced(name: str, port: int, asks: Sequence[Ask], seconds: float, sizes: list[float]) -> float:
    """The rate; a slow one is measured longer, or the requests under way at the end would count for much."""
    measured: Measured = http_rate(port, asks, connections=CONNECTIONS, seconds=seconds)
    if seconds > WARM_S and measured.rate * seconds < FEW:
        measured = http_rate(port, asks, connections=CONNECTIONS, seconds=max(seconds, LONGEST_S))
    if name == "ours":
        sizes.append(measured.bytes)
    return measured.rate


def _rounds(
    contenders: dict[str, Callable[[float], float]], pace: Pace, outcome: Outcome, say: Callable[[str], None]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for turn in range(-1, pace.rounds):
        for name, run in list(contenders.items()):
            try:
                rate = run(WARM_S if turn < 0 else pace.seconds)
            except RuntimeError as error:
                outcome.notes.append(f"{name}: {error}")
                del contenders[name]
                found.pop(name, None)
                continue
            if turn >= 0:
                found.setdefault(name, []).append(rate)
                say(f"{outcome.row.key}: {name} {rate:,.1f}/s")
    return found


def nearest_tile(port: int, tiles: Sequence[tuple[int, int, int]], size: int) -> tuple[int, int, int]:
    """The tile whose answer is nearest to `size` bytes."""

    def distance(tile: tuple[int, int, int]) -> int:
        zoom, row, col = tile
        return abs(len(fetch(port, Ask(OURS_TILE.format(z=zoom, row=row, col=col)))[1]) - size)

    return min(tiles[:100], key=distance)
