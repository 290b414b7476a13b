"""Online learning: what segments remember of the customers they saw, and forget by a half-life.

Of every segment j the statistics that suffice for its mean and spread are kept (exponential
families; Dempster, Laird and Rubin, 1977): with rows z_i seen at t_i with weights w_ij, at time t

    mass_j    = sum_i 2^(-(t - t_i) / h) w_ij
    sums_j    = sum_i 2^(-(t - t_i) / h) w_ij z_i
    scatter_j = sum_i 2^(-(t - t_i) / h) w_ij z_i z_i'      (or squares of its columns alone)

so that mean_j = sums_j / mass_j and covariance_j = scatter_j / mass_j - mean_j mean_j'. With
weights of 0 and 1 these are the centres of k-means, updated row by row as MacQueen (1967) does,
with forgetting; with posteriors they are the M-step of online expectation-maximisation (Neal and
Hinton, 1998; Cappe and Moulines, 2009), whose constant share of forgetting is here one by time.
Decay multiplies all three alike and sums only add, so any division of the rows into batches, in any
order, gives the same, and without decay it is what a fit on all rows at once has.

Dimensions: n rows, k segments, d columns of the segmenter's space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from shoal.domain.time import DAY_US, iso, parse_moment, to_us
from shoal.segments.base import Arrays
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.base import Clusterer
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture

Floats = npt.NDArray[np.float64]
#: Mass (k,), sums (k, d) and scatter (k, d) or (k, d, d).
Sums = tuple[Floats, Floats, Floats]

#: Rows worked on at a time, so that they stay in the processor's cache.
_BLOCK_ROWS: Final = 8_192
_MANY_ROWS: Final = 100_000
#: A segment with less mass than this tells no mean.
_NOTHING: Final = 1e-9


@dataclass(frozen=True)
class Statistics:
    """Decayed sufficient statistics of every segment.

    Args:
        ids: permanent ids of the places 0..k-1.
        mass: (k,) customers, as they weigh at `moment`.
        sums: (k, d).
        scatter: (k, d) sums of squares, or (k, d, d) sums of products.
        moment: as of which everything is decayed.
        half_life_days: in which a row loses half its weight; inf: it never does.
    """

    ids: tuple[str, ...]
    mass: Floats
    sums: Floats
    scatter: Floats
    moment: datetime
    half_life_days: float

    def __post_init__(self) -> None:
        k, d = len(self.ids), self.sums.shape[-1]
        shapes = self.mass.shape, self.sums.shape, self.scatter.shape
        if shapes not in (((k,), (k, d), (k, d)), ((k,), (k, d), (k, d, d))):
            raise ValueError(f"{k} ids and arrays of the shapes {shapes} do not fit")
        if not self.half_life_days > 0:
            raise ValueError(f"half_life_days is {self.half_life_days}; allowed: above 0")

    # -- made --------------------------------------------------------------------------------------

    @classmethod
    def nothing(
        cls,
        ids: Sequence[str],
        columns: int,
        moment: datetime,
        *,
        half_life_days: float,
        full: bool = False,
    ) -> Self:
        """Of nobody yet.

        Args:
            full: keep products of columns, not their squares alone.
        """
        k = len(ids)
        scatter = np.zeros((k, columns, columns) if full else (k, columns))
        return cls(tuple(ids), np.zeros(k), np.zeros((k, columns)), scatter, moment, half_life_days)

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        Z: npt.NDArray[Any],
        weights: npt.NDArray[Any],
        moment: datetime,
        *,
        half_life_days: float,
        full: bool = False,
    ) -> Self:
        """Of rows that were all seen at a moment; arguments as of `added` and `nothing`."""
        begun = cls.nothing(ids, Z.shape[1], moment, half_life_days=half_life_days, full=full)
        return begun.added(Z, weights, moment)

    @property
    def full(self) -> bool:
        """Whether products of columns are kept."""
        return self.scatter.ndim == 3

    # -- moved on ----------------------------------------------------------------------------------

    def factor(self, moment: datetime) -> float:
        """What a row seen at `self.moment` weighs at another moment; 1 at the same."""
        days = (to_us(moment) - to_us(self.moment)) / DAY_US
        return float(2.0 ** (-days / self.half_life_days))

    def at(self, moment: datetime) -> Self:
        """Decayed to a later moment; to an earlier one nothing is done."""
        if moment <= self.moment:
            return self
        left = self.factor(moment)
        return replace(
            self, mass=left * self.mass, sums=left * self.sums, scatter=left * self.scatter,
            moment=moment,
        )  # fmt: skip

    def added(self, Z: npt.NDArray[Any], weights: npt.NDArray[Any], moment: datetime) -> Self:
        """With rows that were seen at a moment; those that come late count as old as they are.

        Args:
            Z: (n, d) in the segmenter's space.
            weights: (n, k), or (n,) places, each row whole in one; -1 in none.

        Raises:
            ValueError: shapes do not fit, or a value is not finite.
        """
        W = np.asarray(weights)
        fits = W.shape == (len(Z),) or W.shape == (len(Z), len(self.ids))
        if Z.ndim != 2 or Z.shape[1] != self.sums.shape[1] or not fits:
            raise ValueError(f"rows {Z.shape} and weights {W.shape} do not fit {self.sums.shape}")
        with _one_thread(len(Z)), np.errstate(invalid="ignore", over="ignore"):
            return self._with(_summed(Z, W, len(self.ids), self.full), moment)

    def learned(self, clusterer: Clusterer, Z: npt.NDArray[Any], moment: datetime) -> Self:
        """With rows as a method places them (`responsibilities`), in bounded memory."""
        k, d = self.sums.shape
        total = _zeros(k, d, self.full)
        with _one_thread(len(Z)):
            for start in range(0, len(Z), _BLOCK_ROWS):
                rows = Z[start : start + _BLOCK_ROWS]
                part = _summed(rows, responsibilities(clusterer, rows), k, self.full)
                for whole, more in zip(total, part, strict=True):
                    whole += more
        return self._with(total, moment)

    def _with(self, more: Sums, moment: datetime) -> Self:
        mass, sums, scatter = more
        if not (np.isfinite(mass).all() and np.isfinite(scatter).all()):
            raise ValueError("rows or weights are not finite")
        now = self.at(moment)
        left = 1 / self.factor(moment) if moment < self.moment else 1.0
        return replace(
            now, mass=now.mass + left * mass, sums=now.sums + left * sums,
            scatter=now.scatter + left * scatter,
        )  # fmt: skip

    def plus(self, other: Statistics) -> Self:
        """With what another one saw of the same segments, as of the later moment of both.

        Raises:
            ValueError: other segments.
        """
        if other.ids != self.ids:
            raise ValueError(f"statistics of {other.ids} do not fit those of {self.ids}")
        now = self.at(other.moment)
        left = 1 / now.factor(other.moment)
        return replace(
            now, mass=now.mass + left * other.mass, sums=now.sums + left * other.sums,
            scatter=now.scatter + left * other.scatter,
        )  # fmt: skip

    def times(self, factor: float) -> Self:
        """All rows weigh so many times as much."""
        return replace(
            self, mass=factor * self.mass, sums=factor * self.sums, scatter=factor * self.scatter
        )

    def for_ids(self, ids: Sequence[str], joined: Mapping[str, str] | None = None) -> Self:
        """For other places: an id keeps what it has, new ones begin with nothing.

        Args:
            joined: id that goes -> id that takes what it has, as after a merge.
        """
        place = {one: number for number, one in enumerate(ids)}
        found = type(self).nothing(
            ids, self.sums.shape[1], self.moment, half_life_days=self.half_life_days, full=self.full
        )
        for before, one in enumerate(self.ids):
            now = place.get((joined or {}).get(one, one))
            if now is not None:
                found.mass[now] += self.mass[before]
                found.sums[now] += self.sums[before]
                found.scatter[now] += self.scatter[before]
        return found

    # -- told --------------------------------------------------------------------------------------

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """(k,) whether a segment has seen anybody."""
        return np.asarray(self.mass > _NOTHING)

    @property
    def means(self) -> Floats:
        """(k, d); NaN where a segment has seen nobody."""
        return self.sums / self._mass[:, None]

    @property
    def covariances(self) -> Floats:
        """(k, d) variances, or (k, d, d), about the means; NaN where a segment has seen nobody."""
        means = self.means
        if self.full:
            return self.scatter / self._mass[:, None, None] - means[:, :, None] * means[:, None]
        return np.maximum(self.scatter / self._mass[:, None] - means**2, 0.0)

    def about(self, centers: Floats) -> Floats:
        """(k, d) mean squares about any centres; NaN where a segment has seen nobody."""
        squares = np.einsum("kdd->kd", self.scatter) if self.full else self.scatter
        moments = squares - 2 * centers * self.sums + self.mass[:, None] * centers**2
        return np.maximum(moments / self._mass[:, None], 0.0)

    @property
    def _mass(self) -> Floats:
        return np.where(self.there, self.mass, np.nan)

    def to_artefact(self) -> tuple[dict[str, Any], Arrays]:
        """JSON parameters and arrays."""
        document = {
            "ids": list(self.ids), "moment": iso(self.moment),
            "half_life_days": self.half_life_days if np.isfinite(self.half_life_days) else None,
        }  # fmt: skip
        return document, {"mass": self.mass, "sums": self.sums, "scatter": self.scatter}

    @classmethod
    def from_artefact(cls, document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """What `to_artefact` described."""
        mass, sums, scatter = (np.array(arrays[name]) for name in ("mass", "sums", "scatter"))
        half_life = document["half_life_days"]
        return cls(
            tuple(document["ids"]), mass, sums, scatter, parse_moment(document["moment"]),
            float("inf") if half_life is None else half_life,
        )  # fmt: skip


def begun(segmenter: ClusterSegmenter, moment: datetime, *, half_life_days: float) -> Statistics:
    """Statistics of nobody yet, of the shape that the segmenter's method learns from."""
    clusterer = segmenter.clusterer
    full = isinstance(clusterer, Mixture) and clusterer.roots.ndim == 3
    return Statistics.nothing(
        segmenter.ids, segmenter.centers.shape[1], moment, half_life_days=half_life_days, full=full
    )


