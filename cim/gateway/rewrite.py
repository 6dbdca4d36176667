"""Addresses in answers made ours: those beneath the registered endpoint become `/services/{id}/…`, no others.

Nothing is parsed and nothing else is changed: an address is found by its text where documents hold addresses (a JSON string, an
XML attribute, the text of an XML element), so a stranger's document reaches no parser of this process, and numbers, order and
namespaces stay as they are. Documents in encodings that are no superset of ASCII stay as they are.
"""

import re
from dataclasses import dataclass

from cim.gateway.endpoint import Endpoint, unfixed
from cim.gateway.policy import PORTS, Origin

JSON = "json"
XML = "xml"

_KEPT_KEYS = frozenset(
    (b"id", b"@id", b"$id", b"$schema", b"@context", b"@type", b"conformsTo", b"namespace", b"xmlNamespace")
)
"""Members of JSON that name things: a name stays, be it an address."""
_ADDRESS_KEYS = frozenset((b"href", b"url", b"uri", b"contentUrl", b"src", b"tileUrl"))
"""Members that hold addresses, also such as begin at the root of the host."""
_KEPT_ATTRIBUTES = re.compile(
    rb"xmlns(?::.*)?|(?:.*:)?(?:targetNamespace|namespace|codeSpace|id|uom|srsName|type)", re.DOTALL
)
_ADDRESS_ATTRIBUTES = re.compile(rb"(?:.*:)?(?:href|onlineResource|template|src)", re.DOTALL)
_KEPT_ELEMENTS = frozenset(
    (b"identifier", b"Identifier", b"fileIdentifier", b"code", b"Code", b"codeSpace", b"Namespace", b"id")
)

_BEFORE_NAMES = (b" ", b"\n", b"\t", b"\r", b"<")
_ELEMENT = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,80}:)?([A-Za-z_][\w.-]{0,80})[\s>]")
_NEAR = 256
"""Bytes looked back at for the name of what holds an address."""
_BACK = 2048
"""Bytes looked back at for the tag that a text, or the attribute that a list of addresses stands in."""

_BEHIND = rb"(?=[\"'/?#<>\s\\{]|&quot;|\Z)"
_END = {JSON: re.compile(rb'"'), XML: re.compile(rb"[\"'<>\s]")}
_AMPERSANDS = re.compile(rb"&amp;|\\u0026|&#38;|&#x26;|&")


@dataclass(frozen=True, slots=True)
class Rewriter:
    """The addresses of one service. `public` is `…/services/{id}`, `hidden` the query parameters that callers do not see."""

    endpoint: Endpoint
    public: str
    hidden: frozenset[str]
    _whole: re.Pattern[bytes]
    _rooted: re.Pattern[bytes] | None
    _plain: bytes
    _escaped: bytes

    def rewritten(self, body: bytes, form: str) -> bytes:
        """A whole JSON or XML document with its addresses made ours."""
        body = self._pass(body, form, self._whole, is_whole=True)
        return body if self._rooted is None else self._pass(body, form, self._rooted, is_whole=False)

    def elsewhere(self, body: bytes, form: str) -> bytes:
        """A document of another endpoint of the service, with absolute addresses beneath this one made ours."""
        return self._pass(body, form, self._whole, is_whole=True)

    def _pass(self, body: bytes, form: str, pattern: re.Pattern[bytes], *, is_whole: bool) -> bytes:
        keeps, back = (_keeps_json, _NEAR) if form == JSON else (_keeps_xml, _BACK)
        pieces: list[bytes] = []
        done = 0
        for match in pattern.finditer(body):
            if match.start() < done or keeps(body[max(0, match.start() - back) : match.start()], is_whole=is_whole):
                continue
            pieces += [body[done : match.start()], self._ours(match, form)]
            done = match.end()
            if self.hidden:
                end = _END[form].search(body, done)
                stop = len(body) if end is None else end.start()
                pieces.append(_without(body[done:stop], self.hidden))
                done = stop
        return b"".join((*pieces, body[done:])) if pieces else body

    def address(self, address: str) -> str | None:
        """One absolute or root-relative address made ours; None for one that is not beneath the endpoint."""
        text = address.encode("latin-1", "replace")
        match = self._whole.match(text) or (self._rooted.match(text) if self._rooted else None)
        if match is None:
            return None
        return (self._ours(match, XML) + _without(text[match.end() :], self.hidden)).decode("latin-1")

    def _ours(self, match: re.Match[bytes], form: str) -> bytes:
        return self._escaped if form == JSON and b"\\/" in match[0] else self._plain


