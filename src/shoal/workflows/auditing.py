"""Entries come into the audit log: many calls share a commit, and none is answered before its own.

Where the log cannot be written (a full disk), changes are refused, and what only looks goes on: its
entries wait in memory, and if they become too many the log says how many are missing.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Protocol

from shoal.domain.audit import FAILED, Act, Who
from shoal.domain.errors import OperationError
from shoal.domain.time import Clock, system_clock
from shoal.ports import AuditLog

_LOG: Final = logging.getLogger("shoal.service")
#: Refusals of this many seconds are gathered: the same ones are one entry.
GATHERED_S: Final = 1.0
#: Different refusals of that time; the others are one entry together.
DIFFERENT: Final = 100
#: Entries that wait for a log that cannot be written.
OWED: Final = 20_000
#: Entries of one commit; more wait for the next.
_MOST: Final = 5_000


class Promise(Protocol):
    """Somebody waits for it: a future of this module's callers or of an event loop."""

    def done(self) -> bool: ...
    def set_result(self, result: int, /) -> object: ...
    def set_exception(self, exception: BaseException, /) -> object: ...


#: Runs something where promises may be kept, such as on an event loop.
Run = Callable[[Callable[[], None]], object]


@dataclass(frozen=True)
class Asked:
    """An entry that somebody waits for.

    Args:
        promise: is given the entry's number, or what `AuditLog.append` raises.
        synced: it is on the disk then, and not only safe from a kill.
        owed: it is written later if it cannot be now.
    """

    act: Act
    promise: Promise
    synced: bool
    owed: bool


_Waiting = tuple[Sequence[Asked], Run]


class Auditor:
    """Writes the audit log in a thread of its own.

    Args:
        log: whoever opened it closes it.
    """

    def __init__(self, log: AuditLog, clock: Clock = system_clock) -> None:
        self.log, self.clock = log, clock
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._refusals: dict[tuple[object, ...], Act] = {}
        self._owed: deque[Act] = deque()
        self._lost = 0
        self._failed = False
        self._open = True
        self._writer = threading.Thread(target=self._write, name="audit", daemon=True)
        self._writer.start()

    def keep(self, act: Act, *, synced: bool, owed: bool = True) -> Future[int]:
        """Have an entry written; the future holds its number, or what `AuditLog.append` raises.

        Args:
            synced: it is on the disk then, and not only safe from a kill.
            owed: it is written later if it cannot be now.
        """
        done: Future[int] = Future()
        done.set_running_or_notify_cancel()
        self.keep_for([Asked(act, done, synced, owed)], _at_once)
        return done

    def keep_for(self, asked: Sequence[Asked], run: Run) -> None:
        """Have entries written in one commit, and their promises kept by `run` together.

        Raises:
            OperationError: `interrupted`, nothing is taken any more.
        """
        with self._guard:
            if not self._open:
                raise OperationError("interrupted", "the service is being stopped")
            self._waiting.put((asked, run))

    def note(self, act: Act) -> None:
        """Write a refusal soon; of several that differ in their time alone the first stands."""
        with self._guard:
            if _kind(act) not in self._refusals and len(self._refusals) >= DIFFERENT:
                act = Act(act.at, Who("api", owner="several"), "*", act.outcome, path="*")
            first = self._refusals.get(_kind(act))
            again = act if first is None else replace(first, times=first.times + 1)
            self._refusals[_kind(act)] = again

    def close(self) -> None:
        """Write what waits; nothing is taken any more. The log stays open."""
        with self._guard:
            if not self._open:
                return
            self._open = False
            self._waiting.put(None)
        self._writer.join()

    # -- the writer --------------------------------------------------------------------------------

    def _write(self) -> None:
        ended = False
        while not ended:
            waiting, ended = self._gathered()
            self._commit(waiting)
        if self._owed or self._lost:
            _LOG.error("%d entries of the audit log are lost", len(self._owed) + self._lost)

    def _gathered(self) -> tuple[list[_Waiting], bool]:
        """What comes into one commit, and whether nothing comes after it."""
        found: list[_Waiting] = []
        size = 0
        try:
            one = self._waiting.get(timeout=GATHERED_S)
            while one is not None:
                found.append(one)
                size += len(one[0])
                if size >= _MOST:
                    return found, False
                one = self._waiting.get_nowait()
        except queue.Empty:
            return found, False
        return found, True

    def _commit(self, waiting: Sequence[_Waiting]) -> None:
        with self._guard:
            refusals, self._refusals = list(self._refusals.values()), {}
        late = [*self._owed, *self._of_lost(), *refusals]
        asked = [one for several, _ in waiting for one in several]
        if not late and not asked:
            return
        acts = [*late, *(one.act for one in asked)]
        numbers: Sequence[int] = ()
        failed: BaseException | None = None
        try:
            numbers = self.log.append(acts, synced=any(one.synced for one in asked))[len(late) :]
        except BaseException as error:  # whoever waits has to hear of it, whatever it is
            self._owe([*refusals, *(one.act for one in asked if one.owed)], error)
            failed = error
        else:
            self._owed.clear()
            self._lost, self._failed = 0, False
        together: dict[Run, list[tuple[Promise, int | BaseException]]] = {}
        at = 0
        for several, run in waiting:
            own = together.setdefault(run, [])
            for place, one in enumerate(several, at):
                own.append((one.promise, numbers[place] if failed is None else failed))
            at += len(several)
        for run, told in together.items():
            with contextlib.suppress(RuntimeError):  # an event loop that ended: nobody waits there
                run(functools.partial(_keep, told))

    def _owe(self, acts: Sequence[Act], error: BaseException) -> None:
        if not self._failed:
            _LOG.error("the audit log cannot be written: %s", error)
        self._failed = True
        free = max(OWED - len(self._owed), 0)
        self._owed.extend(acts[:free])
        self._lost += len(acts[free:])

    def _of_lost(self) -> list[Act]:
        if not self._lost:
            return []
        return [
            Act(self.clock(), Who("local"), "audit.lost", FAILED, facts={"entries": self._lost})
        ]


def _kind(act: Act) -> tuple[object, ...]:
    about = tuple(sorted(act.about.items()))
    return act.who, act.action, act.permission, act.path, about, act.outcome, act.status


def _at_once(told: Callable[[], None]) -> None:
    told()


def _keep(told: Sequence[tuple[Promise, int | BaseException]]) -> None:
    for promise, own in told:
        if promise.done():  # who waited went away
            continue
        if isinstance(own, BaseException):
            promise.set_exception(own)
        else:
            promise.set_result(own)
