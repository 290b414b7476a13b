"""A stream of calls into a shop: what waits in the inbox moves its customers, step by step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shoal import bootstrap
from shoal.domain.time import Clock, system_clock

if TYPE_CHECKING:
    from shoal.ports import Inbox
    from shoal.shop.data import DataVerbs
    from shoal.workflows.known import Known
    from shoal.workflows.live_fold import Folder, Folding
    from shoal.workflows.live_keys import KnownKeys
    from shoal.workflows.live_step import Aged, LiveStep, Stepped

#: Calls of one step: what one step costs besides is shared by them, and the first waits for the
#: last.
AT_ONCE: Final = 5_000
#: Beyond so many calls that wait the event table takes them at less than what steps cost.
BACKLOG: Final = 20_000
#: Events that wait to be flushed are read by whoever reads the log; more than so many do not wait.
_MOST_WAITING: Final = 100_000


class Stream:
    """Steps of a process that holds the shop's lease; one thread at a time.

    Args:
        flush_s: events are in the event table after so long; their customers have moved long since.
        divided: gives, to what does shares of a step here, what does them in several processes;
            None: they are done here.
    """

    def __init__(
        self,
        shop: DataVerbs,
        inbox: Inbox,
        *,
        flush_s: float,
        clock: Clock = system_clock,
        divided: Callable[[Folding], Folder] | None = None,
    ) -> None:
        self._shop, self._inbox, self._divided = shop, inbox, divided
        self._flush_s, self._clock = flush_s, clock
        self._step: LiveStep | None = None
        self._keys: KnownKeys | None = None
        self._agreed = False
        self._waiting = 0
        self._since: datetime | None = None
        #: Why calls went through the event table last; None: none did.
        self.detour: str | None = None

    @property
    def position(self) -> int:
        """Up to where the inbox is in the log."""
        return max(self._shop._parts.store.live.position(), self._inbox.drained())

    @property
    def behind(self) -> bool:
        """Whether so many calls wait that the event table takes them sooner."""
        return self._inbox.last() - self._inbox.drained() > BACKLOG

    def reset(self) -> None:
        """Somebody else of this process writes to the shop: know nothing of it any more."""
        self._step = None
        self._waiting, self._since = 0, None

    def step(self, now: datetime | None) -> Stepped | None:
        """Take in calls that wait.

        Args:
            now: the moment at which customers are placed; None: just after the latest event.

        Returns:
            None where these calls have to go through the event table (`Shop.drain`); `detour` says
            why. A step of no calls where none wait.

        Raises:
            OperationError: as a store raises; the calls stay.
        """
        from shoal.domain.account import RowAccount
        from shoal.workflows.live_step import Stepped, TableNeededError

        inbox = self._inbox
        if not self._agreed:
            self._agree()
        drained = inbox.drained()
        if inbox.planned() > drained and inbox.after(drained, 1):
            self.detour = "they were on their way there"
            return None
        if self.behind:
            self.detour = "so many wait that the event table takes them sooner"
            return None
        calls = inbox.after(drained, AT_ONCE)
        if not calls:
            return Stepped(0, drained, RowAccount())
        try:
            found = self._steps().step(calls, now)
        except TableNeededError as error:
            self.detour = str(error)
            return None
        inbox.drain(found.position)
        self._waiting += found.rows.stored
        if self._since is None:
            self._since = self._clock()
        return found

    def sweep(self, after: str, most: int, now: datetime | None) -> Aged | None:
        """Move the next customers on to now, of whom nothing came.

        Args:
            after: the last customer of the part before; "" begins.
            most: customers of a part.
            now: as of `step`.

        Returns:
            None where everybody has to be refreshed at once (`Shop.refresh`).

        Raises:
            OperationError: as a store raises.
        """
        from shoal.workflows.live_step import TableNeededError

        try:
            return self._steps().sweep(after, most, now)
        except TableNeededError:
            return None

    def _agree(self) -> None:
        """Let the inbox and the state store be at the same position.

        A kill leaves calls in the inbox that states hold. An inbox that was restored from a backup
        gives positions anew that the state store has passed: its next calls are new all the same.
        """
        live, inbox = self._shop._parts.store.live, self._inbox
        position, last = live.position(), inbox.last()
        if position > inbox.drained():
            inbox.drain(min(position, last))
        if position > last:
            live.set_position(last)
        self._agreed = True

    def flush_due(self) -> bool:
        """Whether what waits should go into the event table now."""
        if self._since is None:
            return False
        waited = (self._clock() - self._since).total_seconds()
        return waited >= self._flush_s or self._waiting >= _MOST_WAITING

    def flush(self) -> int:
        """Bring what waits into the event table; how many events it was.

        Raises:
            OperationError: as a store raises; what waits goes on waiting.
        """
        parts = self._shop._parts
        before = parts.warehouse.version()
        flushed = self._shop.flush()
        if self._keys is not None:
            self._keys.flushed(before, parts.warehouse.version())
        self._waiting, self._since = 0, None
        return flushed

    def _steps(self) -> LiveStep:
        fold = self._shop._parts.fold
        if self._step is None or self._step.fold is not fold:
            from shoal.features.pace import Pace
            from shoal.workflows.live_keys import KnownKeys
            from shoal.workflows.live_rows import FrontDoor
            from shoal.workflows.live_step import LiveStep

            shop, parts = self._shop, self._shop._parts
            pace = shop.config.noise
            if self._keys is None:
                self._keys = KnownKeys(parts.warehouse, parts.store.live)
            folding = shop.folding()
            folder = folding if self._divided is None else self._divided(folding)
            self._step = LiveStep(
                parts.warehouse, parts.store, parts.registry, fold, folder, parts.admission,
                Pace(pace.rate_events, pace.run_events, pace.think_seconds),
                FrontDoor(shop.collecting, shop.zone, shop.config.shop.buckets, shop.row_noise,
                          parts.privacy, shop.directory / bootstrap.WORK_DIR),
                self._keys, self._seen,
            )  # fmt: skip
        return self._step

    def _seen(self, known: Known) -> None:
        seen: Callable[[Known], None] | None = self._shop._seen
        if seen is not None:
            seen(known)
