"""From the Arrow table of a snapshot to the matrix that clustering works on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.features.algebra import Feature

Matrix = npt.NDArray[np.float64]

#: What an undefined value stands for: none of it; never, as far as the farthest known; nothing is
#: known.
ZERO: Final = "zero"
LARGEST: Final = "largest"
MEDIAN: Final = "median"

#: Features whose null means "never happened": as long ago as the longest known.
_NEVER: Final = frozenset({"order_recency_days", "sign_up_days"})


@dataclass(frozen=True)
class Column:
    """A numeric column for clustering: its group, and what an undefined value stands for."""

    name: str
    group: str
    missing: str


def missing_policy(feature: Feature) -> str:
    """What null means for a feature: counts are none, "since" is never, the rest is unknown."""
    if feature.name in _NEVER:
        return LARGEST
    return ZERO if feature.type == "count" else MEDIAN


def numeric_columns(features: pa.Table, catalog: Iterable[Feature]) -> list[Column]:
    """The catalog's numeric features that the table has, in catalog order."""
    return [
        Column(one.name, one.group, missing_policy(one))
        for one in catalog
        if one.type != "text" and one.name in features.column_names
    ]


def matrix(features: pa.Table, names: Iterable[str]) -> Matrix:
    """(n, names) float64 with NaN where undefined.

    Raises:
        KeyError: the table lacks a column.
    """
    columns = []
    for name in names:
        values: Any = features[name].combine_chunks().cast(pa.float64())
        columns.append(np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64))
    return np.column_stack(columns) if columns else np.empty((features.num_rows, 0))


def as_documents(columns: Iterable[Column]) -> list[dict[str, str]]:
    """As JSON."""
    return [{"name": one.name, "group": one.group, "missing": one.missing} for one in columns]


def of_documents(documents: Iterable[Mapping[str, str]]) -> list[Column]:
    """What `as_documents` wrote."""
    return [Column(one["name"], one["group"], one["missing"]) for one in documents]
