"""Whether two engines computed the same features."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

#: Relative difference allowed: the order in which floats are summed up.
TOLERANCE = 1e-9


def differences(mine: pa.Table, other: pa.Table) -> list[str]:
    """Names of the columns of `mine` that `other` lacks or has with other values or other nulls.

    Both are compared by customer.
    """
    mine, other = mine.sort_by("customer_id"), other.sort_by("customer_id")
    return [
        name
        for name in mine.column_names
        if name not in other.column_names or not _equal(mine[name], other[name])
    ]


def _equal(a: pa.ChunkedArray, b: pa.ChunkedArray) -> bool:
    if len(a) != len(b):
        return False
    if pa.types.is_string(a.type):
        return bool(a.cast(pa.large_string()).equals(b.cast(pa.large_string())))
    x, y = (column.cast(pa.float64()).to_numpy() for column in (a, b))
    return bool(np.allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
