"""A call as it stands at the gateway's door, and the line that the ledger gets of it."""

import random
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

ANONYMOUS = "anonymous"
"""Organisation of a call without one."""
HERE = "here"
"""Origin of a call that came to this node's own door."""

ANSWERED = "answered"
ABORTED = "aborted"
"""The client went away before the answer ended."""
UPSTREAM_TIMEOUT = "upstream-timeout"
UPSTREAM_ERROR = "upstream-error"
REFUSED = "refused"
"""Denied for want of a key, a grant or a right."""
QUOTA = "quota"
"""Denied since a quota or rate is used up."""
DENIED = (REFUSED, QUOTA)
"""Outcomes that are counted apart: the service was not called."""

COLUMNS = (
    "day",
    "call_id",
    "received_us",
    "service_id",
    "organisation_id",
    "key_prefix",
    "grant_id",
    "scenario_id",
    "method",
    "status",
    "outcome",
    "bytes",
    "rows",
    "duration_ms",
    "origin",
)
"""Fields of a spooled line, in order: text as COPY takes it, a tab between two, no NULL."""


_SPECIAL = re.compile(r"[\\\n\r\x00]").search


def new_call_ids(count: int) -> list[str]:
    """UUIDs of version 7 (RFC 9562, 5.7): ids of one time stand together in the ledger's index.

    Their random part is made once, and counted up from there (6.2, method 2).
    """
    ms, bits = f"{time.time_ns() // 1_000_000:012x}", random.getrandbits(73)
    first, begin = bits & 0x7FFF_FFFF_FFFF, f"{ms[:8]}-{ms[8:]}-7{bits >> 61:03x}-{0x8000 | bits >> 47 & 0x3FFF:04x}-"
    return [f"{begin}{number:012x}" for number in range(first, first + count)]


def new_call_id() -> str:
    """One of `new_call_ids`."""
    return new_call_ids(1)[0]


@dataclass(slots=True)
class Call:
    """Who calls what. `call_id`: of the node that the call came through, else one is minted; texts are empty for none."""

    service_id: str
    organisation_id: str = ANONYMOUS
    key_prefix: str = ""
    grant_id: str = ""
    scenario_id: str = ""
    method: str = "GET"
    origin: str = HERE
    call_id: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an id that is no UUID as it is written here."""
        if self.call_id is not None and str(uuid.UUID(self.call_id)) != self.call_id:
            raise ValueError(f"not a UUID in lower case: {self.call_id[:50]!r}")


@dataclass(slots=True)
class Admitted:
    """A call that was let in: `meter.record` ends it, once. `remaining` and `reset_at`: of each limit that it was held to."""

    call: Call
    call_id: str
    day: str
    received_us: int
    started: float
    standing: tuple["Standing", ...] = ()
    is_recorded: bool = False


@dataclass(slots=True)
class Standing:
    """Where a caller stands with a limit. `policy`: `day` or `rate`; `reset_at` is in seconds since 1970."""

    policy: str
    limit: int
    window_s: int
    remaining: int
    reset_at: int

    def left(self, now: float) -> "Left":
        """What changes from one call to the next, at an instant."""
        return self.policy, self.remaining, max(int(self.reset_at - now) + 1, 0)


Left = tuple[str, int, int]
"""Of a `Standing`: policy, calls that remain, and seconds until the window ends."""


@dataclass(slots=True)
class Days:
    """Days of the platform's time zone. A call belongs to the day in which it was received."""

    zone: ZoneInfo
    _day: str = ""
    _from: float = field(default=0.0)
    _to: float = field(default=0.0)

    def of(self, seconds: float) -> str:
        """The day of an instant (seconds since 1970), as YYYY-MM-DD."""
        if not self._from <= seconds < self._to:
            day = datetime.fromtimestamp(seconds, self.zone).date()
            self._day, self._from, self._to = day.isoformat(), self.start(day), self.start(day + timedelta(days=1))
        return self._day

    def start(self, day: date) -> float:
        """The instant at which a day begins."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()

    def starts(self, seconds: float) -> float:
        """The instant at which the day of an instant begins."""
        self.of(seconds)
        return self._from

    def ends(self, seconds: float) -> float:
        """The instant at which the day of an instant ends."""
        self.of(seconds)
        return self._to


def line_of(admitted: Admitted, *, status: int, outcome: str, sent_bytes: int, rows: int, duration_ms: float) -> bytes:
    """The line of a call in `COLUMNS`, ended by a line feed."""
    ended = ending(admitted.call, status=status, outcome=outcome, sent_bytes=sent_bytes, rows=rows)
    return line(admitted.day, admitted.call_id, admitted.received_us, ended, duration_ms)


def line(day: str, call_id: str, received_us: int, ended: tuple[str, str], duration_ms: float) -> bytes:
    """A line whose `ending` is known."""
    middle, origin = ended
    return f"{day}\t{call_id}\t{received_us}\t{middle}\t{duration_ms:.1f}\t{origin}\n".encode("utf-8", "replace")


def ending(call: Call, *, status: int, outcome: str, sent_bytes: int, rows: int) -> tuple[str, str]:
    """What the lines of such calls have in common: the fields from the service to the rows, and the origin."""
    fields = (
        call.service_id,
        call.organisation_id,
        call.key_prefix,
        call.grant_id,
        call.scenario_id,
        call.method,
        str(status),
        outcome,
        str(sent_bytes),
        str(rows),
    )
    text = "\t".join(fields)
    if text.count("\t") != len(fields) - 1 or _SPECIAL(text) is not None:
        text = "\t".join(map(_escaped, fields))
    return text, _escaped(call.origin)


def _escaped(text: str) -> str:
    for raw, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\x00", "")):
        text = text.replace(raw, written)
    return text


def instant_text(seconds: float) -> str:
    """An instant as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
