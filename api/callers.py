"""Who calls, in whatever way they say it: a key, an access token of the issuer, a session's cookie, or nothing."""

import math
from dataclasses import dataclass

from starlette.requests import Request

from api.oidc import Issuer
from api.passwords import Passwords
from api.security import Keys, key_of
from api.sessions import Sessions
from cim.memo import Known
from cim.model import Scope

_SAYING = frozenset((b"authorization", b"x-api-key", b"cookie"))
"""Header fields that may say who asks: most requests have none of them."""
_NOBODY: Known[Scope | None] = Known(None, None, math.inf)


@dataclass(frozen=True, slots=True)
class Callers:
    """The ways to a Scope; what is said in headers goes before a cookie."""

    keys: Keys
    sessions: Sessions
    issuer: Issuer
    passwords: Passwords

    async def authorise(self, request: Request) -> Scope:
        """What the caller may see; the anonymous scope where nobody says who asks.

        Raises Unauthorized for a key or token not in force, Forbidden for a change by cookie that others could have forged.
        """
        if _SAYING.isdisjoint([name for name, _ in request.scope["headers"]]):
            return self.keys.anonymous
        key = key_of(request)
        if key is None:
            return await self.sessions.authorise(request) or self.keys.anonymous
        if self.issuer.takes(key):
            return await self.issuer.authorise(key)
        return await self.keys.authorise(key)

    def known(self, request: Request, scope: Scope) -> Known[Scope | None] | None:
        """What `scope`, which `authorise` gave for a request without a cookie, is good by: its key, as long as that is known.

        None where the caller is asked each time.
        """
        key = key_of(request)
        if key is None:
            return _NOBODY
        known = self.keys.known(key)
        return known if known is not None and known.value == scope else None
