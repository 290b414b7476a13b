"""Clusters of customers by their features: the preparation and a method in one segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from shoal.domain.errors import InputError
from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
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
from shoal.segments.methods.base import Clusterer, Labels
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.registry import clusterer_of
from shoal.segments.methods.staged import STAGES, Staged
from shoal.segments.outlook import Outlook
from shoal.segments.soften import softened

Matrix = npt.NDArray[np.float64]

_ARRAYS = "method."


@dataclass(frozen=True)
class Preparation:
    """How features become a matrix; see `shoal.features.prepare` for each part."""

    skew: str = "signed_log"
    clip: float = 4.0
    correlation_limit: float = 0.97
    variance_share: float = 0.9
    group_weights: Mapping[str, float] = field(default_factory=dict)


class ClusterSegmenter:
    """A method on prepared features; customers with too few events form the tier `new`.

    Args:
        columns: features to cluster on; columns of the table that are not named here are ignored.
        k: segments wanted; 0 leaves what the clusterer says.
        clusterer: the method; None: k-means.
        minimum_events: a customer with fewer events is not clustered.
        preparation: parameters of the preparation.
        seed: of the method's starts.
        outlook: what customers are expected to do, clustered on beside the features: its share of
            the variance of both. None: features alone.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        k: int = 0,
        *,
        clusterer: Clusterer | None = None,
        minimum_events: int = 3,
        preparation: Preparation | None = None,
        seed: int = 0,
        outlook: Outlook | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.clusterer: Clusterer = KMeansClusterer() if clusterer is None else clusterer
        if k:
            self.k = k
        self.minimum_events = minimum_events
        self.preparation = preparation or Preparation()
        self.seed = seed
        self.outlook = outlook
        self.spread = 1.0
        self.parts: list[Any] = []
        self.dropped: list[tuple[str, str]] = []
        self.ids: tuple[str, ...] = ()
        self.shares: Matrix = np.empty(0)
        #: Weights are those of the method to the power of 1 / temperature (see `softened`).
        self.temperature = 1.0

    @property
    def method(self) -> str:
        """The name of the method, one of `shoal.segments.methods.registry.CLUSTERERS`."""
        return self.clusterer.method

    @property
    def k(self) -> int:
        """Segments wanted; 0 where the method finds their number."""
        return self.clusterer.k

    @k.setter
    def k(self, k: int) -> None:
        self.clusterer.k = k

    @property
    def centers(self) -> Matrix:
        """(k, components) mean place of each segment in the prepared space."""
        return self.clusterer.centers

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """s01, s02, ... (largest first when fitted) or as renamed, then new."""
        return (*self.ids, TIER_NEW)

    @property
    def names(self) -> dict[str, Text]:
        """Segment id -> the name that somebody gave it, where one did."""
        return {self.ids[place]: name for place, name in self.clusterer.names.items()}

    @property
    def styles(self) -> dict[str, int]:
        """Segment id -> number of its style from 1 on, where segments are stages of styles."""
        if not isinstance(self.clusterer, Staged):
            return {}
        return {one: int(style) + 1 for one, style in
                zip(self.ids, self.clusterer.owner, strict=True)}  # fmt: skip

    @property
    def facts(self) -> dict[str, Any]:
        """Figures of what the method learned, as JSON."""
        return dict(self.clusterer.facts)

    def rename(self, ids: Sequence[str]) -> Self:
        """Give the places 0 to k - 1 permanent ids; the tier `new` keeps its own. Itself.

        Raises:
            ValueError: not one id a segment, or an id twice.
        """
        count = len(self.centers)
        if len(ids) != count or len({*ids, TIER_NEW}) != count + 1:
            raise ValueError(f"{count} different ids are needed, other than {TIER_NEW}: {ids}")
        self.ids = tuple(ids)
        return self

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
        if not self._told():
            return Z
        self.spread = float(np.sqrt(Z.var(axis=0).sum())) or 1.0
        known_features = features.filter(pa.array(known))
        assert self.outlook is not None
        self.outlook.fit(known_features)
        return self._beside(Z, known_features)

    def _told(self) -> bool:
        """Whether the outlook has a part in the segments."""
        return self.outlook is not None and self.outlook.share > 0

    def _beside(self, Z: Matrix, features: pa.Table) -> Matrix:
        """Prepared features, and the outlook with its share of the variance."""
        if not self._told():
            return Z
        assert self.outlook is not None
        own = np.sqrt(1 - self.outlook.share) / self.spread
        told = np.sqrt(self.outlook.share) * self.outlook.transform(features)
        return np.hstack([own * Z, told]) if own else told

    def fit(self, features: pa.Table) -> Self:
        """Learn preparation and segments.

        Raises:
            InputError: `too_little_data`, fewer placed customers than segments.
        """
        return self.cluster(self.prepare(features))

    def cluster(self, Z: Matrix, warm: Labels | None = None) -> Self:
        """Learn the segments from the matrix that `prepare` gave.

        Args:
            warm: (n,) place of each row in an earlier version, -1 for none: a further start.
        """
        if len(Z) < self.k:
            raise InputError(
                "too_little_data",
                f"{self.k} segments were asked for, but only {len(Z)} customers have at least "
                f"{self.minimum_events} events",
                hint=f"Ask for at most {len(Z)} segments, or ingest more events. RFM rules "
                "(--method rfm) and features are possible with less.",
            )
        with threadpool_limits(1, user_api="blas"):
            self.clusterer.fit(Z, seed=self.seed, warm=warm)
            places = self.clusterer.weights(Z).argmax(axis=1)
        count = len(self.centers)
        self.ids = tuple(f"s{place + 1:02d}" for place in range(count))
        self.shares = np.bincount(places, minlength=count) / len(Z)
        return self

    def with_clusterer(
        self,
        clusterer: Clusterer,
        *,
        ids: Sequence[str] | None = None,
        shares: Matrix | None = None,
    ) -> Self:
        """Another segmenter, of the same preparation, with other groups; this one stays as it is.

        Args:
            ids: of the places; None: the same ones.
            shares: (k,) of customers in each; None: the same ones.
        """
        other = copy(self)
        other.clusterer = clusterer
        if shares is not None:
            other.shares = np.asarray(shares, dtype=np.float64)
        return other.rename(self.ids if ids is None else ids)

    @property
    def width(self) -> int:
        """Components of style; those after them are the outlook's."""
        return int(self.parts[-1].n_components_)

    def embed(self, features: pa.Table) -> Matrix:
        """(n, components) of any customers, by the fitted preparation."""
        return self._beside(self.style(features), features)

    def style(self, features: pa.Table) -> Matrix:
        """(n, components) of any customers without the outlook."""
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
            weights[known, :-1] = self.weights(Z)
        return weights

    def weights(self, Z: Matrix) -> Weights:
        """(n, k) weights of rows that `embed` gave, without the tier `new`."""
        return softened(self.clusterer.weights(Z), self.temperature)

    def prior(self, features: pa.Table) -> Weights:
        """(n, k) where customers would belong, as far as can be told of those too little known.

        The mean of a Dirichlet posterior: segment shares count as `minimum_events` events, what the
        method says of the customer as the events there are. Without events it is the shares; each
        row sums to one.
        """
        events = np.maximum(np.nan_to_num(column(features, EVENTS)), 0.0)[:, None]
        if not features.num_rows:
            return np.empty((0, len(self.ids)))
        told = events * self.weights(self.embed(features))
        found: Weights = (self.minimum_events * self.shares + told) / (self.minimum_events + events)
        return found

    def centrality(self, features: pa.Table) -> npt.NDArray[np.float64]:
        """(n,) larger is closer to the heart of the own segment; 0 for the tier `new`."""
        found = np.zeros(features.num_rows)
        known = self.known(features)
        if known.any():
            Z = self.embed(features.filter(pa.array(known)))
            found[known] = self.clusterer.centrality(Z)
        return found

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """JSON parameters and arrays."""
        documents, arrays = dump(self.parts)
        learned, more = self.clusterer.to_artefact()
        arrays |= {_ARRAYS + name: array for name, array in more.items()}
        return {
            "columns": as_documents(self.columns),
            "minimum_events": self.minimum_events,
            "preparation": {
                **asdict(self.preparation),
                "group_weights": dict(self.preparation.group_weights),
            },
            "seed": self.seed,
            "ids": list(self.ids),
            "shares": self.shares.tolist(),
            "spread": self.spread,
            "temperature": self.temperature,
            "outlook": None if self.outlook is None else self.outlook.to_document(),
            "clusterer": {"method": self.method, **learned},
            "parts": documents,
            "dropped": [list(pair) for pair in self.dropped],
        }, arrays

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """The segmenter that `to_artefact` described; one of the first version is k-means."""
        learned = document.get("clusterer")
        if learned is None:
            told = {"k": len(arrays["centers"]), "variance": document["variance"]}
            clusterer: Clusterer = KMeansClusterer.from_artefact(told, arrays)
        else:
            own = {
                name.removeprefix(_ARRAYS): array
                for name, array in arrays.items()
                if name.startswith(_ARRAYS)
            }
            made = Staged if STAGES in learned else clusterer_of(learned["method"])
            clusterer = made.from_artefact(learned, own)
        self = cls(
            of_documents(document["columns"]),
            clusterer=clusterer,
            minimum_events=document["minimum_events"],
            preparation=Preparation(**document["preparation"]),
            seed=document["seed"],
            outlook=Outlook.from_document(document["outlook"]) if document.get("outlook") else None,
        )
        self.spread = document.get("spread", 1.0)
        self.temperature = document.get("temperature", 1.0)
        self.parts = load(document["parts"], arrays)
        self.dropped = [(name, reason) for name, reason in document["dropped"]]
        count = len(self.centers)
        self.ids = tuple(document.get("ids") or (f"s{place + 1:02d}" for place in range(count)))
        self.shares = np.array(document.get("shares") or np.full(count, 1 / count))
        return self
