"""Density: groups are crowded places of any shape, what lies between them is noise.

HDBSCAN (Campello, Moulavi and Sander, 2013) or DBSCAN (Ester and others, 1996), by scikit-learn, on
a sample of customers in the leading directions. Of each group some members stay as *cores*.
Everybody belongs to the group of the nearest core; whoever lies farther from it than nearly all of
the group's own members is noise: counted and told, and softly assigned all the same, for every
customer has a segment. The method finds the number of groups itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

from shoal.domain.text import Text
from shoal.features.prepare import VariancePCA
from shoal.features.row_order import sample_rows
from shoal.segments.base import Arrays, Weights
from shoal.segments.kmeans import nearest, squared_distances
from shoal.segments.methods.base import (
    Labels,
    Matrix,
    by_size,
    in_blocks,
    means_of,
    nearest_cores,
    notes_as_documents,
    notes_of,
    refuse_too_few,
    softmax,
    spread_within,
)

HDBSCAN: Final = "hdbscan"
DBSCAN: Final = "dbscan"
KINDS: Final = (HDBSCAN, DBSCAN)

_SAMPLE_ROWS: Final = 6_000
#: Directions looked at: in many, all distances are alike.
_DIRECTIONS: Final = 8
#: Shares of the sample that a group needs: the first with two groups counts.
_SHARES: Final = (0.05, 0.03, 0.02, 0.01)
_FEWEST: Final = 5
#: Share of the sample that groups must hold together: one round cloud of customers gives groups of
#: up to 8 % by chance (three dimensions, 400 and 4,000 customers).
_TOGETHER: Final = 0.1
#: Neighbours whose distance tells how crowded a place is.
_NEIGHBOURS: Final = 10
#: Cores of a group at most.
_CORES: Final = 200
#: Share of a group's members within whose distance to a core nobody is noise.
_WITHIN: Final = 0.95
#: Share of the sorted distances to a neighbour in which DBSCAN's bend is looked for.
_LOOKED_AT: Final = 0.98
#: Squared distances below this are rounding.
_ROUNDING: Final = 1e-9


class Density:
    """Groups of crowded customers.

    Args:
        kind: `hdbscan`, or `dbscan` with one distance for all, at the bend of the sorted distances
            to the nearest neighbours.
    """

    method: ClassVar[str] = "density"

    def __init__(self, kind: str = HDBSCAN) -> None:
        self.k = 0
        self.kind = kind
        self.directions = VariancePCA(1.0, _DIRECTIONS)
        self.cores: Matrix = np.empty((0, 0))
        self.owner: Labels = np.empty(0, np.int64)
        self.reach: Matrix = np.empty(0)
        self.centers: Matrix = np.empty((0, 0))
        self.variance = 1.0
        self.loss: float | None = None
        self.notes: tuple[Text, ...] = ()
        self.facts: Mapping[str, Any] = {}
        self.names: Mapping[int, Text] = {}

    def fit(self, Z: Matrix, *, seed: int, warm: Labels | None = None) -> Self:
        """Learn the groups; see `Clusterer.fit`. It has no starts: nothing is warm."""
        refuse_too_few(len(Z), 1)
        sample = Z[sample_rows(Z, _SAMPLE_ROWS, seed)]
        self.directions.fit(sample)
        P = self.directions.transform(sample)
        labels, share = self._grouped(P)
        lone = labels.max(initial=-1) < 0
        if lone:
            labels = np.zeros(len(P), np.int64)
        groups = int(labels.max()) + 1
        self._keep(P, labels, groups)
        self.centers = means_of(sample, labels, groups)
        own = labels >= 0
        self.variance = spread_within(P[own], labels[own], means_of(P, labels, groups))
        noise = self._renumber(Z)
        self._tell(noise, P, labels, share, lone)
        return self

    def _grouped(self, P: Matrix) -> tuple[Labels, float]:
        """(m,) group of each row of the sample, -1 for noise, and the share a group needed."""
        labels = np.full(len(P), -1)
        for share in _SHARES:
            least = max(_FEWEST, int(share * len(P)))
            if 2 * least > len(P) or not np.ptp(P, axis=0).any():
                continue
            labels = _hdbscan(P, least) if self.kind == HDBSCAN else _dbscan(P, least)
            if (labels >= 0).mean() < _TOGETHER:
                labels = np.full(len(P), -1)
            if labels.max(initial=-1) >= 1:
                break
        return labels, share

    def _keep(self, P: Matrix, labels: Labels, groups: int) -> None:
        """Cores of each group, and how far from one its own members lie."""
        cores, owner, reach = [], [], []
        for group in range(groups):
            own = P[labels == group]
            # The sample is in canonical order: the first ones are drawn as fairly as any.
            chosen, rest = own[:_CORES], own[_CORES:]
            gaps = squared_distances(chosen, chosen)
            np.fill_diagonal(gaps, np.inf)
            far = gaps.min(axis=1) if len(chosen) > 1 else np.zeros(1)
            if len(rest):
                far = np.concatenate([far, nearest(rest, chosen)[1]])
            cores.append(chosen)
            owner.append(np.full(len(chosen), group))
            reach.append(float(np.quantile(far, _WITHIN)))
        self.cores, self.owner = np.concatenate(cores), np.concatenate(owner)
        self.reach = np.array(reach)

    def _renumber(self, Z: Matrix) -> float:
        """Largest group first, of everybody; the share of noise."""
        groups = len(self.reach)
        distances = self._distances(Z)
        noise = float(self._far(distances).mean())
        places = distances.argmin(axis=1)
        order = by_size(np.bincount(places, minlength=groups), self.centers)
        place = np.full(groups, -1)
        place[order] = np.arange(len(order))
        there = place[self.owner] >= 0
        self.cores, self.owner = self.cores[there], place[self.owner][there]
        self.reach, self.centers = self.reach[order], self.centers[order]
        return noise

    def _tell(self, noise: float, P: Matrix, labels: Labels, share: float, lone: bool) -> None:
        self.facts = {
            "kind": self.kind, "sample_customers": len(P), "smallest_share": share,
            "noise_share_of_sample": 1.0 if lone else float((labels < 0).mean()),
            "noise_share": noise, "directions": int(self.directions.n_components_),
        }  # fmt: skip
        notes = []
        if lone or len(self.centers) < 2:
            notes.append(
                Text(
                    "Density finds no separate groups: the customers are one cloud.",
                    "密度方法未发现彼此分离的群体：所有客户是一个整体。",
                )
            )
        elif noise:
            notes.append(
                Text(
                    f"{noise:.0%} of the customers lie between the groups (noise); each is placed "
                    "in the group of its nearest core, with lower weights.",
                    f"{noise:.0%} 的客户位于群体之间（噪声）；按最近核心归入分群，权重较低。",
                )
            )
        self.notes = tuple(notes)

    def noise(self, Z: Matrix) -> npt.NDArray[np.bool_]:
        """(n,) whether a row lies farther from the nearest core than its group's members do."""
        return self._far(self._distances(Z))

    def _far(self, distances: Matrix) -> npt.NDArray[np.bool_]:
        places = distances.argmin(axis=1)
        own = distances[np.arange(len(distances)), places]
        return np.asarray(own > self.reach[places] + _ROUNDING)

    def _distances(self, Z: Matrix) -> Matrix:
        groups = len(self.reach)
        return in_blocks(
            Z,
            lambda rows: nearest_cores(
                self.directions.transform(rows), self.cores, self.owner, groups
            ),
        )

    def weights(self, Z: Matrix) -> Weights:
        """(n, groups): by the distance to the nearest core of each group."""
        return softmax(-self._distances(Z) / (2 * self.variance))

    def centrality(self, Z: Matrix) -> npt.NDArray[np.float64]:
        """(n,) minus the squared distance to the nearest core."""
        return np.asarray(-self._distances(Z).min(axis=1))

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """Directions, cores and whose they are, how far each group reaches."""
        arrays = {
            "mean": self.directions.mean_, "directions": self.directions.components_,
            "shares": self.directions.explained_share_, "cores": self.cores, "owner": self.owner,
            "reach": self.reach, "centers": self.centers,
        }  # fmt: skip
        document = {
            "kind": self.kind, "variance": self.variance, "facts": dict(self.facts),
            "notes": notes_as_documents(self.notes),
        }  # fmt: skip
        return document, arrays

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        self = cls(document["kind"])
        self.directions.mean_ = np.array(arrays["mean"])
        self.directions.components_ = np.array(arrays["directions"])
        self.directions.explained_share_ = np.array(arrays["shares"])
        self.directions.n_features_in_ = len(self.directions.mean_)
        self.cores, self.owner = np.array(arrays["cores"]), np.array(arrays["owner"])
        self.reach, self.centers = np.array(arrays["reach"]), np.array(arrays["centers"])
        self.variance, self.facts = document["variance"], document["facts"]
        self.notes = notes_of(document["notes"])
        return self


