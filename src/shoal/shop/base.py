"""What every group of a shop's verbs shares: its parts, its zone, and how moments are read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shoal import bootstrap
from shoal.config import Config
from shoal.domain.errors import OperationError
from shoal.domain.time import Zone, parse_moment
from shoal.shop.audited import note
from shoal.shop.lists import remembered, without_forgotten

if TYPE_CHECKING:
    from datetime import date, datetime

    from shoal.events.mapping import SourceMapping
    from shoal.shop.streaming import Stream
    from shoal.workflows.forget import Forgetting
    from shoal.workflows.known import Known
    from shoal.workflows.live_fold import Folding
    from shoal.workflows.progress import Progress

    Moment = str | date | datetime

T = TypeVar("T")

_LOG: Final = logging.getLogger("shoal")
#: Layout of calls of tracking clients.
_PRESET: Final = "segment-spec"


class Verbs:
    """Base of the groups of verbs; `Shop` is all of them."""

    def __init__(self, parts: bootstrap.Parts) -> None:
        self._parts = parts
        #: Is given what refreshes see of customers; set by who keeps it (`shop.asking`).
        self._seen: Callable[[Known], None] | None = None
        #: Steps of a stream that this process takes; it knows nothing of what other verbs write.
        self._stream: Stream | None = None

    @property
    def directory(self) -> Path:
        return self._parts.directory

    @property
    def config(self) -> Config:
        return self._parts.config

    @property
    def zone(self) -> Zone:
        return Zone(self.config.shop.time_zone)

    def catch_up(self, progress: Progress | None = None, *, reading: bool = False) -> None:
        """Let the customers' states follow events that a killed ingest left, and new settings.

        Args:
            reading: nothing will be written, so nobody waits for a process that is forgetting
                somebody: the persons are out of sight already.

        Raises:
            OperationError: `shop_locked`.
        """
        from shoal.workflows.catch_up import behind, catch_up

        if not self._finish_erasures(reading=reading, beside=True):
            return
        parts = self._parts
        if behind(parts.warehouse, parts.store, parts.admission, parts.fold):
            catch_up(
                warehouse=parts.warehouse,
                store=parts.store,
                fold=parts.fold,
                admission=parts.admission,
                progress=progress,
            )

    def folding(self) -> Folding:
        """What does a share of a stream's step in this process; it only reads."""
        from shoal.workflows.live_fold import Folding

        parts = self._parts
        return Folding(parts.store, parts.registry, parts.fold, self.zone)

    @property
    def _forgetting(self) -> Forgetting:
        """What takes persons out of every store of the shop."""
        from shoal.workflows.forget import Forgetting, Places

        parts, home = self._parts, self.directory
        places = Places(
            home,
            home / bootstrap.QUARANTINE_DIR,
            home / bootstrap.EXPORTS_DIR,
            home / bootstrap.WORK_DIR,
        )
        return Forgetting(
            parts.warehouse, parts.store, parts.registry, parts.admission, parts.fold_of, places,
            self.config.shop.buckets, privacy=parts.privacy,
        )  # fmt: skip

    def _named(self, raw_id: str) -> str:
        """How the shop knows an id that somebody asks for: where ids are hidden, its pseudonym.

        Raises:
            UsageError: `no_secret`, `bad_secret`, `wrong_secret`.
        """
        reading = self._parts.reading
        return raw_id if reading is None else reading.named(raw_id)

    def _finish_erasures(self, *, reading: bool = False, beside: bool = False) -> bool:
        """Finish an erasure that a kill left under way, before anything else is written.

        Whoever writes calls this first. What was finished is logged, because whoever asked for it
        was never told. What a stream brought in goes into the event table before.

        Args:
            reading: nothing will be written.
            beside: no events will be: another process may go on streaming them.

        Returns:
            False where the caller only reads and another process is at work on it.

        Raises:
            OperationError: `shop_locked`, `erasure_unfinished`, `disk_full`, `no_permission`.
        """
        from shoal.workflows.forgotten import unfinished

        if self._stream is not None:
            self._stream.reset()
        try:
            self.flush()
        except OperationError as error:
            if not (reading or beside) or error.code != "shop_locked":
                raise
        if not unfinished(self._parts.store):
            return True
        try:
            receipts = self._forgetting.finish_pending()
        except OperationError as error:
            if reading and error.code == "shop_locked":
                return False
            raise
        for receipt in receipts:
            note(self.directory, "forget.finished", receipt=receipt["number"])
            _LOG.warning(
                "an erasure that had been interrupted is finished: receipt %d, %d files not "
                "reached; shoal forget SHOP --receipts shows it",
                receipt["number"],
                len(receipt["not_reached"]),
                extra={"receipt": receipt},
            )
        return True

    def flush(self) -> int:
        """Bring what a stream took in into the event table; how many events it was.

        Raises:
            OperationError: `shop_locked`, `disk_full`, `no_permission`, `shop_damaged`.
        """
        parts = self._parts
        if not parts.store.live.numbers():
            return 0
        from shoal.workflows.live_flush import flush

        quarantine = self.directory / bootstrap.QUARANTINE_DIR
        with parts.store.lease():
            return flush(parts.warehouse, parts.store, quarantine, self.collecting)

    @property
    def collecting(self) -> SourceMapping:
        """How calls of tracking clients are read."""
        from shoal.events.presets import load

        return load(_PRESET)

    def _one_currency(self, moment: datetime | None, version: int | None = None) -> None:
        """Refuse to add amounts of several currencies without rates.

        Raises:
            InputError: `mixed_currencies`, `rates_missing`, with the amounts at stake.
        """
        from shoal.workflows.currencies import refuse_mixed

        parts = self._parts
        if parts.warehouse.version() < 0:
            return
        rules = parts.fold.rules
        refuse_mixed(
            parts.engine,
            parts.warehouse.events(version=version),
            currency=parts.admission.currency,
            rates=parts.admission.rates,
            value_event=rules.value_event,
            before=moment,
            noise=rules.noise,
            order_sources=rules.order_sources,
        )

    def _listed(
        self, out: Path | None, kind: str, write: Callable[[], T], file_of: Callable[[T], Path]
    ) -> T:
        """Let `write` make a file that names customers; what it returns.

        Args:
            out: the file, to be remembered for when one is forgotten; None, or a file among the
                shop's exports: it is found there.
            kind: what it is.
            file_of: the file that was made.
        """
        erasures = self._parts.store.erasures
        exports = (self.directory / bootstrap.EXPORTS_DIR).resolve()
        if out is None or out.resolve().is_relative_to(exports):
            return without_forgotten(erasures, write, file_of)
        with remembered(erasures, out, kind):
            return without_forgotten(erasures, write, file_of)

    def _applied(self) -> dict[str, Any]:
        """What every workflow that applies a segmentation needs."""
        return {
            "warehouse": self._parts.warehouse,
            "store": self._parts.store,
            "registry": self._parts.registry,
            "fold": self._parts.fold,
            "zone": self.zone,
            "admission": self._parts.admission,
        }


def moment_of(text: Moment | None) -> datetime | None:
    """An aware moment of what a caller gave; None stays None."""
    return None if text is None else parse_moment(text)
