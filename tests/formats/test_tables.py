"""CSV and spreadsheets: encodings, delimiters, columns that hold a place, codes that keep their zeros."""

import datetime

import numpy as np
import pyproj
import pytest
import shapely
import xlsxwriter

from cim.errors import DecompressedTooLarge, SourceRefused
from tests.formats.reading import csv_of, read

CHINESE = ("编号,名称,经度,纬度", "001,南山区图书馆,113.93,22.53", "002,䶮楼𠮷,114.05,22.55")


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_B17_text_is_right_in_every_encoding_that_can_be_told(tmp_path, encoding, end):
    text = end.join(CHINESE) + end
    content = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
    reading = read(write(tmp_path / "a.csv", content))
    assert reading.column("名称") == ["南山区图书馆", "䶮楼𠮷"]
    assert reading.column("编号") == ["001", "002"]
    assert reading.geometry[1].equals(shapely.Point(114.05, 22.55))
    assert any(note.startswith("encoding") for note in reading.info.notes)


def test_B17_mixed_line_ends_and_breaks_inside_of_quotes_are_one_row_each(tmp_path):
    content = b'id,note\r\n1,a\n2,"b\r\nc"\r3,"d ""e"""\r\n\r\n4,f'
    assert read(write(tmp_path / "a.csv", content)).column("note") == ["a", "b\r\nc", 'd "e"', "f"]


def test_B17_gbk_bytes_in_a_utf8_file_are_refused_with_the_byte(tmp_path):
    content = csv_of("id,name", "1,南山", "2,福田") + "3,宝安\n".encode("gbk") + csv_of("4,罗湖")
    at = len(csv_of("id,name", "1,南山", "2,福田")) + 2
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(SourceRefused, match=rf"byte {at} is not UTF-8.*--encoding") as refused:
        read(path)
    assert refused.value.parameter == "encoding"


def test_B17_rows_that_do_not_fit_the_stated_encoding_are_rejected(tmp_path):
    content = csv_of("id,name", "1,南山", "2,福田") + "3,宝安\n".encode("gbk") + csv_of("4,罗湖")
    reading = read(write(tmp_path / "a.csv", content), encoding="UTF-8")
    assert reading.column("name") == ["南山", "福田", "罗湖"]
    assert reading.codes == ["encoding/invalid"]
    assert (reading.rejections[0].row, "line 4" in reading.rejections[0].reason) == (3, True)
    reading.rejections[0].original["properties"]["name"].encode()


def test_B17_big5_is_read_where_it_is_stated_and_never_assumed(tmp_path):
    path = write(tmp_path / "a.csv", csv_of("編號,名稱", "1,臺北許功蓋", encoding="big5"))
    assert read(path, encoding="Big5").column("名稱") == ["臺北許功蓋"]


def test_B17_three_megabytes_in_one_line_are_one_cell(tmp_path):
    reading = read(write(tmp_path / "a.csv", csv_of("id,text", f'1,"{"宝" * 1_100_000}"', "2,x")))
    assert [len(text) for text in reading.column("text")] == [1_100_000, 1]


def test_an_unknown_encoding_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", csv_of("a,b", "1,2"))
    with pytest.raises(SourceRefused, match="not known"):
        read(path, encoding="klingon")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    lines = [delimiter.join(cells) for cells in (("id", "note", "lon", "lat"), ("1", '"a,b;c|d"', "114.5", "22.5"))]
    reading = read(write(tmp_path / "a.csv", csv_of(*lines)))
    assert reading.records == [{"id": "1", "note": "a,b;c|d", "lon": "114.5", "lat": "22.5"}]


def test_a_stated_delimiter_is_used_and_a_wrong_one_refused(tmp_path):
    path = write(tmp_path / "a.csv", csv_of("a:b", "1:2"))
    assert read(path, delimiter=":").records == [{"a": "1", "b": "2"}]
    with pytest.raises(SourceRefused, match="one character"):
        read(path, delimiter="::")


@pytest.mark.parametrize(
    ("lon", "lat"),
    [
        *(("lon", "lat"), ("lng", "lat"), ("LONGITUDE", "LATITUDE"), ("经度", "纬度"), ("經度", "緯度")),
        *(("coordinates.longitude", "coordinates.latitude"), ("GPS_Lng", "GPS_Lat"), ("long", "lat")),
    ],
)
def test_columns_of_degrees_are_found_by_name(tmp_path, lon, lat):
    reading = read(write(tmp_path / "a.csv", csv_of(f"id,{lat},{lon}", "1,22.5,114.1")))
    assert reading.geometry[0].equals(shapely.Point(114.1, 22.5))
    assert reading.info.crs == "OGC:CRS84"
    assert any(lon in note for note in reading.info.notes)


