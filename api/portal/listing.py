"""Lists of the pages: what was filtered, and the way to the next page behind the API's cursor; counts, names."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request

from api.portal.ask import ask
from api.portal.frame import preferred_language

PAGE = 1000
"""Rows asked for at once where all are wanted."""
MANY = 100
"""Counts of what waits are exact below this."""
_OF_THE_FRAME = ("cursor", "said", "lang")


def asked_of(request: Request, *names: str) -> dict[str, str]:
    """The filters of a list that the page's address holds; those that are empty are left out."""
    given = {name: request.query_params.get(name, "").strip() for name in (*names, "cursor")}
    return {name: value for name, value in given.items() if value}


async def listed(
    request: Request, path: str, name: str, filters: Sequence[str], limit: int, **fixed: Any
) -> dict[str, Any]:
    """What the page of a list shows of the API's list `name` at `path`: `rows`, `next` (see `next_of`), `asked` (every filter,
    empty where it is not asked for) and `is_filtered`. `fixed` is asked for besides, whatever the address says."""
    asked = asked_of(request, *filters)
    document = (await ask(request, "GET", path, query={"limit": limit, **asked, **fixed})).document
    return {
        "rows": document[name],
        "next": next_of(request, document),
        "asked": {**dict.fromkeys(filters, ""), **asked},
        "is_filtered": bool(asked),
    }


def next_of(request: Request, document: Mapping[str, Any]) -> str:
    """The query string of the next page: this page's with the cursor of the API's `next` link; empty at the end."""
    cursor = cursor_of(document)
    if cursor is None:
        return ""
    kept = [pair for pair in request.query_params.multi_items() if pair[0] not in _OF_THE_FRAME and pair[1]]
    return urlencode([*kept, ("cursor", cursor)])


def cursor_of(document: Mapping[str, Any]) -> str | None:
    """The cursor of the page that follows a page of the API; None at the end."""
    following = next((link["href"] for link in document.get("links", ()) if link["rel"] == "next"), None)
    return None if following is None else parse_qs(urlsplit(following).query)["cursor"][0]


async def organisations_of(request: Request) -> dict[str, str]:
    """Id → name in the page's language, of every organisation that the caller knows of."""
    rows: list[Any] = []
    query: dict[str, Any] = {"limit": PAGE}
    while True:
        document = (await ask(request, "GET", "/organisations", query=query)).document
        rows += document["organisations"]
        cursor = cursor_of(document)
        if cursor is None:
            break
        query["cursor"] = cursor
    first, second = ("en", "zh") if preferred_language(request) == "en" else ("zh", "en")
    return {row["id"]: row[f"name_{first}"] or row[f"name_{second}"] or row["id"] for row in rows}


async def counted(request: Request, path: str, name: str, **asked: Any) -> str:
    """How many rows a list of the API has, as `many` writes it."""
    rows = (await ask(request, "GET", path, query={**asked, "limit": MANY})).document[name]
    return many(len(rows))


def many(count: int) -> str:
    """A number below `MANY`, else `99+`."""
    return str(count) if count < MANY else f"{MANY - 1}+"
