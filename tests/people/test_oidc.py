"""Log-in at a provider of OpenID Connect, and its access tokens as keys (catalogue B37); the provider is a process of its own."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.conftest import ROOT, environment, free_port
from tests.people.conftest import Node
from tests.problems import assert_problem

CLIENT, SECRET, AUDIENCE = "opencim", "secret-of-the-client", "https://cim.example/api"
BASE = "http://node.example"


@dataclass(frozen=True)
class Provider:
    """Where it is, and the key it signs with."""

    issuer: str
    key: RSAKey

    def token(self, key: Any = None, header: Any = None, **changes: Any) -> str:
        """An access token of somebody known, with some claims changed; None leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "subject-of-admin",
            "iat": now,
            "exp": now + 300,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return str(jwt.encode({"alg": "RS256", "kid": self.key.kid, **(header or {})}, kept, key or self.key))


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    key = RSAKey.generate_key(2048, parameters={"kid": "one"})
    file = tmp_path_factory.mktemp("provider") / "key.json"
    file.write_text(json.dumps(key.as_dict(private=True)))
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.people.provider",
        str(port),
        str(file),
        CLIENT,
        SECRET,
        f"{BASE}/oidc/callback",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**environment(), "PYTHONPATH": str(ROOT)})
    issuer = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx2.get(f"{issuer}/jwks")
            break
        except httpx2.HTTPError:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    yield Provider(issuer, key)
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def node(module_database_url, make_node, provider):
    made = make_node(
        module_database_url,
        is_populated=False,
        CIM_BASE_URL=BASE,
        CIM_OIDC_ISSUER=provider.issuer,
        CIM_OIDC_CLIENT_ID=CLIENT,
        CIM_OIDC_CLIENT_SECRET=SECRET,
        CIM_OIDC_AUDIENCE=AUDIENCE,
        CIM_OIDC_MAKES_PEOPLE="true",
        CIM_OIDC_DUTIES_CLAIM="duties",
    )
    made.admin.post("/organisations", json={"id": "water", "name_zh": "水务局"})
    for login, subject in (("known", "subject-of-known"), ("admin", "subject-of-admin")):
        body = {"login": login, "organisation_id": "water", "subject": subject}
        answer = made.admin.post("/people", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["invitation"] is None
    return made


def at_the_provider(browser: httpx2.Client, who: str) -> str:
    """Begin at the node, log in at the provider; gives the path and query that the browser comes back with."""
    away = browser.get("/oidc/login?next=/collections")
    assert away.status_code == 303, away.text
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["code_challenge"][0]) == 43
    back = httpx2.get(f"{away.headers['location']}&login_hint={who}")
    assert back.status_code == 302, back.text
    parts = urlsplit(back.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}" == BASE
    return f"{parts.path}?{parts.query}"


def test_somebody_known_logs_in(node: Node):
    browser = node.client()
    done = browser.get(at_the_provider(browser, "known"))
    assert (done.status_code, done.headers["location"]) == (303, "/collections")
    me = browser.get("/sessions/current").json()
    assert (me["caller"], me["organisation_id"]) == ("person known", "water")
    assert me["csrf"]


def test_somebody_new_is_made_in_the_organisation_of_the_claim_with_its_duties(node: Node):
    browser = node.client()
    assert browser.get(at_the_provider(browser, "new")).status_code == 303
    me = browser.get("/sessions/current").json()
    assert (me["organisation_id"], set(me["roles"])) == ("water", {"reader", "publisher"})
    again = node.client()
    assert again.get(at_the_provider(again, "new")).status_code == 303
    assert again.get("/sessions/current").json()["person_id"] == me["person_id"]


def test_somebody_of_an_unknown_organisation_is_not_let_in(node: Node):
    browser = node.client()
    assert_problem(browser.get(at_the_provider(browser, "stranger")), status=403, code="forbidden")
    assert browser.get("/sessions").status_code == 401


