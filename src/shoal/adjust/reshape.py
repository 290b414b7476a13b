"""New frozen segmenters with a segment split, two merged, or one more: nothing else changes.

The method changes its own groups where it can (`split`, `merged`, `born` of a clusterer: k-means,
mixtures, and stages of either); methods whose groups hang together refuse and are made anew.
A segment that goes on keeps its place: a new one comes last, and of two that merge the lower place
stays, whichever of both ids goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.adjust.adjustment import MERGE, SPLIT, Proposal
from shoal.domain.errors import UsageError
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.mixture import Mixture

Floats = npt.NDArray[np.float64]

#: What a clusterer has to be able to do.
SPLITS: Final = "split"
MERGES: Final = "merged"
BEARS: Final = "born"


def reshaped(
    segmenter: ClusterSegmenter, proposal: Proposal, new_ids: Sequence[str] = ()
) -> ClusterSegmenter:
    """The segmenter after a split, merge or birth that was proposed.

    Args:
        new_ids: ids never used on the line: one for a split or birth, none for a merge.

    Raises:
        UsageError: `unknown_method`, segments of this method cannot be changed one by one.
        ValueError: it is no such proposal, is of other segments, or the ids do not fit.
    """
    told = proposal.evidence
    places = [segmenter.ids.index(one) for one in proposal.segments]
    if proposal.action == MERGE and not new_ids:
        low, high = sorted(places)
        ids = list(segmenter.ids)
        ids[low] = str(told["heir"])
        del ids[high]
        return merge(segmenter, places, ids)
    if proposal.action != SPLIT or len(new_ids) != 1:
        raise ValueError(f"{proposal.action} with the new ids {list(new_ids)} changes no segments")
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
        centers: (2, d), the first of the part that keeps place and id; the other comes last.
        ids: (k + 1,) by place.
        shares: of all customers in both parts; None: half of the segment each.

    Raises:
        UsageError: `unknown_method`.
        ValueError: shapes or ids do not fit.
    """
    pair = _checked(segmenter, centers, 2)
    made = _done(segmenter, SPLITS, place, pair)
    half = float(segmenter.shares[place]) / 2
    parts = [half, half] if shares is None else list(shares)
    spread = np.append(segmenter.shares, parts[1])
    spread[place] = parts[0]
    return segmenter.with_clusterer(made, ids=ids, shares=spread)


def merge(
    segmenter: ClusterSegmenter, places: Sequence[int], ids: Sequence[str]
) -> ClusterSegmenter:
    """With two segments in one at the lower of their places; those after the higher move down.

    Args:
        ids: (k - 1,) by place.

    Raises:
        UsageError: `unknown_method`.
        ValueError: they are not two, or ids do not fit.
    """
    if len(places) != 2 or places[0] == places[1]:
        raise ValueError(f"two different places are needed: {list(places)}")
    low, high = sorted(places)
    made = _done(segmenter, MERGES, low, high)
    shares = np.array(segmenter.shares, dtype=np.float64)
    pair = shares[[low, high]]
    shares[low] = pair.sum()
    shares = np.delete(shares, high)
    if not isinstance(made, Mixture) and pair.sum() > 0:  # a mixture knows its own shares
        centers = np.array(made.centers, dtype=np.float64)
        centers[low] = pair @ segmenter.centers[[low, high]] / pair.sum()
        loss = made.loss
        made = made.moved(centers, mass=shares)
        made.loss = loss
    made.names = {
        place - (place > high): name
        for place, name in segmenter.clusterer.names.items()
        if place != high
    }
    return segmenter.with_clusterer(made, ids=ids, shares=shares)


def born(
    segmenter: ClusterSegmenter, center: npt.ArrayLike, ids: Sequence[str], share: float
) -> ClusterSegmenter:
    """With one more segment, last.

    Args:
        ids: (k + 1,) by place.
        share: of all customers that it has; the others have less in proportion.

    Raises:
        UsageError: `unknown_method`.
        ValueError: shapes or ids do not fit.
    """
    place = _checked(segmenter, np.asarray(center)[None], 1)[0]
    made = _done(segmenter, BEARS, place)
    shares = np.append(segmenter.shares * (1 - share), share)
    if isinstance(made, Mixture):
        made.mass = np.append(made.mass[:-1] * (1 - share) / made.mass[:-1].sum(), share)
    return segmenter.with_clusterer(made, ids=ids, shares=shares)


def can(segmenter: ClusterSegmenter, what: str, *told: Any) -> bool:
    """Whether the method can change its groups so; `what` is `SPLITS`, `MERGES` or `BEARS`.

    Args:
        told: as the method of the clusterer takes it.
    """
    change = getattr(segmenter.clusterer, what, None)
    return change is not None and change(*told) is not None


def _done(segmenter: ClusterSegmenter, what: str, *told: Any) -> Any:
    change = getattr(segmenter.clusterer, what, None)
    made = None if change is None else change(*told)
    if made is None:
        raise UsageError(
            "unknown_method",
            f"segments of the method {segmenter.method!r} cannot be changed like this one by one",
            where=segmenter.method,
            hint="Make all segments anew: shoal segment SHOP.",
        )
    return made


def _checked(segmenter: ClusterSegmenter, centers: npt.ArrayLike, count: int) -> Floats:
    found = np.asarray(centers, dtype=np.float64)
    columns = segmenter.centers.shape[1]
    if found.shape != (count, columns) or not np.isfinite(found).all():
        raise ValueError(
            f"{count} centres of {columns} finite numbers are needed; their shape is {found.shape}"
        )
    return found
