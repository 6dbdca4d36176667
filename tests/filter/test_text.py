"""CQL2 text becomes the CQL2-JSON tree (OGC 21-065r2, annex B), or an error that says where it stops being CQL2."""

import json

import pytest

from cim.errors import InvalidParameter
from cim.query.filter import parse_json, parse_text


def prop(name):
    return {"property": name}


def op(name, *args):
    return {"op": name, "args": list(args)}


EXAMPLES = [
    # examples of the standard, clauses 6 and 7, text beside JSON
    ("avg(windSpeed) < 4", op("<", op("avg", prop("windSpeed")), 4)),
    ("balance-150.0 > 0", op(">", op("-", prop("balance"), 150.0), 0)),
    ("updated >= date('1970-01-01')", op(">=", prop("updated"), {"date": "1970-01-01"})),
    ("geometry IS NOT NULL", op("not", op("isNull", prop("geometry")))),
    ("name LIKE 'Smith%'", op("like", prop("name"), "Smith%")),
    ("depth BETWEEN 100.0 and 150.0", op("between", prop("depth"), 100.0, 150.0)),
    ("category NOT IN (1,2,3,4)", op("not", op("in", prop("category"), [1, 2, 3, 4]))),
    (
        "CASEI(road_class) IN (CASEI('Οδος'),CASEI('Straße'))",
        op("in", op("casei", prop("road_class")), [op("casei", "Οδος"), op("casei", "Straße")]),
    ),
    (
        "S_INTERSECTS(geometry,POINT(36.319836 32.288087))",
        op("s_intersects", prop("geometry"), {"type": "Point", "coordinates": [36.319836, 32.288087]}),
    ),
    (
        "T_INTERSECTS(event_time, INTERVAL('1969-07-16T05:32:00Z', '1969-07-24T16:50:35Z'))",
        op("t_intersects", prop("event_time"), {"interval": ["1969-07-16T05:32:00Z", "1969-07-24T16:50:35Z"]}),
    ),
    (
        "T_DURING(INTERVAL(touchdown, liftOff), INTERVAL('1969-07-16', '..'))",
        op("t_during", {"interval": [prop("touchdown"), prop("liftOff")]}, {"interval": ["1969-07-16", ".."]}),
    ),
    ("A_CONTAINS(layer:ids, ('layers-ca','layers-us'))", op("a_contains", prop("layer:ids"), ["layers-ca", "layers-us"])),
    (
        "vehicle_height > (bridge_clearance-1)",
        op(">", prop("vehicle_height"), op("-", prop("bridge_clearance"), 1)),
    ),
    (
        "swimming_pool=true AND (floors>5 OR material LIKE 'brick%' OR material LIKE '%brick')",
        op(
            "and",
            op("=", prop("swimming_pool"), True),
            op(
                "or",
                op(">", prop("floors"), 5),
                op("like", prop("material"), "brick%"),
                op("like", prop("material"), "%brick"),
            ),
        ),
    ),
    (
        'S_INTERSECTS("geometry", BBOX(-128.098193, -1.1, -99999.0, 180.0, 90.0, 100000.0))',
        op("s_intersects", prop("geometry"), {"bbox": [-128.098193, -1.1, -99999.0, 180.0, 90.0, 100000.0]}),
    ),
    # what binds how strongly
    ("NOT a=1 AND b=2 OR c", op("or", op("and", op("not", op("=", prop("a"), 1)), op("=", prop("b"), 2)), prop("c"))),
    ("a AND (b AND c)", op("and", prop("a"), op("and", prop("b"), prop("c")))),
    ("a+b*2^3 > -c", op(">", op("+", prop("a"), op("*", prop("b"), op("^", 2, 3))), op("*", -1, prop("c")))),
    ("a-b-c = 0", op("=", op("-", op("-", prop("a"), prop("b")), prop("c")), 0)),
    ("a div 2 % 3 = 1", op("=", op("%", op("div", prop("a"), 2), 3), 1)),
    ("a - -3 >= +1", op(">=", op("-", prop("a"), -3), 1)),
    (
        "a NOT BETWEEN 1+1 AND 3 AND b",
        op("and", op("not", op("between", prop("a"), op("+", 1, 1), 3)), prop("b")),
    ),
    ("1=1", op("=", 1, 1)),
    ("True", True),
    # names
    ("建筑高度 > 30", op(">", prop("建筑高度"), 30)),
    ('"建筑 ""高"" 度" > 30', op(">", prop('建筑 "高" 度'), 30)),
    ("\"date\" = DATE('2022-04-16')", op("=", prop("date"), {"date": "2022-04-16"})),
    ("date IS NULL", op("isNull", prop("date"))),
    ("point = 1 and \"and\" = 2", op("and", op("=", prop("point"), 1), op("=", prop("and"), 2))),
    ("eo:cloud_cover < landsat.row", op("<", prop("eo:cloud_cover"), prop("landsat.row"))),
    # keywords in any case, operators in the schema's
    ("t_finishedby(a,Interval('..','..'))", op("t_finishedBy", prop("a"), {"interval": ["..", ".."]})),
    ("a_containedby(tags, ())", op("a_containedBy", prop("tags"), [])),
    ("A_OVERLAPS(tags, ('a'))", op("a_overlaps", prop("tags"), ["a"])),
    ("A_EQUALS(tags, ('a', true, (1, 2)))", op("a_equals", prop("tags"), ["a", True, [1, 2]])),
    ("a is Null", op("isNull", prop("a"))),
    # any kind of space, the ideographic one too
    ("a\u3000=\u00a0\n1", op("=", prop("a"), 1)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tree"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
def test_text_and_json_are_the_same_filter(text, tree):
    assert parse_text(text) == tree
    assert parse_json(json.loads(json.dumps(tree))) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740993", 9007199254740993),
        ("-9223372036854775808", -(2**63)),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E-3", -0.0015),
        ("2e3", 2000.0),
    ],
)
def test_numbers_are_read_exactly(text, value):
    read = parse_text(f"a = {text}")["args"][1]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'Via dell''Avvento'", "Via dell'Avvento"),
        (r"'Via dell\'Avvento'", "Via dell'Avvento"),
        (r"'\a\b\t\n\v\f\r'", "\a\b\t\n\v\f\r"),
        (r"'a\\b'", r"a\b"),
        (r"'100\%'", r"100\%"),
        ("''", ""),
        ("'深圳'", "深圳"),
    ],
)
def test_req_cql2_text_escaping(literal, value):
    assert parse_text(f"a = {literal}")["args"][1] == value


