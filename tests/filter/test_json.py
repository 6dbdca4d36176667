"""CQL2-JSON: its form is checked, whatever else it is (OGC 21-065r2, schema cql2.json)."""

import json
import time

import pytest

from cim.errors import FilterTooComplex, InvalidParameter
from cim.query.filter import parse_json, parse_text

EQUAL = {"op": "=", "args": [{"property": "a"}, 1]}


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        (None, "isNull"),
        ({}, "one of the members op, property"),
        ({"not": EQUAL}, "one of the members op, property"),
        ({"op": 1, "args": []}, "'op' must be a text"),
        ({"op": "="}, "'args' must be the list"),
        ({"op": "=", "args": [1]}, "'=' takes 2 operands"),
        ({"op": "and", "args": [EQUAL]}, "'and' takes 2 or more operands"),
        ({"op": "not", "args": [EQUAL, EQUAL]}, "'not' takes one operand"),
        ({"op": "in", "args": [{"property": "a"}, 1]}, "must be a list"),
        ({"op": "=", "args": [{"property": 5}, 1]}, "'property' must be a name"),
        ({"op": "=", "args": [{"date": 2020}, 1]}, "'date' must be a text"),
        ({"op": "t_after", "args": [{"interval": ["..", "..", ".."]}, {"interval": ["..", ".."]}]}, "two instants"),
        ({"op": "=", "args": [{"property": "a"}, None]}, "isNull"),
        ({"op": "=", "args": [{"property": "a"}, float("inf")]}, "no value"),
        ({"op": "=", "args": [{"property": "a"}, 10**41]}, "no value"),
    ],
)
def test_what_is_no_cql2_is_refused(document, hint):
    with pytest.raises(InvalidParameter) as caught:
        parse_json(document)
    assert caught.value.parameter == "filter"
    assert hint in caught.value.detail


def test_operators_are_known_in_any_case_and_other_members_do_not_matter():
    written = {"op": "T_FINISHEDBY", "args": [{"interval": ["..", ".."]}, {"interval": ["..", ".."]}], "note": "x"}
    assert parse_json(written) == {"op": "t_finishedBy", "args": written["args"]}


def nested(depth):
    tree = EQUAL
    for _ in range(depth):
        tree = {"op": "not", "args": [tree]}
    return tree


TOO_COMPLEX = {
    "nested 1,600 deep": nested(1600),
    "nested 61 deep": nested(61),
    "lists 20,000 deep": json.loads("[" * 900 + "]" * 900),
    "20,000 operands": {"op": "or", "args": [EQUAL] * 20_000},
    "1,001 operands": {"op": "or", "args": [True] * 1001},
    "20,000 items": {"op": "in", "args": [{"property": "a"}, list(range(20_000))]},
    "2,001 nodes": {"op": "and", "args": [{"op": "or", "args": [True] * 700}] * 3},
}


@pytest.mark.parametrize("name", TOO_COMPLEX)
def test_b20_a_tree_beyond_the_limits_is_refused_at_once(name):
    begin = time.process_time()
    with pytest.raises(FilterTooComplex) as caught:
        parse_json(TOO_COMPLEX[name])
    assert time.process_time() - begin < 0.5
    assert caught.value.parameter == "filter"
    assert "2,000 operations" in caught.value.detail


def test_b20_what_the_limits_allow_is_taken():
    parse_json({"op": "or", "args": [EQUAL] * 257})
    parse_json({"op": "in", "args": [{"property": "a"}, list(range(1000))]})
    parse_json(nested(57))
    parse_text(" OR ".join(["a=1"] * 257))
    parse_text("(" * 58 + "a = 1" + ")" * 58)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 8000 + "a=1" + ")" * 8000,
        "NOT " * 4000 + "a",
        "f(" * 5000,
        "a+" * 5000 + "1=1",
        "(1," * 5000,
        "a IN (" + ",".join(["1"] * 7000) + ")",
        "x" * 16_385,
        "GEOMETRYCOLLECTION(" * 800,
        "-" * 16_000,
        "1" * 16_000 + "=1",
        "''" * 8000 + "'",
    ],
    ids=range(11),
)
def test_b20_hostile_text_is_refused_at_once(text):
    begin = time.process_time()
    with pytest.raises((FilterTooComplex, InvalidParameter)):
        parse_text(text)
    assert time.process_time() - begin < 0.5
