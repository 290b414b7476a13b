"""What a report draws of a segmentation: the map of customers and the RFM grid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.domain.money import MICROS
from shoal.domain.time import DAY_US
from shoal.segments.base import NET_REVENUE, column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.profile import Placed
from shoal.segments.rules import GRID, Rfm

#: Customers drawn: a fair sample of the placed ones, every segment by its share, but of a small one
#: at least as many as can be seen.
MAP_CUSTOMERS: Final = 3_000
LEAST_OF_A_SEGMENT: Final = 30
#: A direction along which centres lie closer together than this share of the farthest tells none.
_FLAT: Final = 1e-6


def map_document(segmenter: ClusterSegmenter, table: pa.Table, placed: Placed) -> dict[str, Any]:
    """The placed customers on the two directions that tell the centres apart most.

    The first two principal components of the centres, weighted by size: on a plane chosen this way
    segments overlap as little as a plane allows. One or two centres span no plane: the directions
    that are left are those along which the customers themselves differ most.
    """
    rows = _sampled(np.flatnonzero(segmenter.known(table)), placed.places)
    Z = segmenter.embed(table.take(pa.array(rows)))
    sizes = np.bincount(placed.places, minlength=len(segmenter.segment_ids))[:-1].astype(float)
    centre = np.average(segmenter.centers, axis=0, weights=sizes)
    spread = (segmenter.centers - centre) * np.sqrt(sizes)[:, None]
    axes = _axes(spread, Z - centre)
    points = (Z - centre) @ axes.T
    names = [segmenter.segment_ids[place] for place in placed.places[rows]]
    return {
        "axes": ["direction 1", "direction 2"],
        "least_of_a_segment": LEAST_OF_A_SEGMENT,
        "points": [
            [round(float(x), 3), round(float(y), 3), name]
            for (x, y), name in zip(points, names, strict=True)
        ],
    }


def _sampled(rows: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Some of the rows, in order: all of them where they are few."""
    if len(rows) <= MAP_CUSTOMERS:
        return rows
    mixed = np.random.default_rng(0).permutation(rows)
    taken = []
    for place in np.unique(places[rows]):
        own = mixed[places[mixed] == place]
        share = round(MAP_CUSTOMERS * len(own) / len(rows))
        taken.append(own[: max(share, LEAST_OF_A_SEGMENT)])
    return np.sort(np.concatenate(taken))


def _axes(
    spread: npt.NDArray[np.float64], points: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(2, d) directions of a plane, each signed so that its greatest part is positive."""
    _, lengths, directions = np.linalg.svd(spread, full_matrices=False)
    told = lengths > _FLAT * max(float(lengths.max(initial=0.0)), 1e-12)
    axes = directions[told][:2]
    if len(axes) < 2:
        rest = points - points @ axes.T @ axes
        further = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)[2]
        axes = np.vstack([axes, further])[:2]
    if len(axes) < 2:
        axes = np.vstack([axes, np.zeros((2 - len(axes), points.shape[1]))])
    signs = np.where(axes[np.arange(2), np.abs(axes).argmax(axis=1)] < 0, -1, 1)
    return np.asarray(axes * signs[:, None])


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
