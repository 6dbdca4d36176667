"""Lists of rows as JSON: pages behind a cursor that is bound to what was asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, registry_of, settings_of
from api.documents import JSON, Link, private_json, url_of
from api.params import parse_limit
from cim.query.cursor import decode_cursor, encode_cursor
from cim.query.listing import Listing
from cim.sql import Sql

PAGING = ("limit", "cursor")
DEFAULT_LIMIT = 50


async def listed(
    request: Request,
    name: str,
    listing: Listing,
    conditions: Sequence[Sql],
    values: Mapping[str, str],
    shown: Callable[[Any], Mapping[str, Any]],
) -> Response:
    """`{name: [...], "links": [...]}`: the rows that meet the conditions; `values` are the parameters of the query string."""
    limit = parse_limit(values["limit"]) if "limit" in values else DEFAULT_LIMIT
    key, binding = registry_of(request).cursor_key, _binding(request, conditions)
    after = decode_cursor(key, binding, values["cursor"]) if "cursor" in values else None
    rows = list(await database_of(request).fetch_rows(listing.page(conditions, after, limit)))
    page = rows[:limit]
    base, path = settings_of(request).public_url, request.url.path.strip("/").split("/")
    links = [Link(url_of(base, *path, **values), "self", JSON)]
    if len(rows) > limit:
        cursor = encode_cursor(key, binding, str(page[-1]["id"]))
        links.append(Link(url_of(base, *path, **{**values, "cursor": cursor}), "next", JSON))
    return private_json({name: [shown(row) for row in page], "links": [link.to_dict() for link in links]})


def _binding(request: Request, conditions: Sequence[Sql]) -> bytes:
    return f"{request.url.path}\n{Sql.join(' AND ', conditions).compile()!r}".encode()
