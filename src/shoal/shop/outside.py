"""Verbs about data from outside the event log: covariates and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.shop.base import Moment
    from shoal.workflows.covariates import Loaded
    from shoal.workflows.items import WrittenItems


class OutsideVerbs(Verbs):
    """About data from outside the event log: covariates and items."""

    def load_covariates(
        self,
        file: str | Path,
        *,
        name: str,
        key: Sequence[str] | Mapping[str, str] = (),
        known: str = "",
        known_always: bool = False,
        known_after_days: int = 1,
        absent_is_zero: bool = False,
        replace: bool = False,
    ) -> Loaded:
        """Load a table of covariates: merged into the table of that name, or replacing it.

        Args:
            key: the key columns (`date`, `country`, `region`, `category`, `item_id`), or key ->
                column of the file; empty: the columns that are called so.
            known: a column with the time from which each row could be known.
            known_always: every row is known from the beginning (calendars, places).
            known_after_days: a row is known from the start of the local day so many days after its
                date (1: when its day is over).
            absent_is_zero: days without a row have the value 0, within the file's years.

        Raises:
            InputError: `bad_covariates`, with row, what was received and what is allowed.
        """
        from shoal.workflows.covariate_table import Asked
        from shoal.workflows.covariates import load

        self._finish_erasures()
        keys = dict(key) if isinstance(key, Mapping) else {one: one for one in key}
        return load(
            store=self._parts.store,
            registry=self._parts.registry,
            path=Path(file),
            name=name,
            asked=Asked(keys, known, known_after_days, known_always, absent_is_zero),
            zone=self.zone,
            replace=replace,
        )

    def covariates(self) -> dict[str, Any]:
        """The tables of covariates that the shop has."""
        from shoal.workflows.covariates import overview

        declared = self.config.features.covariates
        return overview(self._parts.store, self._parts.registry, declared)

    def remove_covariates(self, name: str) -> dict[str, Any]:
        """Take a table of covariates out of use.

        Raises:
            UsageError: `unknown_covariate`.
        """
        from shoal.workflows.covariates import remove

        self._finish_erasures()
        return remove(store=self._parts.store, registry=self._parts.registry, name=name)

    def items(self, *, as_of: Moment | None = None) -> pa.Table:
        """What is known of each item: the latest value of each attribute dated before `as_of`."""
        from shoal.features.items import facts_at

        warehouse = self._parts.warehouse
        return facts_at(warehouse.engine, warehouse.events(), moment_of(as_of))

    def items_overview(self, *, as_of: Moment | None = None) -> dict[str, Any]:
        """How many items are known, what of them, and the first ones."""
        from shoal.workflows.items import overview

        return overview(warehouse=self._parts.warehouse, as_of=moment_of(as_of))

    def item(self, item_id: str, *, as_of: Moment | None = None) -> dict[str, Any]:
        """One item and how its facts came about.

        Raises:
            UsageError: `unknown_item`.
        """
        from shoal.workflows.items import item

        return item(warehouse=self._parts.warehouse, item_id=item_id, as_of=moment_of(as_of))

    def write_items(self, out: str | Path, *, as_of: Moment | None = None) -> WrittenItems:
        """Write what is known of each item to a Parquet file."""
        from shoal.workflows.items import write_items

        return write_items(warehouse=self._parts.warehouse, out=Path(out), as_of=moment_of(as_of))
