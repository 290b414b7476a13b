"""What every group of a shop's verbs shares: its parts, its zone, and how moments are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shoal import bootstrap
from shoal.config import Config
from shoal.domain.time import Zone, parse_moment
from shoal.shop.lists import remembered, without_forgotten

if TYPE_CHECKING:
    from datetime import date, datetime

    from shoal.workflows.forget import Forgetting
    from shoal.workflows.progress import Progress

    Moment = str | date | datetime

T = TypeVar("T")


class Verbs:
    """Base of the groups of verbs; `Shop` is all of them."""

    def __init__(self, parts: bootstrap.Parts) -> None:
        self._parts = parts

    @property
    def directory(self) -> Path:
        return self._parts.directory

    @property
    def config(self) -> Config:
        return self._parts.config

    @property
    def zone(self) -> Zone:
        return Zone(self.config.shop.time_zone)

    def catch_up(self, progress: Progress | None = None) -> None:
        """Let the customers' states follow events that a killed ingest left, and new settings."""
        from shoal.workflows.catch_up import behind, catch_up

        self._finish_erasures()
        parts = self._parts
        if behind(parts.warehouse, parts.store, parts.admission, parts.fold):
            catch_up(
                warehouse=parts.warehouse,
                store=parts.store,
                fold=parts.fold,
                admission=parts.admission,
                progress=progress,
            )

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
            self.config.shop.buckets,
        )  # fmt: skip

    def _finish_erasures(self) -> None:
        """Finish an erasure that a kill left under way, before anything else is written."""
        from shoal.workflows.forgotten import unfinished

        if unfinished(self._parts.store):
            with self._parts.store.lease():
                self._forgetting.finish_pending()

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