def test_eastings_and_northings_need_a_stated_crs(tmp_path):
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", "EPSG:4547", always_xy=True).transform(114.05, 22.55)
    path = write(tmp_path / "a.csv", csv_of("id,easting,northing", f"1,{x},{y}"))
    with pytest.raises(SourceRefused, match="--crs EPSG:"):
        read(path)
    reading = read(path, crs="EPSG:4547")
    assert reading.info.crs == "EPSG:4547"
    assert reading.geometry[0].x == pytest.approx(x)


def test_degrees_that_are_none_need_a_stated_crs(tmp_path):
    path = write(tmp_path / "a.csv", csv_of("id,lon,lat", "1,505146.2,2494893.1", "2,505147.2,2494894.1"))
    with pytest.raises(SourceRefused, match="hold no degrees"):
        read(path)
    assert read(path, crs="EPSG:4547").geometry[0].x == pytest.approx(505146.2)


def test_stated_columns_are_used_and_unknown_ones_refused_with_the_close_one(tmp_path):
    path = write(tmp_path / "a.csv", csv_of("id,east,north", "1,114.1,22.5"))
    assert read(path, lon="east", lat="north").geometry[0].equals(shapely.Point(114.1, 22.5))
    with pytest.raises(SourceRefused, match="did you mean 'east'"):
        read(path, lon="easst", lat="north")
    with pytest.raises(SourceRefused, match="go together"):
        read(path, lon="east")


def test_wkt_needs_a_crs_of_its_own_or_a_stated_one(tmp_path):
    square = "POLYGON ((114 22, 114.1 22, 114.1 22.1, 114 22))"
    path = write(tmp_path / "a.csv", csv_of("id;wkt", f"1;{square}", "2;", "3;POLYGON ((1 2", "4;POINT Z (1 2 3)"))
    with pytest.raises(SourceRefused, match="--crs"):
        read(path)
    reading = read(path, crs="EPSG:4490")
    assert reading.geometry[0].equals(shapely.from_wkt(square))
    assert reading.geometry[1] is None
    assert (reading.rows, reading.codes) == ([1, 2, 4], ["geometry/invalid"])
    path = write(tmp_path / "b.csv", csv_of("id|geom", f"1|SRID=4490;{square}"))
    assert (read(path).info.crs, read(path).geometry[0].area > 0) == ("EPSG:4490", True)


def test_B05_wkt_nested_too_deep_never_reaches_the_parser(tmp_path):
    deep = "GEOMETRYCOLLECTION (" * 100_000 + "POINT (1 2)" + ")" * 100_000
    reading = read(write(tmp_path / "a.csv", csv_of("id;wkt", "1;POINT (1 2)", f"2;{deep}")), crs="EPSG:4326")
    assert (reading.rows, reading.codes) == ([1], ["geometry/nesting"])


def test_a_pair_of_degrees_in_one_column_is_read_where_the_order_is_certain(tmp_path):
    path = write(tmp_path / "a.csv", csv_of("id;location", '1;"114.05,22.54"', "2;", "3;(113.9, 22.5)", "4;nowhere"))
    reading = read(path)
    assert [g and (g.x, g.y) for g in reading.geometry] == [(114.05, 22.54), None, (113.9, 22.5)]
    assert (reading.rejections[0].row, reading.rejections[0].value) == (4, "nowhere")
    unsure = write(tmp_path / "b.csv", csv_of("id;location", '1;"14.05,22.54"'))
    assert read(unsure).info.geometry_type is None


def test_B04_coordinates_that_are_no_numbers_are_rejected_by_field_and_row(tmp_path):
    lines = ("id,lon,lat", "1,114,22", "2,1e999,22", "3,114,NaN", "4,abc,22", "5,,", "6,114,", "7,NA,NA")
    reading = read(write(tmp_path / "a.csv", csv_of(*lines)))
    assert reading.rows == [1, 5, 6, 7]
    assert [(r.row, r.field, r.value) for r in reading.rejections] == [
        (2, "lon", "1e999"),
        (3, "lat", "NaN"),
        (4, "lon", "abc"),
    ]
    assert [g is None for g in reading.geometry] == [False, True, True, True]


def test_codes_keep_their_zeros_and_long_numbers_their_digits(tmp_path):
    lines = (
        "code,long,mixed,n,x,when,at,ok",
        "0755,1234567890123456,1,1,1.5,2024-05-31,2024-05-31T08:00:00+08:00,true",
    )
    reading = read(
        write(tmp_path / "a.csv", csv_of(*lines, "010,6543210987654321,x,2,2,2024-06-01,2024-06-01T08:00:00Z,false"))
    )
    kinds = ("text", "text", "text", "integer", "number", "date", "instant", "boolean")
    assert tuple(reading.fields.values()) == kinds
    assert reading.column("code") == ["0755", "010"]


