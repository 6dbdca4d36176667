"""A browser, a built page and a served town for the portal's tests."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, sync_playwright

from cim.settings import Settings
from loaders.base import SourceOptions
from loaders.run import LoadRequest, load_source
from tests.catalogue.sources import Source, serving_source
from tests.conftest import clone, serving

from . import office, town
from .visit import CHROMIUM, FLAGS, Visit

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def built() -> dict[str, Any]:
    """The manifest of the page, built from the sources as they are now."""
    subprocess.run(["node", "build.mjs"], cwd=REPOSITORY / "web", check=True, timeout=120)
    manifest: dict[str, Any] = json.loads((REPOSITORY / "web/dist/manifest.json").read_bytes())
    return manifest


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Source]:
    """Another site on loopback, which the served town may call: it answers what a test puts into `documents`."""
    with serving_source() as source:
        yield source


@pytest.fixture(scope="session")
def portal_database(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with the town in it, loaded as a user would."""
    files = town.write(tmp_path_factory.mktemp("town"))
    with clone(cluster, template) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for kind, path in files.items():
                collection = "trees" if kind == "dataset" else None
                request = LoadRequest(kind, path, SourceOptions(), collection_id=collection, source="town")
                load_source(connection, Settings(), request)
        yield url


@pytest.fixture(scope="session")
def portal_url(built: dict[str, Any], portal_database: str, elsewhere: Source) -> Iterator[str]:
    """The real server over the town's database."""
    with serving(portal_database, CIM_ADMIN_KEY=office.ADMIN, CIM_ALLOWED_UPSTREAMS=elsewhere.pair) as running:
        office.populate(running.url)
        yield running.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; WebGL runs in software. Playwright's event loop ends with it: other tests of the worker have their own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, portal_url: str) -> Iterator[Callable[..., Visit]]:
    """Makes visitors; afterwards none may have met an error or asked another host for anything."""
    visitors: list[Visit] = []

    def make(**options: Any) -> Visit:
        visitors.append(Visit(browser, portal_url, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()
    for visitor in visitors:
        visitor.check()
