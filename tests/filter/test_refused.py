"""Filters that mean nothing for a collection are refused, and the message says what stands against what (B19)."""

import pytest

from cim.errors import InvalidParameter, UnknownFunction, UnknownProperty
from cim.model import Scope

REFUSED = [
    ("name > 5", "name (text) cannot be compared with 5 (integer)"),
    ("floors = '5'", "floors (integer) cannot be compared with '5' (text)"),
    ("name = DATE('2020-01-01')", "name (text) cannot be compared with DATE('2020-01-01') (date)"),
    ("built > 2020", "built (date) cannot be compared with 2020 (integer); write DATE("),
    ("built = 'spring'", "write DATE("),
    ("built = DATE('2020-02-30')", "a date is YYYY-MM-DD"),
    ("seen > TIMESTAMP('2020-01-01')", "RFC 3339"),
    ("is_listed = 1", "is_listed (boolean) cannot be compared with 1 (integer)"),
    ("name", "name (text) is no condition"),
    ("floors AND TRUE", "floors (integer) is no condition"),
    ("name + 1 = 2", "name (text) is no number"),
    ("floors LIKE '5%'", "LIKE takes a text, not floors (integer)"),
    ("name LIKE name", "a pattern is a text in single quotes"),
    (r"name LIKE 'x\\'", "does not end with the escape character"),
    ("CASEI(floors) = 'x'", "CASEI takes a text, not floors (integer)"),
    ("tags = 'red'", "A_EQUALS and its like compare arrays"),
    ("geometry = POINT(1 2)", "S_EQUALS and its like compare geometries"),
    ("A_CONTAINS(name, ('a'))", "A_CONTAINS compares arrays, not name (text)"),
    ("S_INTERSECTS(name, POINT(1 2))", "S_INTERSECTS compares geometries, not name (text)"),
    ("S_INTERSECTS(geometry, POINT(90 180))", "longitudes must lie in [-180, 180]"),
    ("S_INTERSECTS(geometry, BBOX(1000000,1000000,2000000,2000000))", "longitudes must lie in [-180, 180]"),
    ("S_INTERSECTS(geometry, BBOX(0,1,2,0))", "latitudes must lie in [-90, 90], the lower one first"),
    ("S_INTERSECTS(geometry, POLYGON((0 0,1 1,1 0)))", "a ring must have four or more positions"),
    ("T_DURING(built, INTERVAL('2020-01-01','2021-01-01'))", "T_DURING compares intervals, not built (date)"),
    ("T_AFTER(name, DATE('2020-01-01'))", "T_AFTER takes dates, timestamps and intervals of them, not name (text)"),
    ("T_AFTER(seen, INTERVAL('2021-01-01','2020-01-01'))", "the interval ends before it starts"),
    ("T_AFTER(seen, INTERVAL(name,'..'))", "INTERVAL takes dates"),
    ("length(name, 1) = 2", "length takes 1 operands (text), not 2"),
    ("length(floors) = 2", "length takes text as text, not floors (integer)"),
    ("year(name) = 2", "year takes date or timestamp as instant, not name (text)"),
    ("S_INTERSECTS(geometry, buffer(geometry, floors))", "written out"),
    ("S_INTERSECTS(geometry, buffer(geometry, 100001))", "from -100,000 to 100,000"),
    ("A_CONTAINS(tags, (floors, POINT(1 2)))", "cannot stand in an array beside properties"),
    (r"name LIKE ACCENTI('%\\')", "does not end with the escape character"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_types_that_do_not_fit_are_refused_with_both_sides(rows, things, text, reason):
    with pytest.raises(InvalidParameter) as caught:
        rows.find(things, text)
    assert caught.value.parameter == "filter"
    assert reason in caught.value.detail


@pytest.mark.parametrize("text", ["\x00", "a\ud800"])
def test_a_text_that_no_database_holds_is_refused(rows, things, text):
    for node in (
        {"op": "=", "args": [{"property": "name"}, text]},
        {"op": "like", "args": [{"property": "name"}, text]},
        {"op": "a_contains", "args": [{"property": "tags"}, [text]]},
        {"op": "=", "args": [{"op": "casei", "args": [text]}, "x"]},
    ):
        with pytest.raises(InvalidParameter, match="neither NUL"):
            rows.find(things, node)


def test_an_unknown_property_names_the_close_one_and_a_hidden_one_does_not_exist(rows, things):
    with pytest.raises(UnknownProperty, match="did you mean 'height'"):
        rows.find(things, "hight > 20")
    assert rows.find(things, "secret = 'x'") == ["a"]
    with pytest.raises(UnknownProperty) as caught:
        rows.find(things, "secret = 'x'", scope=Scope(hidden=frozenset({"secret"})))
    assert "secret" not in caught.value.detail.partition("Known:")[2]
    for name in ("source", "recorded_at", "ctid", "attributes"):
        with pytest.raises(UnknownProperty):
            rows.find(things, f"{name} IS NULL")


def test_b19_a_function_that_is_not_offered_is_unknown(rows, things):
    for text in ("pg_sleep(10) = 1", "lenght(name) = 3", "ST_AsText(geometry) = ''", "current_user() = 'x'"):
        with pytest.raises(UnknownFunction) as caught:
            rows.find(things, text)
        assert "area_m2, buffer, ceil" in caught.value.detail
    with pytest.raises(UnknownFunction, match="did you mean 'length'"):
        rows.find(things, "lenght(name) = 3")
