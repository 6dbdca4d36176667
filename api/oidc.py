"""OpenID Connect: the code flow with PKCE (RFC 7636), and access tokens of the issuer in place of keys.

Signatures are checked against the issuer's published keys, by asymmetric algorithms only: what the issuer publishes
can sign nothing (catalogue B37).
"""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.sessions import scope_of_person
from cim.db.keys import digest_of
from cim.db.pool import Database
from cim.errors import Forbidden, NotFound, Unauthorized, Unavailable
from cim.model import Scope
from cim.model.scope import DUTIES
from cim.query.people import insert_person_sql, organisation_in_force_sql, update_sql
from cim.query.sessions import by_subject_sql
from cim.settings import Settings

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
TIMEOUT_S = 5.0
KEPT_S = 3600.0
ASK_AGAIN_S = 10.0
LEEWAY_S = 30
TTL_S = 2.0
MAX_KNOWN = 10_000
MAX_TOKEN = 8_000
MAX_ANSWER = 1024 * 1024

_REFUSED = "the token is not in force here: its signature, issuer, audience or time is not what this node asks for"


@dataclass(frozen=True, slots=True)
class Login:
    """What a browser keeps (signed, in a cookie) while its owner is at the issuer."""

    state: str
    nonce: str
    verifier: str
    onward: str

    @staticmethod
    def begin(onward: str) -> "Login":
        """New random values."""
        return Login(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), onward)

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier (RFC 7636, 4.2)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class Issuer:
    """The issuer of the settings, as one worker knows it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._facts: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._known: dict[str, tuple[float, Scope]] = {}

    @property
    def redirect_uri(self) -> str:
        """Where the issuer sends people back to."""
        return f"{self._settings.public_url}/oidc/callback"

    def takes(self, token: str) -> bool:
        """True for what looks like an access token, where such are taken."""
        return bool(self._settings.oidc_audience and self._settings.oidc_issuer) and token.count(".") == 2

    async def authorise(self, token: str) -> Scope:
        """Whose access token it is. Raises Unauthorized, Unavailable."""
        if len(token) > MAX_TOKEN:
            raise Unauthorized(_REFUSED)
        digest = digest_of(token)
        until, scope = self._known.get(digest, (0.0, None))
        if scope is not None and until >= time.monotonic():
            return scope
        claims = await self.checked(token, self._settings.oidc_audience)
        try:
            scope = scope_of_person(await self.person(claims))
        except Forbidden as error:
            raise Unauthorized(error.detail) from error
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[digest] = (time.monotonic() + min(TTL_S, claims["exp"] + LEEWAY_S - time.time()), scope)
        return scope

    async def address(self, login: Login) -> str:
        """Where the browser goes to log in."""
        facts = await self._discovered()
        asked = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile email",
            "state": login.state,
            "nonce": login.nonce,
            "code_challenge": login.challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in facts["authorization_endpoint"] else "?"
        return f"{facts['authorization_endpoint']}{joint}{urlencode(asked)}"

    async def claims_of(self, code: str, login: Login) -> dict[str, Any]:
        """The claims of the id token that the code is good for. Raises Unauthorized, Unavailable."""
        facts, settings = await self._discovered(), self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": login.verifier,
        }
        secret = settings.oidc_client_secret
        auth = None if secret is None else (settings.oidc_client_id, secret)
        if auth is None:
            form["client_id"] = settings.oidc_client_id
        status, answer = await _fetched("POST", facts["token_endpoint"], data=form, auth=auth)
        if status != 200 or not isinstance(answer.get("id_token"), str):
            raise Unauthorized("the issuer does not take the code; log in again")
        claims = await self.checked(answer["id_token"], settings.oidc_client_id)
        if claims.get("nonce") != login.nonce or claims.get("azp", settings.oidc_client_id) != settings.oidc_client_id:
            raise Unauthorized(_REFUSED)
        return claims

    async def checked(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token of the issuer for that audience, which is in force. Raises Unauthorized, Unavailable."""
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": str(self._settings.oidc_issuer)},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        for is_last in (False, True):
            try:
                decoded = jwt.decode(token, await self._published(is_anew=is_last), algorithms=ALGORITHMS)
                registry.validate(decoded.claims)
            except (JoseError, ValueError, TypeError) as error:
                if is_last or not _is_of_unknown_key(error):
                    raise Unauthorized(_REFUSED) from error
            else:
                return dict(decoded.claims)
        raise Unauthorized(_REFUSED)

    async def person(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row of who the claims are about, duties as the claims say. Raises Forbidden for nobody known here."""
        issuer, subject = str(self._settings.oidc_issuer), str(claims["sub"])[:255]
        row = await self._database.fetch_row(by_subject_sql(issuer, subject))
        if row is None and self._settings.oidc_makes_people:
            await self._make(issuer, subject, claims)
            row = await self._database.fetch_row(by_subject_sql(issuer, subject))
        if row is None:
            raise Forbidden("the issuer knows you, this node does not: ask the admin of your organisation")
        duties = self._duties(claims)
        if duties is not None and duties != list(row["duties"]):
            await self._database.execute(update_sql("person", row["person_id"], {"duties": duties}))
            return {**dict(row), "duties": duties}
        return dict(row)

    async def _make(self, issuer: str, subject: str, claims: Mapping[str, Any]) -> None:
        organisation = claims.get(self._settings.oidc_organisation_claim)
        row = None
        if isinstance(organisation, str) and "\x00" not in organisation:
            row = await self._database.fetch_row(organisation_in_force_sql(organisation))
        if row is None:
            raise Forbidden("the issuer names no organisation that is known here")
        suffix = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:16]
        name = str(claims.get("name") or claims.get("preferred_username") or subject)
        values = {
            "id": f"p-{suffix}",
            "login": f"oidc-{suffix}",
            "name": "".join(c for c in name if c.isprintable())[:100],
            "organisation_id": organisation,
            "issuer": issuer,
            "subject": subject,
            "duties": self._duties(claims) or [],
        }
        await self._database.execute(insert_person_sql(values))

    def _duties(self, claims: Mapping[str, Any]) -> list[str] | None:
        """What the claim of the settings says, in the order of `DUTIES`; None where none is read."""
        if not self._settings.oidc_duties_claim:
            return None
        told = claims.get(self._settings.oidc_duties_claim)
        named = told if isinstance(told, list) else str(told or "").split()
        return [duty for duty in DUTIES if duty in named]

    async def _discovered(self) -> dict[str, Any]:
        """The issuer's description of itself (OpenID Connect Discovery 1.0, 4)."""
        issuer = self._settings.oidc_issuer
        if issuer is None:
            raise NotFound("log-in by", "OpenID Connect")
        if self._facts is None or self._facts[0] < time.monotonic():
            status, facts = await _fetched("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if status != 200 or facts.get("issuer") != issuer or not all(isinstance(facts.get(n), str) for n in needed):
                raise Unavailable("the issuer of the settings does not describe itself as such")
            self._facts = (time.monotonic() + KEPT_S, facts)
        return self._facts[1]

    async def _published(self, *, is_anew: bool) -> KeySet:
        """The issuer's keys; asked for anew (where a token names one that is not among them) every ten seconds at most."""
        now = time.monotonic()
        if self._keys is None or now - self._keys[0] > (ASK_AGAIN_S if is_anew else KEPT_S):
            status, answer = await _fetched("GET", (await self._discovered())["jwks_uri"])
            try:
                if status != 200:
                    raise ValueError(status)
                self._keys = (now, KeySet.import_key_set(answer))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise Unavailable("the issuer's keys cannot be read now; try again later") from error
        return self._keys[1]


def _is_of_unknown_key(error: Exception) -> bool:
    """True where the issuer may have changed its keys since."""
    return isinstance(error, ValueError) or type(error).__name__ in (
        "InvalidKeyIdError",
        "MissingKeyError",
        "BadSignatureError",
    )


async def _fetched(method: str, url: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer of the issuer, within seconds. Raises Unavailable."""
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client,
            client.stream(method, url, headers={"Accept": "application/json"}, **more) as answer,
        ):
            received = bytearray()
            async for piece in answer.aiter_bytes():
                received += piece
                if len(received) > MAX_ANSWER:
                    raise ValueError("too long")
            document = orjson.loads(received)
    except (httpx2.HTTPError, OSError, TimeoutError, ValueError) as error:
        raise Unavailable("the issuer of log-ins does not answer now; try again later") from error
    return answer.status_code, document if isinstance(document, dict) else {}
