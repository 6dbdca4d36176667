"""Filters made up at random from every operator, over the strangest rows a table can hold: an answer or a refusal."""

import random
from typing import Any

import pytest

from cim.errors import CimError
from cim.model import Collection, Kind, Property
from cim.query.filter.names import ARITHMETIC, ARRAY, COMPARISON, SPATIAL, TEMPORAL
from tests.filter.conftest import Rows

NUMBERS = [0, 1, -1, 2.5, 0.1, 1e308, -1e308, 5e-324, 1e150, 2**63 - 1, -(2**63), 2**63, 10**39, -(10**39)]
TEXTS = [
    *("", "x", "%", "_", "\\%", "a\\", "\\\\", "'", "København", "ß", "İ", "\u0301", "＼％", "\x01", "😀", ".."),
    *("2020-01-01", "2020-01-01T00:00:00Z"),
]
RING = [[113, 21], [115, 21], [115, 23], [113, 21]]
GEOMETRIES: list[dict[str, Any]] = [
    {"type": "Point", "coordinates": [114, 22]},
    {"type": "Point", "coordinates": [180, 90]},
    {"type": "LineString", "coordinates": [[0, -90], [0, 90]]},
    {"type": "LineString", "coordinates": [[1, 1], [1, 1]]},
    {"type": "Polygon", "coordinates": [RING]},
    {"type": "MultiPoint", "coordinates": [[-180, -90], [180, 90]]},
    {
        "type": "GeometryCollection",
        "geometries": [{"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon", "coordinates": [RING]}],
    },
    *({"bbox": box} for box in ([-180, -90, 180, 90], [170, -10, -170, 10], [1, 1, 1, 1], [180, 0, -180, 1])),
]
INSTANTS = [
    *({"date": day} for day in ("2022-04-16", "0001-01-01", "9999-12-31")),
    *({"timestamp": time} for time in ("2022-04-16T10:13:19Z", "9999-12-31T23:59:59-12:00")),
]


