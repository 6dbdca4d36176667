"""`python -m tests.metering.door`: the real server with one more address, `/door/{service}`, whose calls are metered.

`?size=`: bytes of the answer; `?chunks=`: how many pieces it is sent in, without a length; `?wait=`: seconds before it;
`?org=`, `?grant=`, `?quota=`, `?rate=`: who calls, and what they may.

`SLOW_DISK=folder`: the disk flushes nothing as long as the file `stuck` is in the folder, takes 50 ms, and notes each flush in `flushes`.
"""

import asyncio
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from api.context import context_of
from api.direct import Doors
from api.metering import MeteredSend
from api.server import ServerConfig
from cim.metering.call import ANONYMOUS, Call
from cim.metering.quota import Limits
from cim.settings import Settings


class _Metered(Response):
    """An answer sent through the meter."""

    def __init__(self, inner: Response, meter: Any, admitted: Any) -> None:
        super().__init__()
        self.inner, self.meter, self.admitted = inner, meter, admitted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_head = bool(scope["state"].get("is_head"))
        async with MeteredSend(send, self.meter, self.admitted, is_head=is_head, rows=lambda: 3) as metered:
            await self.inner(scope, receive, metered)


async def door(request: Request) -> Response:
    """One metered call."""
    asked = request.query_params
    meter = context_of(request).meter
    assert meter is not None
    limits = None
    if "grant" in asked:
        rate = asked.get("rate")
        quota = asked.get("quota")
        calls, seconds = (None, None) if rate is None else map(int, rate.split("/"))
        limits = Limits(asked["grant"], None if quota is None else int(quota), calls, seconds)
    call = Call(
        request.path_params["service"],
        organisation_id=asked.get("org", ANONYMOUS),
        grant_id=asked.get("grant", ""),
        scenario_id=asked.get("scenario", ""),
        call_id=request.headers.get("x-call-id"),
    )
    if "deny" in asked:
        await meter.deny(call, status=int(asked["deny"]))
        return Response(status_code=int(asked["deny"]))
    admitted = await meter.admit(call, limits)
    await asyncio.sleep(float(asked.get("wait", 0)))
    size, chunks = int(asked.get("size", 10)), int(asked.get("chunks", 0))
    if not chunks:
        return _Metered(Response(b"x" * size), meter, admitted)

    async def pieces() -> Any:
        for _ in range(chunks):
            await asyncio.sleep(0.05)
            yield b"x" * size

    return _Metered(StreamingResponse(pieces()), meter, admitted)


def application(settings: Settings) -> Any:
    """The application with the door."""
    app = create_app(settings)
    app.router.routes.append(Route("/door/{service}", door))
    app.doors = Doors(route for route in app.routes if type(route) is Route)
    return app


class Config(ServerConfig):
    """The server's configuration with the door."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.app = partial(application, settings)


def slow_disk(folder: Path) -> None:
    """Make the disk of this process such a one."""
    flush = os.fdatasync

    def slowly(file: int) -> None:
        # the thread that closes segments goes on: stuck, it would hold every call up, waited for or not
        while (folder / "stuck").exists() and threading.current_thread().name != "meter":
            time.sleep(0.01)
        time.sleep(0.05)
        flush(file)
        with (folder / "flushes").open("a") as notes:
            notes.write("x")

    os.fdatasync = slowly


def main() -> None:
    """Serve as `api.server.run` does."""
    import uvicorn

    from api.logs import configure_logs

    if "SLOW_DISK" in os.environ:
        slow_disk(Path(os.environ["SLOW_DISK"]))
    settings = Settings()
    configure_logs(settings)
    config = Config(settings)
    if settings.workers <= 1:
        uvicorn.Server(config).run()
    else:
        Multiprocess(config, sockets=[config.bind_socket()]).run()


if __name__ == "__main__":
    sys.exit(main())
