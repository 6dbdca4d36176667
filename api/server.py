"""The HTTP server: uvicorn with deadlines on what a client sends (uvicorn has none; catalogue F08).

`run(settings)` serves until SIGTERM or Ctrl-C. On SIGTERM readiness turns false first, and requests are still
answered for `DRAIN_S`, so that a balancer can look away.
"""

import asyncio
import ctypes
import gc
import os
import shutil
import signal
import socket
import tempfile
import threading
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from api.logs import configure_logs
from api.protocol import DeadlineProtocol
from cim.errors import SetupProblem
from cim.settings import Settings

DRAIN_S = 1.0
KEEP_ALIVE_S = 30
FINISH_S = 30
WORKER_START_S = 60
"""A worker that does not answer this long is replaced; on a busy machine one takes seconds to import the program."""

KEPT_BYTES = 32 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration and ours; passed on to worker processes as one value."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            partial(create_app, settings),
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            http=DeadlineProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=FINISH_S,
            timeout_worker_healthcheck=WORKER_START_S,
        )
        self.settings = settings
        self.header_timeout_s = settings.header_timeout_s

    def load(self) -> None:
        """Called by each worker in its loop, after uvicorn has taken the signals: makes the application."""
        configure_logs(self.settings)
        keep_memory()
        super().load()
        gc.freeze()  # what the program is made of is not looked through again and again
        _drain_before_stop(self.loaded_app)


def keep_memory() -> None:
    """Have the C library keep up to `KEPT_BYTES` that were freed: given back, they come again page by page, zeroed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library
    mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES // 4)


def _drain_before_stop(app: Any) -> None:
    """SIGTERM: not ready at once, stopped after `DRAIN_S`. Ctrl-C and a second SIGTERM stop at once."""
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop) or threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def drain(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        app.state.context.is_draining = True
        loop.call_soon_threadsafe(loop.call_later, DRAIN_S, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)
    interrupt = signal.getsignal(signal.SIGINT)
    if callable(interrupt):

        def stop_at_once(number: int, frame: FrameType | None) -> None:
            app.state.context.is_draining = True  # streams end by themselves
            interrupt(number, frame)

        signal.signal(signal.SIGINT, stop_at_once)


def check_port(settings: Settings) -> None:
    """Raise SetupProblem when the port cannot be had, before anything slow is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SetupProblem(
                f"port {settings.port} of {settings.host} cannot be had ({error.strerror}); "
                f"give another: CIM_PORT={settings.port + 1}, or --port"
            ) from error


def run(settings: Settings) -> None:
    """Serve until told to stop; `settings.workers` processes share the port."""
    configure_logs(settings)
    if settings.workers <= 1:
        uvicorn.Server(ServerConfig(settings)).run()
        return
    shared = tempfile.mkdtemp(prefix="cim-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
    try:
        config = ServerConfig(settings)
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        shutil.rmtree(shared, ignore_errors=True)
