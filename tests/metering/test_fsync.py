"""`CIM_METER_FSYNC`: an answer ends when the disk has its call, whatever way it takes; those that end together share a flush."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.city import City, square
from tests.conftest import NO_TLS
from tests.gateway.conftest import Shelf
from tests.metering.conftest import Door, door_at, rows, settled
from tests.tiles.places import tile_at

TILE = tile_at("WebMercatorQuad", 14, 114.01, 22.51).path("buildings").removeprefix("/collections/buildings/tiles")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder by which the disk is told to flush nothing."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="module")
def door(module_database_url: str, disk: Path) -> Iterator[Door]:
    with door_at(module_database_url, CIM_METER_FSYNC="true", SLOW_DISK=str(disk)) as running:
        yield running


def ended_while_stuck(door: Door, disk: Path, path: str) -> tuple[bool, int]:
    """Whether an answer ended while the disk flushed nothing, and its status once it did again."""
    found: list[int] = []
    (disk / "stuck").touch()
    try:
        asking = threading.Thread(
            target=lambda: found.append(httpx2.get(door.url + path, timeout=20, verify=NO_TLS).status_code)
        )
        asking.start()
        asking.join(0.7)
        is_early = not asking.is_alive()
    finally:
        (disk / "stuck").unlink()
    asking.join(20)
    return is_early, found[0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/door/kept?size=1000", 200),
        ("/door/kept?size=100&chunks=3", 200),
        ("/door/kept?deny=403", 403),
        ("/door/kept?grant=none&quota=0", 429),
    ],
)
def test_no_answer_ends_before_the_disk_has_its_call(door: Door, disk: Path, path: str, status: int) -> None:
    assert ended_while_stuck(door, disk, path) == (False, status)


def test_a_tile_that_is_sent_again_waits_as_well(door: Door, disk: Path, module_database_url: str) -> None:
    city = City(module_database_url)
    city.building(square(114.01, 22.51, 0.001), height_m=3.0)
    path = Shelf(city.connection).put("tiles", "/collections/buildings/tiles", collection_id="buildings") + TILE
    with httpx2.Client(base_url=door.url, timeout=20, verify=NO_TLS) as client:
        city.settle(client)
        assert [client.get(path).status_code for _ in range(3)] == [200] * 3
    city.close()
    assert ended_while_stuck(door, disk, path) == (False, 200)


def test_calls_that_end_together_share_a_flush(door: Door, disk: Path, module_database_url: str) -> None:
    def call(_: int) -> int:
        return httpx2.get(f"{door.url}/door/shared", timeout=30, verify=NO_TLS).status_code

    before, begun = len((disk / "flushes").read_text()), time.monotonic()
    (disk / "stuck").touch()
    with ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(call, n) for n in range(40)]
        time.sleep(1.0)
        (disk / "stuck").unlink()
        assert [one.result() for one in calls] == [200] * 40
    # one a call would be 40; those of segments that are closed each second are among them
    assert 1 <= len((disk / "flushes").read_text()) - before <= 12 + (time.monotonic() - begun)
    settled(module_database_url, door.folder)
    assert rows(module_database_url, "SELECT count(*) FROM cim.call WHERE service_id = 'shared'") == [(40,)]
