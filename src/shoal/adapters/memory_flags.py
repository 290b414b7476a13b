"""Flags of the pace rules in memory, held to the same contract as the SQL ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from shoal.features.admission import FLAGS_SCHEMA

#: visitor -> its flags as rows.
Rows: TypeAlias = dict[str, list[dict[str, Any]]]


class MemoryFlags:
    """`FlagStore` over rows that the store it belongs to keeps (and puts back on failure)."""

    def __init__(self, rows: Callable[[], Rows]) -> None:
        self._rows = rows

    def flags(self, visitors: Sequence[str] | None = None) -> pa.Table:
        """Flags (`FLAGS_SCHEMA`) of some visitors, or of all, by visitor, `told_us` and rule."""
        held = self._rows()
        wanted = held if visitors is None else set(visitors) & held.keys()
        rows = [row for visitor in wanted for row in held[visitor]]
        rows.sort(key=lambda row: (row["visitor_id"], row["told_us"], row["rule"], row["to_us"]))
        return pa.Table.from_pylist(rows, schema=FLAGS_SCHEMA)

    def replace(self, visitors: Sequence[str] | None, flags: pa.Table) -> None:
        """Let these be the flags of some visitors, or (None) of all there are."""
        self.delete(visitors)
        for row in flags.select(FLAGS_SCHEMA.names).to_pylist():
            held = self._rows()
            held[row["visitor_id"]] = [*held.get(row["visitor_id"], ()), row]

    def delete(self, visitors: Sequence[str] | None) -> None:
        """Forget the flags of some visitors, or (None) of all there are."""
        if visitors is None:
            self._rows().clear()
            return
        for visitor in visitors:
            self._rows().pop(visitor, None)
