"""Deadlines by working days, against the calendar of 2026 as the State Council published it."""

from datetime import UTC, datetime

import pytest

from cim.catalogue.deadline import calendar_of, working_days_of
from cim.errors import SetupProblem
from cim.settings import Settings

NATIONAL_DAY = Settings(holidays="2026-10-01/2026-10-07", working_weekends="2026-09-20,2026-10-10")


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("begin", "days", "due"),
    [
        ("2026-11-23T09:00:00+08:00", 1, "2026-11-25T00:00:00+08:00"),  # Monday: to the end of Tuesday
        ("2026-11-27T23:59:00+08:00", 1, "2026-12-01T00:00:00+08:00"),  # Friday: to the end of Monday
        ("2026-11-28T10:00:00+08:00", 1, "2026-12-01T00:00:00+08:00"),  # Saturday
        ("2026-11-23T09:00:00+08:00", 10, "2026-12-08T00:00:00+08:00"),
        ("2026-09-30T09:00:00+08:00", 1, "2026-10-09T00:00:00+08:00"),  # seven days off
        ("2026-09-30T09:00:00+08:00", 3, "2026-10-11T00:00:00+08:00"),  # Thursday, Friday and the Saturday that is worked
        ("2026-09-18T09:00:00+08:00", 1, "2026-09-21T00:00:00+08:00"),  # Friday: the Sunday is worked
        ("2026-11-23T16:30:00+00:00", 1, "2026-11-26T00:00:00+08:00"),  # Tuesday already in Shenzhen
    ],
)  # fmt: skip
def test_the_deadline_is_the_end_of_the_last_working_day(begin, days, due):
    assert calendar_of(NATIONAL_DAY).due_at(at(begin), days) == at(due)


@pytest.mark.parametrize("text", ["2026-13-01", "2026-10-07/2026-10-01", "soon", "1900-01-01/2100-01-01"])
def test_days_that_are_none_are_told_at_the_start(text):
    with pytest.raises(SetupProblem, match="CIM_HOLIDAYS"):
        calendar_of(Settings(holidays=text))


def test_working_days_by_share_class():
    assert working_days_of(Settings()) == {"conditional": 10}
    assert working_days_of(Settings(application_days="conditional=5, unconditional=1")) == {
        "conditional": 5,
        "unconditional": 1,
    }
    for text in ("conditional", "secret=3", "conditional=0", "conditional=x"):
        with pytest.raises(SetupProblem, match="CIM_APPLICATION_DAYS"):
            working_days_of(Settings(application_days=text))
