"""Predicates and numbers of results that the standard publishes (OGC 21-065r2, annex A), on the data it names.

`ne_110m_admin_0_countries` is Natural Earth's, as pyogrio's own tests ship it (an earlier edition: one predicate of
annex A that counts differently there is left out). Of `ne_110m_populated_places_simple` the tables need the three rows
that have times, which follow from the published numbers, and a few names.
"""

from pathlib import Path

import pyogrio
import pytest

from cim.model import Collection, Kind, Property
from tests.filter.conftest import Rows

LUXEMBOURG = (
    "POLYGON((6.043073357781111 50.128051662794235,6.242751092156993 49.90222565367873,6.186320428094177 "
    "49.463802802114515,5.897759230176348 49.44266714130711,5.674051954784829 49.529483547557504,5.782417433300907 "
    "50.09032786722122,6.043073357781111 50.128051662794235))"
)
SQUARE = "POLYGON((0 40,10 40,10 50,0 50,0 40))"
BORDER = "LINESTRING(6.043073357781111 50.128051662794235,6.242751092156993 49.90222565367873)"


@pytest.fixture(scope="module")
def countries(rows: Rows) -> Collection:
    made = rows.city.dataset("countries", Property("NAME", Kind.TEXT, "名", "name"))
    file = Path(pyogrio.__file__).parent / "tests/fixtures/naturalearth_lowres/naturalearth_lowres.shp"
    meta, _, shapes, columns = pyogrio.raw.read(file, columns=["name"])
    names = columns[list(meta["fields"]).index("name")]
    with rows.city.connection.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO dataset.countries (id, source, source_id, geom, "NAME") '
            "VALUES ('n.' || %s::text, 'n', %s, ST_SetSRID(ST_GeomFromWKB(%s), 4326), %s)",
            [(str(n), str(n), bytes(shape), name) for n, (shape, name) in enumerate(zip(shapes, names, strict=True))],
        )
    return made


COUNTRIES = [
    # A.3 basic-cql2
    ("NAME='Luxembourg'", 1),
    ("NAME>='Luxembourg'", 84),
    ("NAME>'Luxembourg'", 83),
    ("NAME<='Luxembourg'", 94),
    ("NAME<'Luxembourg'", 93),
    ("NAME<>'Luxembourg'", 176),
    # basic-spatial-functions
    ("S_INTERSECTS(geom,BBOX(0,40,10,50))", 8),
    ("S_INTERSECTS(geom,BBOX(150,-90,-150,90))", 10),
    ("S_INTERSECTS(geom,POINT(7.02 49.92))", 1),
    ("S_INTERSECTS(geom,BBOX(0,40,10,50)) and S_INTERSECTS(geom,BBOX(5,50,10,60))", 3),
    ("S_INTERSECTS(geom,BBOX(0,40,10,50)) and not S_INTERSECTS(geom,BBOX(5,50,10,60))", 5),
    # spatial-functions
    (f"S_INTERSECTS(geom,{SQUARE})", 8),
    ("S_INTERSECTS(geom,LINESTRING(0 40,10 50))", 4),
    ("S_DISJOINT(geom,BBOX(0,40,10,50))", 169),
    (f"S_DISJOINT(geom,{SQUARE})", 169),
    ("S_DISJOINT(geom,LINESTRING(0 40,10 50))", 173),
    ("S_DISJOINT(geom,POINT(7.02 49.92))", 176),
    (f"S_TOUCHES(geom,{LUXEMBOURG})", 3),
    ("S_TOUCHES(geom,POINT(6.043073357781111 50.128051662794235))", 3),
    ("S_TOUCHES(geom,POINT(6.242751092156993 49.90222565367873))", 2),
    (f"S_TOUCHES(geom,{BORDER})", 3),
    ("S_WITHIN(geom,BBOX(-180,-90,0,90))", 44),
    ("S_CONTAINS(geom,BBOX(7,50,8,51))", 1),
    ("S_CONTAINS(geom,LINESTRING(7 50,8 51))", 1),
    ("S_CONTAINS(geom,POINT(7.02 49.92))", 1),
    ("S_OVERLAPS(geom,BBOX(-180,-90,0,90))", 11),
    # property-property
    ("S_INTERSECTS(BBOX(150,-90,-150,90),geom)", 10),
    (f"S_INTERSECTS({SQUARE},geom)", 8),
    ("S_CONTAINS(BBOX(-180,-90,0,90),geom)", 44),
    ("S_WITHIN(BBOX(7,50,8,51),geom)", 1),
    ("S_OVERLAPS(BBOX(-180,-90,0,90),geom)", 11),
    ("S_EQUALS(geom,POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90)))", 0),
]


