"""No cache gives the answer of one caller to another (ecosystem: tiles `public` only for those without a key)."""

import httpx2
import pytest

from tests.rights.conftest import Caller
from tests.rights.town import NANSHAN, Town

PATHS = (
    "/collections", "/collections/buildings", "/collections/buildings/items", "/collections/buildings/aggregate",
    "/collections/buildings/queryables", "/collections/buildings/schema", "/collections/buildings/tiles/WebMercatorQuad",
    "/collections/buildings/tiles/WebMercatorQuad/9/223/418", "/collections/buildings/tiles/WebMercatorQuad/9/0/0",
    "/collections/buildings/items?f=html", "/stac", "/stac/search", "/stac/collections", "/catalogue/items", "/api", "/",
    "/collections/buildings/items/none", "/conformance",
)  # fmt: skip


@pytest.fixture(scope="module")
def keyed(caller: Caller, town: Town) -> dict[str, httpx2.Client]:
    limits = {
        "district": {"area_code": NANSHAN},
        "less": {"hidden": ["height_m", "use"]},
        "masked": {"precision_m": 300},
    }
    return {name: caller(**rights) for name, rights in limits.items()}


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_to_a_key_is_kept_by_no_cache(keyed, admin, path):
    for client in (*keyed.values(), admin):
        answer = client.get(path)
        assert answer.status_code in (200, 204, 404), answer.text
        assert "public" not in answer.headers["cache-control"]
        assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_to_anyone_is_told_apart_by_the_headers_of_keys(anyone, town, path):
    answer = anyone.get(path)
    vary = ",".join(answer.headers.get_list("vary")).lower()
    assert "authorization" in vary
    assert "x-api-key" in vary


@pytest.mark.parametrize(
    "path", ["/collections/buildings/items", "/collections/buildings/tiles/WebMercatorQuad/9/223/418"]
)
def test_answers_that_differ_have_tags_that_differ(keyed, anyone, town, path):
    tags = [client.get(path).headers["etag"] for client in (anyone, *keyed.values())]
    assert len(set(tags)) == len(tags)
    mine = anyone.get(path).headers["etag"]
    for client in keyed.values():
        assert client.get(path, headers={"If-None-Match": mine}).status_code == 200
