"""Where a service's calls go: the registered address as a folder of the upstream, and the addresses of calls beneath it."""

from dataclasses import dataclass
from urllib.parse import unquote_plus

from cim.errors import InvalidParameter
from cim.gateway.paths import joined_path
from cim.gateway.policy import Allowed, Origin, checked_url
from cim.gateway.template import split_template

FOLDERS = ("3dtiles", "s3m", "i3s", "stac", "xyz")
"""Kinds whose document names its neighbours by relative addresses: `…/tileset.json` stands for its folder."""

MAX_QUERY = 8192
ENDPOINTS = "endpoints"
"""What the address of a further endpoint has between those of the service and its number."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The upstream of a service.

    `base`: path of what `/services/{id}` stands for, without the slash at its end. `entry`: what a caller of `/services/{id}` is
    sent on to beneath it, "" for the folder itself; None where `base` is called itself. `template`: the rest of an address
    with `{z}`, `{x}` and `{y}` in it. `fixed`: `name=value` of the registered query, which no caller can change.
    """

    origin: Origin
    base: str
    entry: str | None = None
    template: str | None = None
    fixed: tuple[str, ...] = ()

    def target(self, tail: str, query: str, *, secret: tuple[str, str] | None = None) -> str:
        """Path and query of a call: `tail` as it came after `/services/{id}/`, `query` as it came.

        Parameters that the registration or `secret` (a name and its encoded value) fixes are not taken from the caller,
        in whatever case they are written. Raises InvalidParameter for a path or a query that is not let through.
        """
        path = joined_path(self.base, tail) if tail or self.base else "/"
        if self.entry is not None and not tail:
            path = f"{self.base}/"
        if len(query) > MAX_QUERY or any(not "!" <= c <= "~" for c in query):
            raise InvalidParameter("query", query, f"at most {MAX_QUERY} printable ASCII characters")
        kept = unfixed(query, self.names(secret))
        own = list(self.fixed) + ([f"{secret[0]}={secret[1]}"] if secret else [])
        text = "&".join([*own, *([kept] if kept else [])])
        return f"{path}?{text}" if text else path

    def names(self, secret: tuple[str, str] | None = None) -> frozenset[str]:
        """Names of query parameters that callers neither send nor see, in lower case."""
        names = [_name(part) for part in self.fixed]
        return frozenset(names if secret is None else [*names, _name(secret[0])])


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0]).strip().lower()


def unfixed(query: str, names: frozenset[str]) -> str:
    """`query` without the parameters of those names; the others stay as they are written."""
    if not names:
        return query
    return "&".join(part for part in query.split("&") if _name(part) not in names)


def endpoint_of(url: str, kind: str, *, allowed: Allowed) -> Endpoint:
    """The upstream that an endpoint's address names. Raises UpstreamRefused."""
    checked = checked_url(url, allowed=allowed)
    parts = [part for part in checked.query.split("&") if part]
    fixed = tuple(part for part in parts if "{" not in part)
    path, template = split_template(checked.path, checked.query)
    entry = None
    if template is None and path.endswith("/"):
        path, entry = path[:-1], "" if path != "/" else None
    elif template is None and kind in FOLDERS and "." in path.rpartition("/")[2]:
        path, _, entry = path.rpartition("/")
    return Endpoint(checked.origin, path, entry, template, fixed)


def endpoint_path(service_id: str, number: int) -> str:
    """The path of this node at which an endpoint is called: the service's own for the first, one beneath it for others."""
    return f"/services/{service_id}" if number == 1 else f"/services/{service_id}/{ENDPOINTS}/{number}"


def endpoint_number(tail: str) -> tuple[int, str | None] | None:
    """The number of an endpoint that a path beneath a service begins with, and what follows its slash (None without one).

    None for a path that names no endpoint.
    """
    head, _, rest = tail.partition("/")
    number, slash, rest = rest.partition("/")
    if head != ENDPOINTS or not (number.isascii() and number.isdigit()) or len(number) > 3 or number.startswith("0"):
        return None
    return int(number), rest if slash else None


def relayed_path(url: str, service_id: str, number: int = 1) -> str:
    """The path of this node that calls of an endpoint go to, with its template where it has one; a path stays as it is."""
    if url.startswith("/"):
        return url
    address, _, query = url.partition("#")[0].partition("?")
    template = split_template(address, query)[1]
    return endpoint_path(service_id, number) + ("/" if template is None else template)
