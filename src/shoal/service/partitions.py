"""Processes among which a step divides its customers, by a hash of their ids.

What is of each customer alone (`workflows.live_fold`) is done in all of them at once; the process
that started them judges what came, and writes. They know nothing of one another and keep nothing of
a customer, so one that ends costs time only: its share is done here, and it is started again.
"""

from __future__ import annotations

import json
import logging
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import OperationError
from shoal.service.shares import Message, folded_of, of_share
from shoal.service.workers import DOWN, STARTING, UP
from shoal.workflows.live_fold import Folded, Folder, Folding, Share, joined

_LOG: Final = logging.getLogger("shoal.service")
#: A share of fewer customers costs more than it brings: each has twenty queries.
LEAST_CUSTOMERS: Final = 250
#: Seconds that all together may take to begin.
_BEGIN_S: Final = 60.0
#: A process that does not answer for so long is ended.
_ANSWER_S: Final = 120.0
_END_S: Final = 5.0
#: As of workers.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0

#: The command of a process that is given the number of its end of a socket.
Command = Callable[[int], list[str]]


def partition_command(shop_dir: Path, count: int) -> Command:
    """One of `count` partitions of a shop."""

    def command(control: int) -> list[str]:
        told = {"shop": str(shop_dir), "control": control, "of": count}
        return [sys.executable, "-m", "shoal.service.partition", json.dumps(told)]

    return command


class Partitions:
    """The partitions of a service, for a `with` block; one thread at a time asks them.

    Args:
        command: of each.
        least: a step of fewer customers than so many a partition is divided among fewer.
    """

    def __init__(self, command: Command, count: int, *, least: int = LEAST_CUSTOMERS) -> None:
        self._all = [_Partition(number, command) for number in range(1, count + 1)]
        self._least = least

    def __enter__(self) -> Partitions:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start them; returns when all are ready.

        Raises:
            OperationError: `not_served`, or what one of them ended with.
        """
        until = time.monotonic() + _BEGIN_S
        for one in self._all:
            one.begin()
        for one in self._all:
            one.wait(max(until - time.monotonic(), 0.0))
            if one.state != UP:
                told = one.failure or {"failure": "it did not begin in time"}
                raise OperationError(
                    told.get("code", "not_served"),
                    f"partition {one.number} did not start: {told['failure']}",
                    hint=told.get("hint", "What it printed says more."),
                )

    def stop(self) -> None:
        """End them."""
        for one in self._all:
            one.end()

    def beside(self, folding: Folding) -> Folder:
        """Divides shares; what no partition does is done by `folding`."""
        fingerprint = folding.fold.fingerprint

        def divided(share: Share) -> Folded:
            parts = min(len(self._all), share.customers // self._least)
            if parts < 2:
                return folding(share)
            shares = share.divided(parts)
            asked = [
                (one, own, not own.empty and one.ask(of_share(own, fingerprint)))
                for one, own in zip(self._all[:parts], shares, strict=True)
            ]
            done = [(own, one.answer() if was else None) for one, own, was in asked]
            return joined([folding(own) if found is None else found for own, found in done])

        return divided

    def told(self) -> list[dict[str, Any]]:
        """Each: its number and process, how it stands, how often it was started again."""
        return [one.told() for one in self._all]


class _Partition:
    """One partition: its process, and the next one's when that ended."""

    def __init__(self, number: int, command: Command) -> None:
        self.number, self._command = number, command
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._again, self._pause, self._began = 0.0, _FIRST_PAUSE_S, 0.0
        self.state, self.restarts, self.shares, self._asked = STARTING, 0, 0, 0
        self.failure: dict[str, str] | None = None

    def told(self) -> dict[str, Any]:
        process = self._process
        return {"partition": self.number, "state": self.state, "restarts": self.restarts,
                "pid": process.pid if process and self.state == UP else None,
                "shares": self.shares}  # fmt: skip

    def begin(self) -> None:
        """Start it; whether it is ready is asked later."""
        own, its = socket.socketpair()
        self._began = time.monotonic()
        try:
            with its:
                self._process = subprocess.Popen(
                    self._command(its.fileno()), pass_fds=(its.fileno(),),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the process that started it
                )  # fmt: skip
        except OSError as error:
            own.close()
            self._lost(str(error))
            return
        own.settimeout(_ANSWER_S)
        self._control, self.state = own, STARTING

    def wait(self, seconds: float) -> None:
        """Until it is ready or has failed, but no longer."""
        if self.state != STARTING or self._control is None:
            return
        if not select.select([self._control], [], [], seconds)[0]:
            if time.monotonic() - self._began > _BEGIN_S:
                self._lost("it did not begin in time")
            return
        told = self._received()
        if told is not None and "failure" in told.told:
            self.failure = dict(told.told)
            self._lost(self.failure["failure"])
        elif told is not None:
            self.state = UP

    def ask(self, message: Message) -> bool:
        """Have it do a share; False: it is not there now."""
        if self.state == DOWN and time.monotonic() >= self._again:
            self.restarts += 1
            self.begin()
        self.wait(0.0)
        if self.state != UP or self._control is None:
            return False
        self._asked += 1
        try:
            message.numbered(self._asked).send(self._control)
        except OSError as error:
            self._lost(str(error))
            return False
        return True

    def answer(self) -> Folded | None:
        """What became of the share that it was asked for; None: it has to be done here."""
        message = self._received()
        if message is None:
            return None
        if message.told.get("number") != self._asked:  # a step broke off between the two
            self._lost("it answered what was asked before")
            return None
        if "failure" in message.told:
            _LOG.warning("partition %d: %s", self.number, message.told["failure"])
            return None
        self.shares += 1
        return folded_of(message)

    def end(self) -> None:
        """It ends by itself once nobody is at the other end."""
        if self._control is not None:
            self._control.close()
            self._control = None
        self.state = DOWN
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _received(self) -> Message | None:
        if self._control is None:
            return None
        try:
            return Message.receive(self._control)
        except (OSError, ValueError) as error:  # pa.ArrowInvalid is a ValueError
            self._lost(str(error))
            return None

    def _lost(self, why: str) -> None:
        """It is there no more: started again at a later share, after a pause twice as long."""
        if self._process is not None:
            self._process.kill()
        self.end()
        self.failure = self.failure or {"failure": why}
        now = time.monotonic()
        self._pause = (
            _FIRST_PAUSE_S if now - self._began > _LONGEST_PAUSE_S
            else min(2 * self._pause, _LONGEST_PAUSE_S)
        )  # fmt: skip
        self._again = now + self._pause
        _LOG.error("partition %d ended (%s); it is started again", self.number, why)
