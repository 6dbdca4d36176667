"""Files and forms made to exhaust or to escape: refused at the door, and nothing of them is left."""

import io
import stat
import zipfile
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.conftest import Server, serving
from tests.loading.conftest import feature
from tests.problems import assert_problem
from tests.uploads.conftest import ADMIN, Sender, opened
from tests.uploads.test_sending import collection_of

MAX_UNPACKED, MAX_MEMBERS, MAX_UPLOAD = 1_000_000, 50, 2_000_000
BOUNDARY = "----opencim"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
FILE = b'Content-Disposition: form-data; name="file"; filename="a.geojson"\r\n'


@pytest.fixture(scope="module")
def small(module_database_url: str) -> Iterator[Sender]:
    """A server with small caps."""
    caps = {
        "CIM_MAX_UNPACKED_BYTES": str(MAX_UNPACKED),
        "CIM_MAX_ARCHIVE_MEMBERS": str(MAX_MEMBERS),
        "CIM_MAX_UPLOAD_BYTES": str(MAX_UPLOAD),
    }
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN, **caps) as server:
        made = opened(server)
        with made.http:
            yield made


def zipped(*members: tuple[str, bytes], link: str | None = None) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
        if link is not None:
            info = zipfile.ZipInfo("link.shp")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, link)
    return body.getvalue()


def part(head: bytes, content: bytes = b"x") -> bytes:
    return b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n" + content + b"\r\n"


END = b"--" + BOUNDARY.encode() + b"--\r\n"


