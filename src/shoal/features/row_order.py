"""The order of rows, and samples of them, that depend on nothing but the rows' values."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Rows that are mixed at a time: a block of them stays in the processor's cache.
_MIXED_ROWS: Final = 4_096


def canonical_order(X: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Row numbers in an order that depends on the rows' values only, not on their places.

    Rows are sorted by a 64-bit mix of their values in single precision (engines sum in any order,
    so the last bits of a mean may differ between runs), then in full; equal rows are
    interchangeable, so any array with the same rows gives the same sequence of rows. The order has
    nothing to do with size or distance: a seeded permutation of it is a fair sample whatever order
    the rows came in.
    """
    coarse = _mixed(X, np.float32)
    order = np.argsort(coarse, kind="stable")
    again = coarse[order[1:]] == coarse[order[:-1]]
    tied = np.flatnonzero(np.append(again, False) | np.append(False, again))
    if len(tied):
        rows = order[tied]
        order[tied] = rows[np.lexsort((_mixed(X[rows], np.float64), coarse[rows]))]
    return order.astype(np.int64, copy=False)


def _mixed(X: npt.NDArray[Any], precision: type) -> npt.NDArray[np.uint64]:
    """(n,) a number that the values of a row give, in that precision."""
    keys = np.full(len(X), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for start in range(0, len(X), _MIXED_ROWS):
        block = X[start : start + _MIXED_ROWS].astype(precision).astype(np.float64) + 0.0
        key = keys[start : start + _MIXED_ROWS]
        high = np.empty_like(key)
        for column in np.ascontiguousarray(block.T).view(np.uint64):
            key ^= column
            key *= np.uint64(0xBF58476D1CE4E5B9)
            np.right_shift(key, np.uint64(31), out=high)
            key ^= high
    return keys


def sample_rows(X: npt.NDArray[Any], rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Row numbers of a sample without replacement: the same rows whatever order they came in."""
    order = canonical_order(X)
    if rows >= len(order):
        return order
    return order[np.sort(np.random.default_rng(seed).permutation(len(order))[:rows])]
