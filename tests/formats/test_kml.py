"""KML as city departments export it from Google Earth and from Chinese desktop programs."""

import pytest
import shapely

from cim.errors import SourceRefused
from tests.formats.reading import read

SQUARE = "114,22,5 114.1,22,5 114.1,22.1,5 114,22,5"
RING = f"<LinearRing><coordinates>\n {SQUARE}\n</coordinates></LinearRing>"
POLYGON = f"<Polygon><outerBoundaryIs>{RING}</outerBoundaryIs></Polygon>"


def kml(path, *marks, head='<?xml version="1.0" encoding="UTF-8"?>', encoding="utf-8"):
    text = f'{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{"".join(marks)}</Document></kml>'
    path.write_bytes(text.encode(encoding))
    return path


def mark(name, shape="", data=""):
    return f"<Placemark><name>{name}</name>{data}{shape}</Placemark>"


def datum(name, value):
    return f'<ExtendedData><Data name="{name}"><value>{value}</value></Data></ExtendedData>'


def test_extended_data_keep_their_chinese_names(tmp_path):
    marks = [
        mark("甲", POLYGON, datum("层数", 18)),
        mark("乙", "", datum("用途", "住宅")),
        mark("丙", "", datum("name", "x")),
    ]
    reading = read(kml(tmp_path / "a.kml", *marks))
    assert reading.column("name") == ["甲", "乙", "丙"]
    assert reading.column("层数") == ["18", None, None]
    assert reading.column("用途") == [None, "住宅", None]
    assert reading.column("data_name") == [None, None, "x"]
    assert reading.fields["层数"] == "integer"
    assert (reading.loader, reading.info.crs) == ("KML", "OGC:CRS84")
    expected = shapely.Polygon([(114, 22), (114.1, 22), (114.1, 22.1)])
    assert shapely.force_2d(reading.geometry[0]).equals(expected)
    assert reading.geometry[1] is None


def test_schema_data_and_folders_are_fields(tmp_path):
    data = (
        '<ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="高度">30.5</SimpleData></SchemaData></ExtendedData>'
    )
    folder = f"<Folder><name>南山</name>{mark('a')}<Folder><name>科技园</name>{mark('b', data=data)}</Folder></Folder>"
    reading = read(kml(tmp_path / "a.kml", folder, mark("c")))
    assert reading.column("folder") == ["南山", "南山/科技园", None]
    assert reading.column("高度") == [None, "30.5", None]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("<Point><coordinates>114.05,22.5</coordinates></Point>", "POINT (114.05 22.5)"),
        ("<LineString><coordinates>0,0 1,1</coordinates></LineString>", "LINESTRING (0 0, 1 1)"),
        (
            "<MultiGeometry><Point><coordinates>1,2</coordinates></Point><Point><coordinates>3,4</coordinates></Point>"
            "</MultiGeometry>",
            "MULTIPOINT (1 2, 3 4)",
        ),
        (
            "<MultiGeometry><Point><coordinates>1,2</coordinates></Point><LineString><coordinates>0,0 1,1</coordinates>"
            "</LineString></MultiGeometry>",
            "GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 1))",
        ),
    ],
)
def test_geometries_of_every_kind_are_read(tmp_path, shape, expected):
    assert read(kml(tmp_path / "a.kml", mark("x", shape))).geometry[0].equals(shapely.from_wkt(expected))


@pytest.mark.parametrize(
    "shape",
    [
        "<Point><coordinates>abc</coordinates></Point>",
        "<Point><coordinates>1</coordinates></Point>",
        "<LineString><coordinates>1,1</coordinates></LineString>",
        POLYGON.replace(SQUARE, "0,0 1,0 1,1 0,1"),
        POLYGON.replace(SQUARE, "0,0 0,0"),
    ],
)
def test_what_is_no_geometry_costs_its_row(tmp_path, shape):
    reading = read(kml(tmp_path / "a.kml", mark("a"), mark("b", shape), mark("c")))
    assert (reading.column("name"), reading.codes) == (["a", "c"], ["geometry/invalid"])
    assert reading.rejections[0].original["properties"]["name"] == "b"


@pytest.mark.parametrize("depth", [40, 10_000])
def test_B05_geometries_nested_too_deep_cost_their_row(tmp_path, depth):
    shape = "<MultiGeometry>" * depth + "<Point><coordinates>1,2</coordinates></Point>" + "</MultiGeometry>" * depth
    reading = read(kml(tmp_path / "a.kml", mark("a"), mark("b", shape), mark("c")))
    assert (reading.column("name"), reading.codes) == (["a", "c"], ["geometry/nesting"])


def test_B12_a_document_that_breaks_off_gives_what_stands_before(tmp_path):
    path = kml(tmp_path / "a.kml", *(mark(f"m{n}") + "\n" for n in range(100)))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"m70")])
    reading = read(path, batch_rows=30)
    assert reading.column("name") == [f"m{n}" for n in range(70)]
    assert "line 71" in reading.trouble.detail


@pytest.mark.parametrize("encoding", ["GB2312", "GBK", "UTF-16"])
def test_B17_the_declared_encoding_counts(tmp_path, encoding):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    path = kml(tmp_path / "a.kml", mark("南山区"), head=head, encoding=encoding)
    assert read(path).column("name") == ["南山区"]


def test_B08_entities_are_refused_before_they_are_read(tmp_path):
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY e0 "x">{bomb}]>'
    with pytest.raises(SourceRefused, match="entities"):
        read(kml(tmp_path / "a.kml", mark("&e9;"), head=head))
