"""Which addresses may be called: the policy's pure part, for whatever a stranger writes (B32; no socket is opened)."""

import asyncio
import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import InvalidParameter, UpstreamBlocked, UpstreamRefused
from cim.gateway.addresses import is_public
from cim.gateway.paths import is_normal_path, joined_path
from cim.gateway.policy import checked_endpoint, checked_url, parse_allowed
from cim.gateway.resolve import resolve, resolved

CLOSED = [
    "http://127.0.0.1/", "http://127.0.0.1:5432/", "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/",
    "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://0/", "http://0.0.0.0/", "http://1.2.3.4.5/",
    "http://10.1.2.3/", "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://100.100.100.200/",
    "http://169.254.169.254/latest/meta-data/", "http://192.0.0.192/", "http://198.18.0.1/", "http://203.0.113.5/",
    "http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://[::ffff:8.8.8.8]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::1]/",
    "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[fc00::1]/", "http://[fd12:3456::1]/", "http://[ff02::1]/",
    "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::]/", "http://[2001:db8::1]/", "http://localhost/", "http://LOCALHOST./",
    "http://a.localhost/", "http://db/", "http://printer.local/", "http://metadata.google.internal/", "http://router.lan/",
]  # fmt: skip
MALFORMED = [
    "", "maps.example", "//maps.example/", "file:///etc/passwd", "gopher://maps.example/", "ftp://maps.example/",
    "javascript:alert(1)", "data:text/html,x", "http:/maps.example", "http:maps.example", "http:///x", "http://", "http://?x",
    "http://user@maps.example/", "http://user:pw@maps.example/", "http://maps.example@10.0.0.1/", "http://maps.example:0/",
    "http://maps.example:/", "http://maps.example:99999/", "http://maps.example:x/", "http://[::1/", "http://maps.example/a b",
    "http://maps.example/\n", "http://maps.example\\@10.0.0.1/", "http://maps.example/\\..\\x", "http://maps.example/../x",
    "http://maps.example/a/%2e%2e/b", "http://maps.example/a%2fb", "http://maps.example/%252e%252e/", "http://maps.example/#x",
    "http://maps..example/", "http://-maps.example/", "http://地图.example/", "http://maps.example/" + "a" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("url", [*CLOSED, *MALFORMED])
def test_B32_an_address_of_a_closed_network_or_no_address_is_refused(url: str) -> None:
    with pytest.raises(UpstreamRefused) as caught:
        checked_url(url, parameter="endpoints")
    assert caught.value.parameter == "endpoints"
    assert "pw" not in caught.value.detail


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://Maps.Example/wms?service=WMS", "https://maps.example/wms?service=WMS"),
        ("http://maps.example.:80/", "http://maps.example/"),
        ("http://maps.example", "http://maps.example/"),
        ("https://maps.example:8443/a/{z}/{x}/{y}.png", "https://maps.example:8443/a/{z}/{x}/{y}.png"),
        ("http://8.8.8.8/x", "http://8.8.8.8/x"),
        ("http://[2606:4700:0:0::6810:84e5]/", "http://[2606:4700::6810:84e5]/"),
        ("https://xn--fiqs8s.example/", "https://xn--fiqs8s.example/"),
    ],
)
def test_a_public_address_passes_in_its_plain_form(url: str, plain: str) -> None:
    assert str(checked_url(url)) == plain


def test_only_the_pair_of_host_and_port_that_is_listed_is_opened() -> None:
    allowed = parse_allowed("127.0.0.1:8081, gis.city.lan:80,[::1]:8081")
    for url in ("http://127.0.0.1:8081/x", "http://gis.city.lan/wms", "http://[0:0::1]:8081/"):
        checked_url(url, allowed=allowed)
    for url in ("http://127.0.0.1:8082/", "http://127.0.0.1/", "https://gis.city.lan/", "http://127.0.0.2:8081/"):
        with pytest.raises(UpstreamRefused):
            checked_url(url, allowed=allowed)


@pytest.mark.parametrize("text", ["10.0.0.0/8:80", "127.0.0.1", "*", ":80", "gis.city.lan:0", "true"])
def test_the_list_takes_pairs_only(text: str) -> None:
    with pytest.raises(UpstreamRefused, match="CIM_ALLOWED_UPSTREAMS"):
        parse_allowed(text)


