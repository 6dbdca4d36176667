"""Connections to upstreams: made to an address that was checked, never to what a name may stand for a moment later."""

import asyncio
import time
from collections.abc import Iterable

import httpcore2
import httpx2

from cim.errors import UpstreamUnreachable
from cim.gateway.policy import Allowed
from cim.gateway.resolve import resolve

KNOWN_S = 5.0
"""Seconds that checked addresses are used without asking again."""
MAX_TRIED = 3
IDLE_S = 5.0
"""Seconds that an unused connection is kept: shorter than servers keep them, so that none is used that is being closed."""
MAX_IDLE = 64

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """The network as the URL policy lets it be seen. TLS names and `Host` stay those of the address asked for."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._network = httpcore2.AnyIOBackend()
        self._lookups: dict[tuple[str, int], asyncio.Task[list[str]]] = {}
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to one of the host's addresses. Raises UpstreamBlocked before anything is opened."""
        try:
            async with asyncio.timeout(timeout):
                addresses = (await self._addresses(host, port))[:MAX_TRIED]
                for number, address in enumerate(addresses, 1):
                    try:
                        return await self._network.connect_tcp(address, port, local_address=local_address)
                    except httpcore2.ConnectError:
                        if number == len(addresses):
                            raise
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error
        raise UpstreamUnreachable("the host of the service has no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Checked addresses; one lookup at a time for a host, since those of a dead one would take all threads."""
        key = (host, port)
        until, addresses = self._known.get(key, (0.0, []))
        if until > time.monotonic():
            return addresses
        task = self._lookups.get(key)
        if task is None:
            task = self._lookups[key] = asyncio.create_task(resolve(host, port, allowed=self._allowed))
            task.add_done_callback(lambda _: self._lookups.pop(key, None))
        addresses = await asyncio.shield(task)
        if len(self._known) > 1_000:
            self._known.clear()
        self._known[key] = (time.monotonic() + KNOWN_S, addresses)
        return addresses


def open_pool(allowed: Allowed) -> httpcore2.AsyncConnectionPool:
    """Connections of one worker. No proxies, no cookies, no redirects, nothing of the environment but its certificates."""
    return httpcore2.AsyncConnectionPool(
        ssl_context=httpx2.create_ssl_context(),
        max_connections=None,
        max_keepalive_connections=MAX_IDLE,
        keepalive_expiry=IDLE_S,
        network_backend=PinnedBackend(allowed),
    )
