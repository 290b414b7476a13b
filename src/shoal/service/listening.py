"""Where the service listens: an address of this machine that nobody else has."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from shoal.domain.errors import OperationError, UsageError

#: Connections that wait to be taken.
BACKLOG: Final = 2048


def is_loopback(host: str) -> bool:
    """Whether no other machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that nobody else has.

    Raises:
        OperationError: `port_taken`.
        UsageError: `usage`, there is no such address on this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise UsageError(
            "usage", f"{host}:{port} is no address: {error}", where=host,
            hint="Give an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
        ) from error  # fmt: skip
    # Of a socket whose protocol is not named, asyncio lets small pieces wait for each other: an
    # answer on a connection that is used again took 40 ms more.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        found.listen(BACKLOG)  # who connects from now on is answered as soon as the service is up
    except OSError as error:
        found.close()
        raise OperationError(
            "port_taken",
            f"the service cannot listen on {host}:{port}: {error.strerror}",
            where=f"{host}:{port}",
            hint="Give another --port (0 takes a free one), or end what listens there.",
        ) from error
    return found


def address_of(listener: socket.socket) -> str:
    """The address of a socket, as a client is told it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
