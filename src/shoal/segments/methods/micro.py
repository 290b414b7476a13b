"""Micro-clusters: a million customers as some hundreds of small groups with their sizes.

Methods that compare every pair work on these. Few rows stand for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.features.row_order import canonical_order, sample_rows
from shoal.segments.kmeans import KMeans, nearest
from shoal.segments.methods.base import Labels, Matrix, means_of

#: Micro-clusters at most.
MICRO: Final = 500
#: Rows that micro-clusters are learned from; all rows are counted in them.
_SAMPLE_ROWS: Final = 25_000
#: Lloyd's iterations: their exact places do not matter.
_ITERATIONS: Final = 15


@dataclass(frozen=True)
class Micro:
    """(m, d) means of the micro-clusters, (m,) numbers of their rows, (n,) the one a row is in."""

    centers: Matrix
    sizes: npt.NDArray[np.float64]
    labels: Labels


def micro_clusters(Z: Matrix, seed: int, limit: int = MICRO) -> Micro:
    """Micro-clusters of (n, d) rows, whatever order they come in: `limit` at most."""
    if len(Z) <= limit:
        found = Z[canonical_order(Z)]
        centers = found[np.sort(np.unique(found, axis=0, return_index=True)[1])]
    else:
        sample = Z[sample_rows(Z, _SAMPLE_ROWS, seed)]
        model = KMeans(
            limit, n_starts=1, max_iterations=_ITERATIONS, random_state=seed
        ).fit(sample)  # fmt: skip
        centers = model.cluster_centers_
    labels, _ = nearest(Z, centers)
    sizes = np.bincount(labels, minlength=len(centers))
    there = np.flatnonzero(sizes)
    place = np.full(len(sizes), -1)
    place[there] = np.arange(len(there))
    labels = place[labels]
    order = canonical_order(Z)
    means = means_of(Z[order], labels[order], len(there)) if len(Z) > limit else centers[there]
    return Micro(means, sizes[there].astype(np.float64), labels)