def field(name: str, content: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"\r\n'.encode(), content)


def test_B09_an_archive_that_unpacks_too_large_is_refused(small):
    bomb = zipped(("a.shp", b"\0" * (MAX_UNPACKED + 1)))
    assert len(bomb) < 10_000
    assert_problem(small.form("a.zip", bomb, kind="buildings"), status=413, code="decompressed-size")
    assert small.is_clear()


def test_B09_an_archive_that_understates_its_size_fails_while_it_is_unpacked(small):
    honest = zipped(("a.geojson", b" " * (MAX_UNPACKED * 3)))
    lying = honest.replace((MAX_UNPACKED * 3).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != honest
    load = small.ended(small.form("lying.zip", lying, kind="buildings"))
    assert load["state"] == "failed"
    assert load["error"]["code"] in ("decompressed-size", "source-refused"), load["error"]
    assert load["account"]["inserted"] == 0


def test_B09_too_many_members_or_a_table_too_long_are_refused(small):
    many = zipped(*[(f"{n}.txt", b"") for n in range(MAX_MEMBERS + 1)])
    assert_problem(small.form("many.zip", many, kind="buildings"), status=413, code="decompressed-size")
    long_table = zipped(*[("n" * 60_000 + str(n), b"") for n in range(4)])
    assert_problem(small.form("long.zip", long_table, kind="buildings"), status=413, code="decompressed-size")
    assert small.is_clear()


@pytest.mark.parametrize(
    "name", ["../evil.shp", "a/../../evil.shp", "/tmp/cim-evil.shp", "..\\evil.shp", "C:\\evil.shp"]
)
def test_B10_a_member_outside_of_its_folder_is_refused(small, name):
    response = small.form("a.zip", zipped(("ok.shp", b"x"), (name, b"evil")), kind="buildings")
    assert_problem(response, status=400, code="source-refused")
    assert small.is_clear()
    assert not [p for p in (*small.data.rglob("*"), *small.data.parent.iterdir()) if "evil" in p.name]


def test_B10_a_link_in_an_archive_is_refused(small):
    response = small.form("a.zip", zipped(("ok.shp", b"x"), link="/etc/passwd"), kind="buildings")
    assert "symbolic link" in assert_problem(response, status=400, code="source-refused")["detail"]
    assert small.is_clear()


@pytest.mark.parametrize("name", ["../../evil.geojson", "/etc/evil.geojson", "a\\..\\evil.geojson"])
def test_B10_a_file_name_keeps_its_last_part_only(small, name):
    body = part(f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode(), b"{}")
    response = small.http.post("/admin/loads", content=body + field("kind", b"houses") + END, headers=FORM)
    assert_problem(response, status=400, code="invalid-parameter", parameter="kind")
    assert small.is_clear()
    assert not [p for p in (*small.data.rglob("*"), *small.data.parent.iterdir()) if "evil" in p.name]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.zip", b"PK\x03\x04 and no more"), ("a.geojson", b""), ("cut.zip", zipped(("a", b"x"))[:40])],
    ids=["no zip", "empty", "cut zip"],
)
def test_a_file_without_content_is_refused(small, name, content):
    assert_problem(small.form(name, content, kind="buildings"), status=400, code="source-refused")
    assert small.is_clear()


def _many_fields() -> Iterator[bytes]:
    for number in range(10_000):
        yield field(f"f{number}", b"x")
    yield END


def _long_field() -> Iterator[bytes]:
    yield b"--" + BOUNDARY.encode() + b'\r\nContent-Disposition: form-data; name="kind"\r\n\r\n'
    for _ in range(10):
        yield b"x" * 20_000
    yield b"\r\n" + END


def _many_headers() -> Iterator[bytes]:
    yield part(FILE + b"".join(b"X-%d: y\r\n" % number for number in range(5000))) + END


def _long_header() -> Iterator[bytes]:
    yield part(FILE + b"X-Long: " + b"y" * 100_000 + b"\r\n") + END


def _no_end() -> Iterator[bytes]:
    yield field("kind", b"buildings")
    yield part(FILE, collection_of(feature("a")))


def _cut_in_the_file() -> Iterator[bytes]:
    yield field("kind", b"buildings")
    yield b"--" + BOUNDARY.encode() + b"\r\n" + FILE + b'\r\n{"type":"Feature'


def _two_files() -> Iterator[bytes]:
    yield part(FILE, b"{}") + part(FILE, b"{}") + END


def _field_twice() -> Iterator[bytes]:
    yield field("kind", b"buildings") + field("kind", b"areas") + part(FILE, b"{}") + END


def _no_name() -> Iterator[bytes]:
    yield part(b"Content-Disposition: form-data\r\n") + END


def _no_file() -> Iterator[bytes]:
    yield field("kind", b"buildings") + END


def _no_utf8() -> Iterator[bytes]:
    yield field("kind", b"\xff\xfe") + part(FILE, b"{}") + END


def _nul() -> Iterator[bytes]:
    yield field("source", b"a\x00b") + part(FILE, b"{}") + END


def _garbage() -> Iterator[bytes]:
    yield b"this is no form at all"


def _too_large() -> Iterator[bytes]:
    yield field("kind", b"buildings")
    yield b"--" + BOUNDARY.encode() + b"\r\n" + FILE + b"\r\n"
    for _ in range(MAX_UPLOAD // 100_000 + 2):
        yield b" " * 100_000
    yield b"\r\n" + END


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (_many_fields, 400), (_long_field, 413), (_many_headers, 400), (_long_header, 400), (_no_end, 400),
        (_cut_in_the_file, 400), (_two_files, 400), (_field_twice, 400), (_no_name, 400), (_no_file, 400),
        (_no_utf8, 400), (_nul, 400), (_garbage, 400), (_too_large, 413),
    ],
)  # fmt: skip
def test_B29_a_form_made_to_exhaust_is_refused_and_leaves_nothing(
    small: Sender, form: Callable[[], Iterator[bytes]], status: int
) -> None:
    response = small.http.post("/admin/loads", content=form(), headers=FORM)
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert small.is_clear()
    assert small.http.get("/health/live").status_code == 200


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "b" * 71])
def test_B29_a_form_needs_a_boundary(small, boundary):
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    response = small.http.post("/admin/loads", content=b"--b\r\n\r\nx\r\n--b--\r\n", headers=headers)
    assert_problem(response, status=400, code="invalid-body")
    assert small.is_clear()


def test_a_file_streamed_in_pieces_is_taken(small):
    def pieces() -> Iterator[bytes]:
        yield field("kind", b"buildings") + field("source", b"stream")
        yield b"--" + BOUNDARY.encode() + b"\r\n" + FILE + b"\r\n"
        yield from (bytes([byte]) for byte in collection_of(feature("s1")))
        yield b"\r\n--" + BOUNDARY.encode()
        yield b"--\r\n"

    load = small.ended(small.http.post("/admin/loads", content=pieces(), headers=FORM))
    assert (load["state"], load["account"]["inserted"]) == ("completed", 1), load


def test_F11_a_quota_that_is_used_up_refuses_uploads_and_leaves_reads_alone(
    database_url: str, server: Callable[..., Server]
) -> None:
    running = server(database_url, CIM_ADMIN_KEY=ADMIN, CIM_UPLOAD_QUOTA_BYTES="5000")
    sender = opened(running)
    with sender.http:
        body = collection_of(*[feature(str(n)) for n in range(100)])
        query = {"kind": "buildings", "filename": "a.geojson"}
        for refused in (
            sender.form("a.geojson", body, kind="buildings"),
            sender.http.post("/admin/loads", params=query, content=body),
        ):
            assert_problem(refused, status=507, code="insufficient-storage")
        assert sender.is_clear()
        assert httpx2.get(f"{running.url}/collections/buildings/items").status_code == 200
        assert sender.http.get("/admin/loads").json()["loads"] == []
