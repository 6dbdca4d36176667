"""Entity tags of answers (RFC 9110, 8.8.3)."""

import hashlib
import re
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SMALL_BODY = 4096

_NONCE = bytes(12)
_AES_BYTES = 16


def etag_of(*parts: bytes, key: bytes | None = None) -> str:
    """A weak tag: the same body has the same tag whatever its content coding, and no two bodies share one, by chance or on purpose.

    Checksums alone would not do: whoever can write features could make two answers with one tag, and a cache would keep the
    former. A version of the collection with the question would need no body, but an answer may also depend on other
    collections and on areas. `key`: a secret that all who answer share (`Registry.cursor_key`): with it long bodies are read
    at the speed of memory.
    """
    if sum(map(len, parts)) <= SMALL_BODY:
        return f'W/"{hashlib.blake2b(b"".join(parts), digest_size=12).hexdigest()}"'
    if key is not None:
        return f'W/"{_keyed(key, parts)}"'
    digest = hashlib.sha256(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return f'W/"{digest.hexdigest()[:32]}"'


def _keyed(key: bytes, parts: tuple[bytes, ...]) -> str:
    """Universal hash, then pseudorandom function: GMAC of each part, a keyed BLAKE2b of them.

    GMAC (NIST SP 800-38D) under one nonce is a universal hash as long as nobody sees what it gives, which is why BLAKE2b
    stands before the reader. It takes 0.03 ms for 800 kB, SHA-256 0.4, BLAKE2b 0.6.
    """
    cipher, secret = _keys(key)
    hashed = [cipher.encrypt(_NONCE, b"", part) for part in parts]
    return hashlib.blake2b(b"".join(hashed), key=secret, digest_size=16).hexdigest()


@lru_cache(maxsize=4)
def _keys(key: bytes) -> tuple[AESGCM, bytes]:
    derived = hashlib.blake2b(key, digest_size=_AES_BYTES + 32, person=b"opencim etag").digest()
    return AESGCM(derived[:_AES_BYTES]), derived[_AES_BYTES:]


def versioned_etag(version: str, body: bytes) -> str:
    """A strong tag of a feature's representation; what stands before the dot names the version that is stored."""
    return f'"{version}.{hashlib.blake2b(body, digest_size=9).hexdigest()}"'


_CODED = re.compile(r"-(?:gzip|br|zstd)(?=\"$)")


def uncoded(tag: str) -> str:
    """A tag without the name of the content coding that `api.middleware.Border` puts into strong ones."""
    return _CODED.sub("", tag)
