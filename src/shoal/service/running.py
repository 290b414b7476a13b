"""The server that answers, which says so when it begins, and when it begins to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

#: Seconds after which a thread that computes lets another one on. Python's own 5 ms are taken by
#: the driver as often as an answer waits for its turn: with one thread that computes all the time a
#: read took 33 ms at the median, 5 ms with this.
_TURN_S: Final = 0.0005
#: Objects after which Python looks for garbage among them, and how often among older ones: batches
#: make a great many that are free again soon.
_COLLECTED: Final = (20_000, 20, 20)


class Server(uvicorn.Server):
    """Ends streams when it is told to stop: they have no end of their own to wait for.

    Args:
        begun: called once, in the loop that serves, when connections are taken.
        stopping: called once, in that loop, before requests under way are waited for.
        before: called once, in a thread, while requests are answered still: whoever has them
            answered here comes to an end first.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: Callable[[], None] | None = None,
        *,
        begun: Callable[[], None] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._stopping, self._begun, self._before = stopping, begun, before

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._begun is not None:
            self._begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._stopping is not None:
            self._stopping()
        if self._before is not None:
            await asyncio.to_thread(self._before)
        await super().shutdown(sockets)


@contextmanager
def told_to_stop(server: uvicorn.Server) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server alone, also before it runs.

    Uvicorn stops at them, and then raises them once more for whoever was there before: that would
    end the process before what waits is written.
    """

    def end(*_: object) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, end) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the collector of garbage leave alone what is loaded by now, and come seldom.

    It stops every thread, and among a million objects of libraries it finds nothing for a third of
    a second. For a process of its own. At the end nothing is left alone any more: extension modules
    would complain of what is there when the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECTED)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def short_turns() -> Iterator[None]:
    """Let threads that answer wait for those that compute only briefly."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
