"""New frozen segmenters with a segment split, segments merged, or one more: nothing else changes.

Of a mixture, means, mass and covariances are kept to the second moment: what both parts make
together is what the one was, so that splitting and merging undo each other. Places of other
segments stay in their order; the segment that keeps an id keeps its place, a new one comes last.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from shoal.adjust.adjustment import MERGE, SPLIT, Proposal
from shoal.domain.errors import UsageError
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture

Floats = npt.NDArray[np.float64]

#: Methods whose segments can be changed one by one; others are made anew.
METHODS: Final = (KMeansClusterer.method, Mixture.method)
#: Share of a covariance's mean variance that each of its directions keeps.
_LEAST: Final = 1e-2


def reshaped(segmenter: ClusterSegmenter, proposal: Proposal, new_ids: Sequence[str]) -> Any:
    """The segmenter after a split, merge or birth that was proposed.

    Args:
        new_ids: ids never used on the line: one for a split or birth, none for a merge.

    Raises:
        UsageError: `unknown_method`, segments of this method cannot be changed one by one.
        ValueError: it is no such proposal, of other segments, or the ids do not fit.
    """
    told = proposal.evidence
    places = [segmenter.ids.index(one) for one in proposal.segments]
    if proposal.action == MERGE and not new_ids:
        heir = segmenter.ids.index(str(told["heir"]))
        ordered = [heir, *(place for place in places if place != heir)]
        ids = [one for one in segmenter.ids if one not in proposal.segments or one == told["heir"]]
        return merge(segmenter, ordered, ids)
    if proposal.action != SPLIT or len(new_ids) != 1:
        raise ValueError(f"{proposal.action} with the new ids {new_ids} changes no segments")
    ids = [*segmenter.ids, *new_ids]
    centers = np.array(told["centers"], dtype=np.float64)
    if places:
        return split(segmenter, places[0], centers, ids, told["shares"])
    return born(segmenter, centers[0], ids, float(told["shares"][0]))


def split(
    segmenter: ClusterSegmenter, place: int, centers: npt.ArrayLike, ids: Sequence[str],
    shares: Sequence[float] | None = None,
) -> ClusterSegmenter:  # fmt: skip
    """With the segment of a place in two.

    Args:
        centers: (2, d), the first of the part that keeps place and id, the other comes last.
        ids: (k + 1,) by place.
        shares: of customers in both parts; None: half of the segment each.

    Raises:
        UsageError: `unknown_method`.
        ValueError: shapes or ids do not fit.
    """
    pair = _checked(segmenter, centers, 2)
    share = float(segmenter.shares[place])
    parts = np.array([share / 2, share / 2] if shares is None else shares, dtype=np.float64)
    made = _copied(segmenter)
    part = parts / max(float(parts.sum()), 1e-12)
    across = pair[1] - pair[0]
    own = made.clusterer
    if isinstance(own, Mixture):
        covariance = covariance_of(own.roots[place])
        between = float(part[0] * part[1]) * np.outer(across, across)
        less = covariance - (np.diag(between) if covariance.ndim == 1 else between)
        root = roots_of(_floored(less, covariance))
        own.mass = np.append(own.mass, own.mass[place] * part[1])
        own.mass[place] *= part[0]
        own.roots = np.concatenate([own.roots, root[None]])
        own.roots[place] = root
    else:
        _spread(own, -share * float(part[0] * part[1]) * float(across @ across), len(across))
    own.centers = np.concatenate([own.centers, pair[1:]])
    own.centers[place] = pair[0]
    made.shares = np.append(made.shares, parts[1])
    made.shares[place] = parts[0]
    return _finished(made, ids)


def born(
    segmenter: ClusterSegmenter, center: npt.ArrayLike, ids: Sequence[str], share: float
) -> ClusterSegmenter:
    """With one more segment, last, of a usual spread.

    Args:
        ids: (k + 1,) by place.
        share: of customers that it has; the others have less in proportion.

    Raises:
        UsageError: `unknown_method`.
        ValueError: shapes or ids do not fit.
    """
    place = _checked(segmenter, np.asarray(center)[None], 1)
    made = _copied(segmenter)
    own = made.clusterer
    if isinstance(own, Mixture):
        covariances = np.array([covariance_of(root) for root in own.roots])
        usual = np.tensordot(own.mass, covariances, axes=1)
        own.roots = np.concatenate([own.roots, roots_of(usual)[None]])
        own.mass = np.append(own.mass * (1 - share), share)
    own.centers = np.concatenate([own.centers, place])
    made.shares = np.append(made.shares * (1 - share), share)
    return _finished(made, ids)


def merge(
    segmenter: ClusterSegmenter, places: Sequence[int], ids: Sequence[str]
) -> ClusterSegmenter:
    """With segments in one, at the first place of those given; the other places are gone.

    Args:
        ids: by place, of those that are left.

    Raises:
        UsageError: `unknown_method`.
        ValueError: fewer than two different places, or ids do not fit.
    """
    if len(set(places)) < 2 or len(set(places)) != len(places):
        raise ValueError(f"two different places at least are needed: {list(places)}")
    _checked(segmenter, segmenter.centers[:1], 1)
    made = _copied(segmenter)
    own, rows = made.clusterer, list(places)
    mass = own.mass[rows] if isinstance(own, Mixture) else made.shares[rows]
    part = np.asarray(mass) / max(float(mass.sum()), 1e-12)
    if not mass.sum():
        part = np.full(len(rows), 1 / len(rows))
    mean = part @ own.centers[rows]
    off = own.centers[rows] - mean
    if isinstance(own, Mixture):
        covariances = np.array([covariance_of(own.roots[row]) for row in rows])
        between = np.einsum("i,ij,il->jl", part, off, off)
        both = np.tensordot(part, covariances, axes=1)
        own.roots[rows[0]] = roots_of(both + (np.diag(between) if both.ndim == 1 else between))
        own.mass[rows[0]] = mass.sum()
    else:
        gone = float(made.shares[rows].sum()) * float(part @ np.square(off).sum(axis=1))
        _spread(own, gone, len(mean))
    own.centers[rows[0]] = mean
    made.shares[rows[0]] = made.shares[rows].sum()
    stay = np.setdiff1d(np.arange(len(own.centers)), rows[1:])
    own.centers, made.shares = own.centers[stay], made.shares[stay]
    if isinstance(own, Mixture):
        own.roots, own.mass = own.roots[stay], own.mass[stay]
    moved = {int(old): new for new, old in enumerate(stay)}
    own.names = {moved[place]: name for place, name in own.names.items() if place in moved}
    return _finished(made, ids)


def _checked(segmenter: ClusterSegmenter, centers: npt.ArrayLike, count: int) -> Floats:
    """The centres as (count, d) numbers, of a segmenter that can be changed."""
    if segmenter.method not in METHODS:
        raise UsageError(
            "unknown_method",
            f"segments of the method {segmenter.method!r} cannot be split or merged one by one",
            where=segmenter.method,
            hint=f"Make them anew (a refit), or use {' or '.join(METHODS)}.",
        )
    found = np.asarray(centers, dtype=np.float64)
    if found.shape != (count, segmenter.centers.shape[1]) or not np.isfinite(found).all():
        raise ValueError(
            f"{count} centres of {segmenter.centers.shape[1]} finite numbers are needed, "
            f"not {found.shape}"
        )
    return found


def _copied(segmenter: ClusterSegmenter) -> ClusterSegmenter:
    """A copy whose method can be changed; preparation and outlook are the same objects."""
    made = copy.copy(segmenter)
    made.clusterer = copy.deepcopy(segmenter.clusterer)
    made.shares = np.array(segmenter.shares, dtype=np.float64)
    own = cast(Any, made.clusterer)
    own.centers = np.array(own.centers, dtype=np.float64)
    own.names = dict(own.names)
    return made


def _finished(made: ClusterSegmenter, ids: Sequence[str]) -> ClusterSegmenter:
    made.k = len(made.centers)
    made.clusterer.loss = None  # of other segments
    return made.rename(ids)


def _spread(own: Any, more: float, columns: int) -> None:
    """The pooled variance of k-means after a sum of squares a customer came or went."""
    own.variance = max(own.variance + more / columns, _LEAST * own.variance)


def covariance_of(root: Floats) -> Floats:
    """(d,) or (d, d) covariance of a root of its inverse, as `Mixture.roots` has it."""
    if root.ndim == 1:
        return np.asarray(1 / np.square(root))
    inverse = np.linalg.inv(root)
    return np.asarray(inverse.T @ inverse)


def roots_of(covariance: Floats) -> Floats:
    """The root of a covariance's inverse, as `Mixture.roots` has it (upper triangular)."""
    if covariance.ndim == 1:
        return np.asarray(1 / np.sqrt(covariance))
    lower = np.linalg.cholesky((covariance + covariance.T) / 2)
    return np.asarray(np.linalg.inv(lower).T)


def _floored(covariance: Floats, before: Floats) -> Floats:
    """A covariance that has some spread in every direction, as a share of what it was."""
    if covariance.ndim == 1:
        return np.maximum(covariance, _LEAST * before)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    least = _LEAST * float(np.trace(before)) / len(before)
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T)

