"""A source of harvests on loopback: documents by path, requests counted, what is asked for kept."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.conftest import free_port


@dataclass
class Source:
    """`documents`: path, or path with query, to body, or to (status, headers, body). `held`: the path that is answered when
    `released` is set."""

    port: int
    documents: dict[str, bytes | tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    held: str | None = None
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pair(self) -> str:
        """As the setting of allowed upstreams has it."""
        return f"127.0.0.1:{self.port}"


@contextmanager
def serving_source() -> Iterator[Source]:
    """A source with nothing in it yet."""
    source = Source(free_port())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            source.asked.append(self.path)
            source.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.path == source.held:
                source.released.wait(60)
            found = source.documents.get(self.path, source.documents.get(self.path.partition("?")[0]))
            if found is None:
                found = (404, {}, b"")
            status, headers, body = found if isinstance(found, tuple) else (200, {}, found)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", source.port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()


def catalogues(shared_data: Path) -> list[Path]:
    """The real documents."""
    return sorted((shared_data / "catalogues").iterdir())
