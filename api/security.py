"""Who calls: a key in `Authorization: Bearer` or `X-API-Key` becomes a Scope.

Keys are compared by digest; what a worker knows of a key it asks again after `TTL_S`, so a revoked key is dead
everywhere within that time.
"""

import hmac
from collections.abc import Iterable
from contextlib import suppress

import structlog
from starlette.requests import Request

from api.documents import header_of
from cim.db.keys import digest_of, in_force_sql, used_sql
from cim.db.pool import Database
from cim.db.rights import scope_of_key, unknown_properties
from cim.errors import Forbidden, Unauthorized, Unavailable
from cim.memo import Known, Memo
from cim.model import Collection, Scope, roles_of
from cim.settings import Settings

log = structlog.get_logger("rights")

TTL_S = 2.0
MAX_KNOWN = 10_000
MAX_KEY = 8_000
"""Characters of what is sent: a key has 36, an access token of OpenID Connect may be long."""

_HOW = "send a valid key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"


def anonymous_scope(settings: Settings) -> Scope:
    """What a caller without a key may see: everything, unless the settings close some of it."""
    collections = settings.anonymous_collections
    return Scope(
        collections=None if collections == "*" else frozenset(_listed(collections)),
        hidden=frozenset(_listed(settings.anonymous_hidden)),
        precision_m=settings.anonymous_precision_m,
    )


def tell_slips(settings: Settings, known: Iterable[Collection]) -> None:
    """Log what the settings of callers without a key name and no collection has: a slip there hides nothing."""
    scope, collections = anonymous_scope(settings), list(known)
    slips = unknown_properties(scope.hidden, collections)
    slips += sorted((scope.collections or frozenset()) - {one.id for one in collections})
    if slips:
        log.warning("settings of anonymous callers name what is not here", names=slips)


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class Keys:
    """The keys one worker has lately seen."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._admin_digest = digest_of(settings.admin_key) if settings.admin_key else None
        self._anonymous = anonymous_scope(settings)
        self._timezone = settings.time_zone
        self._known: Memo[str, Scope | None] = Memo(TTL_S, MAX_KNOWN)

    @property
    def anonymous(self) -> Scope:
        """What a caller without a key may see."""
        return self._anonymous

    async def authorise(self, key: str) -> Scope:
        """What the caller with the key may see. Raises Unauthorized for a key not in force."""
        digest = digest_of(key)
        if self._admin_digest is not None and hmac.compare_digest(digest, self._admin_digest):
            return Scope(roles=roles_of("admin"), caller="admin key of the settings")
        known = self._known.good(digest)
        scope = await self._look_up(digest) if known is None else known.value
        if scope is None:
            raise Unauthorized(f"the key is unknown, expired or revoked; {_HOW}")
        return scope

    async def _look_up(self, digest: str) -> Scope | None:
        row = await self._database.fetch_row(in_force_sql(digest, self._timezone))
        if row is not None and row["is_first_today"]:
            with suppress(Unavailable):  # a replica cannot write it, nor need it
                await self._database.execute(used_sql(digest, self._timezone))
        scope = None if row is None else scope_of_key(row)
        return self._known.keep(digest, scope, lambda: scope)

    def known(self, key: str) -> Known[Scope | None] | None:
        """What is known of a key of the database, be it good or not; None for any other."""
        return self._known.last(digest_of(key))


def key_of(request: Request) -> str | None:
    """The key a request carries. Raises Unauthorized for a header that is none, or for two keys that differ."""
    header = header_of(request, b"authorization")
    direct = header_of(request, b"x-api-key")
    if header is None:
        key = direct
    else:
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized(f"the scheme of Authorization must be Bearer; {_HOW}")
        if direct is not None and direct != key.strip():
            raise Unauthorized("Authorization and X-API-Key hold different keys")
    if key is None:
        return None
    key = key.strip()
    if not key or len(key) > MAX_KEY or not key.isascii():
        raise Unauthorized(f"that is no key; {_HOW}")
    return key


def require_editor(scope: Scope, collection: Collection) -> None:
    """Raise Unauthorized for the anonymous caller, Forbidden for one who may not change features of the collection."""
    if not scope.roles:
        raise Unauthorized(f"this needs an editor's or admin's key; {_HOW}")
    if not scope.may_edit(collection.id):
        raise Forbidden(f"the key sent may not change features of {collection.id}")
    if collection.kind == "areas":
        raise Forbidden("areas decide what every feature is tagged with and who may see it; change them by a load")


def require_place(scope: Scope, *area_codes: str | None) -> None:
    """Raise Forbidden for a place, now or before, outside the area that the caller may change."""
    if not all(scope.covers(code) for code in area_codes):
        raise Forbidden(
            f"the key sent may change features of {scope.area_code} only; the place, or the former one, is outside"
        )


def require_admin(scope: Scope) -> None:
    """Raise Unauthorized for the anonymous caller, Forbidden for one whose role is not admin."""
    if not scope.roles:
        raise Unauthorized(f"this needs an admin key; {_HOW}")
    if not scope.is_admin:
        raise Forbidden(f"this needs an admin key; the key sent is {'an editor' if scope.is_editor else 'a reader'}'s")
