"""A worker: takes connections beside others, and has no right to write to the shop but its inbox.

    python -m shoal.service.worker TOLD

`TOLD` is JSON: the shop, the numbers of two sockets that are open already (where it listens, and
one to the process that writes), where that process answers, and how many workers there are. What is
collected goes into the inbox from here; everything else is answered there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.errors import ShoalError
from shoal.service.running import Server, rare_collections, short_turns, told_to_stop
from shoal.service.workers import DRAIN_S

if TYPE_CHECKING:
    from shoal.service.counters import Counters
    from shoal.workflows.collecting import Collector

#: Counts are told unasked after so many seconds: of one that is killed no more is lost.
_TELL_S: Final = 1.0


def main() -> int:
    """Serve until told to end, or until the process that writes is gone."""
    told = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    control = socket.socket(fileno=told["control"])
    try:
        _serve(told, control)
    except ShoalError as error:
        document = {"code": error.code, "message": error.message, "hint": error.hint}
        with contextlib.suppress(OSError):
            control.sendall(json.dumps({"failure": document}).encode() + b"\n")
        return 1
    return 0


def _serve(told: Mapping[str, Any], control: socket.socket) -> None:
    import uvicorn

    import shoal
    from shoal.service.access import Keyring
    from shoal.service.counters import Counters
    from shoal.service.forwarding import Forwarding
    from shoal.service.front import front
    from shoal.service.protocol import BoundedHeads
    from shoal.workflows.collecting import Collector

    with shoal.open(told["shop"]) as shop, closing(shop.inbox()) as inbox:
        collector = Collector(inbox, private=shop.private_calls())
        counters = Counters()
        telling = Telling(control, told["upstream"], lambda: _counted(collector, counters))
        listener = _Shared(fileno=told["listener"])
        app = front(
            collector, Keyring(shop.known_keys), Forwarding(told["upstream"]),
            share=told["workers"], limits=shop.config.service, bounds=shop.config.collection,
            counters=counters,
        )  # fmt: skip

        # One connection at a time, so that those that come together do not all go to whoever is
        # first.
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off",
            http=BoundedHeads, ws="none", backlog=1, timeout_graceful_shutdown=DRAIN_S,
        )  # fmt: skip
        try:
            server = Server(config, begun=telling.start)
            with told_to_stop(server), rare_collections(), short_turns():
                server.run(sockets=[listener])
        finally:
            collector.close()
            telling.now()


class _Shared(socket.socket):
    """A socket that listens already; how many may wait there is not for one worker to say."""

    def listen(self, backlog: int = 0, /) -> None:
        """It does."""


def _counted(collector: Collector, counters: Counters) -> dict[str, Any]:
    return {"calls": dict(collector.counts), "refused": dict(collector.refused),
            "requests": counters.as_document()}  # fmt: skip


class Telling:
    """Tells the process that writes what was counted here, and ends this one when that is gone.

    Args:
        control: the socket between both.
        upstream: what a process that was killed left in the file system.
    """

    def __init__(
        self, control: socket.socket, upstream: str, counted: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._control, self._upstream, self._counted = control, upstream, counted
        self._guard = threading.Lock()
        self._answered, self._last = 0, b""
        threading.Thread(target=self._watch, name="control", daemon=True).start()
        self._begun = threading.Event()

    def start(self) -> None:
        """Say that requests are answered."""
        self._begun.set()
        self.now()

    def now(self) -> None:
        """Tell, if there is anything that was not told yet."""
        with self._guard:
            told = {"counted": self._counted(), "answered": self._answered}
            line = json.dumps(told).encode() + b"\n"
            if line != self._last:
                self._last = line
                with contextlib.suppress(OSError):
                    self._control.sendall(line)

    def _watch(self) -> None:
        """Until the process that writes is gone: without it nobody may go on acknowledging."""
        self._control.settimeout(_TELL_S)
        while True:
            try:
                asked = self._control.recv(1 << 12)
            except TimeoutError:
                asked = b"0\n"
            except OSError:
                asked = b""
            if not asked:
                self._end()
            last = asked.rstrip().rpartition(b"\n")[2]
            self._answered = max(self._answered, int(last or 0))
            if self._begun.is_set():
                self.now()

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # another worker may be first
            left = Path(self._upstream)
            left.unlink(missing_ok=True)
            left.parent.rmdir()
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