RING = [[0, 0], [1, 0], [1, 1], [0, 0]]
HOLE = [[0.1, 0.1], [0.2, 0.1], [0.2, 0.2], [0.1, 0.1]]
POINT, LINE = {"type": "Point", "coordinates": [1, 2]}, {"type": "LineString", "coordinates": [[1, 2], [-3.5, 4]]}


@pytest.mark.parametrize(
    ("text", "kind", "coordinates"),
    [
        ("POINT Z (1 2 3)", "Point", [1, 2, 3]),
        ("linestring(1 2, -3.5 4)", "LineString", [[1, 2], [-3.5, 4]]),
        ("POLYGON ((0 0,1 0,1 1,0 0),(.1 .1,.2 .1,.2 .2,.1 .1))", "Polygon", [RING, HOLE]),
        ("MULTIPOINT((7 50),(10 51))", "MultiPoint", [[7, 50], [10, 51]]),
        ("MULTIPOINT(7 50,10 51)", "MultiPoint", [[7, 50], [10, 51]]),
        ("MULTILINESTRING((1 2,3 4),(5 6,7 8))", "MultiLineString", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
        ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))", "MultiPolygon", [[RING]]),
        ("GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(1 2,-3.5 4))", "GeometryCollection", [POINT, LINE]),
    ],
)
def test_every_kind_of_geometry_is_read(text, kind, coordinates):
    member = "geometries" if kind == "GeometryCollection" else "coordinates"
    expected = op("s_disjoint", {"type": kind, member: coordinates}, prop("geometry"))
    assert parse_text(f"S_DISJOINT({text}, geometry)") == expected


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("THIS IS NOT A FILTER", 13, "expected NULL"),
        ("a = = 1", 5, "expected a property, a value"),
        ("a = ", 5, "where the text ends"),
        ("", 1, "where the text ends"),
        ("a = 1 garbage", 7, "expected AND, OR or the end"),
        ("(a = 1", 7, "expected AND, OR, a comma or )"),
        ("a = 'x", 5, "the quote is not closed"),
        ('"a = 1', 1, "the quote is not closed"),
        ("a = 1; DROP TABLE x", 6, "';' is not part of CQL2"),
        ("a != 1", 3, "'!' is not part of CQL2"),
        ("a = b = c", 7, "parentheses must say"),
        ("2^3^2 = 1", 4, "parentheses must say"),
        ("and = 1", 1, 'written "and"'),
        ("a = 1e400", 5, "too large"),
        ("a NOT 1", 7, "expected LIKE, BETWEEN or IN"),
        ("a BETWEEN 1 OR 2", 13, "expected AND"),
        ("DATE(2020)", 6, "single quotes"),
        ("INTERVAL('..')", 1, "two instants"),
        ("S_INTERSECTS(geometry, POINT(1))", 31, "expected a number"),
        ("S_INTERSECTS(geometry, POINT EMPTY)", 30, "empty"),
        ("S_INTERSECTS(geometry, BBOX(1,2,3))", 28, "four numbers"),
        ("S_INTERSECTS(geometry, POINT M (1 2 3))", 30, "two coordinates"),
        ("a - - - 1 = 1", 7, "expected a number"),
    ],
)
def test_what_is_no_cql2_is_refused_with_the_place(text, position, hint):
    with pytest.raises(InvalidParameter) as caught:
        parse_text(text)
    assert caught.value.parameter == "filter"
    place = "where the text ends" if position > len(text) else f"at character {position},"
    assert place in caught.value.detail
    assert hint in caught.value.detail
