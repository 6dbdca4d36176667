"""Names and sizes at their ends: what a sender may call a file, a disk that is full, senders that share a quota."""

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Server
from tests.loading.conftest import feature
from tests.problems import assert_problem
from tests.uploads.conftest import ADMIN, Sender, opened
from tests.uploads.test_limits import END, FORM, field, part
from tests.uploads.test_sending import collection_of

NOT_LIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("楼" * 150 + ".geojson", "楼" * 47 + ".geojson"),
        ("b" * 1000, "b" * 150),
        ("-rf.geojson", "-rf.geojson"),
    ],
)
def test_a_file_is_loaded_whatever_it_is_called(sender, name, origin):
    body = collection_of(feature(f"named-{len(name)}"))
    load = sender.ended(sender.form(name, body, kind="buildings"))
    assert (load["state"], load["account"]["read"]) == ("completed", 1), load["error"]
    assert load["origin"] == origin
    assert sender.is_clear()


def test_a_name_in_the_form_of_mail_headers_is_understood(sender):
    head = "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''%E5%8D%97%E5%B1%B1.geojson\r\n"
    body = field("kind", b"buildings") + part(head.encode(), collection_of(feature("mail"))) + END
    load = sender.ended(sender.http.post("/admin/loads", content=body, headers=FORM))
    assert (load["state"], load["origin"]) == ("completed", "南山.geojson"), load["error"]


def test_a_load_names_the_key_that_sent_it(sender):
    made = sender.http.post("/admin/keys", json={"role": "admin", "label": "--数据处"}).json()
    sent = httpx2.post(
        f"{sender.server.url}/admin/loads",
        params={"kind": "buildings", "filename": "mine.geojson"},
        content=collection_of(feature("mine")),
        headers={"X-API-Key": made["key"]},
    )
    load = sender.ended(sent)
    assert (load["state"], load["loadedBy"]) == ("completed", f"key {made['prefix']} --数据处")
    assert sender.ended(sender.form("b.geojson", collection_of(feature("b")), kind="buildings"))["loadedBy"] == (
        "admin key of the settings"
    )


@pytest.mark.parametrize("name", [".geojson", "..", "a/", "\x01"])
def test_a_name_that_is_none_is_refused(sender, name):
    query = {"kind": "buildings", "filename": name}
    refused = sender.http.post("/admin/loads", params=query, content=b"{}")
    assert_problem(refused, status=400, code="invalid-parameter", parameter="filename")
    assert sender.is_clear()


def test_a_sender_that_goes_away_leaves_nothing(sender):
    host, _, port = sender.server.url.removeprefix("http://").partition(":")
    head = f"POST /admin/loads?kind=buildings&filename=a.geojson HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {ADMIN}\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"Content-Length: 900000\r\n\r\n" + b" " * 300_000)
        deadline = time.monotonic() + 5
        while not sender.files("uploads") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sender.files("uploads")
    assert sender.is_clear()


def test_F11_a_full_disk_refuses_uploads_until_there_is_room_again(
    database_url: str, server: Callable[..., Server]
) -> None:
    running = server(database_url, CIM_ADMIN_KEY=ADMIN)
    sender = opened(running)
    query = {"kind": "buildings", "filename": "a.geojson"}
    limit = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (300_000, NOT_LIMITED))
    with sender.http:
        for refused in (
            sender.http.post("/admin/loads", params=query, content=b" " * 900_000),
            sender.form("a.geojson", b" " * 900_000, kind="buildings"),
        ):
            assert_problem(refused, status=507, code="insufficient-storage")
        assert sender.is_clear()
        assert httpx2.get(f"{running.url}/collections/buildings/items").status_code == 200
        assert httpx2.get(f"{running.url}/catalogue/items").status_code == 200
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limit)
        assert sender.ended(sender.form("a.geojson", collection_of(feature("a")), kind="buildings"))["state"] == (
            "completed"
        )


def test_F11_senders_at_the_same_time_share_the_quota(database_url: str, server: Callable[..., Server]) -> None:
    quota, size = 6_000_000, 4_000_000
    sender = opened(server(database_url, CIM_ADMIN_KEY=ADMIN, CIM_UPLOAD_QUOTA_BYTES=str(quota)))
    both_began = threading.Barrier(2, timeout=20)

    def pieces(name: str) -> Iterator[bytes]:
        yield b" "
        deadline = time.monotonic() + 10
        while not any(path.name == name for path in sender.files("uploads")) and time.monotonic() < deadline:
            time.sleep(0.01)
        both_began.wait()
        for _ in range(size // 100_000):
            yield b" " * 100_000

    def send(name: str) -> httpx2.Response:
        with httpx2.Client(base_url=sender.server.url, timeout=30, headers={"X-API-Key": ADMIN}) as client:
            return client.post("/admin/loads", params={"kind": "buildings", "filename": name}, content=pieces(name))

    with sender.http, ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in [pool.submit(send, name) for name in ("a.geojson", "b.geojson")]]
        assert sorted(answer.status_code for answer in answers)[-1] == 507
        assert _kept(sender.data) <= quota


def _kept(data: Path) -> int:
    return sum(p.stat().st_size for folder in ("uploads", "quarantine") for p in (data / folder).rglob("*.geojson"))


def test_F11_the_quota_is_free_again_after_the_load(database_url: str, server: Callable[..., Server]) -> None:
    sender: Sender = opened(server(database_url, CIM_ADMIN_KEY=ADMIN, CIM_UPLOAD_QUOTA_BYTES="5000"))
    with sender.http:
        for number in range(3):
            body = collection_of(*[feature(f"{number}-{n}") for n in range(15)])
            assert 2500 < len(body) < 5000
            load = sender.ended(sender.form("a.geojson", body, kind="buildings"))
            assert load["state"] == "completed", load["error"]
            assert sender.is_clear()
