"""Calls come in: judged one by one, and on disk before anybody is told so.

Requests that come while a commit is under way wait for the next one and share it: on a disk that
takes milliseconds to sync, one request after the other would be a few hundred a second.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import queue
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from shoal.domain.time import Clock, system_clock, to_us
from shoal.events.collected import Envelope, Judged, judge
from shoal.ports import Arrived, Inbox

if TYPE_CHECKING:
    from shoal.events.private_calls import PrivateCalls

#: Calls of one commit; more wait for the next.
_MOST: Final = 5_000
#: Beginning of ids that calls without one are given, so that they come into the log once.
GIVEN: Final = "shoal-"
#: Bytes of calls that may wait for a commit before clients are told to come again.
WAITING: Final = 256 << 20


#: Runs what it is given in the thread where somebody waits, which may be the one at hand.
Run = Callable[[Callable[[], None]], object]


class Promise(Protocol):
    """What is told of each call whether it is new; a future of a thread or of an event loop."""

    def done(self) -> bool: ...

    def set_result(self, result: list[bool], /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """Calls of a request, and who waits for them where."""

    calls: list[Arrived]
    size: int
    promise: Promise
    run: Run


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

    def as_json(self) -> bytes:
        """`as_document`, as it is sent."""
        if self.rejected:
            return json.dumps(
                self.as_document(), ensure_ascii=False, separators=(",", ":")
            ).encode()
        return b'{"success":true,"received":%d,"accepted":%d,"duplicates":%d,"rejected":[]}' % (
            self.received,
            self.accepted,
            self.duplicates,
        )


class Collector:
    """Takes calls for the inbox; many requests share a commit.

    Args:
        inbox: where they are kept; whoever opened it closes it.
        clock: the server's.
        private: hides ids and what is personal before calls are kept; None: nothing is hidden.
    """

    def __init__(
        self, inbox: Inbox, clock: Clock = system_clock, private: PrivateCalls | None = None
    ) -> None:
        self.inbox = inbox
        self.clock = clock
        self.private = private
        self._judge = judge if private is None else private.judge
        self.counts: Counter[str] = Counter()
        #: Calls that can be no event, by reason.
        self.refused: Counter[str] = Counter()
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._size = 0
        self._guard = threading.Lock()
        self._open = True
        self._writer = threading.Thread(target=self._write, name="inbox", daemon=True)
        self._writer.start()

    @property
    def written(self) -> int:
        """A position of the inbox up to which calls are on disk: not before the last taken."""
        return self.inbox.written

    def judged(self, envelope: Envelope, received_at: datetime) -> list[Judged]:
        """Every call of a body, in its order."""
        return [self._judge(call, envelope.sent_at, received_at) for call in envelope.calls]

    def submit(
        self, source: str, judged: Sequence[Judged], received_at: datetime
    ) -> Future[list[bool]]:
        """Have calls written; the future tells of each whether it is new, once all are on disk.

        Raises:
            BusyError: too many wait, or the collector is closed.
        """
        done: Future[list[bool]] = Future()
        # A client that goes away cannot call back what others share a commit with.
        done.set_running_or_notify_cancel()
        self.submit_for(done, _at_once, source, judged, received_at)
        return done

    def submit_for(
        self,
        promise: Promise,
        run: Run,
        source: str,
        judged: Sequence[Judged],
        received_at: datetime,
    ) -> None:
        """Have calls written, and the promise kept by `run`, once for all that share it.

        Raises:
            BusyError: too many wait, or the collector is closed.
        """
        received = to_us(received_at)
        calls = [
            Arrived(
                source,
                _id_of(one),
                received,
                one.line,
                None if one.fault is None else ": ".join(one.fault),
            )
            for one in judged
        ]
        size = sum(len(one.line) for one in calls)
        with self._guard:
            if not self._open or self._size + size > WAITING:
                raise BusyError
            self._size += size
            self._waiting.put(_Asked(calls, size, promise, run))

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
            self.refused.update(code for _, code, _ in rejected)
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

    def _gathered(self, first: _Asked) -> tuple[list[_Asked], bool]:
        """Requests of one commit, and whether nothing comes after them."""
        batch, size = [first], len(first.calls)
        while size < _MOST:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return batch, True
            batch.append(more)
            size += len(more.calls)
        return batch, False

    def _commit(self, batch: Sequence[_Asked]) -> None:
        new: list[bool] | BaseException
        try:
            new = self.inbox.append([one for asked in batch for one in asked.calls])
        except BaseException as error:  # whoever waits has to hear of it, whatever it is
            new = error
        with self._guard:
            self._size -= sum(asked.size for asked in batch)
        together: dict[Run, list[tuple[Promise, list[bool] | BaseException]]] = {}
        at = 0
        for asked in batch:
            own = new if isinstance(new, BaseException) else new[at : at + len(asked.calls)]
            at += len(asked.calls)
            together.setdefault(asked.run, []).append((asked.promise, own))
        for run, told in together.items():
            with contextlib.suppress(RuntimeError):  # an event loop that ended: nobody waits there
                run(functools.partial(_keep, told))


def _id_of(one: Judged) -> str:
    """Under which a call is kept once, however often it is sent.

    One that is refused does not take the id of its client: that is for the call once it is mended.
    """
    if one.message_id is None:
        return f"{GIVEN}{uuid.uuid4()}"
    if one.fault is None or one.message_id.startswith(GIVEN):
        return one.message_id
    digest = hashlib.sha256(b"%s\n%s" % (one.message_id.encode(), one.line)).hexdigest()
    return f"{GIVEN}{digest[:40]}"


def _at_once(told: Callable[[], None]) -> None:
    told()


def _keep(told: Sequence[tuple[Promise, list[bool] | BaseException]]) -> None:
    for promise, own in told:
        if promise.done():  # who waited went away
            continue
        if isinstance(own, BaseException):
            promise.set_exception(own)
        else:
            promise.set_result(own)
