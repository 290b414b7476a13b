"""The server that answers, which says so when it begins to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn


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
