"""How often somebody may ask: token buckets, and bodies that end where they must."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

#: Clients that are remembered; whoever was not seen for longest is forgotten, with a full bucket.
REMEMBERED: Final = 10_000


class Buckets:
    """A token bucket for each of many clients.

    Args:
        rate: tokens that come in a second; 0: nobody is held back.
        burst: tokens that a bucket holds.
        most: clients that are remembered.
        clock: seconds that only ever go up.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        most: int = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._burst, self._most, self._clock = rate, burst, most, clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def wait(self, client: str) -> int:
        """Take a token; 0, or the whole seconds after which there is one.

        >>> buckets = Buckets(2, 1, clock=lambda: 0.0)
        >>> buckets.wait("a"), buckets.wait("a"), buckets.wait("b")
        (0, 1, 0)
        """
        if not self._rate:
            return 0
        now = self._clock()
        tokens, since = self._held.pop(client, (float(self._burst), now))
        tokens = min(tokens + (now - since) * self._rate, float(self._burst))
        took = tokens >= 1
        self._held[client] = (tokens - took, now)
        if len(self._held) > self._most:
            self._held.popitem(last=False)
        return 0 if took else max(math.ceil((1 - tokens) / self._rate), 1)


def client_of(request: Request) -> str:
    """The address that asks; of IPv6 the network of 64 bits, all of which one client may use."""
    host = request.client.host if request.client is not None else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


def bounded(request: Request, most: int) -> Request:
    """The same request, whose body cannot be read beyond so many bytes.

    Raises:
        HTTPException: 413, here if it says that it is longer; in reading it otherwise.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most:
        raise _too_large(most)
    return Request(request.scope, _counted(request.receive, most))


def _counted(receive: Receive, most: int) -> Receive:
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The body is larger than {most:,} bytes.")