def test_a_code_is_good_once_and_in_its_browser_only(node: Node):
    browser, other = node.client(), node.client()
    back = at_the_provider(browser, "known")
    assert_problem(other.get(back), status=401, code="unauthorized")
    cookie = browser.cookies["cim_oidc"]
    assert browser.get(back).status_code == 303
    replayed = httpx2.get(f"{node.url}{back}", headers={"Cookie": f"cim_oidc={cookie}"})
    assert_problem(replayed, status=401, code="unauthorized")
    forged = node.client().get(back.partition("state=")[0] + "state=another", headers={"Cookie": f"cim_oidc={cookie}"})
    assert forged.status_code == 401
    denied = node.client()
    assert denied.get(at_the_provider(denied, "nobody")).status_code == 401


def test_an_access_token_of_the_issuer_is_a_key(node: Node, provider: Provider):
    caller = node.client(Authorization=f"Bearer {provider.token()}")
    assert caller.get("/sessions/current").json()["caller"] == "person admin"
    several = node.client(Authorization=f"Bearer {provider.token(aud=['another', AUDIENCE])}")
    assert several.get("/sessions/current").json()["organisation_id"] == "water"
    admin = node.client(Authorization=f"Bearer {provider.token(duties=['city_admin'])}")
    assert admin.post("/organisations", json={"id": "by-token", "name_zh": "令"}).status_code == 201


def unsigned(provider: Provider) -> str:
    parts = provider.token(duties=["city_admin"]).split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    return f"{head}.{parts[1]}."


def signed_with_the_public_key(provider: Provider) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    text = f"{head}.{provider.token(duties=['city_admin']).split('.')[1]}"
    digest = hmac.new(provider.key.as_pem(private=False), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered(provider: Provider) -> str:
    head, _, signature = provider.token().split(".")
    return f"{head}.{provider.token(duties=['city_admin'], iat=1).split('.')[1]}.{signature}"


BAD = {
    "alg none": unsigned,
    "HS256 by the public key": signed_with_the_public_key,
    "expired": lambda p: p.token(exp=int(time.time()) - 3600),
    "another audience": lambda p: p.token(aud="https://another.example"),
    "no audience": lambda p: p.token(aud=None),
    "another issuer": lambda p: p.token(iss="https://another.example"),
    "no expiry": lambda p: p.token(exp=None),
    "not yet": lambda p: p.token(nbf=int(time.time()) + 3600),
    "another key": lambda p: p.token(key=RSAKey.generate_key(2048, parameters={"kid": "one"})),
    "an unknown key": lambda p: p.token(key=RSAKey.generate_key(2048), header={"kid": "two"}),
    "tampered": tampered,
    "no subject": lambda p: p.token(sub=None),
    "an id token of the client": lambda p: p.token(aud=CLIENT),
    "no token": lambda p: "eyJhbGciOiJSUzI1NiJ9.e30.x",
    "expiry as a text": lambda p: p.token(exp="never"),
}


@pytest.mark.parametrize("why", BAD)
def test_B37_a_token_that_is_not_in_force_is_refused_and_nothing_is_done(
    node: Node, provider: Provider, connection, why
):
    count = "SELECT (SELECT count(*) FROM cim.organisation), (SELECT count(*) FROM cim.person), (SELECT count(*) FROM cim.audit)"
    before = connection.execute(count).fetchone()
    token = BAD[why](provider)
    caller = node.client(Authorization=f"Bearer {token}")
    for answer in (
        caller.post("/organisations", json={"id": "forged", "name_zh": "伪"}),
        caller.get("/collections/buildings/items?limit=1"),
        caller.get("/sessions/current"),
    ):
        assert_problem(answer, status=401, code="unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert token not in answer.text
    assert connection.execute(count).fetchone() == before
    assert token not in node.server.log.read_text(encoding="utf-8", errors="replace")
