"""One service as the catalogue's routes share it: the row that the caller may see, and its entity tag."""

import hashlib
from typing import Any

from starlette.requests import Request

from api.context import database_of
from cim.errors import NotFound
from cim.model import Scope
from cim.query.services import service_sql

VARY = "Accept, Accept-Language, Cookie, Authorization, X-API-Key"
"""What an answer of the catalogue depends on."""


async def visible_row(request: Request, scope: Scope) -> Any:
    """The service's row if the caller may see it. Raises NotFound: what is not on the shelf does not exist for others."""
    service_id = request.path_params["service_id"]
    row = None
    if "\x00" not in service_id:
        row = await database_of(request).fetch_row(service_sql(service_id))
    if row is None or (row["state"] != "published" and not scope.is_admin):
        raise NotFound("service", service_id)
    return row


def tag_of(row: Any, body: bytes) -> str:
    """The version, by which edits are checked, and the content, which differs by language and with its organisation."""
    return f'"{row["version"]}.{hashlib.blake2b(body, digest_size=6).hexdigest()}"'
