"""The server that answers, which says so when it begins to stop."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

#: Seconds after which a thread that computes lets another one on. Python's own 5 ms are taken by
#: the driver as often as an answer waits for its turn: with one thread that computes all the time a
#: read took 33 ms at the median, 5 ms with this.
_TURN_S: Final = 0.0005


class Server(uvicorn.Server):
    """Ends streams when it is told to stop: they have no end of their own to wait for.

    Args:
        stopping: called once, in the loop that serves, before requests under way are waited for.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


@contextmanager
def short_turns() -> Iterator[None]:
    """Let threads that answer wait for those that compute only briefly."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
