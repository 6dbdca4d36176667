"""Files of a few features, and loading them as the command does."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cim.db.account import Account
from cim.settings import Settings
from loaders.base import SourceOptions
from loaders.run import LoadRequest, load_source

Load = Callable[..., Account]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection to a fresh, migrated database."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def load(connection: psycopg.Connection[Any]) -> Load:
    """`load(kind, path, **request)`: one load through the real child; option names of SourceOptions go there."""

    def run(kind: str, path: Path, **stated: Any) -> Account:
        option_names = set(SourceOptions.__dataclass_fields__)
        options = SourceOptions(**{k: v for k, v in stated.items() if k in option_names})
        request = {k: v for k, v in stated.items() if k not in option_names}
        return load_source(connection, Settings(), LoadRequest(kind, path, options, **request))

    return run


def feature(identity: object, lon: float = 114.05, lat: float = 22.54, **properties: Any) -> dict[str, Any]:
    """A building of about 20 m at a place, as a GeoJSON feature with an `id` property."""
    ring = [[lon, lat], [lon + 2e-4, lat], [lon + 2e-4, lat + 2e-4], [lon, lat + 2e-4], [lon, lat]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"id": identity, **properties},
    }


def write_geojson(path: Path, features: list[dict[str, Any]]) -> Path:
    """A FeatureCollection file."""
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), encoding="utf-8"
    )
    return path
