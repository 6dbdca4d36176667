"""A call as it stands at the gateway's door, and the line that the ledger gets of it."""

import random
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
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
    "received_at",
    "duration_ms",
    "status",
    "bytes",
    "rows",
    "service_id",
    "organisation_id",
    "key_prefix",
    "grant_id",
    "scenario_id",
    "method",
    "outcome",
    "origin",
)
"""Fields of a spooled line, in order: a tuple as binary COPY takes it, each field behind its length, no NULL."""

EPOCH = date(2000, 1, 1)
"""PostgreSQL's: days and microseconds are counted from here."""
EPOCH_US = 946_684_800_000_000
"""The same in microseconds since 1970."""
_DAY = slice(6, 10)
"""Where a line has its day."""
_BEGIN = struct.Struct(">hiii16s").pack
"""How many fields there are, day, call id."""
line_times = struct.Struct(">iqif").pack
"""Given 8, the instant (microseconds since `EPOCH`), 4, the duration (milliseconds)."""
_ANSWER = struct.Struct(">ihiqiq").pack
"""Status, bytes, rows."""
_LENGTH = struct.Struct(">i").pack

IDS_AT_ONCE = 32
IDS_GOOD_S = 0.1
"""An id tells when it was made: for so long it is of now."""


class CallIds:
    """UUIDs of version 7 (RFC 9562, 5.7), made some at once: ids of one time stand together in the ledger's index.

    Their random part is made once for those, and counted up from there (6.2, method 2).
    """

    def __init__(self) -> None:
        self._ready: list[tuple[str, bytes]] = []
        self._day, self._until = 0, 0.0

    def take(self, count: int, day: int, now: float) -> list[tuple[str, bytes]]:
        """So many new ones: the id, and how its line begins on a day."""
        if len(self._ready) < count or now >= self._until or day != self._day:
            self._ready = _new_ids(max(count, IDS_AT_ONCE), day, int(now * 1000))
            self._day, self._until = day, now + IDS_GOOD_S
        taken = self._ready[-count:]
        del self._ready[-count:]
        return taken


def _new_ids(count: int, day: int, ms: int) -> list[tuple[str, bytes]]:
    bits = random.getrandbits(73)
    high = (ms << 32 | 0x7000 << 16 | bits >> 61 << 16 | 0x8000 | bits >> 47 & 0x3FFF).to_bytes(10)
    first, text = bits & 0x7FFF_FFFF_FFFF, high.hex()
    begin = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:]}-"
    lows = [number.to_bytes(6) for number in range(first, first + count)]
    return [(begin + low.hex(), line_begin(day, high + low)) for low in lows]


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
    day: int
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

    def left(self, now: float) -> str:
        """An item of the header field `RateLimit`: calls that remain, and whole seconds until the window has ended."""
        return f'"{self.policy}";r={self.remaining};t={max(int(self.reset_at - now) + 1, 0)}'


@dataclass(slots=True)
class Days:
    """Days of the platform's time zone. A call belongs to the day in which it was received."""

    zone: ZoneInfo
    _day: str = ""
    _number: int = 0
    _from: float = field(default=0.0)
    _to: float = field(default=0.0)

    def of(self, seconds: float) -> str:
        """The day of an instant (seconds since 1970), as YYYY-MM-DD."""
        if not self._from <= seconds < self._to:
            day = datetime.fromtimestamp(seconds, self.zone).date()
            self._day, self._number = day.isoformat(), (day - EPOCH).days
            self._from, self._to = self.start(day), self.start(day + timedelta(days=1))
        return self._day

    def number(self, seconds: float) -> int:
        """The day of an instant, counted from `EPOCH`."""
        self.of(seconds)
        return self._number

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
    """The line of a call: how it begins, its times, its ending."""
    begin = line_begin(admitted.day, bytes.fromhex(admitted.call_id.replace("-", "")))
    ended = ending(admitted.call, status=status, outcome=outcome, sent_bytes=sent_bytes, rows=rows)
    return begin + line_times(8, admitted.received_us - EPOCH_US, 4, duration_ms) + ended


def line_begin(day: int, call_id: bytes) -> bytes:
    """The fields up to the id; `day` is counted from `EPOCH`."""
    return _BEGIN(len(COLUMNS), 4, day, 16, call_id)


def ending(call: Call, *, status: int, outcome: str, sent_bytes: int, rows: int) -> bytes:
    """What the lines of such calls have in common: the fields from the status on."""
    return _ANSWER(2, status, 8, sent_bytes, 8, rows) + b"".join(
        [
            _text(call.service_id),
            _text(call.organisation_id),
            _text(call.key_prefix),
            _text(call.grant_id),
            _text(call.scenario_id),
            _text(call.method),
            _text(outcome),
            _text(call.origin),
        ]
    )


@lru_cache(maxsize=16_384)
def _text(text: str) -> bytes:
    """A field of text; PostgreSQL's have no NUL."""
    written = text.replace("\0", "").encode("utf-8", "replace")
    return _LENGTH(len(written)) + written


def by_day(frames: Sequence[bytes]) -> dict[date, list[bytes]]:
    """Frames of lines by their day, in order. Raises ValueError for what cannot be a line."""
    days = sorted({frame[_DAY] for frame in frames})
    try:
        dates = [EPOCH + timedelta(days=int.from_bytes(day, signed=True)) for day in days]
    except OverflowError as error:
        raise ValueError("a line without a day") from error
    return {
        named: list(frames) if len(days) == 1 else [frame for frame in frames if frame[_DAY] == day]
        for named, day in zip(dates, days, strict=True)
    }


def instant_text(seconds: float) -> str:
    """An instant as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
