"""Statements as they are asked for and written: whose, of which calls, by what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from api.params import parse_limit
from cim.errors import Forbidden, InvalidParameter
from cim.interval import parse_date
from cim.model import Scope
from cim.query.statements import KEYS, MEASURES, SIDES, STEPS, Statement, month_end

WHOSE = ("side", "organisation")
WHICH = ("from", "to", "service", "consumer", "scenario")
PAGING = ("by", "limit", "cursor")
CHART = ("by", "step", "measure")
DEFAULT_LIMIT = 1000
MAX_DAYS = {"minute": 1, "hour": 62, "day": 1100, "month": 3700}
"""How many days a chart of that step may have."""
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wish:
    """A statement, and what it is by."""

    statement: Statement
    by: tuple[str, ...]
    limit: int


def statement_of(scope: Scope, values: Mapping[str, str], zone: ZoneInfo) -> Statement:
    """What is asked, within what the caller may read: their organisation's, or, for city admins, anybody's.

    Raises Forbidden, InvalidParameter.
    """
    side, organisation = whose(scope, values)
    today = datetime.now(zone).date()
    first = _day(values, "from", today.replace(day=1))
    last = _day(values, "to", max(today, first))
    if last < first:
        raise InvalidParameter("to", last, f"a day from {first} on")
    return Statement(
        side,
        organisation,
        first,
        last,
        service_id=values.get("service"),
        consumer_id=values.get("consumer"),
        scenario_id=values.get("scenario"),
    )


def whose(scope: Scope, values: Mapping[str, str]) -> tuple[str, str | None]:
    """Side and organisation; None for all, which is the city's side."""
    is_admin = scope.is_city
    side = values.get("side", "city" if is_admin and "organisation" not in values else "consumer")
    if side not in SIDES:
        raise InvalidParameter("side", side, f"one of {', '.join(SIDES)}")
    wanted = values.get("organisation", None if is_admin else scope.organisation_id)
    if side == "city":
        if not is_admin:
            raise Forbidden("the city's statement is for its admins; yours are those of the sides consumer and owner")
        if "organisation" in values:
            raise InvalidParameter("organisation", wanted, "goes with the sides consumer and owner; see also consumer=")
        return side, None
    if is_admin:
        return side, wanted
    if scope.organisation_id is None:
        raise Forbidden("the key sent acts for no organisation, so it has no statement")
    if wanted != scope.organisation_id:
        raise Forbidden("the key sent reads the statements of its own organisation only")
    return side, wanted


def wish_of(statement: Statement, values: Mapping[str, str]) -> Wish:
    """The same with what it is by. Raises InvalidParameter."""
    default = (
        "service,organisation"
        if statement.side == "owner"
        else "organisation"
        if statement.side == "city"
        else "service"
    )
    by = tuple(values.get("by", default).split(","))
    if not set(by) <= KEYS.keys() or len(set(by)) < len(by) or len(by) > 4:
        raise InvalidParameter(
            "by", values.get("by"), f"up to four of {', '.join(KEYS)}, each once, separated by commas"
        )
    return Wish(statement, by, parse_limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT)


def chart_of(statement: Statement, values: Mapping[str, str]) -> tuple[str, str | None, str]:
    """Step, key and measure of a chart. Raises InvalidParameter."""
    step = values.get("step", "day")
    if step not in STEPS:
        raise InvalidParameter("step", step, f"one of {', '.join(STEPS)}")
    days = (statement.last - statement.first).days + 1
    if days > MAX_DAYS[step]:
        raise InvalidParameter(
            "step", step, f"charts of this step have at most {MAX_DAYS[step]} days; asked for are {days}"
        )
    fine = step in ("minute", "hour")
    keys = [name for name in KEYS if name not in ("day", "month") and not (fine and name == "scenario")]
    by = values.get("by")
    if by is not None and by not in keys:
        raise InvalidParameter("by", by, f"one of {', '.join(keys)}, or nothing for the sum")
    if fine and statement.scenario_id is not None:
        raise InvalidParameter("scenario", statement.scenario_id, "is known by day and month only; ask for step=day")
    measure = values.get("measure", "calls")
    if measure not in MEASURES:
        raise InvalidParameter("measure", measure, f"one of {', '.join(MEASURES)}")
    return step, by, measure


def _day(values: Mapping[str, str], name: str, default: date) -> date:
    if name not in values:
        return default
    day = parse_date(values[name])
    if day is None or not 2000 <= day.year <= 9000:
        raise InvalidParameter(name, values[name], "must be a date, YYYY-MM-DD; both ends are within")
    return day


def parse_month(name: str, text: str) -> date:
    """The first day of a month written YYYY-MM. Raises InvalidParameter."""
    day = parse_date(f"{text}-01") if _MONTH.fullmatch(text) else None
    if day is None or not 2000 <= day.year <= 9000:
        raise InvalidParameter(name, text, "must be a month, YYYY-MM")
    return day


def month_statement(scope: Scope, values: Mapping[str, str], text: str) -> Statement:
    """The whole month, written YYYY-MM, of whoever asks. Raises as `whose` does, then InvalidParameter."""
    side, organisation = whose(scope, values)
    month = parse_month("month", text)
    return Statement(side, organisation, month, month_end(month))


def group_of(row: Any, by: Sequence[str]) -> dict[str, Any]:
    """A row of a statement as JSON has it."""
    group: dict[str, Any] = {}
    for name in by:
        value = row[f"{name}_key"]
        group[name] = value.isoformat()[:7] if name == "month" else value.isoformat() if name == "day" else value
        for known in (f"{name}_title_zh", f"{name}_title_en", f"{name}_name_zh", f"{name}_name_en"):
            if known in row.keys():  # noqa: SIM118 (a record is a sequence of its values)
                group[known] = row[known]
    return group | {name: row[name] for name in MEASURES}


def last_of(row: Any, by: Sequence[str]) -> str:
    """What a cursor keeps of the last row."""
    return orjson.dumps([str(row[f"{name}_key"]) for name in by]).decode()


def times_of(statement: Statement, step: str, zone: ZoneInfo) -> list[Any]:
    """The steps of a chart: days, first days of months, or instants of the platform's days."""
    days = [statement.first + timedelta(days=n) for n in range((statement.last - statement.first).days + 1)]
    if step == "day":
        return days
    if step == "month":
        return sorted({day.replace(day=1) for day in days})
    length = timedelta(minutes=1 if step == "minute" else 60)
    begin = datetime(statement.first.year, statement.first.month, statement.first.day, tzinfo=zone)
    after = statement.last + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone)
    count = int((end.timestamp() - begin.timestamp()) // length.total_seconds())
    return [datetime.fromtimestamp(begin.timestamp() + n * length.total_seconds(), zone) for n in range(count)]
