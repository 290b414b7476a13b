"""Which segments could split or merge: local tests, and what either would bring.

Gain and cost have one unit, the share of the loss that segments leave (mean squared distance to the
own centre), so that a split and its undoing can never both pay:

- *excess*: by how much more two centres lower the loss than they would by cutting a round segment
  of the usual spread through its middle. It is told on the half that the centres were not made of.
- *relabelled*: what a boundary costs. Those near it change sides at every look, and each of them
  costs `relabel_price`; counted over 30 days.

A **split** gains the excess and costs what its boundary relabels; it is proposed where there is a
valley between both parts (`shoal.adjust.modes`), both halves of the members find the same parts,
and neither is tiny nor foretells worse. A **merge** gains what the boundary relabels, less the
excess; it is proposed where no valley is seen, and one segment foretells no worse than two.

Where the past is known, both have to be news: features that count have valleys by nature (who
never returned anything), and segments made to foretell may always have overlapped. So the valley
has to be deeper than it was, or the two segments nearer. What was always so is left to a refit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from shoal.adjust.adjustment import MERGE, SPLIT, Proposal
from shoal.adjust.ground import CUT, Foretold, Ground, Past, overlap, roots_of
from shoal.adjust.modes import Modes, Windows, halves, two_modes
from shoal.adjust.reshape import MERGES, SPLITS, can
from shoal.adjust.settings import AdjustSettings
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.judge import Future
from shoal.segments.kmeans import squared_distances

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: A split: at most this p-value of one mode, and at least this agreement of both halves.
SPLIT_P: Final = 0.05
AGREEMENT: Final = 0.9
#: Where the past is known: at most this p-value of nothing having changed since.
NEWS_P: Final = 0.05
#: Days in a segment after which a customer does not count as one who came lately, and the share of
#: a part that is settled so, below which it came from elsewhere.
SETTLED_DAYS: Final = 56.0
BORN: Final = 0.5
#: A merge: at least this p-value of one mode.
MERGE_P: Final = 0.2
#: Neighbours of each segment that it may merge with.
_NEIGHBOURS: Final = 2
#: Centres nearer than this, in usual spreads, leave no room for a valley.
_NO_ROOM: Final = 0.5
#: Customers of whom two segments may be compared with the past.
_FEWEST_TO_COMPARE: Final = 20
#: Customers that moving one segment's members takes at least.
_FEWEST_MEMBERS: Final = 2


def splits(
    segmenter: ClusterSegmenter, Z: Floats, recorded: Places, future: Future | None, *,
    settings: AdjustSettings, seed: int = 0, settled: Mask | None = None,
) -> list[Proposal]:  # fmt: skip
    """Segments that have become two, in order of their places.

    Where most of one part came into the segment lately and most of the other did not, the part was
    not split off but born there: the evidence says so by its kind, and the new id is that part's.

    Args:
        Z: (n, d) customers in the segmenter's space.
        recorded: (n,) places of their segments; others than 0 to k - 1 do not count.
        future: a past period to be foretold, its `X` in the same space; None: nothing is known.
        settled: (n,) who has been in the segment for `SETTLED_DAYS`; None: everybody.

    Raises:
        ValueError: shapes do not fit.
    """
    ground = Ground.of(segmenter, Z, recorded, settings, seed, settled)
    past = Past.of(segmenter, future)
    found = [_split(ground, past, place) for place in range(len(ground.ids))]
    return [
        one
        for place, one in enumerate(found)
        if one is not None and can(segmenter, SPLITS, place, np.array(one.evidence["centers"]))
    ]


def _split(ground: Ground, past: Past | None, place: int) -> Proposal | None:
    share = float(ground.sizes[place]) / max(len(ground.Z), 1)
    if share < 2 * ground.share_least:
        return None
    rows = ground.sample([place])
    X = ground.Z[rows]
    within = ground.within([place])
    roots = roots_of(within, len(ground.Z))
    modes = two_modes(X, roots, seed=ground.seed)
    if modes is None or modes.p_value > SPLIT_P or modes.agreement < AGREEMENT:
        return None
    if modes.share * share < ground.share_least:
        return None
    told = None if past is None else past.split(place, modes.centers)
    news = None if past is None else modes.news(past.members(place) @ roots)
    if (told is not None and told.worse) or (news is not None and news > NEWS_P):
        return None
    side = squared_distances(X, modes.centers).argmin(axis=1)
    excess, error = _excess(X, side, within, ground.seed)
    doubt = overlap(X @ roots, modes.centers @ roots)
    scale = len(ground.Z) * share * ground.spread_share
    centers, parts = modes.centers, np.array([1 - modes.share, modes.share])
    stayed = [float(ground.settled[rows[side == number]].mean()) for number in (0, 1)]
    born = min(stayed) < BORN <= max(stayed)
    if born and stayed[0] < stayed[1]:  # the larger part is the new one
        centers, parts, stayed = centers[::-1], parts[::-1], stayed[::-1]
    return Proposal(
        SPLIT, (ground.ids[place],), gain=excess * scale, gain_error=error * scale,
        moved=float(parts[1]) * share, cost=ground.relabelled(doubt, share),
        evidence={
            "kind": "birth" if born else "split", **_tested(modes), "news": news, "overlap": doubt,
            **foretold(told), "customers": int(ground.sizes[place]),
            "centers": centers.tolist(), "shares": (parts * share).tolist(), "stayed": stayed,
        },
    )  # fmt: skip


def _tested(modes: Modes) -> dict[str, Any]:
    return {"p_value": modes.p_value, "agreement": modes.agreement, "depth": modes.depth}


def foretold(told: Foretold | None) -> Mapping[str, float | None]:
    """As evidence; None where the past tells nothing."""
    if told is None:
        return {"foretold": None, "foretold_error": None}
    return {"foretold": told.gain, "foretold_error": told.error}


def _excess(X: Floats, side: Places, within: Floats, seed: int) -> tuple[float, float]:
    """Fall of the squared distance a row by two centres, more than a cut of a round segment brings,
    and its standard error: centres of one half of the rows, told on the other."""
    falls = []
    parts = halves(X, seed)
    for learned, asked in (parts, parts[::-1]):
        groups = [X[learned][side[learned] == number] for number in (0, 1)]
        if min(map(len, groups)) < _FEWEST_MEMBERS:
            return -1.0, 0.0
        centers = np.array([X[learned].mean(axis=0), *(group.mean(axis=0) for group in groups)])
        across = centers[2] - centers[1]
        across = across / max(float(np.linalg.norm(across)), 1e-12)
        gone = squared_distances(X[asked], centers)
        fall = gone[:, 0] - gone[:, 1:].min(axis=1)
        falls.append(fall - CUT * float(across @ within @ across))
    told = np.concatenate(falls)
    return float(told.mean()), float(told.std() / np.sqrt(len(told)))


def merges(
    segmenter: ClusterSegmenter, Z: Floats, recorded: Places, future: Future | None, *,
    settings: AdjustSettings, seed: int = 0,
) -> list[Proposal]:  # fmt: skip
    """Pairs of segments that have become one, in order of their places; see `splits`.

    Two segments are left at least.
    """
    ground = Ground.of(segmenter, Z, recorded, settings, seed)
    if len(ground.ids) < 3:
        return []
    past = Past.of(segmenter, future)
    pairs = [pair for pair in _neighbours(ground) if can(segmenter, MERGES, *pair)]
    found = [_merge(ground, past, *pair) for pair in pairs]
    return [one for one in found if one is not None]


def _neighbours(ground: Ground) -> list[tuple[int, int]]:
    """Pairs of segments with members, each with those nearest to it."""
    there = np.flatnonzero(ground.sizes >= _FEWEST_MEMBERS)
    apart = squared_distances(ground.centers[there], ground.centers[there])
    np.fill_diagonal(apart, np.inf)
    pairs: set[tuple[int, int]] = set()
    for number, row in enumerate(apart):
        for other in np.argsort(row, kind="stable")[: min(_NEIGHBOURS, len(there) - 1)]:
            low, high = sorted((int(there[number]), int(there[other])))
            pairs.add((low, high))
    return sorted(pairs)


def _merge(ground: Ground, past: Past | None, one: int, other: int) -> Proposal | None:
    rows = ground.sample([one, other])
    X, side = ground.Z[rows], (ground.places[rows] == other).astype(np.int64)
    within = ground.within([one, other])
    roots = roots_of(within, len(ground.Z))
    centers = ground.centers[[one, other]]
    p_value = _valley(X @ roots, centers @ roots)
    if p_value < MERGE_P:
        return None
    told = None if past is None else past.merged([one, other])
    news = None if past is None else _nearer(past, X, side, roots, (one, other))
    if (told is not None and told.worse) or (news is not None and news > NEWS_P):
        return None
    excess, error = _excess(X, side, within, ground.seed)
    doubt = overlap(X @ roots, centers @ roots)
    sizes = ground.sizes[[one, other]] / len(ground.Z)
    share = float(sizes.sum())
    scale = len(ground.Z) * share * ground.spread_share
    gain = ground.relabelled(doubt, share) - max(excess, 0.0) * scale
    if gain <= 0:
        return None
    ids = (ground.ids[one], ground.ids[other])
    return Proposal(
        MERGE, ids, gain=gain, gain_error=error * scale, moved=float(sizes.min()),
        evidence={
            "kind": "merge", "p_value": p_value, "news": news, "overlap": doubt,
            "excess": excess * scale,
            **foretold(told), "customers": int(ground.sizes[[one, other]].sum()),
            "centers": [(sizes @ centers / share).tolist()], "shares": [share],
            "heir": ids[int(sizes.argmax())],
        },
    )  # fmt: skip


def _valley(W: Floats, centers: Floats) -> float:
    """p-value of one mode along the line through both centres; 1 where they are hardly apart."""
    across = centers[1] - centers[0]
    apart = float(np.linalg.norm(across))
    if apart < _NO_ROOM:
        return 1.0
    direction = across / apart
    ends = centers @ direction
    places = (float(ends[0]), float(ends.mean()), float(ends[1]))
    return Windows(direction, places, 0.8 * apart / 2).p_value(W)


def _nearer(past: Past, X: Floats, side: Places, roots: Floats, places: tuple[int, int]) -> float:
    """p-value of two segments lying no nearer to each other than in the past; 1 where too few were
    there to tell."""
    before = [past.members(place) @ roots for place in places]
    now = [X[side == number] @ roots for number in (0, 1)]
    if min(map(len, (*before, *now))) < _FEWEST_TO_COMPARE:
        return 1.0
    apart, errors = [], []
    for one, other in (before, now):
        across = other.mean(axis=0) - one.mean(axis=0)
        apart.append(float(np.linalg.norm(across)))
        direction = across / max(apart[-1], 1e-12)
        errors += [float((rows @ direction).var() / len(rows)) for rows in (one, other)]
    return float(ndtr((apart[1] - apart[0]) / np.sqrt(max(sum(errors), 1e-12))))
