"""A server that takes uploads, and a sender that follows their loads."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import Server, serving

ADMIN = "admin-key-of-the-upload-tests"


@dataclass(frozen=True, slots=True)
class Sender:
    """An admin at a server: `http` sends the key, `data` is the server's data folder."""

    http: httpx2.Client
    server: Server
    data: Path

    def form(self, name: str, content: bytes, **fields: str) -> httpx2.Response:
        """Send a file as a browser's form does."""
        return self.http.post("/admin/loads", data=fields, files={"file": (name, content)})

    def ended(self, response: httpx2.Response, timeout_s: float = 60) -> dict[str, Any]:
        """The load that `response` queued, once it is over."""
        assert response.status_code == 202, response.text
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            load: dict[str, Any] = self.http.get(response.headers["location"]).json()
            if load["state"] in ("completed", "failed"):
                return load
            time.sleep(0.1)
        raise AssertionError(f"the load did not end: {load}")

    def files(self, folder: str) -> list[Path]:
        """Files that lie in a folder of the data folder, without the slots' locks."""
        found = (self.data / folder).rglob("*")
        return [path for path in found if path.is_file() and not path.name.startswith("slot-")]

    def is_clear(self, folder: str = "uploads") -> bool:
        """True as soon as no file is left in the folder; it has five seconds."""
        deadline = time.monotonic() + 5
        while self.files(folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.files(folder)


def opened(server: Server, data: Path | None = None) -> Sender:
    """An admin at a server."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    return Sender(httpx2.Client(base_url=server.url, timeout=60, headers=headers), server, data or server.log.parent)


@pytest.fixture(scope="module")
def sender(module_database_url: str) -> Iterator[Sender]:
    """An admin at a server with the usual caps, one for a file of tests."""
    with serving(module_database_url, CIM_ADMIN_KEY=ADMIN) as server:
        made = opened(server)
        with made.http:
            yield made
