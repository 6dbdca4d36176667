"""Passwords: argon2id digests, and what is taken as a password."""

from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cim.errors import InvalidParameter

SHORTEST, LONGEST = 10, 200

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's figures for argon2id: 19 MiB and two passes, some 30 ms."""

_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$5LAnZRva1/pHEfOk7uav7Q$cWEN30yYl0t2akcV7arAHM2VIbHwIdd190TBq7gO7N4"


def checked_password(value: Any, login: str, *, parameter: str = "password") -> str:
    """A password of some length that is not the login. Raises InvalidParameter, which does not repeat it."""
    allowed = f"a text of {SHORTEST} to {LONGEST} characters that does not hold the login, and not one character again and again"
    is_text = isinstance(value, str) and SHORTEST <= len(value) <= LONGEST and value.isprintable()
    if not is_text or login.lower() in value.lower() or len(set(value)) < 4:
        raise InvalidParameter(parameter, "…", allowed, rule="password", least=SHORTEST, most=LONGEST)
    return str(value)


def digest_of_password(password: str) -> str:
    """What is stored of a password. Takes some 30 ms of a processor and 19 MiB: call it off the event loop."""
    return _HASHER.hash(password)


def is_password(password: str, digest: str | None) -> bool:
    """True for the password of the digest. Without a digest it takes as long, so that nobody learns which logins there are."""
    try:
        _HASHER.verify(digest or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return digest is not None
