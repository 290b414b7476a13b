"""Verbs about money: currency rates and the reconciliation with the books."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.domain.time import Zone
from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress
    from shoal.workflows.rates import Loaded, Rates
    from shoal.workflows.reconcile import Reconciliation


class MoneyVerbs(Verbs):
    """About money: currency rates and the reconciliation with the books."""

    def rates(self) -> Rates:
        """The currency rates that the shop has."""
        from shoal.workflows.rates import current

        parts = self._parts
        return current(parts.store, parts.registry, parts.admission.currency)

    def load_rates(self, path: str | Path, *, base: str = "") -> Loaded:
        """Merge a file of dated rates over those the shop has.

        Args:
            path: a long table (date, currency, rate), or a wide one with a column a currency.
            base: of a wide table, the currency that one unit of is quoted.

        Raises:
            UsageError: `bad_setting`, the shop has no currency.
            InputError: `bad_rates`; nothing is changed.
        """
        from shoal.workflows.rates import load

        self._finish_erasures()
        parts = self._parts
        return load(
            store=parts.store,
            registry=parts.registry,
            path=Path(path),
            currency=parts.admission.currency,
            base=base,
        )

    def reconcile(
        self,
        *,
        against: str | Path | None = None,
        first: str | None = None,
        last: str | None = None,
        tolerance: float = 0.01,
        progress: Progress | None = None,
    ) -> Reconciliation:
        """The shop's money by month, and how it differs from the books.

        Args:
            against: a table of months and amounts.
            first, last: months (`2024-03`) that bound the table.
            tolerance: amounts that differ by no more agree, in units of the currency.

        Raises:
            InputError: `mixed_currencies`, `rates_missing`, `bad_books`, `too_little_data`.
        """
        self.catch_up(progress, reading=True)
        return months_of(
            self._parts,
            self.zone,
            against=None if against is None else Path(against),
            first=first,
            last=last,
            tolerance=tolerance,
            progress=progress,
        )


def months_of(parts: bootstrap.Parts, zone: Zone, **options: Any) -> Reconciliation:
    """The money of a shop by month; options as of `shoal.workflows.reconcile.reconcile`."""
    from shoal.workflows.reconcile import reconcile

    return reconcile(
        warehouse=parts.warehouse,
        store=parts.store,
        registry=parts.registry,
        admission=parts.admission,
        zone=zone,
        quarantine_dir=parts.directory / bootstrap.QUARANTINE_DIR,
        noise=parts.fold.rules.noise,
        order_sources=parts.config.shop.order_sources,
        **options,
    )
