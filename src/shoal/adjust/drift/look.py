"""A look: customers as they are known at a moment, as the live segmentation sees them.

Looks are compared with each other, so all of them are seen by one segmentation: the one in force
now. Dimensions: n customers, of whom p are placed (known well enough); k segments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.segments.base import CUSTOMER
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.inputs import is_embedding

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Read beside what segments are made of: how long a customer is known, and how much happens.
TENURE: Final = "tenure_days"
RECENCY: Final = "recency_days"
ACTIVITY: Final = (RECENCY, "events_7d", "events_28d", "orders_28d", "spend_28d")


@dataclass(frozen=True)
class Look:
    """Customers at a moment.

    Args:
        moment: as of which they are known.
        features: `customer_id` and catalog features, all customers.
        known: (n,) placed.
        Z: (p, d) the space of the live segmenter.
        places: (p,) of the segment recorded, else of the weightiest one.
        residual: (p,) squared distance to the own segment's centre, per dimension, in units of the
            variance within segments.
        entropy: (p,) of the weights, as a share of the greatest possible; 0 of a single segment.
        embeddings: (p, e) of the behaviour model; None where none is in use.
        expected: what was foretold a horizon ago of those known then, by name; None: nothing.
        came: what came of the same customers.
        rhythm: counts of the log a day (`shoal.features.rhythm`); None: not asked for.
    """

    moment: datetime
    features: pa.Table
    known: Mask
    Z: Floats
    places: Places
    residual: Floats
    entropy: Floats
    embeddings: Floats | None = None
    expected: Mapping[str, Floats] | None = None
    came: Mapping[str, Floats] | None = None
    rhythm: pa.Table | None = None

    @classmethod
    def of(
        cls,
        segmenter: ClusterSegmenter,
        table: pa.Table,
        recorded: npt.NDArray[Any] | None,
        moment: datetime,
        *,
        embeddings: npt.NDArray[Any] | None = None,
        expected: Mapping[str, Floats] | None = None,
        came: Mapping[str, Floats] | None = None,
        rhythm: pa.Table | None = None,
    ) -> Self:
        """A look through a fitted segmenter.

        Args:
            table: what the segmenter reads, one row a customer (`Known.table`).
            recorded: (n,) places of the segments recorded; whoever has none (-1, the tier of the
                too little known) is taken to be where the weights are largest. None: nobody has.
            embeddings: (n, e) one row a customer of the table; None: the table's columns e0, e1,
                ... where it has them.
        """
        known = segmenter.known(table)
        placed = table.filter(pa.array(known))
        Z = segmenter.embed(placed) if known.any() else np.empty((0, segmenter.centers.shape[1]))
        weights = segmenter.clusterer.weights(Z) if len(Z) else np.empty((0, len(segmenter.ids)))
        k = len(segmenter.ids)
        places = weights.argmax(axis=1) if len(Z) else np.empty(0, np.int64)
        if recorded is not None:
            own = np.asarray(recorded, np.int64)[known]
            places = np.where((own >= 0) & (own < k), own, places)
        if embeddings is not None:
            embedded: Floats | None = np.asarray(embeddings, np.float64)[known]
        else:
            embedded = _embedded(placed)
        return cls(
            moment, narrowed(table, segmenter), known, Z, places,
            _residual(segmenter, Z, places), _entropy(weights), embedded, expected, came, rhythm,
        )  # fmt: skip

    @property
    def customers(self) -> int:
        """How many are placed."""
        return int(self.known.sum())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Numeric features, in the order of the table; dimensions of an embedding are none."""
        return tuple(
            one.name
            for one in self.features.schema
            if _numeric(one.type) and not is_embedding(one.name)
        )

    @cached_property
    def _columns(self) -> dict[str, Floats]:
        return {}

    def feature(self, name: str) -> Floats:
        """(n,) a feature, NaN where undefined or not finite; all NaN where there is none."""
        if name not in self._columns:
            self._columns[name] = values(self.features, name)
        return self._columns[name]


def narrowed(table: pa.Table, segmenter: ClusterSegmenter) -> pa.Table:
    """The columns of a table that drift is looked for in: what segments are made of, and activity.

    A fault of what no segment reads is the quality report's to tell.
    """
    wanted = {CUSTOMER, TENURE, *ACTIVITY, *segmenter.used}
    return table.select(
        [name for name in table.column_names if name in wanted and not is_embedding(name)]
    )


def values(table: pa.Table, name: str) -> Floats:
    """(n,) a column, NaN where undefined or not finite; all NaN where the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    held: Any = table[name].combine_chunks().cast(pa.float64())
    found = np.array(held.to_numpy(zero_copy_only=False), dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _embedded(placed: pa.Table) -> Floats | None:
    names = [name for name in placed.column_names if is_embedding(name)]
    if not names or not placed.num_rows:
        return None
    return np.column_stack([values(placed, name) for name in names])


def _residual(segmenter: ClusterSegmenter, Z: Floats, places: Places) -> Floats:
    """The scale is fixed by the segmenter: two looks through one can be compared."""
    if not len(Z):
        return np.empty(0)
    scale = float(getattr(segmenter.clusterer, "variance", 0.0) or 1.0)
    away = np.square(Z - segmenter.centers[places]).mean(axis=1)
    return np.asarray(away / scale, np.float64)


def _entropy(weights: Floats) -> Floats:
    """(p,) 0: no doubt, 1: every segment as likely."""
    if weights.shape[1] < 2:
        return np.zeros(len(weights))
    logs = np.log(np.maximum(weights, 1e-12))
    return np.asarray(-(weights * logs).sum(axis=1) / np.log(weights.shape[1]))
