"""Requests as bytes on a socket: what no client library would send."""

import socket
import time
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    """A connection to a server."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=30)


def exchange(url: str, request: bytes) -> tuple[int, bytes]:
    """Send `request`, read to the end of the connection; status (0 for none) and everything received."""
    with connect(url) as opened:
        opened.sendall(request)
        return read_all(opened)


def read_all(opened: socket.socket, timeout_s: float = 30) -> tuple[int, bytes]:
    """Status and bytes up to the end of the connection."""
    received = b""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        opened.settimeout(max(0.05, deadline - time.monotonic()))
        try:
            piece = opened.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            break
        if not piece:
            break
        received += piece
    status = int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else 0
    return status, received
