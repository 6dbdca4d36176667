"""Content codings: their levels, which one a caller gets, and a body in it."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import brotli
import zstandard


def compression_options() -> dict[str, Any]:
    """Levels for bodies made for one caller; media types that are compressed already are not in the lists."""
    return {"minimum_size": 1000, "zstd_level": 3, "brotli_quality": 4, "gzip_level": 4}


_LEVELS = compression_options()


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVELS["gzip_level"], zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda body: zstandard.ZstdCompressor(level=_LEVELS["zstd_level"]).compress(body),
    "br": lambda body: brotli.compress(body, quality=_LEVELS["brotli_quality"]),
    "gzip": _gzip,
}


@lru_cache(maxsize=128)
def coding_of(accept_encoding: str) -> str:
    """The content coding to send, `identity` where none of ours is accepted (RFC 9110, 12.5.3)."""
    accepted = {}
    for member in accept_encoding.lower().split(","):
        name, _, weight = member.partition(";")
        accepted[name.strip()] = not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    for name in _CODINGS:
        if accepted.get(name, accepted.get("*", False)):
            return name
    return "identity"


def encoded(body: bytes, coding: str) -> bytes:
    """`body` in a coding that `coding_of` gave, but `identity`."""
    return _CODINGS[coding](body)
