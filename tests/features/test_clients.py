"""Programs people use: GDAL's two versions read true counts, extents and fields; two workers are one server."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pyogrio
import pytest
from shapely.geometry import box

from cim.model import Kind, Property
from tests.city import City, square
from tests.conftest import Server, serving

COUNT = 37


@pytest.fixture(scope="module")
def two_workers(module_database_url: str) -> Iterator[Server]:
    """A server of two worker processes over a city of 37 buildings."""
    city = City(module_database_url)
    for n in range(COUNT):
        city.building(
            square(114.0 + n * 0.001, 22.5), height_m=n + 0.5, floors_above=n, use="office", completed_on="2010-05-01"
        )
    city.close()
    with serving(module_database_url, CIM_WORKERS="2") as running:
        yield running


def test_ogrinfo_reads_count_extent_and_fields(two_workers: Server) -> None:
    done = subprocess.run(
        ["ogrinfo", "-so", f"OAPIF:{two_workers.url}", "buildings"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"Feature Count: {COUNT}" in done.stdout
    assert "Extent: (114.000000, 22.500000) - (114.036200, 22.500200)" in done.stdout
    assert "height_m: Real" in done.stdout
    assert "floors_above: Integer" in done.stdout
    assert "completed_on: Date" in done.stdout
    assert "demolished_on: Date" in done.stdout  # of which there is no value anywhere
    assert "valid_to: DateTime" in done.stdout


def test_pyogrio_reads_count_extent_fields_and_features(two_workers: Server) -> None:
    source = f"OAPIF:{two_workers.url}"
    info = pyogrio.read_info(source, layer="buildings", force_feature_count=True, force_total_bounds=True)
    assert info["features"] == COUNT
    assert info["total_bounds"] == pytest.approx((114.0, 22.5, 114.0362, 22.5002))
    kinds = dict(zip(info["fields"], info["dtypes"], strict=True))
    assert kinds["height_m"] == "float64"
    assert kinds["demolished_on"].startswith("datetime64")
    assert kinds["floors_below"].startswith("int")
    everything = pyogrio.read_dataframe(source, layer="buildings")
    assert len(everything) == COUNT
    window = (114.0101, 22.4, 114.0201, 22.6)
    found = pyogrio.read_dataframe(source, layer="buildings", bbox=window)
    assert set(found["id"]) == set(everything[everything.intersects(box(*window))]["id"])
    offices = pyogrio.read_dataframe(source, layer="buildings", where="floors_above = 7")
    assert list(offices["height_m"]) == [7.5]


def answers_of_both(url: str, path: str, ask: Callable[[httpx2.Client, str], httpx2.Response]) -> list[httpx2.Response]:
    """The same request over many connections, so that both workers are met."""
    gathered = []
    for _ in range(24):
        with httpx2.Client(base_url=url, timeout=20) as client:
            gathered.append(ask(client, path))
    return gathered


def test_a_cursor_of_one_worker_is_good_for_the_other(two_workers: Server) -> None:
    with httpx2.Client(base_url=two_workers.url) as client:
        document = client.get("/collections/buildings/items?limit=5").json()
    following = next(link["href"] for link in document["links"] if link["rel"] == "next")
    answers = answers_of_both(two_workers.url, following, lambda client, url: client.get(url))
    assert {answer.status_code for answer in answers} == {200}
    assert len({tuple(f["id"] for f in answer.json()["features"]) for answer in answers}) == 1


def test_every_worker_sees_a_new_collection_within_a_second(two_workers: Server, module_database_url: str) -> None:
    import time

    city = City(module_database_url)
    city.dataset("sudden", Property("n", Kind.INTEGER, "n", "n"))
    city.feature("sudden", "POINT(1 1)", n=1)
    city.close()
    time.sleep(1)  # what is promised
    answers = answers_of_both(two_workers.url, "/collections/sudden/items", lambda client, url: client.get(url))
    assert {answer.status_code for answer in answers} == {200}


def test_metrics_are_those_of_all_workers(two_workers: Server) -> None:
    def counted(text: str) -> float:
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("cim_http_requests_total") and 'route="/conformance"' in line
        )

    with httpx2.Client(base_url=two_workers.url) as client:
        before = counted(client.get("/metrics").text)
    answers_of_both(two_workers.url, "/conformance", lambda client, url: client.get(url))
    texts: list[Any] = answers_of_both(two_workers.url, "/metrics", lambda client, url: client.get(url))
    assert {counted(answer.text) - before for answer in texts} == {24.0}
