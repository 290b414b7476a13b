"""Processes that take requests beside the one that writes: started, watched, and started again.

They take connections from one listening socket, so nobody's connection waits at one that ended. A
worker and this process hold the two ends of a socket: through it a worker tells what it counted,
and it ends at once when this process is gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from shoal.domain.errors import OperationError
from shoal.service.counters import Counters, added
from shoal.service.listening import BACKLOG

_LOG: Final = logging.getLogger("shoal.service")
#: Seconds in which requests under way may end once the service is told to stop.
DRAIN_S: Final = 20
#: Seconds that all workers together may take to begin, and one that is asked to tell.
_BEGIN_S: Final = 60.0
_TELL_S: Final = 1.0
#: A worker that is to end is killed after so long.
_END_S: Final = DRAIN_S + 15.0
#: Seconds before one that ended is started again, twice as long each time; one that ran for the
#: longest pause begins with the shortest again.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0

STARTING: Final = "starting"
UP: Final = "up"
DOWN: Final = "down"

#: The command of a worker that is given the numbers of two sockets: where it listens, and its end
#: of the one to this process.
Command = Callable[[int, int], list[str]]


def worker_command(shop_dir: Path, upstream: str, count: int) -> Command:
    """One of `count` workers of a shop.

    Args:
        upstream: the Unix socket where the process that writes answers.
    """

    def command(listener: int, control: int) -> list[str]:
        told = {"shop": str(shop_dir), "listener": listener, "control": control,
                "upstream": upstream, "workers": count}  # fmt: skip
        return [sys.executable, "-m", "shoal.service.worker", json.dumps(told)]

    return command


class Workers:
    """The workers of a service, for a `with` block.

    Args:
        listener: the socket that they share; it is closed when they are stopped.
    """

    def __init__(self, shop_dir: Path, listener: socket.socket, count: int) -> None:
        self._listener = listener
        #: Where this process answers what workers do not.
        self._home, self.socket = _apart()
        command = worker_command(shop_dir, str(self._home / "writer"), count)
        self._all = [_Worker(number, command, listener) for number in range(1, count + 1)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.stop()
        self.socket.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def start(self) -> None:
        """Start them; returns when all of them answer.

        Raises:
            OperationError: `not_served`, or what one of them ended with.
        """
        until = time.monotonic() + _BEGIN_S
        for one in self._all:
            one.start()
        for one in self._all:
            one.begun.wait(max(until - time.monotonic(), 0.0))
            if one.state != UP:
                told = one.failure or {"code": "not_served", "message": "it did not say why"}
                raise OperationError(
                    told["code"], f"worker {one.number} did not start: {told['message']}",
                    hint=told.get("hint", "What it printed says more."),
                )  # fmt: skip

    def stop(self) -> None:
        """Take no more connections, let requests under way end, and end the workers."""
        self._listener.close()
        for one in self._all:
            one.tell_to_end()
        until = time.monotonic() + _END_S
        for one in self._all:
            one.ended(until)

    def told(self) -> list[dict[str, Any]]:
        """Each worker: its number and process, how it stands, how often it was started again."""
        return [one.told() for one in self._all]

    def counted(self) -> Mapping[str, Any]:
        """What all workers counted since the service began, those that ended among them."""
        until = time.monotonic() + _TELL_S
        asked = [one.ask() for one in self._all]
        for one, number in zip(self._all, asked, strict=True):
            one.wait(number, until)
        found: Mapping[str, Any] = reduce(added, (one.counted() for one in self._all), {})
        return found

    def with_own(self, name: str, own: Mapping[str, int]) -> Counter[str]:
        """Calls by what became of them (`calls`), or by why they were refused (`refused`)."""
        return Counter(own) + Counter(self.counted().get(name, {}))


class AllCounters(Counters):
    """Requests answered by this process and by its workers."""

    def __init__(self, own: Counters, workers: Workers) -> None:
        super().__init__()
        self._own, self._workers = own, workers

    def lines(self) -> Any:
        told = self._workers.counted().get("requests", {})
        return Counters.of(added(self._own.as_document(), told)).lines()


class _Worker:
    """One worker: its process, and the next one's when that ended."""

    def __init__(self, number: int, command: Command, listener: socket.socket) -> None:
        self.number, self._command, self._listener = number, command, listener
        self._guard = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._stopped = threading.Event()
        self._before: Mapping[str, Any] = {}
        self._now: Mapping[str, Any] = {}
        self._asked = self._answered = 0
        self.state, self.restarts = STARTING, 0
        self.failure: dict[str, str] | None = None
        #: Set when it answers, and when it ended instead.
        self.begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def told(self) -> dict[str, Any]:
        process = self._process
        return {"worker": self.number, "pid": process.pid if process and self.state == UP else None,
                "state": self.state, "restarts": self.restarts}  # fmt: skip

    def ask(self) -> int:
        """Have it tell what it counted; a number to wait for."""
        with self._guard:
            self._asked += 1
            if self._control is not None and self.state == UP:
                with contextlib.suppress(OSError):
                    self._control.send(b"%d\n" % self._asked, socket.MSG_DONTWAIT)
            return self._asked

    def wait(self, number: int, until: float) -> None:
        """Until it told; one that is not there, or has no time, is taken at what it told last."""
        with self._guard:
            while self.state == UP and self._answered < number:
                if not self._guard.wait(until - time.monotonic()):
                    return

    def counted(self) -> Mapping[str, Any]:
        with self._guard:
            found: Mapping[str, Any] = added(self._before, self._now)
            return found

    def tell_to_end(self) -> None:
        self._stopped.set()
        with self._guard:
            if self._process is not None:
                self._process.terminate()

    def ended(self, until: float) -> None:
        """Wait for its end, and kill it where that takes too long."""
        if self._thread.ident is None:
            return
        self._thread.join(max(until - time.monotonic(), 0.0))
        with self._guard:
            if self._thread.is_alive() and self._process is not None:
                self._process.kill()
        self._thread.join()

    def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                code = self._once()
            except OSError as error:  # no process could be started
                code, self.failure = None, {"code": "not_served", "message": str(error)}
            with self._guard:
                self.state = DOWN
                self._before, self._now = added(self._before, self._now), {}
                self._guard.notify_all()
            self.begun.set()
            if self._stopped.is_set():
                return
            pause = _FIRST_PAUSE_S if time.monotonic() - began > _LONGEST_PAUSE_S else pause
            _LOG.error("worker %d ended with %s; it is started again", self.number, code)
            if self._stopped.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            self.restarts += 1

    def _once(self) -> int:
        """A process from its start to its end; what it ended with."""
        own, its = socket.socketpair()
        with own:
            with its, self._guard:
                if self._stopped.is_set():
                    return 0
                command = self._command(self._listener.fileno(), its.fileno())
                self._process = process = subprocess.Popen(
                    command, pass_fds=(self._listener.fileno(), its.fileno()),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for this process, which ends them
                )  # fmt: skip
                self._control, self.state, self._answered = own, STARTING, 0
            with contextlib.suppress(OSError), own.makefile("rb") as lines:
                for line in lines:
                    self._hear(line)
            with self._guard:
                self._control = None
        return process.wait()

    def _hear(self, line: bytes) -> None:
        """What a worker tells; of one that was killed in the middle of a line nothing."""
        if not line.endswith(b"\n"):
            return
        try:
            told = json.loads(line)
        except ValueError:  # a line that was begun and not ended before this one
            return
        with self._guard:
            if "failure" in told:
                self.failure = told["failure"]
            else:
                self._now = told["counted"]
                self._answered = max(self._answered, told["answered"])
                self.state = UP
                self.begun.set()
            self._guard.notify_all()


def _apart() -> tuple[Path, socket.socket]:
    """A folder that is this user's alone, and a Unix socket `writer` in it that listens.

    Raises:
        OperationError: `not_served`.
    """
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    home = Path()
    try:
        home = Path(tempfile.mkdtemp(prefix="shoal-"))
        found.bind(str(home / "writer"))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        if home.name:
            shutil.rmtree(home, ignore_errors=True)
        raise OperationError(
            "not_served", f"there can be no socket for the workers: {error}",
            where=str(home / "writer"),
            hint="Let TMPDIR name a folder that can be written to and has a short path.",
        ) from error  # fmt: skip
    return home, found
