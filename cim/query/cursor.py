"""Where a page begins, as an opaque token: signed, and good for the query it was given for only."""

import base64
import binascii
import hashlib
import hmac

from cim.errors import InvalidParameter

_MAC_BYTES = 12
MAX_LENGTH = 1900


def _mac(key: bytes, binding: bytes, last: bytes) -> bytes:
    """A keyed BLAKE2b (RFC 7693, 2.9): OpenSSL's HMAC takes ten times as long to begin."""
    short = hashlib.blake2b(binding, digest_size=32).digest()
    return hashlib.blake2b(short + last, key=key[: hashlib.blake2b.MAX_KEY_SIZE], digest_size=_MAC_BYTES).digest()


def encode_cursor(key: bytes, binding: bytes, last: str) -> str:
    """The token for the page behind `last`, an id or a position; `binding` is what the query is (collection, conditions, order)."""
    plain = last.encode()
    return base64.urlsafe_b64encode(_mac(key, binding, plain) + plain).rstrip(b"=").decode()


def decode_cursor(key: bytes, binding: bytes, token: str, *, parameter: str = "cursor") -> str:
    """What `encode_cursor` was given. Raises InvalidParameter for one that was changed or belongs to another query."""
    allowed = "must be taken as it is from a next link, with the same collection and conditions"
    try:
        raw = base64.b64decode(
            token[:MAX_LENGTH].encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        last = raw[_MAC_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(parameter, token, allowed) from error
    if len(token) > MAX_LENGTH or not hmac.compare_digest(raw[:_MAC_BYTES], _mac(key, binding, last.encode())):
        raise InvalidParameter(parameter, token, allowed)
    return last