@pytest.mark.parametrize(("predicate", "count"), COUNTRIES)
def test_annex_a_predicates_on_countries(rows, countries, predicate, count):
    assert len(rows.find(countries, predicate)) == count


@pytest.fixture(scope="module")
def places(rows: Rows) -> Collection:
    made = rows.city.dataset(
        "places",
        Property("name", Kind.TEXT, "名", "name"),
        Property("date", Kind.DATE, "日", "date"),
        Property("start", Kind.INSTANT, "起", "start"),
        Property("end", Kind.INSTANT, "止", "end"),
        Property("pop_other", Kind.INTEGER, "人", "population"),
    )
    times = {
        "København": ("2022-04-16", "2022-04-16T10:13:19Z", "2023-12-31T00:00:00Z", 1038288),
        "Luxembourg": ("2021-04-16", "2021-04-16T10:15:59Z", "2022-04-16T10:16:06Z", 1038280),
        "Berlin": ("2023-04-16", "2022-04-16T10:15:10Z", "2022-04-16T10:16:06Z", 3013258),
    }
    for name, (date, start, end, number) in times.items():
        rows.city.feature(
            "places", "POINT(10 50)", key=name, name=name, date=date, start=start, end=end, pop_other=number
        )
    for name in ("Kiev", "Athens", "Bern"):
        rows.city.feature("places", "POINT(10 50)", key=name, name=name)
    return made


