"""What is sent on and passed back, what may be kept, how credentials are sealed: the rules alone."""

import os
import stat
from pathlib import Path

import pytest

from cim.errors import InvalidBody, InvalidParameter, SetupProblem
from cim.gateway.credential import checked_credential, credential_of, purpose_of
from cim.gateway.freshness import keeping, wants_anew
from cim.gateway.headers import passed_back, sent_on
from cim.gateway.policy import Origin
from cim.gateway.sealing import Sealer, sealer_of
from cim.settings import Settings


def test_neither_keys_nor_cookies_nor_hop_by_hop_fields_are_sent_on() -> None:
    given = [
        (b"host", b"city.example"), (b"authorization", b"Bearer cim_x"), (b"x-api-key", b"cim_x"), (b"cookie", b"a=b"),
        (b"connection", b"x-mine"), (b"x-mine", b"1"), (b"te", b"trailers"), (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"),
        (b"proxy-authorization", b"x"), (b"x-forwarded-for", b"10.0.0.1"), (b"forwarded", b"for=10.0.0.1"), (b"via", b"1.1 evil"),
        (b"accept", b"image/png"), (b"accept-encoding", b"br, gzip;q=0.5"), (b"accept-language", b"zh"), (b"if-none-match", b'"a"'),
    ]  # fmt: skip
    assert dict(sent_on(given, own={b"host": b"maps.example"})) == {
        b"host": b"maps.example",
        b"accept": b"image/png",
        b"accept-encoding": b"gzip",
        b"accept-language": b"zh",
        b"if-none-match": b'"a"',
        b"via": b"1.1 opencim",
    }


def test_nothing_of_an_upstream_acts_in_our_origin() -> None:
    given = [
        (b"Content-Type", b"text/html"), (b"Set-Cookie", b"a=b"), (b"Server", b"x"), (b"X-Powered-By", b"x"),
        (b"Access-Control-Allow-Origin", b"*"), (b"Content-Security-Policy", b"default-src *"), (b"Refresh", b"0;url=//evil"),
        (b"Clear-Site-Data", b'"*"'), (b"Service-Worker-Allowed", b"/"),
        (b"WWW-Authenticate", b"Basic"), (b"Transfer-Encoding", b"chunked"),
        (b"Strict-Transport-Security", b"max-age=1"), (b"Location", b"//evil"), (b"ETag", b'"a"'),
    ]  # fmt: skip
    passed = dict(passed_back(given))
    assert set(passed) == {b"content-type", b"etag", b"vary", b"content-security-policy"}
    assert passed[b"content-security-policy"].startswith(b"sandbox; default-src 'none'")


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "max-age=60, s-maxage=10"}, 10),
        ({"cache-control": 'public, MAX-AGE="60"', "age": "15"}, 45),
        ({"expires": "Wed, 25 Nov 2026 14:00:30 GMT", "date": "Wed, 25 Nov 2026 14:00:00 GMT"}, 30),
        ({"cache-control": "no-cache", "etag": '"a"'}, 0),
        ({"cache-control": "max-age=0", "last-modified": "Wed, 25 Nov 2026 14:00:00 GMT"}, 0),
        ({"cache-control": "max-age=60, private"}, None),
        ({"cache-control": "no-store, max-age=60"}, None),
        ({"cache-control": "max-age=60", "set-cookie": "a=b"}, None),
        ({"cache-control": "max-age=60", "vary": "Accept, *"}, None),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age=x"}, None),
        ({"expires": "0", "date": "Wed, 25 Nov 2026 14:00:00 GMT"}, None),
        ({"etag": '"a"', "last-modified": "Wed, 25 Nov 2020 14:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_only_what_says_so_is_kept(fields: dict[str, str], seconds: float | None) -> None:
    rules = keeping([(k.encode(), v.encode()) for k, v in fields.items()], with_credential=False)
    assert (None if rules is None else rules.fresh_s) == seconds


def test_what_was_asked_with_a_credential_is_kept_only_where_it_is_public() -> None:
    assert keeping([(b"cache-control", b"max-age=60")], with_credential=True) is None
    assert keeping([(b"cache-control", b"public, max-age=60")], with_credential=True) is not None
    assert wants_anew([(b"cache-control", b"no-cache")])
    assert not wants_anew([(b"cache-control", b"max-age=10")])


@pytest.mark.parametrize(
    ("document", "field", "parameter"),
    [
        (
            {"kind": "basic", "username": "Aladdin", "password": "open sesame"},
            (b"authorization", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), None,
        ),
        ({"kind": "bearer", "token": "t"}, (b"authorization", b"Bearer t"), None),
        ({"kind": "header", "name": "X-Token", "value": "v v"}, (b"x-token", b"v v"), None),
        ({"kind": "query", "name": "api key", "value": "a&b=c"}, None, None),
        ({"kind": "query", "name": "token", "value": "a&b=c"}, None, ("token", "a%26b%3Dc")),
    ],
)  # fmt: skip
def test_a_credential_is_sent_as_its_kind_says(document: dict[str, str], field: object, parameter: object) -> None:
    if field is None and parameter is None:
        with pytest.raises(InvalidParameter):
            checked_credential(document)
        return
    made = credential_of(checked_credential(document))
    assert (made.field, made.parameter) == (field, parameter)
    assert repr(made) == "Credential(…)"


@pytest.mark.parametrize(
    "document",
    [
        {}, {"kind": "none"}, {"kind": "basic", "username": "a:b", "password": "p"}, {"kind": "basic", "username": "a"},
        {"kind": "bearer", "token": "a\r\nHost: x"}, {"kind": "bearer", "token": ""}, {"kind": "bearer", "token": 1},
        {"kind": "header", "name": "Host", "value": "x"}, {"kind": "header", "name": "Content-Length", "value": "1"},
        {"kind": "header", "name": "X\r\nY", "value": "1"}, {"kind": "header", "name": "X", "value": "1", "more": "2"},
    ],
)  # fmt: skip
def test_a_credential_that_is_none_is_refused_and_not_repeated(document: dict[str, object]) -> None:
    with pytest.raises((InvalidBody, InvalidParameter)):
        checked_credential(document)


def test_B33_what_was_sealed_for_one_address_opens_for_no_other() -> None:
    sealer = Sealer(b"0123456789abcdef")
    purpose = purpose_of("wms-1", Origin("https", "maps.example", 443))
    sealed = sealer.seal(b"secret", purpose)
    assert sealer.opened(sealed, purpose) == b"secret"
    assert b"secret" not in sealed
    assert sealer.seal(b"secret", purpose) != sealed
    for other in (
        purpose_of("wms-2", Origin("https", "maps.example", 443)),
        purpose_of("wms-1", Origin("https", "evil.example", 443)),
    ):
        with pytest.raises(SetupProblem):
            sealer.opened(sealed, other)
    for broken in (sealed[:-1], sealed[:-1] + b"\x00", b"", b"\x02" + sealed[1:]):
        with pytest.raises(SetupProblem):
            sealer.opened(broken, purpose)
    with pytest.raises(SetupProblem):
        Sealer(b"another secret key").opened(sealed, purpose)


def test_the_master_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    sealed = sealer_of(settings).seal(b"x", "p")
    file = tmp_path / "data" / "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["secret.key"]
    assert sealer_of(settings).opened(sealed, "p") == b"x"
    file.chmod(0o644)
    with pytest.raises(SetupProblem, match="others may read"):
        sealer_of(settings)
    with pytest.raises(SetupProblem, match="at least"):
        sealer_of(Settings(data_dir=tmp_path, secret_key="short"))
    assert "long enough a key" not in repr(Settings(secret_key="long enough a key"))
