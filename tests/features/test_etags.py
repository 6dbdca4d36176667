"""Tags of long answers: every version its own, the same by all workers, no telling how they come about."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from api.etags import SMALL_BODY, etag_of
from tests.city import City, square
from tests.conftest import NO_TLS, serving

ITEMS = "/collections/buildings/items"
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def two(city: City, module_database_url: str) -> Iterator[list[httpx2.Client]]:
    """Clients of two servers over one database, under one address."""
    for number in range(40):
        city.building(square(114.05 + number / 1000, 22.54), key=f"{number:02}", name="楼" * 40)
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            running = stack.enter_context(serving(module_database_url, CIM_BASE_URL="https://city.example"))
            clients.append(stack.enter_context(httpx2.Client(base_url=running.url, timeout=30, verify=NO_TLS)))
            city.settle(clients[-1])
        yield clients


def test_a_long_answer_has_one_tag_whoever_gives_it(two: list[httpx2.Client]) -> None:
    one, other = two
    for path in (f"{ITEMS}?limit=40", "/collections/buildings/tiles/WebMercatorQuad/12/1784/3345"):
        first = one.get(path)
        assert first.status_code == 200
        assert "tiles" in path or len(first.content) > SMALL_BODY
        again = other.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])


def test_a_change_of_one_letter_is_another_tag(two: list[httpx2.Client], city: City) -> None:
    client, other = two
    path = f"{ITEMS}?limit=40"
    tags = [client.get(path).headers["etag"]]
    for name in ("楼" * 39 + "塔", "楼" * 39 + "门", "塔" + "楼" * 39):
        city.run_text(f"UPDATE cim.building SET name = '{name}' WHERE id = 'test.07'")
        answer = client.get(path, headers={"If-None-Match": tags[-1]})
        assert answer.status_code == 200
        tags.append(answer.headers["etag"])
        assert other.get(path).headers["etag"] == tags[-1]
    assert len(set(tags)) == 4


def test_a_tag_is_that_of_the_bytes_their_parts_and_the_key() -> None:
    body = bytes(range(256)) * 40
    tags = {
        etag_of(body, key=KEY),
        etag_of(body, key=KEY[::-1]),
        etag_of(body[:-1], key=KEY),
        etag_of(body + b"\0", key=KEY),
        etag_of(b"\0" + body, key=KEY),
        etag_of(body[:100], body[100:], key=KEY),
        etag_of(body[16:32] + body[:16] + body[32:], key=KEY),
    }
    assert len(tags) == 7
    assert all(tag.startswith('W/"') and len(tag) == 36 for tag in tags)
    assert etag_of(body, key=KEY) == etag_of(bytes(bytearray(body)), key=KEY)
