"""An upstream on loopback: says what it was asked, byte for byte, and answers as a test wants it, byte for byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.conftest import free_port

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes


Answer = bytes | Callable[[socket.socket], None]


def answer(body: bytes = b"ok", status: str = "200 OK", **headers: str) -> bytes:
    """An answer with its length; `content_type` and the like as header fields."""
    fields = {
        "Content-Type": "text/plain",
        **{name.replace("_", "-").title(): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Upstream:
    """`on(path, answer)` says what is answered to a target; `asked` is what came."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    _answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, made: Answer | Callable[[Asked], Answer]) -> None:
        self._answers[path] = made

    def asked_for(self, path: str) -> list[Asked]:
        """The requests for one path."""
        return [one for one in self.asked if one.target.partition("?")[0] == path]

    def serve(self, opened: socket.socket) -> None:
        """One connection: requests in their order until one side goes."""
        self.connections += 1
        stream = opened.makefile("rb")
        with opened, suppress(OSError, ValueError):
            while line := stream.readline():
                raw, headers = line, {}
                while (field_line := stream.readline()) not in (b"\r\n", b""):
                    raw += field_line
                    name, _, value = field_line.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                method, target, _ = line.decode("latin-1").split(" ", 2)
                body = stream.read(int(headers.get("content-length", 0)))
                asked = Asked(method, target, headers, body, raw + body)
                self.asked.append(asked)
                made = self._answers.get(target.partition("?")[0], answer(b"nothing", "404 Not Found"))
                if callable(made) and not isinstance(made, bytes) and made.__code__.co_varnames[:1] == ("asked",):
                    made = made(asked)  # type: ignore[arg-type, assignment]
                if isinstance(made, bytes):
                    opened.sendall(made)
                else:
                    made(opened)  # type: ignore[operator]
                    return


@contextmanager
def upstream(tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """A listener of the test's own, on loopback."""
    listener = socket.create_server(("127.0.0.1", free_port()))
    running = Upstream(listener.getsockname()[1])

    def serve(opened: socket.socket) -> None:
        with suppress(OSError):
            running.serve(opened if tls is None else tls.wrap_socket(opened, server_side=True))

    def accept() -> None:
        with suppress(OSError):
            while True:
                opened, _ = listener.accept()
                threading.Thread(target=serve, args=(opened,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield running
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