def _hdbscan(P: Matrix, least: int) -> Labels:
    from sklearn.cluster import HDBSCAN as Model  # noqa: N811

    model = Model(min_cluster_size=least, min_samples=min(_NEIGHBOURS, len(P)), copy=True)
    return np.asarray(model.fit(P).labels_, np.int64)


def _dbscan(P: Matrix, least: int) -> Labels:
    """One distance for all: where the sorted distances to the k-th neighbour bend most.

    The bend is the point farthest from the straight line between the ends; the farthest few, who
    would pull the line up, are not looked at.
    """
    from sklearn.cluster import DBSCAN as Model  # noqa: N811
    from sklearn.neighbors import NearestNeighbors

    neighbours = min(_NEIGHBOURS, len(P) - 1)
    gaps = NearestNeighbors(n_neighbors=neighbours).fit(P).kneighbors()[0][:, -1]
    gaps = np.sort(gaps)[: max(int(_LOOKED_AT * len(gaps)), 1)]
    straight = np.linspace(gaps[0], gaps[-1], len(gaps))
    distance = float(gaps[int((straight - gaps).argmax())])
    labels = Model(eps=max(distance, 1e-9), min_samples=neighbours).fit(P).labels_
    sizes = np.bincount(labels[labels >= 0])
    large = np.flatnonzero(sizes >= least)
    place = np.full(len(sizes) + 1, -1)  # the last one is that of noise
    place[large] = np.arange(len(large))
    return np.asarray(place[labels], np.int64)
