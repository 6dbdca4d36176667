"""Where a page begins, as an opaque token: signed, and good for the query it was given for only."""

import base64
import binascii
import hashlib
import hmac

from cim.errors import InvalidParameter

_MAC_BYTES = 12
MAX_LENGTH = 1500


def _mac(key: bytes, binding: bytes, last_id: bytes) -> bytes:
    return hmac.digest(key, hashlib.sha256(binding).digest() + last_id, "sha256")[:_MAC_BYTES]


def encode_cursor(key: bytes, binding: bytes, last_id: str) -> str:
    """The token for the page behind `last_id`; `binding` is what the query is (collection and conditions)."""
    plain = last_id.encode()
    return base64.urlsafe_b64encode(_mac(key, binding, plain) + plain).rstrip(b"=").decode()


def decode_cursor(key: bytes, binding: bytes, token: str, *, parameter: str = "cursor") -> str:
    """The id in a token. Raises InvalidParameter for one that was changed or belongs to another query."""
    allowed = "must be taken as it is from a next link, with the same collection and conditions"
    try:
        raw = base64.b64decode(
            token[:MAX_LENGTH].encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        last_id = raw[_MAC_BYTES:].decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(parameter, token, allowed) from error
    if len(token) > MAX_LENGTH or not hmac.compare_digest(raw[:_MAC_BYTES], _mac(key, binding, last_id.encode())):
        raise InvalidParameter(parameter, token, allowed)
    return last_id
