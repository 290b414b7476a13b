"""Verbs about money: currency rates and the reconciliation with the books."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal.workflows.rates import Loaded, Rates


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

        parts = self._parts
        return load(
            store=parts.store,
            registry=parts.registry,
            path=Path(path),
            currency=parts.admission.currency,
            base=base,
        )
