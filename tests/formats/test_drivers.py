"""Only content of the allowed formats is opened, whatever a file is called (catalogue B11, B07, B08)."""

import socket
import subprocess
import threading

import pytest
import shapely

from cim.errors import DriverRefused, SourceRefused
from loaders.base import SourceOptions
from loaders.registry import LOADERS, choose
from loaders.sandbox import ALLOWED_DRIVERS, child_environment, spawn
from tests.formats.reading import read


@pytest.fixture
def listener():
    """A port on loopback that counts who connects."""
    hits = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                hits.append(1)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], hits
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    "name", ["a.vrt", "a.geojson", "a.json", "a.csv", "a.gpkg", "a.kml", "a.shp", "a.fgb", "a.xlsx", "a"]
)
@pytest.mark.parametrize("target", ["file", "http", "inline"])
def test_B11_a_virtual_dataset_is_refused_under_any_name(tmp_path, listener, name, target):
    port, hits = listener
    canary = tmp_path / "canary.csv"
    canary.write_text("lon,lat,secret\n114,22,canary-7261\n")
    source = {
        "file": str(canary),
        "http": f"/vsicurl/http://127.0.0.1:{port}/x.csv",
        "inline": f"WFS:http://127.0.0.1:{port}/",
    }
    layer = f'<OGRVRTLayer name="canary"><SrcDataSource>{source[target]}</SrcDataSource></OGRVRTLayer>'
    path = tmp_path / name
    path.write_text(f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>")
    with pytest.raises(DriverRefused, match="OGRVRTDataSource") as refused:
        read(path)
    assert "canary-7261" not in refused.value.detail
    assert hits == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<VRTDataset rasterXSize='1'/>", "VRTDataset"),
        (b"<GDAL_WMS/>", "GDAL_WMS"),
        (b"SQLite format 3\x00" + b"\x00" * 200, "SQLite"),
        (b"\x7fELF\x02\x01\x01", "program"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (bytes(range(256)) * 8, "binary"),
        (b"<html><body>no</body></html>", "html"),
    ],
)
def test_B11_other_content_is_refused_by_what_it_is(tmp_path, content, said):
    path = tmp_path / "a.geojson"
    path.write_bytes(content)
    with pytest.raises(DriverRefused, match=said):
        read(path)


def test_B11_a_root_element_in_a_comment_is_none(tmp_path):
    path = tmp_path / "a.kml"
    path.write_text("<!-- <kml> --><?xml-model <kml> ?><OGRVRTDataSource/>")
    with pytest.raises(DriverRefused, match="OGRVRTDataSource"):
        read(path)


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"")
    with pytest.raises(SourceRefused, match="is empty"):
        read(path)
    with pytest.raises(SourceRefused, match="no file or folder"):
        read(tmp_path / "b.csv")


@pytest.mark.parametrize("name", ["a.kml", "a.gml", "a.xml"])
def test_B07_B08_a_document_type_is_never_read(tmp_path, name):
    canary = tmp_path / "canary.txt"
    canary.write_text("canary-5512")
    path = tmp_path / name
    head = f'<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY x SYSTEM "file://{canary}">]>'
    path.write_text(head + "<kml><Document><Placemark><name>&x;</name></Placemark></Document></kml>")
    with pytest.raises(SourceRefused) as refused:
        read(path)
    assert "canary-5512" not in refused.value.detail


def test_a_text_that_is_larger_than_its_head_is_still_known(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(" " * 10_000 + '{"type":"Point","coordinates":[1,2]}')
    assert read(path).geometry[0].equals(shapely.Point(1, 2))


def test_names_of_loaders_differ():
    names = [loader.name for loader in LOADERS]
    assert len(set(names)) == len(names)


def in_child(code: str) -> subprocess.CompletedProcess[bytes]:
    """Run `code` in a confined child."""
    head = "from loaders.sandbox import confine\nnotes = confine(2 << 30, 60)\n"
    process = spawn(["-c", head + code], stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def test_B11_only_allowed_drivers_are_registered_in_the_child():
    ran = in_child("import pyogrio\nprint(*pyogrio.list_drivers(), sep='\\n')")
    assert set(ran.stdout.decode().split("\n")[:-1]) == ALLOWED_DRIVERS


def test_the_child_opens_no_socket_of_any_kind(listener):
    port, hits = listener
    ran = in_child(
        "import socket\n"
        "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):\n"
        "    try:\n"
        "        socket.socket(family)\n"
        "        print('opened', family)\n"
        "    except OSError as error:\n"
        "        print(error.errno)\n"
        "try:\n"
        f"    socket.create_connection(('127.0.0.1', {port}), 2)\n"
        "    print('connected')\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    assert ran.stdout.split() == [b"13"] * 5
    assert hits == []


def test_the_child_sees_no_secret_of_its_parent(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("CIM_ADMIN_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://secret")
    assert "secret" not in str(child_environment())
    ran = in_child("import os\nprint(dict(os.environ))")
    assert b"secret" not in ran.stdout
    assert b"PROJ_NETWORK" in ran.stdout


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("x = bytearray(3 << 30)", 1),
        ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass", -24),
        ("import os; os.abort()", -6),
    ],
)
def test_the_child_ends_at_its_limits(code, ended):
    assert in_child(code).returncode in (ended, -9 if ended == -24 else ended)


def test_the_child_dies_with_its_parent(tmp_path):
    mark = tmp_path / "pid"
    inner = f"import os,time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import os, time, pathlib\n"
        "from loaders.sandbox import spawn\n"
        f"spawn(['-c', {'from loaders.sandbox import confine; confine(2 << 30, 60); ' + inner!r}])\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "while not (mark.exists() and mark.read_text()): time.sleep(0.02)\n"
        "os._exit(0)\n"
    )
    process = spawn(["-c", code])
    assert process.wait(timeout=30) == 0
    pid = int(mark.read_text())
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat") as status:
                if status.read().split()[2] == "Z":
                    return
        except FileNotFoundError:
            return
        threading.Event().wait(0.02)
    raise AssertionError("the child outlived its parent")


def test_options_are_the_same_for_every_loader(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lon,lat\n114,22\n")
    loader, info = choose(path, SourceOptions())
    assert (loader.name, info.feature_count) == ("CSV", 1)