def rewriter(endpoint: Endpoint, public: str, *, secret_name: str | None = None) -> Rewriter:
    """The rewriter of a service that is called at `public`; `secret_name`: the parameter that carries its credential."""
    names = endpoint.names((secret_name, "") if secret_name else None)
    path = re.escape(endpoint.base.encode()).replace(b"/", rb"\\?/")
    whole = re.compile(_origin(endpoint.origin) + path + _BEHIND)
    rooted = re.compile(path + _BEHIND) if path else None
    plain = public.encode()
    return Rewriter(endpoint, public, names, whole, rooted, plain, plain.replace(b"/", b"\\/"))


def _origin(origin: Origin) -> bytes:
    """The origin as documents write it: under either scheme, since servers behind a proxy do not know theirs."""
    host = re.escape(origin.host.encode())
    if ":" in origin.host:
        host = rb"\[" + host + rb"\]"
    slashes = rb":\\?/\\?/"
    port = rb"(?::80|:443)?" if origin.port == PORTS[origin.scheme] else rb":%d" % origin.port
    return rb"http[s]?" + slashes + rb"(?i:" + host + rb")" + port


def _keeps_json(before: bytes, *, is_whole: bool) -> bool:
    """True where what follows `before` is no address that may be changed."""
    if not before.endswith(b'"'):
        return True
    key = _json_key(before)
    if key is None:
        return not is_whole  # in a list: an absolute address is one, a path may be anything
    return key in _KEPT_KEYS if is_whole else key not in _ADDRESS_KEYS


def _json_key(before: bytes) -> bytes | None:
    """The member whose value, or whose list's first value, begins with the quotation mark at the end; None for no member."""
    text = before[:-1].rstrip()
    if text.endswith(b"["):
        text = text[:-1].rstrip()
    if not text.endswith(b":"):
        return None
    text = text[:-1].rstrip()
    return text[text.rfind(b'"', 0, -1) + 1 : -1] if text.endswith(b'"') else None


def _keeps_xml(before: bytes, *, is_whole: bool) -> bool:
    stripped = before.rstrip()
    if stripped.endswith((b'"', b"'")) and (attribute := _attribute(stripped[-_NEAR:-1])):
        if attribute.endswith(b"schemaLocation"):
            return True  # the first of a pair is a namespace
        if not is_whole:
            return _ADDRESS_ATTRIBUTES.fullmatch(attribute) is None
        return _KEPT_ATTRIBUTES.fullmatch(attribute) is not None
    if not is_whole:
        return True
    if stripped.endswith(b">"):
        element = _ELEMENT.match(stripped, stripped.rfind(b"<"))
        return element is None or element[1] in _KEPT_ELEMENTS
    return not _is_location(before)


def _attribute(before: bytes) -> bytes | None:
    """The name of the attribute whose value begins behind `before`; None where no value does."""
    text = before.rstrip()
    if not text.endswith(b"="):
        return None
    text = text[:-1].rstrip()
    return text[max(map(text.rfind, _BEFORE_NAMES)) + 1 :] or None


def _is_location(before: bytes) -> bool:
    """True where a `schemaLocation` is open and what follows is the second of a pair."""
    start = max(before.rfind(b'"'), before.rfind(b"'"))
    name = before[max(0, start - _NEAR) : max(start, 0)].rstrip()
    if not name.endswith(b"=") or not name[:-1].rstrip().endswith(b"schemaLocation"):
        return False
    return len(before[start + 1 :].split()) % 2 == 1


def _without(rest: bytes, names: frozenset[str]) -> bytes:
    """What follows the endpoint in an address, without the query parameters of those names, its ampersands as they were."""
    path, mark, query = rest.partition(b"?")
    if not mark or not names:
        return rest
    found = _AMPERSANDS.search(query)
    ampersand = found[0] if found else b"&"
    plain = _AMPERSANDS.sub(b"&", query).decode("latin-1")
    return path + mark + unfixed(plain, names).encode("latin-1").replace(b"&", ampersand)


def form_of(media_type: str, kind: str) -> str | None:
    """JSON, XML, or None for what passes unread."""
    if media_type.endswith(("/json", "+json")) or (kind == "arcgis" and media_type == "text/plain"):
        return JSON
    if media_type == "image/svg+xml":
        return None
    is_xml = media_type.endswith(("/xml", "+xml", "_xml")) or media_type.startswith("text/xml")
    return XML if is_xml else None
