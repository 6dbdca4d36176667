"""A provider of OpenID Connect, in a process of its own: discovery, keys, the code flow with PKCE, one-time codes.

    python -m tests.people.provider PORT KEY_FILE CLIENT_ID CLIENT_SECRET REDIRECT_URI

`KEY_FILE` holds its private key as JWK. Whoever `login_hint` names is logged in (what a person would type into a form); their claims
are PEOPLE's. What it says of itself is checked by Authlib's model of OpenID Connect Discovery.
"""

import base64
import json
import secrets
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

PEOPLE = {
    "known": {"sub": "subject-of-known", "name": "Known Person"},
    "new": {"sub": "subject-of-new", "name": "新人", "organisation": "water", "duties": ["publisher"]},
    "stranger": {"sub": "subject-of-stranger", "organisation": "nowhere"},
}


def provider(port: int, key: RSAKey, client: str, secret: str, redirect_uri: str) -> Starlette:
    """The application at http://127.0.0.1:PORT."""
    issuer = f"http://127.0.0.1:{port}"
    codes: dict[str, dict[str, str]] = {}

    def configuration(_: Request) -> Response:
        facts = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }
        model = OpenIDProviderMetadata(facts)
        for name in ("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"):
            getattr(model, f"validate_{name}")()
        return JSONResponse(facts)

    def keys(_: Request) -> Response:
        return JSONResponse({"keys": [{**key.as_dict(private=False), "use": "sig", "alg": "RS256"}]})

    def authorize(request: Request) -> Response:
        asked = request.query_params
        is_right = (
            asked.get("client_id") == client
            and asked.get("redirect_uri") == redirect_uri
            and asked.get("response_type") == "code"
            and "openid" in asked.get("scope", "").split()
            and asked.get("code_challenge_method") == "S256"
            and asked.get("state")
        )
        if not is_right:
            return JSONResponse({"error": "invalid_request"}, 400)
        who = asked.get("login_hint", "")
        if who not in PEOPLE:
            return RedirectResponse(
                f"{redirect_uri}?{urlencode({'error': 'access_denied', 'state': asked['state']})}", 302
            )
        code = secrets.token_urlsafe(16)
        codes[code] = {"who": who, "challenge": asked["code_challenge"], "nonce": asked.get("nonce", "")}
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def token(request: Request) -> Response:
        form = await request.form()
        expected = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        if request.headers.get("authorization") != expected:
            return JSONResponse({"error": "invalid_client"}, 401)
        known = codes.pop(str(form.get("code")), None)
        if (
            known is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != redirect_uri
            or create_s256_code_challenge(str(form.get("code_verifier"))) != known["challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": client,
            "iat": now,
            "exp": now + 300,
            "nonce": known["nonce"],
            **PEOPLE[known["who"]],
        }
        id_token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)
        return JSONResponse({"id_token": id_token, "access_token": "opaque", "token_type": "Bearer", "expires_in": 300})

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", configuration),
            Route("/jwks", keys),
            Route("/authorize", authorize),
            Route("/token", token, methods=["POST"]),
        ]
    )


if __name__ == "__main__":
    own_port, key_file, *others = sys.argv[1:]
    own_key = RSAKey.import_key(json.loads(Path(key_file).read_text()))
    app = provider(int(own_port), own_key, *others)
    uvicorn.run(app, host="127.0.0.1", port=int(own_port), log_level="warning")
