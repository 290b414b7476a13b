"""Segments in two steps: styles, and stages of each.

How customers shop is one question, what is to be expected of them next another. In one space of
both, groups lie across the two and come back badly when customers are drawn again. So customers are
divided by style first, and then each style by the outlook alone, where it pays most: the leaf whose
halves lower the spread of the outlook most is cut next, and the leaves of its style settle anew by
Lloyd's iterations (bisecting k-means; Steinbach, Karypis and Kumar, 2000).
Dimensions: n customers, w columns of style, m of the outlook, s styles, k leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.features.row_order import canonical_order
from shoal.segments.kmeans import KMeans, halved, lloyd, nearest

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: A stage holds this share of all customers at least.
LEAST_SHARE: Final = 0.01
_ITERATIONS: Final = 50


@dataclass(frozen=True)
class Leaves:
    """The stages of all styles.

    Args:
        owner: (k,) the style of each leaf.
        stages: (k, m) its centre in the outlook.
    """

    owner: Labels
    stages: Matrix

    def labels(self, style: Labels, outlook: Matrix) -> Labels:
        """(n,) leaf of customers of these styles (n,) and outlooks (n, m)."""
        found = np.empty(len(style), np.int64)
        for one in range(int(self.owner.max()) + 1):
            rows, leaves = np.flatnonzero(style == one), np.flatnonzero(self.owner == one)
            if len(leaves) == 1:
                found[rows] = leaves[0]
            elif len(rows):
                found[rows] = leaves[nearest(outlook[rows], self.stages[leaves])[0]]
        return found


def leaves_of(
    outlook: Matrix, style: Labels, styles: int, ks: Sequence[int], *, seed: int, starts: int = 8
) -> dict[int, Leaves]:
    """The leaves of some numbers of groups, `styles` or more each; as many as can be had.

    One style alone is divided by k-means of the outlook, which foretells best.

    Args:
        style: (n,) the style of each row of the outlook, 0 to s - 1; every style has rows.
        starts: of k-means where there is one style.
    """
    order = canonical_order(outlook)  # sums do not depend on the order of customers
    outlook, style = outlook[order], style[order]
    found: dict[int, Leaves] = {}
    if styles == 1:
        for k in ks:
            model = KMeans(min(k, len(outlook)), n_starts=starts, random_state=seed).fit(outlook)
            found[k] = Leaves(np.zeros(model.n_clusters_, np.int64), model.cluster_centers_)
        return found
    last = None
    for last in _grown(outlook, style, styles, max(ks), seed):
        if len(last.owner) in ks:
            found[len(last.owner)] = last
    assert last is not None, "the first leaves are the styles themselves"
    return {k: found.get(k, last) for k in ks}


def _grown(
    outlook: Matrix, style: Labels, styles: int, most: int, seed: int
) -> Iterator[Leaves]:  # fmt: skip
    """The leaves of s = `styles`, s + 1, ... up to `most`; ends early where no cut is left."""
    stages = {one: outlook[style == one].mean(axis=0)[None] for one in range(styles)}
    cuts = {one: _cuts(outlook, np.flatnonzero(style == one), stages[one], seed)
            for one in range(styles)}  # fmt: skip
    yield _leaves(stages)
    for _ in range(styles, most):
        one = max(cuts, key=lambda style: max(cut[0] for cut in cuts[style]))
        place = int(np.argmax([cut[0] for cut in cuts[one]]))
        gain, halves = cuts[one][place]
        if gain <= 0:
            return
        rows = np.flatnonzero(style == one)
        start = np.vstack([np.delete(stages[one], place, axis=0), halves])
        stages[one] = lloyd(outlook[rows], start, _ITERATIONS)[0]
        cuts[one] = _cuts(outlook, rows, stages[one], seed)
        yield _leaves(stages)


def going_on(outlook: Matrix, style: Labels, styles: int, warm: Labels) -> Leaves | None:
    """The leaves of an earlier version, settled anew; None where a style has none of them.

    Args:
        warm: (n,) the leaf of each row in the earlier version, -1 for none. A leaf belongs to the
            style that most of its rows have now.
    """
    stages: dict[int, list[Matrix]] = {one: [] for one in range(styles)}
    for leaf in np.unique(warm[warm >= 0]):
        rows = warm == leaf
        own = int(np.bincount(style[rows], minlength=styles).argmax())
        stages[own].append(outlook[rows & (style == own)].mean(axis=0))
    if not all(stages.values()):
        return None
    settled = {
        one: lloyd(outlook[style == one], np.array(centers), _ITERATIONS)[0]
        for one, centers in stages.items()
    }
    return _leaves(settled)


def as_good(outlook: Matrix, style: Labels, best: Leaves, other: Leaves) -> bool:
    """Whether other leaves may hold the outlook as well, as far as these rows can tell: their
    spread is not larger by more than one standard error of the difference."""
    off = [
        np.square(outlook - one.stages[one.labels(style, outlook)]).sum(axis=1)
        for one in (best, other)
    ]
    worse = off[1] - off[0]
    return bool(worse.mean() <= worse.std() / np.sqrt(len(worse)))


def _leaves(stages: dict[int, Matrix]) -> Leaves:
    owner = np.concatenate([np.full(len(stages[one]), one) for one in stages])
    return Leaves(owner.astype(np.int64), np.vstack([stages[one] for one in stages]))


def _cuts(
    outlook: Matrix, rows: Labels, centers: Matrix, seed: int
) -> list[tuple[float, Matrix]]:  # fmt: skip
    """Of each leaf of a style: what cutting it would take from the spread, and the two centres."""
    own = nearest(outlook[rows], centers)[0]
    return [
        _cut(outlook[rows[own == place]], LEAST_SHARE * len(outlook), seed)
        for place in range(len(centers))
    ]


def _cut(rows: Matrix, least: float, seed: int) -> tuple[float, Matrix]:
    nothing = 0.0, np.empty((0, rows.shape[1]))
    if len(rows) < max(2 * least, 2):
        return nothing
    gain, centers = halved(rows, np.random.default_rng(seed))
    if len(centers) < 2 or np.bincount(nearest(rows, centers)[0], minlength=2).min() < least:
        return nothing
    return gain, centers


# --- Divisions that are compared ------------------------------------------------------------------


@dataclass(frozen=True)
class Space:
    """What is divided.

    Args:
        style: (n, w) of variance one in all, or of any where there is no outlook.
        outlook: (n, m) of variance one in all; None: segments are of style alone.
    """

    style: Matrix
    outlook: Matrix | None = None

    def __len__(self) -> int:
        return len(self.style)

    def take(self, rows: Labels) -> Space:
        """Some of the customers."""
        told = None if self.outlook is None else self.outlook[rows]
        return Space(self.style[rows], told)


@dataclass(frozen=True)
class Division:
    """Customers divided by k-means of style and, where there are leaves, stages.

    Args:
        labels: (n,) of the customers that it was made of.
        inertia: sum of squared distances to the centres, in both steps.
    """

    centers: Matrix
    leaves: Leaves | None
    labels: Labels
    inertia: float

    @property
    def k(self) -> int:
        """Groups made."""
        return len(self.centers) if self.leaves is None else len(self.leaves.owner)

    def of(self, space: Space) -> Labels:
        """(n,) where any customers belong."""
        style = nearest(space.style, self.centers)[0]
        if self.leaves is None or space.outlook is None:
            return style
        return self.leaves.labels(style, space.outlook)


def divisions(
    space: Space, ks: Sequence[int], styles: int | None, *, seed: int, starts: int
) -> dict[int, Division]:
    """Divisions of a space into each of some numbers of groups; what cannot be is left out.

    Args:
        styles: groups by style, as many as the least number at most; None: all of them.
    """
    found: dict[int, Division] = {}
    if styles is None or space.outlook is None:
        for k in ks:
            model = KMeans(k, n_starts=starts, random_state=seed).fit(space.style)
            found[k] = Division(model.cluster_centers_, None, model.labels_, model.inertia_)
        return found
    model = KMeans(styles, n_starts=starts, random_state=seed).fit(space.style)
    spread = np.square(space.style - model.cluster_centers_[model.labels_]).sum()
    made = leaves_of(
        space.outlook, model.labels_, model.n_clusters_, ks, seed=seed, starts=starts
    )  # fmt: skip
    return {k: _divided(space, model, leaves, float(spread)) for k, leaves in made.items()}


def _divided(space: Space, model: KMeans, leaves: Leaves, spread: float) -> Division:
    assert space.outlook is not None
    labels = leaves.labels(model.labels_, space.outlook)
    inertia = spread + float(np.square(space.outlook - leaves.stages[labels]).sum())
    return Division(model.cluster_centers_, leaves, labels, inertia)
