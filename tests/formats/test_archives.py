"""ZIP archives: what they hold is read, what they try is refused, and nothing is left behind."""

import stat
import struct
import zipfile
import zlib

import geopandas
import pytest
import shapely

from cim.errors import DecompressedTooLarge, SourceRefused, TooLarge
from loaders.archive import unpacked
from tests.formats.reading import read

MANY = 1 << 30


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in members:
            target.writestr(name, content)
    return path


def raw_archive(path, name: bytes, content: bytes):
    """A ZIP with one stored member whose name is these bytes, without the UTF-8 flag."""
    crc = zlib.crc32(content)
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0x21, crc, len(content), len(content), len(name), 0)
    central = struct.pack(
        "<4s6H3I5H2I",
        b"PK\x01\x02",
        20,
        20,
        0,
        0,
        0,
        0x21,
        crc,
        len(content),
        len(content),
        len(name),
        0,
        0,
        0,
        0,
        0,
        0,
    )
    start = len(local) + len(name) + len(content)
    size = len(central) + len(name)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, size, start, 0)
    path.write_bytes(local + name + content + central + name + end)
    return path


def listing(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.mark.parametrize("folder", ["", "数据/"])
def test_a_zipped_shapefile_is_read_as_one(tmp_path, scratch, shared_data, folder):
    parts = sorted((shared_data / "admin/shanghai_shp").iterdir())
    path = archive(tmp_path / "a.zip", [(folder + p.name, p.read_bytes()) for p in parts])
    source = unpacked(path, scratch, MANY, 100)
    assert source.name == "区县界_area.shp"
    assert "宝山区" in read(source).column("NAME")


def test_member_names_in_gbk_are_read(tmp_path, scratch):
    path = raw_archive(tmp_path / "a.zip", "深圳市建筑.csv".encode("gbk"), b"lon,lat\n114,22\n")
    assert unpacked(path, scratch, MANY, 10).name == "深圳市建筑.csv"


def test_member_names_in_utf8_without_the_flag_are_read(tmp_path, scratch):
    path = raw_archive(tmp_path / "a.zip", "南山区.csv".encode(), b"lon,lat\n114,22\n")
    assert unpacked(path, scratch, MANY, 10).name == "南山区.csv"


def test_kmz_gives_its_main_document(tmp_path, scratch):
    placemark = "<Placemark><name>塔</name><Point><coordinates>114.05,22.55,0</coordinates></Point></Placemark>"
    kml = f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{placemark}</Document></kml>'
    path = archive(tmp_path / "a.kmz", [("doc.kml", kml), ("files/icon.png", b"\x89PNG")])
    reading = read(unpacked(path, scratch, MANY, 10))
    assert reading.geometry[0].equals(shapely.Point(114.05, 22.55))
    assert "塔" in reading.records[0].values()


def test_a_folder_of_several_shapefiles_asks_for_a_layer(tmp_path, scratch):
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(1, 2)], crs=4326)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        frame.to_file(folder / f"{name}.shp")
    path = archive(tmp_path / "a.zip", [(p.name, p.read_bytes()) for p in folder.iterdir()])
    source = unpacked(path, scratch, MANY, 100)
    with pytest.raises(SourceRefused, match="--layer: a, b"):
        read(source)
    assert read(source, layer="b").rows == [1]


def test_other_files_and_spreadsheets_stay_as_they_are(tmp_path, scratch):
    plain = tmp_path / "a.csv"
    plain.write_text("a,b\n1,2\n")
    book = archive(tmp_path / "a.xlsx", [("[Content_Types].xml", "<x/>"), ("xl/workbook.xml", "<x/>")])
    assert unpacked(plain, scratch, MANY, 10) == plain
    assert unpacked(book, scratch, MANY, 10) == book
    assert listing(scratch) == []


def test_B09_a_bomb_is_stopped_by_counted_bytes_and_leaves_nothing(tmp_path, scratch):
    path = archive(tmp_path / "bomb.zip", [("a.csv", b"\0" * 50_000_000), ("b.csv", b"\0" * 50_000_000)])
    assert path.stat().st_size < 200_000
    with pytest.raises(DecompressedTooLarge, match="60000000"):
        unpacked(path, scratch, 60_000_000, 10)
    assert listing(scratch) == []


def test_B09_a_bomb_that_understates_its_size_is_stopped_too(tmp_path, scratch):
    path = archive(tmp_path / "bomb.zip", [("a.csv", b"\0" * 20_000_000)])
    lying = path.read_bytes().replace(struct.pack("<I", 20_000_000), struct.pack("<I", 10))
    path.write_bytes(lying)
    with pytest.raises((DecompressedTooLarge, SourceRefused)):
        unpacked(path, scratch, 1_000_000, 10)
    assert listing(scratch) == []


def test_B09_too_many_members_are_refused_before_one_is_unpacked(tmp_path, scratch):
    path = archive(tmp_path / "a.zip", [(f"{n}.txt", b"") for n in range(2_000)])
    with pytest.raises(TooLarge, match="2000 members"):
        unpacked(path, scratch, MANY, 1_000)
    assert listing(scratch) == []


@pytest.mark.parametrize(
    "name",
    [
        "../evil.csv",
        "a/../../evil.csv",
        "/etc/evil.csv",
        "..\\evil.csv",
        "C:\\evil.csv",
        "C:/evil.csv",
        "\\\\host\\evil.csv",
    ],
)
def test_B10_a_member_outside_of_the_folder_is_refused_by_name(tmp_path, scratch, name):
    path = raw_archive(tmp_path / "a.zip", name.encode(), b"a,b\n1,2\n")
    before = listing(tmp_path)
    with pytest.raises(SourceRefused, match=r"would leave its folder") as refused:
        unpacked(path, scratch, MANY, 10)
    assert "evil" in refused.value.detail
    assert listing(tmp_path) == before


def test_B10_good_members_before_a_bad_one_are_removed(tmp_path, scratch):
    path = archive(tmp_path / "a.zip", [("good.csv", b"a,b\n"), ("../evil.csv", b"a,b\n")])
    with pytest.raises(SourceRefused):
        unpacked(path, scratch, MANY, 10)
    assert listing(scratch) == []
    assert not (tmp_path / "evil.csv").exists()


@pytest.mark.parametrize(("kind", "said"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFIFO, "no plain file")])
def test_B10_links_and_devices_are_refused(tmp_path, scratch, kind, said):
    member = zipfile.ZipInfo("link.csv")
    member.external_attr = (kind | 0o777) << 16
    path = archive(tmp_path / "a.zip", [(member, b"/etc/passwd")])
    with pytest.raises(SourceRefused, match=said):
        unpacked(path, scratch, MANY, 10)
    assert listing(scratch) == []


@pytest.mark.parametrize("change", ["truncated", "bad checksum", "twice", "encrypted", "folder in place of a file"])
def test_broken_archives_are_refused_and_leave_nothing(tmp_path, scratch, change):
    path = archive(tmp_path / "a.zip", [("a.csv", b"lon,lat\n" * 2000)], zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    if change == "truncated":
        data = data[: len(data) // 2]
    elif change == "bad checksum":
        data[1000] ^= 0xFF
    elif change == "encrypted":
        data[6] |= 1
        data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    if change == "twice":
        with pytest.warns(UserWarning, match="Duplicate"):
            archive(path, [("a.csv", b"1"), ("a.csv", b"2")])
    if change == "folder in place of a file":
        archive(path, [("a", b"1"), ("a/b.csv", b"2")])
    with pytest.raises(SourceRefused):
        unpacked(path, scratch, MANY, 10)
    assert listing(scratch) == []