def test_B13_a_value_late_in_the_file_decides_the_kind_and_costs_no_row(tmp_path):
    lines = [f"{n},{n}" for n in range(10_000)]
    lines[5_000] = "5000,broken"
    reading = read(write(tmp_path / "a.csv", csv_of("id,level", *lines)))
    assert len(reading.rows) == 10_000
    assert reading.column("level")[5_000] == "broken"
    assert reading.fields == {"id": "integer", "level": "text"}


def test_records_of_another_width_are_rejected_with_their_line(tmp_path):
    reading = read(write(tmp_path / "a.csv", csv_of("a,b", "1,2", "3", "4,5,6", "7,8,,", "", "9,10")))
    assert reading.records == [{"a": "1", "b": "2"}, {"a": "7", "b": "8"}, {"a": "9", "b": "10"}]
    assert [(r.row, r.code) for r in reading.rejections] == [(2, "csv/width"), (3, "csv/width")]
    assert "line 3" in reading.rejections[0].reason
    assert reading.rejections[1].original["properties"] == {"a": "4", "b": "5", "column_3": "6"}


def test_a_quote_that_is_never_closed_is_reported_after_the_good_rows(tmp_path):
    reading = read(write(tmp_path / "a.csv", csv_of("a,b", "1,2", '3,"oops', *["4,5"] * 50)))
    assert reading.rows == [1]
    assert "line 3 is never closed" in reading.trouble.detail


def test_text_after_a_closing_quote_costs_its_row(tmp_path):
    reading = read(write(tmp_path / "a.csv", csv_of("a,b", '1,"x"y', "2,z")))
    assert (reading.rows, reading.codes, reading.column("b")) == ([2], ["csv/malformed"], ["z"])


def test_column_names_are_trimmed_filled_in_and_made_to_differ(tmp_path):
    reading = read(write(tmp_path / "a.csv", csv_of(" a ,a,,b", "1,2,3,4")))
    assert list(reading.fields) == ["a", "a_2", "column_3", "b"]


def test_a_header_without_rows_is_a_table_without_rows(tmp_path):
    reading = read(write(tmp_path / "a.csv", csv_of("id,lon,lat")))
    assert (reading.rows, reading.info.feature_count) == ([], 0)


def book(path, sheets):
    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"}) as target:
        for name, rows in sheets.items():
            sheet = target.add_worksheet(name)
            for at, row in enumerate(rows):
                for column, value in enumerate(row):
                    sheet.write(at, column, value)
    return path


def test_a_spreadsheet_is_read_as_a_reader_sees_it(tmp_path):
    rows = [
        ["深圳市传感器清单"],
        [],
        ["编号", "名称", "经度", "纬度", "安装日期", "楼层", "高度", "启用"],
        ["001", "雨量计", 114.05, 22.55, datetime.date(2024, 5, 31), 3, 4.5, True],
        ["002", None, 113.93, 22.53, datetime.datetime(2024, 6, 1, 8, 30), 1001.0, None, False],
    ]
    reading = read(book(tmp_path / "a.xlsx", {"清单": rows, "空": []}))
    assert reading.loader.startswith("Spreadsheet")
    assert reading.column("编号") == ["001", "002"]
    assert reading.column("楼层") == ["3", "1001"]
    assert reading.column("安装日期") == ["2024-05-31", "2024-06-01 08:30:00"]
    assert reading.column("启用") == ["true", "false"]
    assert reading.geometry[0].equals(shapely.Point(114.05, 22.55))
    assert reading.fields["高度"] == "number"
    assert (reading.info.layer, reading.info.layers) == ("清单", ("清单", "空"))


def test_a_spreadsheet_of_several_sheets_asks_for_one(tmp_path):
    rows = [["id", "v"], [1, 2]]
    path = book(tmp_path / "a.xlsx", {"one": rows, "two": [*rows, [3, 4]]})
    with pytest.raises(SourceRefused, match="--layer: one, two"):
        read(path)
    assert read(path, layer="two").column("id") == ["1", "3"]
    with pytest.raises(SourceRefused, match="no sheet 'three'"):
        read(path, layer="three")


def test_a_broken_spreadsheet_is_refused(tmp_path):
    path = book(tmp_path / "a.xlsx", {"one": [["id", "v"], [1, 2]]})
    content = bytearray(path.read_bytes())
    at = content.index(b"xl/worksheets/sheet1.xml") + 60
    content[at : at + 40] = np.random.default_rng(1).bytes(40)
    path.write_bytes(content)
    with pytest.raises(SourceRefused, match="broken"):
        read(path)


def test_B09_a_spreadsheet_that_unpacks_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("loaders.spreadsheet.MAX_CONTENT_BYTES", 1000)
    path = book(tmp_path / "a.xlsx", {"one": [["id", "v"], [1, 2]]})
    with pytest.raises(DecompressedTooLarge):
        read(path)
