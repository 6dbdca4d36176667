"""Which addresses of services may be reached (catalogue B32): decided here for registration, harvest, health and calls.

`checked_url` is pure and looks at the text; `cim.gateway.resolve` looks at what the name stands for, when a connection is made.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from cim.errors import UpstreamRefused
from cim.gateway.addresses import is_public, parse_address
from cim.gateway.paths import is_normal_path

PORTS = {"http": 80, "https": 443}
MAX_URL = 2000

Allowed = frozenset[tuple[str, int]]
"""Pairs of host and port that may be reached although they are not public."""

NONE: Allowed = frozenset()

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_LOCAL = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "localdomain", "onion")
"""Names that are never public (RFC 6761, RFC 6762, RFC 8375; .internal is reserved by ICANN)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection leads: `host` is a name in lower case, or an address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As `Host` has it: without the port that is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """An address that the policy lets pass. `path` begins with a slash; `query` is without its question mark."""

    origin: Origin
    path: str
    query: str

    def __str__(self) -> str:
        return f"{self.origin}{self.path}" + (f"?{self.query}" if self.query else "")


@lru_cache(maxsize=16)
def parse_allowed(text: str) -> Allowed:
    """The pairs of the setting `CIM_ALLOWED_UPSTREAMS`: `gis.city.lan:8080, [fd00::7]:443`.

    Raises UpstreamRefused for an entry without a port: a host as a whole is never opened.
    """
    pairs = []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        host, _, port = entry.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or "/" in host or not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
            raise UpstreamRefused(f"CIM_ALLOWED_UPSTREAMS: '{entry[:100]}' is no pair of host:port")
        pairs.append((_plain_host(host), int(port)))
    return frozenset(pairs)


def checked_url(url: str, *, allowed: Allowed = NONE, parameter: str | None = None) -> CheckedUrl:
    """`url` as the policy lets it pass; what a name stands for is not looked up.

    Only http and https; no user name; a host that is no address of a private, loopback or otherwise special network, no number
    in disguise and no local name, unless host:port is among `allowed`; a path in normal form. Raises UpstreamRefused.
    """

    def refused(why: str) -> UpstreamRefused:
        return UpstreamRefused(f"{url[:200]!r} may not be called: {why}", parameter=parameter)

    if not url or len(url) > MAX_URL or _UNPRINTABLE.search(url) or "\\" in url:
        raise refused(f"an address has at most {MAX_URL} printable ASCII characters, and no backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused("its host or port is malformed") from error
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise refused("only http and https are called")
    if "@" in parts.netloc:  # not repeated: it may be a password
        raise UpstreamRefused("an address carries no user name; credentials are set apart", parameter=parameter)
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        raise refused("it has no host, or no port after the colon")
    if parts.fragment:
        raise refused("an endpoint has no fragment")
    origin = Origin(scheme, _plain_host(parts.hostname), port or PORTS[scheme])
    if (origin.host, origin.port) not in allowed:
        why = _why_closed(origin.host)
        if why is not None:
            raise refused(why)
    path = parts.path or "/"
    if not is_normal_path(path):
        raise refused("its path has dot segments, encoded slashes, doubly encoded or control characters")
    return CheckedUrl(origin, path, parts.query)


def checked_endpoint(url: str, *, allowed: Allowed = NONE, parameter: str | None = None) -> CheckedUrl | None:
    """As `checked_url`, for what a service may have as its endpoint: None for a path of this node. Raises UpstreamRefused."""
    if not url.startswith("/") or url.startswith("//"):
        return checked_url(url, allowed=allowed, parameter=parameter)
    path = url.partition("?")[0]
    if len(url) > MAX_URL or _UNPRINTABLE.search(url) or not is_normal_path(path):
        raise UpstreamRefused(f"{url[:200]!r} is no path of this node in normal form", parameter=parameter)
    return None


def _plain_host(host: str) -> str:
    """`host` in lower case, without the dot of the root, addresses in their shortest form."""
    plain = host.lower().removesuffix(".")
    address = parse_address(plain)
    return plain if address is None else str(address)


def _why_closed(host: str) -> str | None:
    """Why the host may not be reached, by its text alone; None where it may."""
    address = parse_address(host)
    if address is not None:
        return None if is_public(address) else "its host is in a private or special network"
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "its host is no name (write other alphabets as xn--…)"
    if _NUMBER.fullmatch(labels[-1]):
        return "its host is a number in disguise"  # as 127.1, 2130706433 or 0x7f.1 (WHATWG URL, 3.5)
    if len(labels) == 1 or any(host == name or host.endswith("." + name) for name in _LOCAL):
        return "its host is a local name"
    return None
