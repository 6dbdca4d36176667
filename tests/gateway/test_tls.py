"""Upstreams by https: certificates are checked against the name that was registered, whatever address is connected to."""

import datetime
import ssl
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import serving
from tests.gateway.conftest import Shelf
from tests.gateway.upstream import answer, upstream
from tests.problems import assert_problem


def certificate(folder: Path, name: str, names: list[x509.GeneralName]) -> Path:
    """A file with a self-signed certificate for `names` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def server_side(file: Path, asked: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    return context


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A certificate for `localhost` that the node is told to trust."""
    return certificate(tmp_path, "localhost", [x509.DNSName("localhost")])


def test_a_certificate_is_good_for_its_name_only(database_url: str, tmp_path: Path, known: Path) -> None:
    asked: list[str | None] = []
    other = certificate(tmp_path, "stranger", [x509.DNSName("localhost")])
    with ExitStack() as stack:
        good = stack.enter_context(upstream(server_side(known, asked)))
        unknown = stack.enter_context(upstream(server_side(other, asked)))
        shelf = Shelf(stack.enter_context(psycopg.connect(database_url, autocommit=True)))
        pairs = f"localhost:{good.port},127.0.0.1:{good.port},localhost:{unknown.port}"
        node = stack.enter_context(serving(database_url, CIM_ALLOWED_UPSTREAMS=pairs, SSL_CERT_FILE=str(known)))
        client = stack.enter_context(httpx2.Client(base_url=node.url, timeout=30))
        good.on("/wms", answer(b"map", content_type="image/png"))
        assert client.get(shelf.put("by-name", f"https://localhost:{good.port}/wms")).content == b"map"
        assert asked == ["localhost"]
        assert good.asked[-1].headers["host"] == f"localhost:{good.port}"
        numbered = shelf.put("by-number", f"https://127.0.0.1:{good.port}/wms")
        assert_problem(client.get(numbered), status=502, code="upstream-unreachable")
        unsigned = shelf.put("unsigned", f"https://localhost:{unknown.port}/wms")
        assert_problem(client.get(unsigned), status=502, code="upstream-unreachable")
    assert (len(good.asked), len(unknown.asked)) == (1, 0)
