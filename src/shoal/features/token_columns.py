"""Columns of events as arrays of numbers, paths and distinct texts: what a tokenizer is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.money import MICROS
from shoal.domain.sequence import Array

#: Levels of a category path that have codes; what lies deeper is told by the third.
LEVELS: Final = 3

Column: TypeAlias = pa.ChunkedArray | pa.Array


@dataclass(frozen=True)
class Coded:
    """A column of texts as places in the list of its distinct ones; -1 is null."""

    distinct: pa.Array
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, column: Column, only: npt.NDArray[np.bool_] | None = None) -> Coded:
        """A column's distinct texts in order of their first row.

        Args:
            only: rows where it is False count as null.
        """
        if only is not None:
            column = pc.if_else(pa.array(only), column, pa.scalar(None, column.type))
        coded = pc.dictionary_encode(column)
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.unify_dictionaries().combine_chunks()
        places = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
        return cls(coded.dictionary, places.astype(np.int64))

    def spread(self, values: Array, missing: int = 0) -> Array:
        """A value of each distinct text as a value of each row."""
        spread: Array = np.append(values, np.asarray(missing, values.dtype))[self.places]
        return spread


def numbers(column: Column, missing: float = np.nan) -> npt.NDArray[np.float64]:
    """(n,) a column's numbers."""
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    values = np.array(chunked.cast(pa.float64()).to_numpy(), dtype=np.float64)  # null is NaN
    if not np.isnan(missing):
        values[np.isnan(values)] = missing
    return values


def runs(customers: Column) -> tuple[Array, npt.NDArray[np.int64]]:
    """Distinct customers in order of their first row, and where each one's rows begin and end.

    Raises:
        ValueError: rows of a customer do not lie together, or belong to nobody.
    """
    coded = Coded.of(customers)
    starts = np.flatnonzero(np.diff(coded.places, prepend=-2) != 0)
    if (coded.places < 0).any():
        raise ValueError("rows belong to no customer")
    if len(starts) != len(coded.distinct):
        raise ValueError("rows of a customer do not lie together")
    offsets = np.append(starts, len(coded.places)).astype(np.int64)
    return np.array(coded.distinct.to_pylist(), dtype=object), offsets


def levels(category: Column) -> list[pa.Array]:
    """The path up to the first, second and third part; null where it is shorter.

    >>> [one.to_pylist() for one in levels(pa.array(["a/b/c/d", "a", None]))]
    [['a', 'a', None], ['a/b', None, None], ['a/b/c', None, None]]
    """
    coded = Coded.of(category)
    cuts = [_cut(path) for path in coded.distinct.to_pylist()]
    places = pa.array(coded.places, mask=coded.places < 0)
    return [pa.array([cut[i] for cut in cuts], pa.string()).take(places) for i in range(LEVELS)]


def _cut(path: str) -> list[str | None]:
    parts = [part for part in path.split("/", LEVELS + 1)[: LEVELS + 1] if part][:LEVELS]
    return ["/".join(parts[:n]) if n <= len(parts) else None for n in range(1, LEVELS + 1)]


def by_level(counts: pa.Table) -> list[pa.Table]:
    """Counts (`name`, `n`) of whole paths as counts of paths up to each level."""
    found = []
    for cut in levels(counts["name"]):
        table = pa.table({"name": cut, "n": counts["n"]}).filter(pc.is_valid(cut))
        found.append(table.group_by("name").aggregate([("n", "sum")]).rename_columns(["name", "n"]))
    return found


def price_classes(prices: pa.Table, classes: int) -> tuple[float, npt.NDArray[np.float64]]:
    """The median of prices, and bounds of classes of about equal numbers of events.

    Args:
        prices: `price` (micro-units, ascending) and `n`, events with it.
        classes: at most; fewer where one price is that of many events.

    Returns:
        The median (one currency unit where there is no price), and bounds in `log_price`.
    """
    if not prices.num_rows:
        return float(MICROS), np.zeros(0)
    price, n = (prices[name].to_numpy() for name in ("price", "n"))
    upto = np.cumsum(n)
    median = float(price[np.searchsorted(upto, upto[-1] / 2)])
    bounds = price[np.searchsorted(upto, upto[-1] * np.arange(1, classes) / classes)]
    # in the precision of the field, so that a price on a bound is on the same side ever after
    return median, np.unique(log_price(bounds, median)).astype(np.float64)


def log_price(amounts: Array, median: float) -> npt.NDArray[np.float32]:
    """log1p of amounts over the median; of negative ones as of 0."""
    with np.errstate(invalid="ignore"):
        told = np.log1p(np.maximum(amounts, 0.0) / max(median, 1.0))
    return np.asarray(told, np.float32)
