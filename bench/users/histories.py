"""Customers' events as arrays for the neural peers; vocabularies and scales are of before T - H.

This is the peers' own reading of the log, beside Shoal's tokens: kind, item, category, brand,
channel, device, price, quantity, rating, hour, weekday, and the time since the event before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.harness.source import CUSTOMER
from bench.users.sets import Opened, stored_events
from shoal.domain.money import MICROS

if TYPE_CHECKING:
    import torch

#: Columns that are codes, and how many names of each are known at most; others share one code.
NAMES = {
    "kind": 32, "item_id": 2_000, "category": 200, "brand": 200, "channel": 20, "device": 20,
}  # fmt: skip
NUMBERS = ("price", "quantity", "rating", "gap_days")
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Histories:
    """Events of `customers`, sorted by customer and time; those of i are rows
    `offsets[i]:offsets[i + 1]`.

    Args:
        codes: (events, c) int64, of `sizes` names each; 0 is padding or none.
        numbers: (events, m) float32, standardised; 0 where an event has none.
    """

    customers: list[str]
    offsets: npt.NDArray[np.int64]
    us: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float32]
    sizes: tuple[int, ...]

    def ends(self, moment: datetime) -> npt.NDArray[np.int64]:
        """(n,) the row after each customer's last event before the moment."""
        before = np.concatenate([[0], np.cumsum(self.us < _us(moment))])
        return self.offsets[:-1] + before[self.offsets[1:]] - before[self.offsets[:-1]]

    def silence(self, ends: npt.NDArray[np.int64], moment: datetime) -> npt.NDArray[np.float32]:
        """(n,) days from the last event before the moment until then; everybody has one."""
        return ((_us(moment) - self.us[ends - 1]) / _DAY_US).astype(np.float32)

    def rows(self, customers: Sequence[str]) -> npt.NDArray[np.int64]:
        """Places of customers."""
        return np.searchsorted(np.asarray(self.customers), np.asarray(customers)).astype(np.int64)

    def slices(
        self, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows [start, end) end to end: codes (N, c), numbers (N, m), lengths (B,)."""
        import torch

        lengths = ends - starts
        first = np.cumsum(lengths) - lengths
        place = np.repeat(starts - first, lengths) + np.arange(lengths.sum())
        return (
            torch.from_numpy(self.codes[place]),
            torch.from_numpy(self.numbers[place]),
            torch.from_numpy(lengths),
        )


def histories(opened: Opened) -> Histories:
    """All events of the log's customers before T, as arrays."""
    table = stored_events(opened.source.shop_dir)
    before_cut = pc.less(
        table["event_time"], pa.scalar(opened.moment, table["event_time"].type)
    )  # fmt: skip
    table = table.filter(pc.and_(pc.is_valid(table[CUSTOMER]), before_cut))
    us = np.asarray(table["event_time"].cast(pa.int64()).to_numpy())
    early = us < _us(opened.before)
    customers, offsets = _offsets(table[CUSTOMER].to_pylist())
    coded = [_coded(table[name], early, most) for name, most in NAMES.items()]
    hour = us // 3_600_000_000
    clock = [(hour % 24 + 1, 25), ((hour // 24 + 3) % 7 + 1, 8)]  # 1970-01-01 was a Thursday
    columns, sizes = zip(*coded, *clock, strict=True)
    return Histories(
        customers, offsets, us, np.column_stack(columns).astype(np.int64),
        _numbers(table, us, offsets, early), tuple(int(size) for size in sizes),
    )  # fmt: skip


def _offsets(of_event: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    names, counts = np.unique(np.asarray(of_event, dtype=str), return_counts=True)
    return names.tolist(), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _coded(column: pa.ChunkedArray, early: Any, most: int) -> tuple[Any, int]:
    """Codes and their number: 0 none, 1 a name that is rare or was not known, then the names."""
    counts = column.filter(pa.array(early)).drop_null().value_counts().to_pylist()
    counts.sort(key=lambda one: (-one["counts"], one["values"]))
    names = pa.array([one["values"] for one in counts[:most]], column.type)
    found = pc.fill_null(pc.index_in(column, names), -1).to_numpy().astype(np.int64)
    codes = np.where(found >= 0, found + 2, 1)
    return np.where(column.is_null().to_numpy(), 0, codes), len(names) + 2


def _numbers(table: pa.Table, us: Any, offsets: Any, early: Any) -> npt.NDArray[np.float32]:
    gap = np.diff(us, prepend=us[:1]) / _DAY_US
    gap[offsets[:-1][offsets[:-1] < len(gap)]] = 0.0
    raw = {
        name: table[name].cast(pa.float64()).to_numpy() for name in ("price", "quantity", "rating")
    }
    columns = {
        "price": np.log1p(np.maximum(raw["price"], 0) / MICROS),
        "quantity": np.log1p(np.maximum(raw["quantity"], 0)),
        "rating": raw["rating"],
        "gap_days": np.log1p(gap),
    }
    found = np.zeros((len(us), len(NUMBERS)), dtype=np.float32)
    for place, name in enumerate(NUMBERS):
        values = columns[name]
        known = values[early & np.isfinite(values)]
        if len(known) and known.std() > 0:
            found[:, place] = np.nan_to_num((values - known.mean()) / known.std())
    return found


def _us(moment: datetime) -> int:
    from datetime import UTC

    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
