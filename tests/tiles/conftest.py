"""A city of known features behind a real server, one for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.city import City


@pytest.fixture(scope="module")
def city(module_database_url: str) -> Iterator[City]:
    """An empty city; the tests of a file share it."""
    made = City(module_database_url)
    yield made
    made.close()
