"""Credentials of upstreams, sealed: AES-256-GCM under the node's master key, bound to what they are for."""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cim.errors import SetupProblem
from cim.settings import Settings

MIN_SECRET = 16
KEY_FILE = "secret.key"

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Sealer:
    """Seals and opens texts. `purpose` is authenticated with the text: what was sealed for one service opens for no other."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: the master secret, of any length from `MIN_SECRET`."""
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"opencim upstream credentials").derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, text: bytes, purpose: str) -> bytes:
        """`text` as it may be stored."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text, purpose.encode())

    def opened(self, sealed: bytes, purpose: str) -> bytes:
        """What was sealed for `purpose`. Raises SetupProblem where the master key is another, or the text was changed."""
        start = len(_VERSION) + _NONCE_BYTES
        try:
            if sealed[:1] != _VERSION:
                raise InvalidTag
            return self._cipher.decrypt(sealed[len(_VERSION) : start], sealed[start:], purpose.encode())
        except InvalidTag as error:
            raise SetupProblem(
                "a stored credential cannot be opened: the master key (CIM_SECRET_KEY, or secret.key in the data folder) is not "
                "the one it was sealed with, or it was sealed for another service or address; set it anew"
            ) from error


def sealer_of(settings: Settings) -> Sealer:
    """The sealer under `CIM_SECRET_KEY`, or under the key file of the data folder, which is made at first use.

    Raises SetupProblem for a secret that is too short, or a file that others may read.
    """
    if settings.secret_key is not None:
        if len(settings.secret_key) < MIN_SECRET:
            raise SetupProblem(
                f"CIM_SECRET_KEY has at least {MIN_SECRET} characters; make one by: openssl rand -hex 32"
            )
        return Sealer(settings.secret_key.encode())
    return Sealer(_file_secret(settings.data_dir / KEY_FILE))


def _file_secret(path: Path) -> bytes:
    """The secret in the file; two processes that make it at once have the same one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
            sink.write(secrets.token_hex(32).encode())
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    if path.stat().st_mode & 0o077:
        raise SetupProblem(f"others may read the master key {path.name}; run: chmod 600 {path.name} in the data folder")
    secret = path.read_bytes().strip()
    if len(secret) < MIN_SECRET:
        raise SetupProblem(f"the master key {path.name} is too short; restore it from a copy, or remove it")
    return secret
