"""The city of 2,000 buildings, generated once."""

from dataclasses import dataclass

import pyarrow as pa
import pytest

from sample_data.generate import Founded, Part, firsts_of, founded, part
from sample_data.plan import plan_city


@dataclass(frozen=True)
class City:
    """All of a generated city in memory; `parts` in the order of `founded.communities`."""

    founded: Founded
    parts: list[Part]

    def rows(self, kind: str) -> list[dict]:
        """All rows of `buildings`, `sensors` or `cameras`."""
        return pa.concat_tables([getattr(p, kind) for p in self.parts]).to_pylist()


@pytest.fixture(scope="session")
def generated() -> City:
    """2,000 buildings, 3,000 sensor channels, 500 cameras."""
    city = founded(plan_city(2000, 3000, 500))
    return City(city, [part(city, number, firsts) for number, firsts in enumerate(firsts_of(city))])
