"""Entries come into the audit log: many calls share a commit, and none is answered before its own.

Where the log cannot be written (a full disk), changes are refused, and what only looks goes on: its
entries wait in memory, and if they become too many the log says how many are missing.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Final

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


@dataclass(frozen=True)
class _Asked:
    act: Act
    synced: bool
    owed: bool
    done: Future[int] = field(default_factory=Future)


class Auditor:
    """Writes the audit log in a thread of its own.

    Args:
        log: whoever opened it closes it.
    """

    def __init__(self, log: AuditLog, clock: Clock = system_clock) -> None:
        self.log, self.clock = log, clock
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
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
        asked = _Asked(act, synced, owed)
        asked.done.set_running_or_notify_cancel()
        with self._guard:
            if not self._open:
                raise OperationError("interrupted", "the service is being stopped")
            self._waiting.put(asked)
        return asked.done

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
            asked, ended = self._gathered()
            self._commit(asked)
        if self._owed or self._lost:
            _LOG.error("%d entries of the audit log are lost", len(self._owed) + self._lost)

    def _gathered(self) -> tuple[list[_Asked], bool]:
        """Entries of one commit, and whether nothing comes after them."""
        found: list[_Asked] = []
        try:
            one = self._waiting.get(timeout=GATHERED_S)
            while one is not None:
                found.append(one)
                if len(found) >= _MOST:
                    return found, False
                one = self._waiting.get_nowait()
        except queue.Empty:
            return found, False
        return found, True

    def _commit(self, asked: Sequence[_Asked]) -> None:
        with self._guard:
            refusals, self._refusals = list(self._refusals.values()), {}
        late = [*self._owed, *self._of_lost(), *refusals]
        if not late and not asked:
            return
        acts = [*late, *(one.act for one in asked)]
        try:
            numbers = self.log.append(acts, synced=any(one.synced for one in asked))
        except BaseException as error:  # whoever waits has to hear of it, whatever it is
            self._owe([*refusals, *(one.act for one in asked if one.owed)], error)
            for one in asked:
                one.done.set_exception(error)
            return
        self._owed.clear()
        self._lost, self._failed = 0, False
        for one, number in zip(asked, numbers[len(late) :], strict=True):
            one.done.set_result(number)

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
