"""Who is where in the membership log, in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shoal.ports import Standing
from shoal.segments.assign import MEMBERSHIPS_SCHEMA


class MemoryStandings:
    """`StandingStore` in memory.

    Args:
        log: the membership log with the position of each row.
        states: whom there is a state of.
    """

    def __init__(self, log: Callable[[], pa.Table], states: Callable[[], Collection[str]]) -> None:
        self._log, self._states = log, states

    def of(self, customer_id: str, segmentations: Sequence[str]) -> Standing:
        """Where one customer is; see the port."""
        found: dict[str, dict[str, Any]] = {}
        for row in self._rows():
            if row["customer_id"] == customer_id and row["segmentation_id"] in segmentations:
                found[row["segmentation_id"]] = {
                    name: value
                    for name, value in row.items()
                    if name not in ("customer_id", "position")
                }
        return Standing(customer_id in self._states(), found)

    def members(
        self,
        segmentation_id: str | Sequence[str],
        segment_id: str,
        *,
        upto: int,
        after: str,
        limit: int,
    ) -> pa.Table:
        """Some members of a segment, by customer; see the port."""
        latest = self._latest(segmentation_id, upto)
        rows = [
            latest[name]
            for name in sorted(latest)
            if name > after and latest[name]["segment_id"] == segment_id
        ][:limit]
        return pa.Table.from_pylist(rows, schema=MEMBERSHIPS_SCHEMA)

    def sizes(self, segmentation_id: str | Sequence[str], upto: int) -> Mapping[str, int]:
        """Customers of each segment; see the port."""
        counted: dict[str, int] = {}
        for row in self._latest(segmentation_id, upto).values():
            counted[row["segment_id"]] = counted.get(row["segment_id"], 0) + 1
        return counted

    def _latest(self, segmentation_id: str | Sequence[str], upto: int) -> dict[str, dict[str, Any]]:
        named = {segmentation_id} if isinstance(segmentation_id, str) else set(segmentation_id)
        return {
            row["customer_id"]: row
            for row in self._rows()
            if row["segmentation_id"] in named and row["position"] <= upto
        }

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._log().sort_by("position").to_pylist()
        return rows
