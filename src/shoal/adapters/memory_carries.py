"""Carries of behaviour models in memory, held to the same contract as the SQL ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from shoal.adapters.store_schema import CARRIES_SCHEMA

#: (customer, model) -> a row of `CARRIES_SCHEMA`.
CarryRows: TypeAlias = dict[tuple[str, str], dict[str, Any]]


class MemoryCarries:
    """`CarryStore` over rows that the store it belongs to keeps (and puts back on failure).

    Args:
        customers: those who have a state.
    """

    def __init__(
        self, rows: Callable[[], CarryRows], customers: Callable[[], Iterable[str]]
    ) -> None:
        self._rows = rows
        self._customers = customers

    def get(self, model_id: str, customers: Sequence[str]) -> pa.Table:
        """A model's carries (`CARRIES_SCHEMA`) of those asked for and known, by customer."""
        held = self._rows()
        wanted = [(name, model_id) for name in sorted(set(customers))]
        return pa.Table.from_pylist(
            [held[key] for key in wanted if key in held], schema=CARRIES_SCHEMA
        )

    def put(self, model_id: str, carries: pa.Table) -> None:
        """Insert or replace carries (`CARRIES_SCHEMA`)."""
        for row in carries.select(CARRIES_SCHEMA.names).to_pylist():
            self._rows()[row["customer_id"], model_id] = row

    def lacking(self, model_id: str) -> list[str]:
        """Customers with a state and without a carry of a model, sorted."""
        held = self._rows()
        return sorted(name for name in self._customers() if (name, model_id) not in held)

    def delete(self, model_id: str, customers: Sequence[str] | None) -> None:
        """Remove a model's carries of some customers, or (None) of all."""
        wanted = None if customers is None else set(customers)
        self._drop(lambda name, of: of == model_id and (wanted is None or name in wanted))

    def delete_since(self, model_id: str, moment_us: int) -> None:
        """Remove a model's carries of customers with an event at or after a moment."""
        held = self._rows()
        self._drop(lambda name, of: of == model_id and held[name, of]["last_us"] >= moment_us)

    def forget(self, customers: Sequence[str]) -> int:
        """Remove every model's carries of some customers; how many there were."""
        wanted = set(customers)
        return self._drop(lambda name, _: name in wanted)

    def _drop(self, chosen: Callable[[str, str], bool]) -> int:
        held = self._rows()
        gone = [key for key in held if chosen(*key)]
        for key in gone:
            del held[key]
        return len(gone)
