"""How a service's upstream knows this node: basic, bearer, a header field or a query parameter."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from cim.errors import InvalidBody, InvalidParameter
from cim.gateway.policy import Origin

FORMS = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "header": ("name", "value"),
    "query": ("name", "value"),
}
"""Form → its members."""
MAX_VALUE = 4096

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
_PRINTABLE = re.compile(r"[ -~]+")
_TAKEN = (
    "host",
    "connection",
    "cookie",
    "te",
    "trailer",
    "upgrade",
    "via",
    "forwarded",
    "expect",
    "date",
    "keep-alive",
    "range",
)
_TAKEN_STARTS = ("content-", "transfer-", "proxy-", "accept", "x-forwarded", "sec-", "if-")


@dataclass(frozen=True, slots=True)
class Credential:
    """`field`: a header field, `parameter`: a query parameter with its encoded value; one of them is None."""

    field: tuple[bytes, bytes] | None = None
    parameter: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return "Credential(…)"  # in no log


def purpose_of(service_id: str, origin: Origin) -> str:
    """What a credential is bound to: this service at this origin. An endpoint moved elsewhere does not get it (catalogue B33)."""
    return f"{service_id} at {origin}"


def checked_credential(document: Mapping[str, Any]) -> bytes:
    """The credential of a request body as it is sealed. Raises InvalidBody, InvalidParameter; no value is repeated."""
    form = document.get("kind")
    if form not in FORMS:
        raise InvalidParameter("kind", form, f"one of {', '.join(FORMS)}")
    if set(document) != {"kind", *FORMS[form]}:
        raise InvalidBody(f"a credential of kind {form} has the members kind, {', '.join(FORMS[form])} and no others")
    for name in FORMS[form]:
        value = document[name]
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_VALUE or "\x00" in value:
            raise InvalidBody(f"{name} must be a text of 1 to {MAX_VALUE} characters")
    if form == "basic" and ":" in document["username"]:
        raise InvalidBody("username must have no colon (RFC 7617, 2)")
    if form in ("bearer", "header") and not _PRINTABLE.fullmatch(document[FORMS[form][-1]]):
        raise InvalidBody(f"{FORMS[form][-1]} must be printable ASCII")
    if form in ("header", "query"):
        _check_name(form, document["name"])
    return orjson.dumps({name: document[name] for name in ("kind", *FORMS[form])})


def _check_name(form: str, name: str) -> None:
    plain = name.lower()
    if not _TOKEN.fullmatch(name):
        raise InvalidParameter("name", name, "letters, digits and -_. of a field or parameter name")
    if form == "header" and (plain in _TAKEN or plain.startswith(_TAKEN_STARTS)):
        raise InvalidParameter("name", name, "a field that carries a credential; this one is the gateway's own")


def credential_of(text: bytes) -> Credential:
    """What `checked_credential` gave, as it is sent."""
    document = orjson.loads(text)
    match document["kind"]:
        case "basic":
            pair = f"{document['username']}:{document['password']}".encode()
            return Credential(field=(b"authorization", b"Basic " + base64.b64encode(pair)))
        case "bearer":
            return Credential(field=(b"authorization", b"Bearer " + document["token"].encode()))
        case "header":
            return Credential(field=(document["name"].lower().encode(), document["value"].encode()))
    return Credential(parameter=(quote(document["name"], safe=""), quote(document["value"], safe="")))
