"""Who changes segment: by the weights now, the segment recorded, and a margin to overcome.

Without a margin a customer between two segments goes back and forth with every event (flicker);
with one, a change is told a little later and is then meant. Weights decide alone where nothing is
recorded, or the tier of the too little known: that is left at once, and never entered again.
Dimensions: n customers, k segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.segment import TIER_NEW

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Memberships as they are recorded: `since` UTC, `weight` in 0..1, `cause` one of
#: `shoal.domain.segment.CAUSES`, `margin` to the next best segment in -1..1 (null: not told).
MEMBERSHIPS_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("segmentation_id", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
        pa.field("cause", pa.string()),
        pa.field("margin", pa.float64()),
    ]
)

#: The place of who has no segment yet, or one that is no longer there.
NOWHERE: Final = -1


@dataclass(frozen=True)
class Assigned:
    """Where customers belong; every array is (n,).

    Args:
        places: of the segment.
        weights: of that segment now.
        margins: that weight less the largest other one; below 0 for who stays although another
            segment weighs more.
        moved: whether the segment is another than the one recorded, or the first.
    """

    places: Places
    weights: Floats
    margins: Floats
    moved: Mask


def assign(
    weights: npt.NDArray[Any],
    recorded: npt.NDArray[Any],
    *,
    margin: float,
    segment_ids: Sequence[str] = (),
) -> Assigned:
    """The segment of every customer; each row is decided alone.

    Args:
        weights: (n, k) soft weights, each row sums to one.
        recorded: (n,) places of the segments recorded; `NOWHERE` for none.
        margin: a segment b takes the place of a only if its weight is larger by more than this.
        segment_ids: ids by place, to know the tier of the too little known; empty where there is
            no such tier.

    Raises:
        ValueError: shapes do not fit, or the margin is not in [0, 1).

    >>> W = np.array([[0.45, 0.55], [0.4, 0.6]])
    >>> assign(W, np.array([0, 0]), margin=0.15).places.tolist()
    [0, 1]
    """
    W = np.asarray(weights, dtype=np.float64)
    before = np.asarray(recorded, dtype=np.int64)
    if W.ndim != 2 or before.shape != W.shape[:1]:
        raise ValueError(f"weights {W.shape} and recorded places {before.shape} do not fit")
    if not 0 <= margin < 1:
        raise ValueError(f"the margin is {margin}; allowed: 0 <= margin < 1")
    if not len(W):
        nothing = np.empty(0)
        return Assigned(before, nothing, nothing, np.empty(0, dtype=bool))
    rows = np.arange(len(W))
    best = W.argmax(axis=1)
    tier = segment_ids.index(TIER_NEW) if TIER_NEW in segment_ids else NOWHERE
    settled = (before != NOWHERE) & (before != tier)
    held = np.where(settled, before, best)
    # what fell below the evidence needed (events withdrawn) tells nothing of where to go instead
    leaves = (W[rows, best] - W[rows, held] > margin) & (best != tier)
    places = np.where(settled & ~leaves, before, best)
    own = W[rows, places]
    others = W.copy()
    others[rows, places] = -np.inf
    margins = own - others.max(axis=1) if W.shape[1] > 1 else own.copy()
    return Assigned(places, own, margins, places != before)


def margins_of(weights: npt.NDArray[Any]) -> Floats:
    """(n,) the largest weight less the one after it: how clearly weights alone place a customer."""
    nowhere = np.full(len(weights), NOWHERE)
    return assign(weights, nowhere, margin=0.0).margins


def places_of(segments: pa.ChunkedArray | pa.Array, segment_ids: Sequence[str]) -> Places:
    """(n,) places of ids; `NOWHERE` for null and for ids that are not there."""
    found = pc.index_in(segments, value_set=pa.array(segment_ids, pa.string()))
    filled = pc.fill_null(found, NOWHERE)
    return np.asarray(filled.to_numpy(), dtype=np.int64)
