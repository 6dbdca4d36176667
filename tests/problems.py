"""The one shared assertion on problem documents (RFC 9457; catalogue rule C0.1)."""

import re
from typing import Any

_INTERNALS = re.compile(
    r"Traceback|SELECT |INSERT |asyncpg|psycopg|\.py\b|/home/|/root/|/usr/lib|password", re.IGNORECASE
)


def assert_problem(response: Any, *, status: int, code: str, parameter: str | None = None) -> dict[str, Any]:
    """`response` is the problem `code`; gives its document."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"].startswith("application/problem+json")
    assert len(response.content) <= 8192
    document: dict[str, Any] = response.json()
    assert document["type"].endswith(f"/problems/{code}"), document
    assert document["status"] == status
    for member in ("title", "detail", "instance"):
        assert document[member], member
    assert not _INTERNALS.search(document["detail"]), document["detail"]
    if parameter is not None:
        assert document["parameter"] == parameter
    return document
