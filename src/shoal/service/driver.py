"""The stream driver: what was collected becomes events, and customers move, one batch at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shoal.adapters.process_memory import give_back
from shoal.domain.errors import ShoalError, UsageError
from shoal.domain.time import Clock, iso, system_clock
from shoal.shop.streaming import AT_ONCE, BACKLOG

if TYPE_CHECKING:
    from shoal.ports import Inbox
    from shoal.service.adjusting import Adjusting
    from shoal.shop import Shop
    from shoal.workflows.live_fold import Folder, Folding

_LOG: Final = logging.getLogger("shoal.service")
#: After a failure the next attempt waits, twice as long each time up to this.
_LONGEST_WAIT_S: Final = 10.0
#: Between two batches it rests as long as the calls of the first took, half of a core at most, but
#: no shorter than this: nobody waits for long where calls are few.
_LEAST_REST_S: Final = 0.1
#: While nothing comes, it looks so often.
_LOOK_S: Final = 0.2
#: While a backlog comes in customers follow so often: moving them costs what it costs, however
#: much came of each.
_FOLLOW_S: Final = 60.0
_DAY_S: Final = 86_400.0
#: A sweep moves so many customers between two batches, in about a quarter of a second: whoever does
#: something meanwhile does not wait until everybody was looked at.
_SWEPT_AT_ONCE: Final = 1_000
#: There are no segments yet, or nobody who could be in one: nobody is moved, and that is all.
_NOBODY: Final = ("unknown_segmentation", "too_little_data")


class Driver:
    """Drains the inbox in a thread of its own.

    Args:
        shop: of which this process holds the lease.
        every_s: how long calls may wait for others to come with them; where moving customers is
            quick they wait less.
        sweep_s: after so long in which nothing came everybody is moved on all the same: silence
            changes segments too.
        flush_s: events of customers who have moved are in the event table after so long.
        divided: see `Stream`.
    """

    def __init__(
        self,
        shop: Shop,
        inbox: Inbox,
        *,
        every_s: float = 1.0,
        sweep_s: float = 3600.0,
        flush_s: float = 60.0,
        adjusting: Adjusting | None = None,
        event_time: bool = False,
        divided: Callable[[Folding], Folder] | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._shop, self._inbox, self._clock = shop, inbox, clock
        self._every_s, self._sweep_s = every_s, sweep_s
        self._adjusting, self._event_time = adjusting, event_time
        self._stream = shop.streaming(inbox, flush_s=flush_s, clock=clock, divided=divided)
        self._reached: datetime | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)
        self._told: dict[str, Any] = {
            "calls": 0, "detours": 0, "detour": None, "events": 0, "moved": 0, "drained_at": None,
            "swept_at": None, "failure": None,
        }  # fmt: skip
        self._swept: datetime | None = None
        #: Of the sweep under way: when it began, and the last customer whom it moved.
        self._sweeping: tuple[datetime, str] | None = None
        #: What a service found and finished when it started (`Shop.recover`).
        self.recovered: dict[str, Any] = {}
        #: Tells what went with old versions of the event table (`TableRetention.told`).
        self.trimmed: Callable[[], dict[str, Any]] | None = None
        #: Of what is drained and of which customers are not moved yet: since when.
        self._owed: datetime | None = None
        #: Seconds that the calls of the batch before took; None: there were none.
        self._took: float | None = None
        #: Held by whoever of this process writes to the shop.
        self.turn = threading.RLock()
        #: Position of the inbox past which customers are moved.
        self.past = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the batch in hand, and bring in what still waits."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._adjusting is not None:
            self._adjusting.stop()
        while self._step():
            pass
        with self.turn:
            self._flush()

    @contextmanager
    def aside(self, apart: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """A block in which another process has the shop: it finds everything in the event table.

        Args:
            apart: a block in which this process does not hold the shop.
        """
        self._stream.flush()
        try:
            with apart():
                yield
        finally:
            self._stream.reset()

    def told(self) -> dict[str, Any]:
        """What it did so far, and why it does not go on, if it does not."""
        owed = self._owed
        told = {
            **self._told, "waiting": self._inbox.waiting(), "past": self.past,
            "behind_since": None if owed is None else iso(owed),
        }  # fmt: skip
        if self.recovered:
            told["recovered"] = self.recovered
        if self.trimmed is not None:
            told["trimmed"] = self.trimmed()
        if self._adjusting is not None:
            told["adjusting"] = self._adjusting.told()
        return told

    def _run(self) -> None:
        wait = self._every_s
        while not self._stopped.wait(wait):
            while not self._stopped.is_set() and self._step() >= AT_ONCE:
                self._adjust()
            self._adjust()
            wait = self._rest(wait)

    def _rest(self, before: float) -> float:
        """Seconds until the next batch; `before`: how long it rested last."""
        if self._told["failure"] is not None:
            return min(2 * max(before, self._every_s), _LONGEST_WAIT_S)
        if self._sweeping is not None and self._swept is None:
            return 0.0  # the first sweep puts customers at hand for who reads
        idle = self._took is None and self._sweeping is None
        rest = _LOOK_S if idle else max(self._took or 0.0, _LEAST_REST_S)
        return min(rest, self._every_s)

    def _step(self) -> int:
        """One batch; how many calls it was: of fewer than fit, nobody waits for the next."""
        with self.turn:
            return self._batch()

    def _batch(self) -> int:
        try:
            began = time.monotonic()
            calls = self._take()
            self._took = time.monotonic() - began if calls else None
            if self._owed is not None and not self._may_wait(self._owed):
                self._move(arrived=True)
                self._owed = None
            # Who came in and was not moved is known up to the next time that anything is recorded.
            if self._owed is None and self._sweep_due():
                self._sweep()
            if self._owed is None:
                self.past = self._stream.position
            flushes = self._stream.flush_due()
            if flushes:
                self._stream.flush()
            if flushes or calls > BACKLOG:
                give_back()
        except ShoalError as error:
            self._failed(error.code, error.message)
            return 0
        except Exception as error:  # the service goes on collecting whatever happens here
            self._failed("internal", f"{type(error).__name__}: {error}")
            return 0
        self._told["failure"] = None
        return calls

    def _may_wait(self, since: datetime) -> bool:
        """Whether customers who are owed a move since a moment follow with those of the next batch.

        That next batch goes through the event table too: it is no step that moves its own.
        """
        if self._stopped.is_set() or not self._stream.behind:
            return False
        return (self._clock() - since).total_seconds() < _FOLLOW_S

    def _take(self) -> int:
        """Take in what waits, and move its customers or owe it to them; how many calls it was."""
        stepped = self._stream.step(None if self._event_time else self._clock())
        if stepped is not None:
            calls, rows = stepped.calls, stepped.rows
            self._told["moved"] += stepped.changed
            self._reached = stepped.as_of or self._reached
        else:
            drained = self._shop.drain(self._inbox)
            calls, rows = drained.calls, drained.rows
            self._told["detours"] += calls
            if calls:
                self._told["detour"] = self._stream.detour
            if rows.stored and self._owed is None:
                self._owed = self._clock()
        if calls:
            self._told["calls"] += calls
            self._told["events"] += rows.stored
            self._told["drained_at"] = iso(self._clock())
        return calls

    def _flush(self) -> None:
        """Bring what waits into the event table; what fails is told, and waits for the next run."""
        try:
            self._stream.flush()
        except ShoalError as error:
            self._failed(error.code, error.message)

    def _adjust(self) -> None:
        """Between two batches a look may be at the shop."""
        if self._adjusting is None:
            return
        try:
            with self.turn:
                self._adjusting.step(self._stopped)
        except ShoalError as error:
            self._failed(error.code, error.message)
        except OSError as error:  # no process could be started
            self._failed("look_failed", f"{type(error).__name__}: {error}")

    def _sweep_due(self) -> bool:
        if self._sweeping is not None:
            return True
        if self._event_time:
            now, every_s = self._reached, _DAY_S
        else:
            now, every_s = self._clock(), self._sweep_s
        if self._swept is None or now is None:
            return True
        return (now - self._swept).total_seconds() >= every_s

    def _sweep(self) -> None:
        """Move the next part of all customers on, of whom nothing came."""
        began, after = self._sweeping or (self._clock(), "")
        self._sweeping = began, after
        aged = self._stream.sweep(
            after, _SWEPT_AT_ONCE, None if self._event_time else self._clock()
        )
        placed = True
        if aged is None:
            placed = self._move(arrived=False)
        else:
            self._follow(aged.changed, aged.as_of)
            if aged.after is not None:
                self._sweeping = began, aged.after
                return
        self._sweeping = None
        self._swept = self._reached if self._event_time else began
        if placed:
            self._told["swept_at"] = iso(began)

    def _move(self, *, arrived: bool) -> bool:
        """Let memberships follow up to now; False: a shop without segments has none to move.

        Args:
            arrived: only those of whom events came in; everybody else waits for the sweep.
        """
        try:
            try:
                now = None if self._event_time else self._clock()
                moved = self._shop.refresh(as_of=now, arrived=arrived)
            except UsageError as error:
                if error.code != "bad_period":
                    raise
                # Clients whose clocks are ahead: just after them.
                moved = self._shop.refresh(arrived=arrived)
        except ShoalError as error:
            if error.code not in _NOBODY:
                raise
            return False
        self._follow(moved.changed, moved.as_of)
        return True

    def _follow(self, changed: int, as_of: datetime | None) -> None:
        self._told["moved"] += changed
        self._reached = as_of or self._reached

    def _failed(self, code: str, message: str) -> None:
        self._told["failure"] = {"code": code, "message": message, "since": iso(self._clock())}
        _LOG.error("events wait in the inbox: %s", message)
