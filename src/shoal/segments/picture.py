"""What a report draws of a segmentation: the map of customers and the RFM grid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US
from shoal.segments.base import NET_REVENUE, column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.profile import Placed
from shoal.segments.rules import GRID, Rfm

#: Customers drawn at most: a fair sample of the placed ones, every segment by its share.
MAP_CUSTOMERS: Final = 3_000


def map_document(segmenter: ClusterSegmenter, table: pa.Table, placed: Placed) -> dict[str, Any]:
    """The placed customers on the two directions that tell the centres apart most.

    The first two principal components of the centres, weighted by size: on a plane chosen this way
    segments overlap as little as a plane allows.
    """
    rows = np.flatnonzero(segmenter.known(table))
    if len(rows) > MAP_CUSTOMERS:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MAP_CUSTOMERS])
    Z = segmenter.embed(table.take(pa.array(rows)))
    sizes = np.bincount(placed.places, minlength=len(segmenter.segment_ids))[:-1].astype(float)
    centre = np.average(segmenter.centers, axis=0, weights=sizes)
    spread = (segmenter.centers - centre) * np.sqrt(sizes)[:, None]
    axes = np.linalg.svd(spread, full_matrices=False)[2][:2]
    axes = (
        axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]
    )
    if len(axes) < 2:
        axes = np.vstack([axes, np.zeros_like(axes)])[:2]
    points = (Z - centre) @ axes.T
    names = [segmenter.segment_ids[place] for place in placed.places[rows]]
    return {
        "axes": ["direction 1", "direction 2"],
        "points": [
            [round(float(x), 3), round(float(y), 3), name]
            for (x, y), name in zip(points, names, strict=True)
        ],
    }


def grid_document(segmenter: Rfm, placed: Placed) -> dict[str, Any]:
    """Customers and net revenue of each cell of the RFM grid, and the thresholds."""
    bounds = segmenter.thresholds
    assert bounds is not None, "fit or load the segmenter first"
    scores = segmenter.scores(placed.features)
    revenue = np.nan_to_num(column(placed.features, NET_REVENUE))
    cells = []
    for recency in range(1, 6):
        for both in range(1, 6):
            own = (scores[:, 0] == recency) & (scores[:, 1] == both)
            cells.append(
                {
                    "recency": recency,
                    "frequency": both,
                    "customers": int(own.sum()),
                    "revenue": float(revenue[own].sum()),
                    "segment_id": GRID[recency - 1][both - 1],
                }
            )
    money = bounds.revenue
    return {
        "recency_thresholds": [us / DAY_US for us in bounds.recency_us],
        "frequency_thresholds": list(bounds.orders),
        "monetary_thresholds": None if money is None else [one / MICROS for one in money],
        "cells": cells,
    }
