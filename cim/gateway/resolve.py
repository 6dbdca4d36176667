"""What a host stands for, each address checked: a connection is made to one of these and to nothing else."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from cim.errors import UpstreamBlocked, UpstreamUnreachable
from cim.gateway.addresses import is_public, parse_address
from cim.gateway.policy import Allowed

MAX_ADDRESSES = 8


def resolved(host: str, port: int, *, allowed: Allowed) -> list[str]:
    """Addresses of the host in the resolver's order. Raises UpstreamBlocked where one of them is closed, UpstreamUnreachable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UpstreamUnreachable("the host of the service has no address") from error
    return _checked(found, host, port, allowed)


async def resolve(host: str, port: int, *, allowed: Allowed) -> list[str]:
    """As `resolved`, without stopping the loop."""
    if parse_address(host) is not None:
        return _checked([(0, 0, 0, "", (host,))], host, port, allowed)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UpstreamUnreachable("the host of the service has no address") from error
    return _checked(found, host, port, allowed)


def _checked(found: Iterable[Any], host: str, port: int, allowed: Allowed) -> list[str]:
    """The addresses of what a resolver gave. One closed address closes the host: names are pointed inwards that way."""
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:MAX_ADDRESSES]
    if (host, port) in allowed:
        return addresses
    for text in addresses:
        address = parse_address(text)
        if address is None or not is_public(address):
            raise UpstreamBlocked("the service's host is in a network that this node does not call")
    return addresses
