"""A process that does shares of a stream's steps: reads states, and has no right to write.

    python -m shoal.service.partition TOLD

`TOLD` is JSON: the shop, the number of a socket that is open already, and how many such processes
there are. It ends when nobody holds the other end any more.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from shoal.adapters.process_memory import give_back
from shoal.domain.errors import ShoalError
from shoal.service.shares import Message, of_folded, share_of

if TYPE_CHECKING:
    from shoal.workflows.live_fold import Folding

#: Memory that shares needed goes back to the system so often.
_KEPT_S: Final = 60.0


def main() -> int:
    """Answer until nobody asks any more."""
    told = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    for one in (signal.SIGINT, signal.SIGTERM):  # whoever asks is told to end, and ends this
        signal.signal(one, signal.SIG_IGN)
    control = socket.socket(fileno=told["control"])
    with Answering(told) as answering, suppress(OSError):  # nobody asks any more
        try:
            answering.begin()
        except ShoalError as error:
            _failed(error).send(control)
            return 1
        Message({"ready": True}).send(control)
        given_back = time.monotonic()
        while True:
            asked = Message.receive(control)
            answering.answer(asked).numbered(asked.told["number"]).send(control)
            if time.monotonic() - given_back >= _KEPT_S:
                give_back()
                given_back = time.monotonic()
    return 0


class Answering:
    """Does shares of one shop.

    Args:
        told: as the module says.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self._opened = ExitStack()
        self._folding: Folding | None = None

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def begin(self) -> None:
        """Open the shop and load what a share needs, which takes seconds.

        Raises:
            ShoalError: as `shoal.open`, and as a store.
        """
        import shoal

        self._opened.close()
        shop = self._opened.enter_context(shoal.open(self._told["shop"], one_of=self._told["of"]))
        self._folding = shop.folding()
        self._folding.prepare()

    def answer(self, asked: Message) -> Message:
        """What became of a share, or why it was not done."""
        try:
            if self._folding is None or self._folding.fold.fingerprint != asked.told["fold"]:
                self.begin()  # settings have changed since, or what counts as buying was told
            assert self._folding is not None
            if self._folding.fold.fingerprint != asked.told["fold"]:
                return Message({"failure": "its shop has other settings"})
            return of_folded(self._folding(share_of(asked)))
        except ShoalError as error:
            return _failed(error)
        except Exception as error:  # the share is done by whoever asked
            return Message({"failure": f"{type(error).__name__}: {error}"})


def _failed(error: ShoalError) -> Message:
    return Message({"failure": error.message, "code": error.code, "hint": error.hint})


if __name__ == "__main__":
    sys.exit(main())
