"""Working days: by when an application for a service is decided."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cim.catalogue.service import SHARE_CLASSES
from cim.errors import SetupProblem
from cim.interval import parse_date
from cim.settings import Settings

MAX_DAYS = 366


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days off besides weekends, weekend days that are worked (调休), and where a day begins."""

    holidays: frozenset[date]
    working_weekends: frozenset[date]
    zone: ZoneInfo

    def is_working(self, day: date) -> bool:
        """True for a day on which offices work."""
        return day in self.working_weekends or (day.weekday() < 5 and day not in self.holidays)

    def due_at(self, begin: datetime, working_days: int) -> datetime:
        """The end of that many working days, in UTC. The day of `begin` itself does not count (民法典, 201)."""
        day = begin.astimezone(self.zone).date()
        while working_days > 0:
            day += timedelta(days=1)
            working_days -= self.is_working(day)
        return datetime.combine(day + timedelta(days=1), time(), self.zone).astimezone(UTC)


def calendar_of(settings: Settings) -> Calendar:
    """The calendar of the settings. Raises SetupProblem, which names the one that cannot be read."""
    return _calendar(settings.holidays, settings.working_weekends, settings.time_zone)


@lru_cache(maxsize=8)
def _calendar(holidays: str, working_weekends: str, zone: str) -> Calendar:
    return Calendar(
        frozenset(_days("CIM_HOLIDAYS", holidays)),
        frozenset(_days("CIM_WORKING_WEEKENDS", working_weekends)),
        ZoneInfo(zone),
    )


def _days(name: str, text: str) -> Iterable[date]:
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, _, last = part.partition("/")
        begin, end = parse_date(first), parse_date(last or first)
        if begin is None or end is None or not begin <= end <= begin + timedelta(days=MAX_DAYS):
            raise SetupProblem(f"{name}: '{part[:50]}' is no day and no range of days, such as 2026-10-01/2026-10-07")
        yield from (begin + timedelta(days=n) for n in range((end - begin).days + 1))


def working_days_of(settings: Settings) -> dict[str, int]:
    """Share class → working days in which its applications are decided. Raises SetupProblem."""
    return _working_days(settings.application_days)


@lru_cache(maxsize=8)
def _working_days(text: str) -> dict[str, int]:
    days = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, number = part.partition("=")
        if name not in SHARE_CLASSES or not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= MAX_DAYS:
            raise SetupProblem(f"CIM_APPLICATION_DAYS: '{part[:50]}' is not like conditional=10")
        days[name] = int(number)
    return days
