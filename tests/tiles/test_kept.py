"""Tiles that a worker keeps: seen anew after every edit, sent in the coding asked for, never another caller's."""

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import brotli
import httpx2
import pytest
import zstandard

from api.compression import coding_of
from api.tile_cache import KeptTile, TileCache
from cim.db.pool import Database
from cim.db.registry_write import unregister
from cim.db.stamps import Stamps
from cim.settings import Settings
from tests.city import City, square
from tests.conftest import serving
from tests.tiles.mvt import read
from tests.tiles.places import tile_at

TILE = tile_at("WebMercatorQuad", 14, 114.01, 22.51)
URL = TILE.path("buildings")


@pytest.fixture(scope="module")
def town(city: City, client: Any) -> City:
    """40 buildings of 100 m, enough for a body that is worth compressing."""
    for n in range(40):
        city.building(square(114.0 + n % 8 * 0.002, 22.5 + n // 8 * 0.002, 0.001), use="office", height_m=3.0 * n)
    city.settle(client)
    return city


@pytest.fixture(scope="module")
def workers(module_database_url: str) -> Iterator[str]:
    """Address of a server of two workers over the same database."""
    with serving(module_database_url, CIM_WORKERS="2") as running:
        yield running.url


def heights(answer: httpx2.Response) -> dict[str, float]:
    return {one.properties["id"]: one.properties["height_m"] for one in read(answer.content)["buildings"]}


def test_an_edit_is_seen_in_the_next_request_of_every_worker(town: City, client: Any, workers: str) -> None:
    """Committed by a connection of its own, as a loader or another worker would."""
    key = town.building(square(114.01, 22.512, 0.0005), use="office", height_m=0.5)
    for n in range(15):
        with town.connection.transaction():
            town.connection.execute("UPDATE cim.building SET height_m = %s WHERE id = %s", [float(n), key])
            town.connection.execute(
                "UPDATE cim.collection_stats SET version = version + 1 WHERE collection_id = 'buildings'"
            )
        assert heights(client.get(URL))[key] == n
        with httpx2.Client(timeout=30) as fresh:  # a connection of its own: whichever worker takes it
            assert [heights(fresh.get(workers + URL))[key] for _ in range(2)] == [n, n]


def test_a_kept_tile_is_sent_without_asking_the_table(town: City, client: Any) -> None:
    first = client.get(URL)
    with town.connection.transaction():
        town.connection.execute("LOCK TABLE cim.building IN ACCESS EXCLUSIVE MODE")  # a statement would wait for us
        second = client.get(URL, timeout=5)
        third = client.get(URL, headers={"If-None-Match": first.headers["etag"]}, timeout=5)
    assert second.content == first.content
    assert (third.status_code, third.content, third.headers["etag"]) == (304, b"", first.headers["etag"])


def test_an_empty_tile_is_kept_too_and_filled_by_an_edit(town: City, client: Any) -> None:
    url = tile_at("WebMercatorQuad", 15, 113.8, 22.7).path("buildings")
    assert [client.get(url).status_code for _ in range(2)] == [204, 204]
    town.building(square(113.8, 22.7), use="office")
    assert client.get(url).status_code == 200


@pytest.mark.parametrize(
    ("coding", "decode"),
    [("gzip", gzip.decompress), ("br", brotli.decompress), ("zstd", lambda body: zstandard.decompress(body))],
)
def test_a_tile_is_sent_in_the_coding_asked_for(town: City, workers: str, coding: str, decode: Any) -> None:
    plain = httpx2.get(workers + URL, headers={"Accept-Encoding": "identity"})
    with httpx2.stream("GET", workers + URL, headers={"Accept-Encoding": coding}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == coding
    assert int(answer.headers["content-length"]) == len(raw) < len(plain.content)
    assert decode(raw) == plain.content
    assert answer.headers["etag"] == plain.headers["etag"]
    assert "Accept-Encoding" in answer.headers["vary"]


def test_a_coding_that_is_refused_is_not_sent() -> None:
    assert coding_of("gzip;q=0, br;q=0.0") == "identity"
    assert coding_of("gzip, br;q=0.5") == "br"
    assert coding_of("*") == "zstd"
    assert coding_of("*;q=0") == coding_of("") == coding_of("deflate") == "identity"
    assert coding_of("zstd;q=0, *") == "br"


def test_caches_must_ask_again(town: City, client: Any) -> None:
    assert client.get(URL).headers["cache-control"] == "no-cache"


def test_other_conditions_are_other_tiles(town: City, client: Any) -> None:
    every = heights(client.get(URL))
    assert heights(client.get(URL, params={"height_m": "6"})) == {k: v for k, v in every.items() if v == 6}
    assert heights(client.get(URL, params={"filter": "height_m > 60"})) == {k: v for k, v in every.items() if v > 60}
    assert heights(client.get(URL)) == every


def test_a_collection_made_again_is_not_taken_for_the_one_before(city: City, client: Any) -> None:
    tile = tile_at("WebMercatorQuad", 14, 114.2, 22.6)
    for key in ("first", "second"):
        city.dataset("passing", geometry_type="Point")
        city.feature("passing", "POINT(114.2 22.6)", key=key)
        city.settle(client)
        found = read(client.get(tile.path("passing")).content)["passing"]
        assert [one.properties["id"] for one in found] == [f"test.{key}"]
        unregister(city.connection, "passing")
        city.settle(client)


def test_what_is_kept_keeps_to_its_bytes(module_database_url: str) -> None:
    async def run() -> tuple[int, int, int]:
        database = Database(Settings(DATABASE_URL=module_database_url))
        await database.open()
        try:
            stamps = Stamps(database)
            now = await stamps.of("cameras")
            assert now is not None
            cache, made = TileCache(stamps, 100_000), 0

            async def make() -> KeptTile:
                nonlocal made
                made += 1
                await asyncio.sleep(0.01)
                return KeptTile(bytes(9_000), now, None)

            for n in range(50):
                await cache.tile(n, "cameras", make)
            kept = await cache.tile(49, "cameras", make)
            cache.coded(49, kept, "gzip")
            assert made == 50
            await asyncio.gather(*(cache.tile("same", "cameras", make) for _ in range(20)))
            return cache.bytes, len(cache), made
        finally:
            await database.close()

    size, count, made = asyncio.run(run())
    assert (count, made) == (9, 51)
    assert 80_000 < size <= 100_000