def responsibilities(clusterer: Clusterer, Z: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n,) place by the largest weight, or of a mixture (n, k) posteriors: what a row is to each
    segment in the method's own update, whatever the margin says of the membership."""
    if isinstance(clusterer, Mixture):
        return clusterer.weights(np.asarray(Z, dtype=np.float64))
    if not isinstance(clusterer, KMeansClusterer):
        return np.asarray(clusterer.weights(np.asarray(Z, dtype=np.float64)).argmax(axis=1))
    half = (np.square(clusterer.centers).sum(axis=1) / 2).astype(Z.dtype, copy=False)
    return np.asarray((half - Z @ clusterer.centers.astype(Z.dtype, copy=False).T).argmin(axis=1))


def _one_thread(rows: int) -> AbstractContextManager[Any]:
    """Products of blocks are small: threads within them cost more than they bring, where there are
    many; for a few blocks it would cost more to say so."""
    return threadpool_limits(1, user_api="blas") if rows > _MANY_ROWS else nullcontext()


def _zeros(k: int, d: int, full: bool) -> Sums:
    return np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d) if full else (k, d))


def _summed(Z: npt.NDArray[Any], W: npt.NDArray[Any], k: int, full: bool) -> Sums:
    """Mass, sums and scatter of rows; blocks are added in their order."""
    mass, sums, scatter = _zeros(k, Z.shape[1], full)
    for start in range(0, len(Z), _BLOCK_ROWS):
        rows = Z[start : start + _BLOCK_ROWS]
        own = W[start : start + _BLOCK_ROWS]
        if own.ndim == 1:
            member = np.zeros((len(own), k), dtype=Z.dtype)
            there = np.flatnonzero(own >= 0)
            member[there, own[there]] = 1
            mass += np.bincount(own[there], minlength=k)
            own = member
        else:
            mass += own.sum(axis=0, dtype=np.float64)
        sums += own.T @ rows
        if not full:
            scatter += own.T @ np.square(rows)
            continue
        for place in np.flatnonzero(own.any(axis=0)):
            scatter[place] += (rows * own[:, place, None]).T @ rows
    return mass, sums, scatter