class Maker:
    """Makes trees of CQL2-JSON; `depth` is how many operations may stand inside one another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def call(self, name: str, *operands: Any) -> dict[str, Any]:
        return {"op": name, "args": list(operands)}

    def number(self, depth: int) -> Any:
        if depth <= 0 or self.random.random() < 0.3:
            return self.one_of(*NUMBERS)
        return self.one_of(
            {"property": self.one_of("whole", "number")},
            self.call(self.one_of(*ARITHMETIC), self.number(depth - 1), self.number(depth - 1)),
            self.call(self.one_of("abs", "round", "floor", "ceil"), self.number(depth - 1)),
            self.call("length", self.text(depth - 1)),
            self.call("year", self.instant()),
            self.call(self.one_of("area_m2", "length_m"), self.geometry(depth - 1)),
            self.call("distance_m", self.geometry(depth - 1), self.geometry(depth - 1)),
        )

    def text(self, depth: int) -> Any:
        if depth <= 0 or self.random.random() < 0.4:
            return self.one_of(*TEXTS)
        name = self.one_of("casei", "accenti", "lower", "upper")
        return self.one_of({"property": self.one_of("name", "code", "id")}, self.call(name, self.text(depth - 1)))

    def instant(self) -> Any:
        return self.one_of(*INSTANTS, {"property": self.one_of("day", "time", "valid_from")})

    def time(self) -> Any:
        ends = [self.one_of("..", self.instant()) for _ in range(2)]
        return self.one_of(self.instant(), {"interval": ends})

    def geometry(self, depth: int) -> Any:
        if depth <= 0 or self.random.random() < 0.5:
            return self.one_of(*GEOMETRIES)
        inner = self.geometry(depth - 1)
        buffer = self.call("buffer", inner, self.one_of(0, 1, -5, 100_000, -100_000))
        return self.one_of({"property": "geometry"}, self.call("centroid", inner), buffer)

    def array(self) -> Any:
        elements = [self.one_of(self.number(1), self.text(1), True, [1, "a"], *INSTANTS, *GEOMETRIES) for _ in range(3)]
        return self.one_of({"property": "list"}, elements, [])

    def pattern(self) -> Any:
        made = self.one_of(*TEXTS)
        for _ in range(self.random.randint(0, 2)):
            made = self.call(self.one_of("casei", "accenti"), made)
        return made

    def condition(self, depth: int) -> Any:
        if depth <= 0:
            return self.one_of(True, False, {"property": "flag"})
        value = self.one_of(self.number, self.text, lambda _: self.instant())
        deeper = [self.condition(depth - 1) for _ in range(2)]
        match self.random.randint(0, 8):
            case 0:
                return self.call(self.one_of("and", "or"), *deeper)
            case 1:
                return self.call(self.one_of("not", "isNull"), deeper[0])
            case 2 | 3:
                return self.call(self.one_of(*COMPARISON), value(depth), value(depth))
            case 4:
                return self.call("in", value(depth), [value(1), value(1)])
            case 5:
                return self.call("between", value(depth), value(depth), value(depth))
            case 6:
                return self.call("like", self.text(depth), self.pattern())
            case 7:
                return self.call(self.one_of(*SPATIAL), self.geometry(depth), self.geometry(depth))
        if self.random.random() < 0.5:
            return self.call(self.one_of(*TEMPORAL), self.time(), self.time())
        return self.call(self.one_of(*ARRAY), self.array(), self.array())


@pytest.fixture(scope="module")
def strange(rows: Rows) -> Collection:
    made = rows.city.dataset(
        "strange",
        Property("name", Kind.TEXT, "名", "name"),
        Property("code", Kind.TEXT, "码", "code", is_indexed=True),
        Property("whole", Kind.INTEGER, "整", "whole"),
        Property("number", Kind.NUMBER, "数", "number"),
        Property("flag", Kind.BOOLEAN, "是", "flag"),
        Property("day", Kind.DATE, "日", "day"),
        Property("time", Kind.INSTANT, "时", "time"),
        Property("list", Kind.JSON, "列", "list"),
    )
    rows.city.connection.execute(
        """
        INSERT INTO dataset.strange
            (id, source, source_id, name, code, whole, number, flag, day, time, valid_from, list, geom) VALUES
        ('t.1', 't', '1', 'København', 'ß', 9223372036854775807, 1.7e308, true, '2022-04-16', '2022-04-16T10:13:19Z',
         '2020-01-01', '["a", 1]', 'SRID=4326;POLYGON((114 22,114.01 22,114.01 22.01,114 22))'),
        ('t.2', 't', '2', '', '', -9223372036854775808, 'NaN', false, '-infinity', '-infinity', 'infinity', 'null',
         'SRID=4326;GEOMETRYCOLLECTION(POINT(5 5),POLYGON((0 0,1 0,1 1,0 0)))'),
        ('t.3', 't', '3', 'İ％', '\\', 0, '-infinity', null, 'infinity', '294276-12-31', '4713-01-01 BC',
         '[null, [1, "a"], {}]', 'SRID=4326;POLYGON EMPTY'),
        ('t.4', 't', '4', null, null, null, 'infinity', null, '5874897-12-31', null, null, '[1e400]',
         'SRID=4326;POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90))'),
        ('t.5', 't', '5', 'a', 'b', -1, 5e-324, true, '4713-01-01 BC', 'infinity', null, '"a"',
         'SRID=4326;MULTIPOINT(-180 -90,180 90)'),
        ('t.6', 't', '6', null, null, null, null, null, null, null, null, null, null)
        """
    )
    return made


@pytest.mark.parametrize("seed", range(4))
def test_no_filter_of_any_shape_fails_on_any_row(rows: Rows, strange: Collection, seed: int) -> None:
    maker = Maker(seed)
    answered = 0
    for _ in range(250):
        tree = maker.condition(maker.random.randint(1, 4))
        try:
            found = rows.find(strange, tree)
        except CimError:
            continue
        answered += 1
        opposite = rows.find(strange, {"op": "not", "args": [tree]})
        assert not set(found) & set(opposite), tree
    assert answered > 120
