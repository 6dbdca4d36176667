"""The table: rates, ratios, and whether the reach is met; on a terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from tools.bench.raw import KEPT
from tools.bench.rows import Row

HEAD = ("question", "raw/s", "ours/s", "ours/raw", "peers/s", "ours/peer", "reach", "met")


@dataclass(slots=True)
class Outcome:
    """What was measured of a row. `raw`: statement → rate; `rates`: contender → rate; `notes`: what went wrong."""

    row: Row
    raw: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    bytes: float = 0.0
    notes: list[str] = field(default_factory=list)

    def best_raw(self) -> tuple[str, float] | None:
        """The quickest statement over the features themselves."""
        live = {name: rate for name, rate in self.raw.items() if name != KEPT}
        return max(live.items(), key=lambda one: one[1]) if live else None

    def share(self) -> float | None:
        """Ours as a share of the raw database."""
        best = self.best_raw()
        return self.rates["ours"] / best[1] if best and "ours" in self.rates else None

    def times(self, peer: str) -> float | None:
        """Ours as so many times a peer."""
        return self.rates["ours"] / self.rates[peer] if {"ours", peer} <= self.rates.keys() else None

    def reach(self) -> str:
        """What the row must reach, in words."""
        parts = [f"≥ {self.row.reach_raw:g} raw"] if self.row.reach_raw else []
        if self.row.reach_peer:
            peer, times = self.row.reach_peer
            parts.append(f"≥ {times:g} × {peer}")
        return ", ".join(parts)

    def verdict(self) -> str:
        """yes, no, or partly ("raw yes, tipg ?") where something was not measured."""
        found: list[bool | None] = []
        if self.row.reach_raw is not None:
            share = self.share()
            found.append(None if share is None else share >= self.row.reach_raw)
        if self.row.reach_peer is not None:
            times = self.times(self.row.reach_peer[0])
            found.append(None if times is None else times >= self.row.reach_peer[1])
        if False in found:
            return "no"
        return "yes" if None not in found else "?"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A line of the table."""
    best, share = outcome.best_raw(), outcome.share()
    peers = {name: rate for name, rate in outcome.rates.items() if name != "ours"}
    many = len(outcome.raw.keys() - {KEPT}) > 1
    size = f" ({outcome.bytes / 1000:,.0f} kB)" if outcome.bytes else ""
    return (
        outcome.row.title + size,
        "–" if best is None else f"{_number(best[1])}{' (' + best[0] + ')' if many else ''}",
        _number(outcome.rates.get("ours")),
        "–" if share is None else f"{share:.2f}",
        ", ".join(f"{name} {_number(rate)}" for name, rate in peers.items()) or "–",
        ", ".join(f"{name} {_number(outcome.times(name))} ×" for name in peers if outcome.times(name)) or "–",
        outcome.reach(),
        outcome.verdict(),
    )


def show(console: Console, outcomes: Sequence[Outcome], title: str) -> None:
    """Print the table, and beneath it what went wrong."""
    table = Table(*HEAD, title=title)
    for outcome in outcomes:
        table.add_row(*cells(outcome))
    console.print(table)
    for outcome in outcomes:
        for note in outcome.notes:
            console.print(f"{outcome.row.key}: {note}", markup=False)


def markdown(outcomes: Sequence[Outcome], title: str) -> str:
    """The same as Markdown."""
    lines = [title, "", "| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    lines += ["| " + " | ".join(cells(outcome)) + " |" for outcome in outcomes]
    notes = [f"- {outcome.row.key}: {note}" for outcome in outcomes for note in outcome.notes]
    return "\n".join([*lines, *(["", *notes] if notes else []), ""])
