"""Hierarchical: Ward's tree over micro-clusters weighted by size, cut at several levels.

Ward (1963) joins, again and again, the two groups whose union adds least to the sum of squares
within groups: |A| |B| / (|A| + |B|) times the squared distance of their means. Over micro-clusters
with their sizes this is what it would do over the customers, once these lie within them. Levels
are cuts of one tree, so the members of a fine group all lie in one broad one. A customer belongs
where the nearest micro-cluster belongs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import nearest
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    by_size,
    in_blocks,
    means_of,
    nearest_cores,
    refuse_too_few,
    softmax,
    spread_within,
)
from shoal.segments.methods.micro import micro_clusters

#: Broad, usual and fine.
LEVELS: Final = (3, 8, 20)


class Hierarchy:
    """Levels of one tree; the groups are those of the level k.

    Args:
        k: the level whose groups count.
        levels: further levels that are kept with the parents of their groups.
    """

    method: ClassVar[str] = "hierarchy"

    def __init__(self, k: int = 0, levels: Sequence[int] = LEVELS) -> None:
        self.k = k
        self.levels = tuple(levels)
        self.cores: Matrix = np.empty((0, 0))
        #: level -> (m,) the group of each micro-cluster, largest group first.
        self.groups: dict[int, Labels] = {}
        self.centers: Matrix = np.empty((0, 0))
        self.variance = 1.0
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn the tree; see `Clusterer.fit`. It has no starts: nothing is warm."""
        refuse_too_few(len(Z), self.k)
        micro = micro_clusters(Z, seed)
        merges = ward(micro.centers, micro.sizes)
        self.cores = micro.centers
        most = len(micro.centers)
        self.groups = {}
        for level in sorted({min(one, most) for one in (*self.levels, self.k)}):
            labels = cut(merges, most, level)
            sizes = np.bincount(labels, weights=micro.sizes, minlength=level)
            means = means_of(micro.centers, labels, level)
            place = np.argsort(by_size(sizes, means))
            self.groups[level] = place[labels]
        level = min(self.k, most)
        owner = self.groups[level]
        member = np.eye(level)[owner] * micro.sizes[:, None]
        self.centers = member.T @ micro.centers / member.sum(axis=0)[:, None]
        self.variance = spread_within(Z, owner[micro.labels], self.centers)
        self.facts = {"micro_clusters": most, "levels": self._levels(micro.sizes)}
        return self

    def _levels(self, sizes: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
        """A document a level, broadest first: sizes of its groups and their broader parents."""
        found, above = [], None
        for level, groups in self.groups.items():
            parents = None
            if above is not None:
                parents = [int(above[groups == group][0]) for group in range(level)]
            customers = np.bincount(groups, weights=sizes).astype(int).tolist()
            found.append({"k": level, "customers": customers, "parents": parents})
            above = groups
        return found

    def level(self, Z: Matrix, k: int) -> Labels:
        """(n,) group of any rows at a level that was kept.

        Raises:
            KeyError: no such level.
        """
        return np.asarray(self.groups[k][nearest(Z, self.cores)[0]])

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups): by the distance to the nearest micro-cluster of each group."""
        return in_blocks(Z, lambda rows: softmax(-self._distances(rows) / (2 * self.variance)))

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) minus the squared distance to the mean of the own group."""
        own = self.centers[self.level(Z, len(self.centers))]
        return np.asarray(-np.square(Z - own).sum(axis=1))

    def _distances(self, Z: Matrix) -> Matrix:
        level = len(self.centers)
        return nearest_cores(Z, self.cores, self.groups[level], level)

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """Levels, and micro-clusters with their group at each level."""
        arrays = {f"level.{level}": groups for level, groups in self.groups.items()}
        document = {
            "k": self.k, "levels": list(self.levels), "variance": self.variance,
            "kept": list(self.groups), "facts": dict(self.facts),
        }  # fmt: skip
        return document, {"cores": self.cores, "centers": self.centers, **arrays}

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["k"], document["levels"])
        self.cores, self.centers = np.array(arrays["cores"]), np.array(arrays["centers"])
        self.groups = {level: np.array(arrays[f"level.{level}"]) for level in document["kept"]}
        self.variance, self.facts = document["variance"], document["facts"]
        return self


def ward(centers: Matrix, sizes: npt.NDArray[np.float64]) -> Labels:
    """(m - 1, 2) the pairs of nodes joined, in order; node m + i is what join i made.

    >>> ward(np.array([[0.0], [9.0], [1.0]]), np.ones(3)).tolist()
    [[0, 2], [1, 3]]
    """
    means, mass = np.array(centers, dtype=np.float64), np.array(sizes, dtype=np.float64)
    m = len(means)
    node, alive = np.arange(m), np.ones(m, dtype=bool)
    cost = np.square(means[:, None] - means[None]).sum(axis=2)
    cost *= mass[:, None] * mass / (mass[:, None] + mass)
    np.fill_diagonal(cost, np.inf)
    merges = np.empty((max(m - 1, 0), 2), dtype=np.int64)
    best = cost.argmin(axis=1) if m else np.empty(0, np.int64)
    for step in range(m - 1):
        a = int(cost[np.arange(m), best].argmin())
        b = int(best[a])
        a, b = min(a, b), max(a, b)
        merges[step] = sorted((node[a], node[b]))
        total = mass[a] + mass[b]
        means[a] = (mass[a] * means[a] + mass[b] * means[b]) / total
        mass[a], alive[b], node[a] = total, False, m + step
        cost[b], cost[:, b] = np.inf, np.inf
        own = np.square(means - means[a]).sum(axis=1) * mass * total / (mass + total)
        own[~alive] = np.inf
        own[a] = np.inf
        cost[a], cost[:, a] = own, own
        # Whoever was nearest to either side looks again; others only if the new one is nearer.
        for row in np.flatnonzero(alive & ((best == a) | (best == b))):
            best[row] = int(cost[row].argmin())
        nearer = alive & (own < cost[np.arange(m), best])
        best[nearer] = a
        best[a] = int(own.argmin())
    return merges


def cut(merges: Labels, m: int, k: int) -> Labels:
    """(m,) number of the group of each leaf when the last k - 1 joins are undone.

    >>> cut(np.array([[0, 2], [1, 3]]), 3, 2).tolist()
    [1, 0, 1]
    """
    group = np.arange(2 * m - 1)
    for step in range(m - k):
        group[group == merges[step, 0]] = m + step
        group[group == merges[step, 1]] = m + step
    return np.unique(group[:m], return_inverse=True)[1].astype(np.int64)
