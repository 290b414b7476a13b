"""Calls come in: judged one by one, and on disk before anybody is told so.

Requests that come while a commit is under way wait for the next one and share it: on a disk that
takes milliseconds to sync, one request after the other would be a few hundred a second.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.time import Clock, system_clock, to_us
from shoal.events.collected import Envelope, Judged, judge
from shoal.ports import Arrived, Inbox

#: Calls of one commit; more wait for the next.
_MOST: Final = 5_000
#: Beginning of ids that calls without one are given, so that they come into the log once.
GIVEN: Final = "shoal-"
#: Bytes of calls that may wait for a commit before clients are told to come again.
WAITING: Final = 256 << 20


class BusyError(Exception):
    """So much waits to be written that a client is better told to come again."""


@dataclass(frozen=True)
class Taken:
    """What became of the calls of a request; received = accepted + duplicates + rejected.

    Args:
        rejected: place in the batch, code and words of each call that cannot be an event; these
            are kept too, in the quarantine.
    """

    received: int
    accepted: int
    duplicates: int
    rejected: tuple[tuple[int, str, str], ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The answer to the client."""
        return {
            "success": True, "received": self.received, "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": [
                {"index": place, "code": code, "message": words}
                for place, code, words in self.rejected
            ],
        }  # fmt: skip


class Collector:
    """Takes calls for the inbox; many requests share a commit.

    Args:
        inbox: where they are kept; whoever opened it closes it.
        clock: the server's.
    """

    def __init__(self, inbox: Inbox, clock: Clock = system_clock) -> None:
        self.inbox = inbox
        self.clock = clock
        self.counts: Counter[str] = Counter()
        self._waiting: queue.SimpleQueue[tuple[list[Arrived], Future[list[bool]]] | None] = (
            queue.SimpleQueue()
        )
        self._size = 0
        self._guard = threading.Lock()
        self._open = True
        self._writer = threading.Thread(target=self._write, name="inbox", daemon=True)
        self._writer.start()

    def judged(self, envelope: Envelope, received_at: datetime) -> list[Judged]:
        """Every call of a body, in its order."""
        return [judge(call, envelope.sent_at, received_at) for call in envelope.calls]

    def submit(
        self, source: str, judged: Sequence[Judged], received_at: datetime
    ) -> Future[list[bool]]:
        """Have calls written; the future tells of each whether it is new, once all are on disk.

        Raises:
            BusyError: too many wait, or the collector is closed.
        """
        received = to_us(received_at)
        calls = [
            Arrived(
                source,
                one.message_id or f"{GIVEN}{uuid.uuid4()}",
                received,
                one.line,
                None if one.fault is None else ": ".join(one.fault),
            )
            for one in judged
        ]
        done: Future[list[bool]] = Future()
        # A client that goes away cannot call back what others share a commit with.
        done.set_running_or_notify_cancel()
        size = _size_of(calls)
        with self._guard:
            if not self._open or self._size + size > WAITING:
                raise BusyError
            self._size += size
            self._waiting.put((calls, done))
        return done

    def taken(self, judged: Sequence[Judged], new: Sequence[bool]) -> Taken:
        """What the client is told, and what is counted of it."""
        rejected = tuple(
            (place, *one.fault) for place, one in enumerate(judged) if one.fault is not None
        )
        sound = [fresh for one, fresh in zip(judged, new, strict=True) if one.fault is None]
        found = Taken(len(judged), sum(sound), len(sound) - sum(sound), rejected)
        with self._guard:
            self.counts.update(
                received=found.received, accepted=found.accepted, duplicates=found.duplicates,
                rejected=len(rejected),
            )  # fmt: skip
        return found

    def close(self) -> None:
        """Write what waits; nothing is taken any more. The inbox stays open."""
        with self._guard:
            if not self._open:
                return
            self._open = False
            self._waiting.put(None)
        self._writer.join()

    # -- the writer --------------------------------------------------------------------------------

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, ended = self._gathered(first)
            self._commit(batch)
            if ended:
                return

    def _gathered(
        self, first: tuple[list[Arrived], Future[list[bool]]]
    ) -> tuple[list[tuple[list[Arrived], Future[list[bool]]]], bool]:
        """Requests of one commit, and whether nothing comes after them."""
        batch, size = [first], len(first[0])
        while size < _MOST:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return batch, True
            batch.append(more)
            size += len(more[0])
        return batch, False

    def _commit(self, batch: Sequence[tuple[list[Arrived], Future[list[bool]]]]) -> None:
        calls = [one for asked, _ in batch for one in asked]
        try:
            new = self.inbox.append(calls)
        except BaseException as error:  # whoever waits has to hear of it, whatever it is
            for _, done in batch:
                done.set_exception(error)
            return
        finally:
            with self._guard:
                self._size -= _size_of(calls)
        at = 0
        for asked, done in batch:
            done.set_result(new[at : at + len(asked)])
            at += len(asked)


def _size_of(calls: Sequence[Arrived]) -> int:
    return sum(len(one.line) for one in calls)
