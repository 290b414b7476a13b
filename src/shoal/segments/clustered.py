"""Clusters of customers by their features: the preparation and a k-means in one segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from shoal.domain.errors import InputError
from shoal.domain.segment import TIER_NEW
from shoal.features.matrix import Column, as_documents, matrix, of_documents
from shoal.features.prepare import (
    GroupBalance,
    MissingFiller,
    NearDuplicateFilter,
    SkewScaler,
    VariancePCA,
    dump,
    load,
)
from shoal.segments.base import EVENTS, Arrays, Weights, column
from shoal.segments.kmeans import KMeans, soft_weights, squared_distances

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Preparation:
    """How features become a matrix; see `shoal.features.prepare` for each part."""

    skew: str = "signed_log"
    clip: float = 4.0
    correlation_limit: float = 0.97
    variance_share: float = 0.9
    group_weights: Mapping[str, float] = field(default_factory=dict)


class ClusterSegmenter:
    """K-means on prepared features; customers with too few events form the tier `new`.

    Args:
        columns: features to cluster on; columns of the table that are not named here are ignored.
        k: segments wanted.
        minimum_events: a customer with fewer events is not clustered.
        preparation: parameters of the preparation.
        seed: of the k-means starts.
    """

    method = "kmeans"

    def __init__(
        self,
        columns: Sequence[Column],
        k: int,
        *,
        minimum_events: int = 3,
        preparation: Preparation | None = None,
        seed: int = 0,
    ) -> None:
        self.columns = tuple(columns)
        self.k = k
        self.minimum_events = minimum_events
        self.preparation = preparation or Preparation()
        self.seed = seed
        self.parts: list[Any] = []
        self.dropped: list[tuple[str, str]] = []
        self.centers: Matrix = np.empty((0, 0))
        self.variance = 1.0

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """s01, s02, ... (largest first when fitted), then new."""
        return (*(f"s{place + 1:02d}" for place in range(len(self.centers))), TIER_NEW)

    @property
    def used(self) -> tuple[str, ...]:
        """The features that the filter kept."""
        gone = {name for name, _ in self.dropped}
        return tuple(one.name for one in self.columns if one.name not in gone)

    def known(self, features: pa.Table) -> npt.NDArray[np.bool_]:
        """(n,) whether a customer has enough events to be placed."""
        return np.nan_to_num(column(features, EVENTS)) >= self.minimum_events

    def prepare(self, features: pa.Table) -> Matrix:
        """Fit the preparation on customers known well enough; their (n, components) matrix.

        Raises:
            InputError: `too_little_data`, nobody has enough events.
        """
        known = self.known(features)
        if not known.any():
            raise InputError(
                "too_little_data",
                f"no customer has {self.minimum_events} events; there are "
                f"{features.num_rows} customers with fewer",
                hint="Ingest more events, or lower the minimum (segment.min_events). RFM rules "
                "(--method rfm) and features are possible with less.",
            )
        chosen = self.preparation
        names = [one.name for one in self.columns]
        self.parts = [
            MissingFiller([one.missing for one in self.columns]),
            SkewScaler(chosen.skew, clip=chosen.clip),
            NearDuplicateFilter(chosen.correlation_limit, names=names),
        ]
        Z = matrix(features.filter(pa.array(known)), names)
        for part in self.parts:
            Z = part.fit(Z).transform(Z)
        self.dropped = list(self.parts[-1].dropped_)
        groups = {one.name: one.group for one in self.columns}
        for part in (
            GroupBalance([groups[name] for name in self.used], dict(chosen.group_weights)),
            VariancePCA(chosen.variance_share),
        ):
            Z = part.fit(Z).transform(Z)
            self.parts.append(part)
        return Z

    def fit(self, features: pa.Table) -> Self:
        """Learn preparation and centres.

        Raises:
            InputError: `too_little_data`, fewer placed customers than segments.
        """
        return self.cluster(self.prepare(features))

    def cluster(self, Z: Matrix) -> Self:
        """Learn the centres from the matrix that `prepare` gave."""
        if len(Z) < self.k:
            raise InputError(
                "too_little_data",
                f"{self.k} segments were asked for, but only {len(Z)} customers have at least "
                f"{self.minimum_events} events",
                hint=f"Ask for at most {len(Z)} segments, or ingest more events. RFM rules "
                "(--method rfm) and features are possible with less.",
            )
        with threadpool_limits(1, user_api="blas"):
            model = KMeans(self.k, random_state=self.seed).fit(Z)
        self.centers, self.variance = model.cluster_centers_, model.variance_
        return self

    def embed(self, features: pa.Table) -> Matrix:
        """(n, components) of any customers, by the fitted preparation."""
        Z = matrix(features, [one.name for one in self.columns])
        for part in self.parts:
            Z = part.transform(Z)
        return Z

    def predict(self, features: pa.Table) -> npt.NDArray[np.int64]:
        """(n,) place in `segment_ids`."""
        found: npt.NDArray[np.int64] = self.transform(features).argmax(axis=1)
        return found

    def transform(self, features: pa.Table) -> Weights:
        """(n, k + 1) weights; the last column is the tier `new`, 1 for those too little known."""
        weights = np.zeros((features.num_rows, len(self.segment_ids)))
        known = self.known(features)
        weights[~known, -1] = 1.0
        if known.any():
            Z = self.embed(features.filter(pa.array(known)))
            weights[known, :-1] = soft_weights(Z, self.centers, self.variance)
        return weights

    def centrality(self, features: pa.Table) -> npt.NDArray[np.float64]:
        """(n,) minus the squared distance to the nearest centre; 0 for the tier `new`."""
        found = np.zeros(features.num_rows)
        known = self.known(features)
        if known.any():
            Z = self.embed(features.filter(pa.array(known)))
            found[known] = -squared_distances(Z, self.centers).min(axis=1)
        return found

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """JSON parameters and arrays."""
        documents, arrays = dump(self.parts)
        arrays["centers"] = self.centers
        return {
            "columns": as_documents(self.columns),
            "minimum_events": self.minimum_events,
            "preparation": {
                **asdict(self.preparation),
                "group_weights": dict(self.preparation.group_weights),
            },
            "seed": self.seed,
            "variance": self.variance,
            "parts": documents,
            "dropped": [list(pair) for pair in self.dropped],
        }, arrays

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """The segmenter that `to_artefact` described."""
        centers = np.array(arrays["centers"])
        self = cls(
            of_documents(document["columns"]),
            len(centers),
            minimum_events=document["minimum_events"],
            preparation=Preparation(**document["preparation"]),
            seed=document["seed"],
        )
        self.parts = load(document["parts"], arrays)
        self.dropped = [(name, reason) for name, reason in document["dropped"]]
        self.centers, self.variance = centers, document["variance"]
        return self
