"""Shapefiles with the encodings and the missing parts that real ones have."""

import shutil

import geopandas
import numpy as np
import pytest
import shapely

from cim.errors import SourceRefused
from tests.formats.reading import read

NAMES = ["南山区科技园", "福田区市民中心", "宝安区西乡街道", None]


def shapefile(folder, encoding="gb18030", names=NAMES, crs=4490):
    frame = geopandas.GeoDataFrame(
        {"name": names, "floors": range(len(names))},
        geometry=[shapely.box(114 + n, 22, 114.5 + n, 22.5) for n in range(len(names))],
        crs=crs,
    )
    path = folder / "建筑.shp"
    frame.to_file(path, encoding=encoding)
    return path


def language_driver(path, byte):
    table = path.with_suffix(".dbf")
    content = bytearray(table.read_bytes())
    content[29] = byte
    table.write_bytes(content)


@pytest.mark.parametrize(
    ("written", "code_page", "driver", "reason"),
    [
        ("utf-8", "UTF-8", 0, ".cpg"),
        ("gb18030", "936", 0, ".cpg"),
        ("gb18030", "GBK", 0, ".cpg"),
        ("gb18030", None, 0x4D, "byte 29"),
        ("gb18030", None, 0x7A, "byte 29"),
        ("big5", None, 0x4F, "byte 29"),
        ("gb18030", None, 0, "GB18030: all of it is"),
        ("gb18030", None, 0x57, "GB18030: all of it is"),
        ("utf-8", None, 0, "UTF-8: all of it is"),
    ],
)
def test_the_encoding_is_taken_from_code_page_then_driver_byte_then_text(tmp_path, written, code_page, driver, reason):
    names = ["臺北許功蓋", "中山", "西門町", None] if written == "big5" else NAMES
    path = shapefile(tmp_path, written, names)
    path.with_suffix(".cpg").unlink(missing_ok=True)
    if code_page:
        path.with_suffix(".cpg").write_text(code_page + "\n")
    language_driver(path, driver)
    reading = read(path)
    assert reading.column("name") == names
    assert any(reason in note for note in reading.info.notes)


def test_a_code_page_that_is_wrong_is_refused_and_a_stated_encoding_helps(tmp_path):
    path = shapefile(tmp_path)
    path.with_suffix(".cpg").write_text("UTF-8")
    with pytest.raises(SourceRefused, match=r"3 of 4 records are not UTF-8 by the .cpg.*--encoding"):
        read(path)
    assert read(path, encoding="GB18030").column("name") == NAMES


def test_a_name_that_was_cut_in_half_costs_its_row_only(tmp_path):
    names = [f"第{n}号楼" for n in range(50)]
    path = shapefile(tmp_path, "utf-8", names)
    table = path.with_suffix(".dbf")
    content = table.read_bytes()
    assert content.count("第7号".encode()) == 1
    table.write_bytes(content.replace("第7号".encode(), b"\xe7\xac7 \xe5\x8f "))
    path.with_suffix(".cpg").write_text("UTF-8")
    reading = read(path, batch_rows=10)
    assert (reading.rejections[0].row, reading.codes) == (8, ["encoding/invalid"])
    assert len(reading.rows) == 49
    assert any("1 records hold text" in note for note in reading.info.notes)


def test_deleted_records_leave_the_other_row_numbers_alone(tmp_path):
    path = shapefile(tmp_path)
    table = path.with_suffix(".dbf")
    content = bytearray(table.read_bytes())
    header, width = int.from_bytes(content[8:10], "little"), int.from_bytes(content[10:12], "little")
    content[header + width] = ord("*")
    table.write_bytes(content)
    assert read(path).rows == [1, 3, 4]


def test_B06_without_prj_the_crs_must_be_stated(tmp_path):
    path = shapefile(tmp_path)
    path.with_suffix(".prj").unlink()
    with pytest.raises(SourceRefused, match=r"does not state a CRS.*--crs EPSG:") as refused:
        read(path)
    assert refused.value.parameter == "crs"
    reading = read(path, crs="EPSG:4490")
    assert reading.info.crs == "EPSG:4490"
    assert any("--crs" in note for note in reading.info.notes)


def test_missing_parts_are_named(tmp_path):
    path = shapefile(tmp_path)
    path.with_suffix(".shx").unlink()
    with pytest.raises(SourceRefused, match=r"without its \.shx"):
        read(path)
    with pytest.raises(SourceRefused, match=r"give the \.shp"):
        read(path.with_suffix(".dbf"))


def test_shapes_without_a_table_are_rows_without_fields(tmp_path):
    path = shapefile(tmp_path)
    for suffix in (".dbf", ".cpg"):
        path.with_suffix(suffix).unlink()
    reading = read(path)
    assert len(reading.geometry) == 4
    assert any("no .dbf" in note for note in reading.info.notes)


def test_names_in_capitals_are_found(tmp_path):
    shapefile(tmp_path)
    folder = tmp_path / "capital"
    folder.mkdir()
    for part in tmp_path.glob("建筑.*"):
        shutil.copy(part, folder / ("A" + part.suffix.upper()))
    assert read(folder / "A.SHP").column("name") == NAMES


def test_a_truncated_table_or_geometry_is_refused_or_rejected_but_never_silent(tmp_path):
    path = shapefile(tmp_path, names=[f"楼{n}号" for n in range(100)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        reading = read(path)
    except SourceRefused:
        return
    missing = sum(g is None for g in reading.geometry)
    assert reading.trouble is not None or missing + len(reading.rejections) >= 45


def test_geometries_are_those_that_geopandas_reads(tmp_path):
    path = shapefile(tmp_path)
    theirs = geopandas.read_file(path, encoding="gb18030")
    assert shapely.equals_exact(np.array(read(path).geometry), theirs.geometry.to_numpy()).all()