YEAR = "interval('2022-01-01T00:00:00Z','2022-12-31T23:59:59Z')"
PLACES = [
    # temporal-functions
    ("t_after(\"date\",date('2022-04-16'))", 1),
    ("t_before(\"date\",date('2022-04-16'))", 1),
    ("t_disjoint(\"date\",date('2022-04-16'))", 2),
    ("t_equals(\"date\",date('2022-04-16'))", 1),
    ("t_intersects(\"date\",date('2022-04-16'))", 1),
    ("t_after(\"date\",interval('2022-01-01','2022-12-31'))", 1),
    ("t_before(\"date\",interval('2022-01-01','2022-12-31'))", 1),
    ("t_disjoint(\"date\",interval('2022-01-01','2022-12-31'))", 2),
    ("t_equals(\"date\",interval('2022-01-01','2022-12-31'))", 0),
    ("t_equals(\"date\",interval('2022-04-16','2022-04-16'))", 1),
    ("t_intersects(\"date\",interval('2022-01-01','2022-12-31'))", 1),
    ("t_after(start,timestamp('2022-04-16T10:13:19Z'))", 1),
    ("t_before(start,timestamp('2022-04-16T10:13:19Z'))", 1),
    ("t_disjoint(start,timestamp('2022-04-16T10:13:19Z'))", 2),
    ("t_equals(start,timestamp('2022-04-16T10:13:19Z'))", 1),
    ("t_intersects(start,timestamp('2022-04-16T10:13:19Z'))", 1),
    (f"t_after(start,{YEAR})", 0),
    (f"t_before(start,{YEAR})", 1),
    (f"t_disjoint(start,{YEAR})", 1),
    (f"t_equals(start,{YEAR})", 0),
    (f"t_intersects(start,{YEAR})", 2),
    ("t_after(interval(start,end),interval('..','2022-04-16T10:13:19Z'))", 1),
    ("t_before(interval(start,end),interval('2023-01-01T00:00:00Z','..'))", 2),
    ("t_disjoint(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:09Z'))", 1),
    ("t_equals(interval(start,end),interval('2021-04-16T10:15:59Z','2022-04-16T10:16:06Z'))", 1),
    ("t_intersects(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:09Z'))", 2),
    ("T_CONTAINS(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'))", 1),
    (f"T_DURING(interval(start,end),{YEAR})", 1),
    ("T_FINISHES(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:16:06Z'))", 1),
    ("T_FINISHEDBY(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:16:06Z'))", 1),
    ("T_MEETS(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'))", 0),
    ("T_METBY(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'))", 1),
    ("T_OVERLAPPEDBY(interval(start,end),interval('2020-04-16T10:13:19Z','2022-04-16T10:15:10Z'))", 2),
    ("T_OVERLAPS(interval(start,end),interval('2022-04-16T10:13:19Z','2023-04-16T10:15:10Z'))", 1),
    ("T_STARTEDBY(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'))", 1),
    ("T_STARTS(interval(start,end),interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'))", 0),
    # property-property
    ("t_after(timestamp('2022-04-16T10:13:19Z'),start)", 1),
    (f"t_after({YEAR},start)", 1),
    ("t_after(interval('2023-01-01T00:00:00Z','..'),interval(start,end))", 2),
    ("T_CONTAINS(interval('2021-04-16T10:13:19Z','2023-04-16T10:15:10Z'),interval(start,end))", 2),
    ("T_DURING(interval('2022-07-01T00:00:00Z','2022-12-31T23:59:59Z'),interval(start,end))", 1),
    ("T_MEETS(interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'),interval(start,end))", 1),
    ("T_STARTS(interval('2022-04-16T10:13:19Z','2022-04-16T10:15:10Z'),interval(start,end))", 1),
    ("start<end", 3),
    ("start>=end", 0),
    # advanced-comparison-operators, case- and accent-insensitive-comparison, arithmetic
    ("\"date\" in (DATE('2021-04-16'),DATE('2022-04-16'),DATE('2022-04-18'))", 2),
    ("\"date\" not in (DATE('2021-04-16'),DATE('2022-04-16'),DATE('2022-04-18'))", 1),
    ("start in (TIMESTAMP('2022-04-16T10:13:19Z'))", 1),
    ("name LIKE 'B_r%'", 2),
    ("CASEI(name)=casei('KØBENHAVN')", 1),
    ("CASEI(name) LIKE casei('b_R%')", 2),
    ("CASEI(name) IN (casei('Kiev'), casei('kobenhavn'), casei('Berlin'), casei('athens'), casei('foo'))", 3),
    ("ACCENTI(name)=accenti('Kobenhavn')", 1),
    ("ACCENTI(CASEI(name))=accenti(casei('KØBENHAVN'))", 1),
    ("ACCENTI(CASEI(name)) LIKE accenti(casei('kØ%'))", 1),
    ("ACCENTI(CASEI(name)) IN (accenti(casei('Kiev')), accenti(casei('kobenhavn')), accenti(casei('Berlin')))", 3),
    ("pop_other=1038280+8", 1),
    ("pop_other>=1038290-2*2^0", 2),
    ("pop_other>1038290-21 div 10", 1),
    ("pop_other>1038290-5%2", 1),
    ("pop_other<>1038290-2^1", 2),
    ("1038280+8=pop_other", 1),
]


@pytest.mark.parametrize(("predicate", "count"), PLACES)
def test_annex_a_predicates_on_places(rows, places, predicate, count):
    assert len(rows.find(places, predicate)) == count


def test_annex_a_logical_combinations_agree_with_three_valued_logic(rows, places):
    """The form of /conf/basic-cql2/logical, against a truth table of its parts worked out in Python."""
    parts = ["pop_other<>1038288", "name<>'København'", "pop_other IS NULL", "start<TIMESTAMP('2022-04-16T10:13:19Z')"]
    names = rows.find(places, "TRUE")
    truth = [(set(rows.find(places, part)), set(rows.find(places, f"NOT {part}"))) for part in parts]

    def value(part, name):
        return True if name in truth[part][0] else False if name in truth[part][1] else None

    def both(a, b):
        return False if a is False or b is False else None if a is None or b is None else True

    def negated(a):
        return None if a is None else not a

    def either(a, b):
        return negated(both(negated(a), negated(b)))

    expected = []
    for name in names:
        p1, p2, p3, p4 = (value(part, name) for part in range(4))
        found = either(either(both(negated(p2), p1), both(p3, p4)), negated(either(p1, p4)))
        expected += [name] if found else []
    p1, p2, p3, p4 = parts
    assert rows.find(places, f"(NOT ({p2}) AND {p1}) OR ({p3} and {p4}) or not ({p1} OR {p4})") == expected
