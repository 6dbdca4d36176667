"""Features that are large or many: pages and tiles keep to their budget (B23, B25)."""

import threading
from collections.abc import Callable
from typing import Any

import httpx2
import psutil
import pytest

from tests.city import City
from tests.conftest import Server

LARGE = 120
MANY = 200_000

_ONE_OF_50_000_VERTICES = """
CREATE TEMPORARY TABLE one AS SELECT ST_SetSRID(ST_MakePolygon(ST_AddPoint(line, ST_StartPoint(line))), 4326) AS geom FROM (
  SELECT ST_MakeLine(ST_MakePoint(114 + 0.01 * cos(a) * r, 22.5 + 0.01 * sin(a) * r) ORDER BY n) AS line FROM (
    SELECT n, 2 * pi() * n / 50000 AS a, 0.5 + 0.5 * ((n * 7919) % 1000) / 1000.0 AS r FROM generate_series(0, 49999) AS n
  ) AS points) AS lines
"""


class Peak:
    """The highest memory of a process while a block runs, in bytes above its start."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.start = self._process.memory_info().rss
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.bytes = max(self.bytes, self._process.memory_info().rss - self.start)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_B23_a_page_of_huge_features_ends_early_and_goes_on(city: City, client: Any, module_server: Server) -> None:
    """120 features of 50,000 vertices (about 150 MB of GeoJSON) asked for at once."""
    city.dataset("huge")
    city.connection.execute(_ONE_OF_50_000_VERTICES)
    city.connection.execute(
        "INSERT INTO dataset.huge (id, source, source_id, geom) SELECT 'test.' || lpad(n::text, 4, '0'), 'test', n::text, "
        f"ST_Translate(geom, n * 0.001, 0) FROM one, generate_series(1, {LARGE}) AS n"
    )
    city.refresh("huge")
    city.settle(client)
    seen: list[str] = []
    url = "/collections/huge/items?limit=1000"
    with Peak(module_server.process.pid) as peak:
        for _ in range(3):
            document = client.get(url).json()
            assert 1 <= document["numberReturned"] < 40
            assert all(len(f["geometry"]["coordinates"][0]) == 50_001 for f in document["features"])
            seen += [feature["id"] for feature in document["features"]]
            url = next(link["href"] for link in document["links"] if link["rel"] == "next")
    assert seen == [f"test.{n:04}" for n in range(1, len(seen) + 1)]
    assert peak.bytes <= 64 * 1024 * 1024


@pytest.mark.parametrize("zoom", [0, 3])
def test_B25_a_tile_over_very_many_features_is_capped_and_says_so(
    city: City, client: Any, module_server: Server, zoom: int
) -> None:
    """200,000 features of 5 km in one tile, twenty times at once."""
    if "many" not in {c["id"] for c in client.get("/collections").json()["collections"]}:
        city.dataset("many", geometry_type="Polygon")
        city.connection.execute(
            "INSERT INTO dataset.many (id, source, source_id, geom) SELECT 'test.' || lpad(n::text, 7, '0'), 'test', n::text, "
            "ST_MakeEnvelope(x, y, x + 0.05, y + 0.05, 4326) FROM (SELECT n, 91 + (n % 447) * 0.09 AS x, 1 + n / 447 * 0.08 AS y "
            f"FROM generate_series(0, {MANY - 1}) AS n) AS places"
        )
        city.refresh("many")
        city.settle(client)
    tile = {0: "0/0/0", 3: "3/3/6"}[zoom]
    url = f"{module_server.url}/collections/many/tiles/WebMercatorQuad/{tile}"
    answers: list[httpx2.Response] = []
    ask: Callable[[], None] = lambda: answers.append(httpx2.get(url, timeout=60))  # noqa: E731
    with Peak(module_server.process.pid) as peak:
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-cim-truncated"] for answer in answers} == {"5000"}
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert len(answers[0].content) <= 500_000
    assert peak.bytes <= 64 * 1024 * 1024
