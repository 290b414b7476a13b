"""Links of identity in memory, held to the same contract as the SQL ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from shoal.features.admission import LINKS_SCHEMA

#: id -> its links as rows.
LinkRows: TypeAlias = dict[str, list[dict[str, Any]]]


class MemoryPeople:
    """`PeopleStore` over rows that the store it belongs to keeps (and puts back on failure)."""

    def __init__(self, rows: Callable[[], LinkRows]) -> None:
        self._rows = rows

    def links(
        self, *, ids: Sequence[str] | None = None, customers: Sequence[str] | None = None
    ) -> pa.Table:
        """Links (`LINKS_SCHEMA`) of some ids, to some customers, or all, in order."""
        rows = [
            row
            for held in self._rows().values()
            for row in held
            if (ids is None and customers is None)
            or row["id"] in (ids or ())
            or row["customer_id"] in (customers or ())
        ]
        order = ("id", "from_us", "sequence", "event_id", "source")
        rows.sort(key=lambda row: tuple(row[name] for name in order))
        return pa.Table.from_pylist(rows, schema=LINKS_SCHEMA)

    def replace_links(self, ids: Sequence[str] | None, links: pa.Table) -> None:
        """Let these be the links of some ids, or (None) all there are."""
        held = self._rows()
        for name in list(held) if ids is None else ids:
            held.pop(name, None)
        for row in links.select(LINKS_SCHEMA.names).to_pylist():
            held[row["id"]] = [*held.get(row["id"], ()), row]

    def forget(self, ids: Sequence[str]) -> int:
        """Remove every link of or to some ids; returns how many there were."""
        wanted, held, gone = set(ids), self._rows(), 0
        for name, rows in list(held.items()):
            kept = [r for r in rows if name not in wanted and r["customer_id"] not in wanted]
            gone += len(rows) - len(kept)
            held[name] = kept
            if not kept:
                del held[name]
        return gone
