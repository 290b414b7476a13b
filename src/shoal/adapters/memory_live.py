"""Events between the inbox and the event table, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.ports import LiveBatch


@dataclass
class LiveRows:
    """What is kept: batches by number, the last number given, and the position."""

    batches: dict[int, LiveBatch] = field(default_factory=dict)
    last: int = 0
    position: int = 0

    def copied(self) -> LiveRows:
        """A copy that later writes do not reach."""
        return LiveRows(dict(self.batches), self.last, self.position)


class MemoryLive:
    """`LiveStore` in memory."""

    def __init__(self, rows: Callable[[], LiveRows]) -> None:
        self._rows = rows

    def add(self, batch: LiveBatch) -> int:
        """Keep a batch; returns its number."""
        rows = self._rows()
        rows.last += 1
        rows.batches[rows.last] = batch
        return rows.last

    def numbers(self) -> list[tuple[int, str]]:
        """(number, source) of every batch, oldest first."""
        return [(number, one.source) for number, one in sorted(self._rows().batches.items())]

    def accounts(self) -> list[tuple[int, str, Mapping[str, Any]]]:
        """(number, source, account) of every batch, oldest first."""
        kept = sorted(self._rows().batches.items())
        return [(number, one.source, one.account) for number, one in kept]

    def read(self, numbers: Sequence[int]) -> list[LiveBatch]:
        """Some batches, in the order asked for; `KeyError` where one is not there any more."""
        return [self._rows().batches[number] for number in numbers]

    def drop(self, source: str, upto: int) -> None:
        """Remove the batches of a source up to a number."""
        rows = self._rows()
        rows.batches = {
            number: one
            for number, one in rows.batches.items()
            if number > upto or one.source != source
        }

    def position(self) -> int:
        """Up to which position of the inbox calls are in batches or in the event table."""
        return self._rows().position

    def set_position(self, position: int) -> None:
        self._rows().position = position