def test_a_path_of_this_node_is_an_endpoint() -> None:
    assert checked_endpoint("/collections/buildings/items?limit=3") is None
    for url in ("//evil.example/", "/a/../b", "/a%2fb", "/a b", "/\\evil.example"):
        with pytest.raises(UpstreamRefused):
            checked_endpoint(url)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_is_public_is_so_for_the_standard_library_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert getattr(address, "ipv4_mapped", None) is None


@settings(max_examples=200, deadline=None)
@given(st.ip_addresses(v=4), st.sampled_from(["{0}", "0x{1:x}", "{1}", "0{1:o}", "[::ffff:{0}]", "[64:ff9b::{0}]"]))
def test_a_closed_address_is_closed_however_it_is_written(address: ipaddress.IPv4Address, form: str) -> None:
    if not address.is_global or form != "{0}":
        with pytest.raises(UpstreamRefused):
            checked_url(f"http://{form.format(address, int(address))}/")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="./\\%25fFeEc0a;:@?# \x00\t￼．／", max_size=24))
def test_a_joined_path_stays_beneath_its_base(tail: str) -> None:
    try:
        path = joined_path("/city/wms", tail)
    except InvalidParameter:
        return
    assert path.startswith("/city/wms")
    assert path == "/city/wms" or path[len("/city/wms")] == "/"
    assert is_normal_path(path)
    assert path.isascii()
    assert joined_path("/city/wms", path.removeprefix("/city/wms").removeprefix("/")) == path


@pytest.mark.parametrize(
    "tail",
    [
        "..", "../x", "a/../b", "a/./b", ".", "%2e%2e/x", "a/%2E/b", ".%2e", "a%2fb", "a%5cb", "a\\b", "%252e%252e", "%25%32%65", "a%00",
        "%0d%0aHost:x", "a//b", "/a", "..;/x", "..;a=b/x", "a/..%3b/x", "%c0%ae%c0%ae/", "．．/x", "%EF%BC%8E%EF%BC%8E", "a%2", "a%zz",
        "a%e2%80%a5/x/%E2%80%A5", "a" * 5000,
    ],
)  # fmt: skip
def test_a_path_that_could_climb_is_refused_and_never_mended(tail: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        joined_path("/city/wms", tail)
    assert caught.value.parameter == "path"


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("", "/city"),
        ("a/b.png", "/city/a/b.png"),
        ("a/", "/city/a/"),
        ("%41%7e%2c", "/city/A~%2C"),
        ("建筑", "/city/%E5%BB%BA%E7%AD%91"),
        ("%e5%bb%ba", "/city/%E5%BB%BA"),
        ("a..b/...", "/city/a..b/..."),
        ("x:y@z;v=1,2", "/city/x:y@z;v=1,2"),
    ],
)
def test_a_harmless_path_is_joined_in_normal_form(tail: str, path: str) -> None:
    assert joined_path("/city", tail) == path


def test_B32_a_name_that_stands_for_a_closed_address_is_blocked() -> None:
    with pytest.raises(UpstreamBlocked):
        resolved("localhost", 80, allowed=frozenset())
    with pytest.raises(UpstreamBlocked):
        asyncio.run(resolve("localhost", 80, allowed=parse_allowed("localhost:81")))
    assert asyncio.run(resolve("127.0.0.1", 81, allowed=parse_allowed("127.0.0.1:81"))) == ["127.0.0.1"]


def test_B32_a_name_with_one_closed_address_among_open_ones_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*numbers: str) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (number, 80)) for number in numbers]

    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found("8.8.8.8", "9.9.9.9", "8.8.8.8"))
    assert resolved("maps.example", 80, allowed=frozenset()) == ["8.8.8.8", "9.9.9.9"]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found("8.8.8.8", "169.254.169.254"))
    with pytest.raises(UpstreamBlocked):
        resolved("maps.example", 80, allowed=frozenset())
    assert "169.254.169.254" in resolved("maps.example", 80, allowed=parse_allowed("maps.example:80"))
