"""Values of real files as the kinds of properties: what fits, what fails, and what is said of it."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from cim.model import Kind, Property
from loaders.convert import Converted, convert

HEIGHT = Property("height_m", Kind.NUMBER, "高度", "Height", unit="m", minimum=0, maximum=1500)
FLOORS = Property("floors_above", Kind.INTEGER, "层数", "Floors", minimum=0, maximum=300)
YEAR = Property("year_built", Kind.INTEGER, "年", "Year", minimum=1000, maximum=2200)
DAY = Property("completed_on", Kind.DATE, "日", "Day")
TIME = Property("latest_time", Kind.INSTANT, "时", "Time")
NAME = Property("name", Kind.TEXT, "名", "Name")
FLAG = Property("flag", Kind.BOOLEAN, "", "")


def values(target: Property, raw: list[Any], **options: Any) -> list[Any]:
    """What `raw` becomes, which must not fail."""
    converted = convert(pa.array(raw), target, **options)
    assert converted.failures == {}
    return converted.column.to_pylist()  # type: ignore[no-any-return]


def failing(target: Property, raw: list[Any], **options: Any) -> Converted:
    return convert(pa.array(raw), target, **options)


def test_lengths_with_units_become_metres() -> None:
    assert values(HEIGHT, ["12", "12.5 m", "12米", "10 ft", "", "NA", None]) == [
        12.0,
        12.5,
        12.0,
        3.048,
        None,
        None,
        None,
    ]


def test_a_word_where_a_number_belongs_fails_with_what_is_allowed() -> None:
    converted = failing(HEIGHT, ["12", "tall", "3,5"])
    assert converted.column.to_pylist() == [12.0, None, None]
    assert converted.failures == {
        1: ("tall", "height_m takes a number in m"),
        2: ("3,5", "height_m takes a number in m"),
    }


@pytest.mark.parametrize("raw", ["1e999", "-5", "1501"])
def test_numbers_that_cannot_be_fail(raw: str) -> None:
    assert list(failing(HEIGHT, [raw]).failures) == [0]


def test_whole_numbers_come_from_floats_and_texts_but_not_from_halves() -> None:
    assert values(FLOORS, ["3", "4.0", "5层"]) == [3, 4, 5]
    assert values(FLOORS, [3.0, None]) == [3, None]
    assert list(failing(FLOORS, [3.5]).failures) == [0]


def test_years_are_found_in_dates() -> None:
    written = ["1998", "1998-05-01", "1998/5", "19980501", "199805", "1998年", "1998年5月"]
    converted = failing(YEAR, written)
    assert (converted.column.to_pylist(), converted.failures, converted.rough) == ([1998] * 7, {}, frozenset())


@pytest.mark.parametrize(
    ("said", "year"),
    [
        *(("~1890", 1890), ("c. 1890s", 1890), ("1980年代", 1980), ("1905..1908", 1905), ("约1990年", 1990)),
        *(("before 1939", None), ("after 1905..1908", None), ("1990年以前", None), ("2000年后", None), ("C19", None)),
        *(("80年代", None), ("九十年代初", None), ("late C18", None), ("19th century", None)),
    ],
)
def test_a_rough_word_gives_its_first_year_or_none_and_is_marked(said: str, year: int | None) -> None:
    converted = failing(YEAR, ["1998", said])
    assert (converted.column.to_pylist(), converted.failures, converted.rough) == ([1998, year], {}, {1})


@pytest.mark.parametrize("said", ["unknown", "新", "12345", "198", "31.12."])
def test_a_word_that_says_no_year_fails(said: str) -> None:
    assert list(failing(YEAR, [said]).failures) == [0]


def test_dates_of_many_habits() -> None:
    written = ["2019-05-31", "2019/5/31", "2019年5月31日", "20190531", "05/31/2019", "2019-05-31T10:00:00"]
    assert values(DAY, written) == [date(2019, 5, 31)] * 6


def test_times_without_an_offset_need_the_zone_stated() -> None:
    assert list(failing(TIME, ["2024-05-31 08:00:00"]).failures) == [0]
    there = values(TIME, ["2024-05-31 08:00:00", "2024-05-31T00:00:00Z"], zone="Asia/Shanghai")
    assert there == [datetime(2024, 5, 31, tzinfo=UTC)] * 2


def test_an_id_that_a_spreadsheet_made_a_float_is_written_whole() -> None:
    assert values(NAME, [1001.0, None]) == ["1001", None]
    assert values(NAME, ["  后海 ", ""]) == ["后海", None]


def test_a_nul_in_text_fails_and_nothing_else_of_the_column() -> None:
    converted = failing(NAME, ["good", "ba\x00d"])
    assert converted.column.to_pylist() == ["good", None]
    assert "NUL" in converted.failures[1][1]


def test_booleans_in_chinese_and_english() -> None:
    assert values(FLAG, ["是", "否", "yes", "0", None]) == [True, False, True, False, None]


def test_a_factor_scales_numbers() -> None:
    assert values(HEIGHT, ["100"], factor=0.3048) == pytest.approx([30.48])
