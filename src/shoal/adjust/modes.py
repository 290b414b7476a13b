"""Whether a group of customers is two: a valley between them, told on customers not looked at.

A density with one mode, cut by three disjoint windows of equal width along any line, holds in the
middle one no less than in the lesser of the outer ones. So if direction and windows are chosen on
one half of the customers, and the middle window of the *other* half holds significantly fewer than
both outer ones, there are two modes, whatever shape the group has: skewed, heavy-tailed, flat or
cut off by its neighbours. The test is exact (two binomials, the larger p-value counts), of the kind
of Hartigan and Hartigan's dip (1985) with the place told beforehand. The halves change parts and
both answers are put together (Stouffer's sum of normal scores).

Dimensions: n rows, d columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, expit, ndtr, ndtri

from shoal.features.row_order import canonical_order
from shoal.segments.kmeans import lloyd, nearest

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

#: Width of a window, in distances from a mode to the valley: as wide as can be without meeting.
_WIDTH: Final = 0.8
#: Steps of the fit of two normal densities along a line.
_STEPS: Final = 100
_SETTLED: Final = 1e-3
#: Rows in two windows of whom a valley may be compared with another.
_FEWEST_TO_COMPARE: Final = 20
#: A mode of less than this share of the rows is not looked for: tails have such lumps.
LEAST_SHARE: Final = 0.08


@dataclass(frozen=True)
class Windows:
    """Three windows along a direction: two modes and what lies between.

    Args:
        direction: (d,).
        places: of the windows' middles, in order along the direction.
        width: of each.
    """

    direction: Floats
    places: tuple[float, float, float]
    width: float

    def counts(self, X: Floats) -> tuple[int, int, int]:
        """How many rows each window holds."""
        along = X @ self.direction
        half = self.width / 2
        left, middle, right = (int((np.abs(along - place) < half).sum()) for place in self.places)
        return left, middle, right

    def p_value(self, X: Floats) -> float:
        """Of one mode: the chance of so few between, at most."""
        left, middle, right = self.counts(X)
        return max(_fewer(middle, left), _fewer(middle, right))


@dataclass(frozen=True)
class Modes:
    """Two groups that were looked for, and whether they are two.

    Args:
        centers: (2, d) means of both, the larger first, in the space of the rows.
        share: of the lesser one.
        p_value: of one mode.
        agreement: share of rows that both halves put together in the same way (0.5 to 1).
        depth: how much lower the density is between than at the lesser mode (0 to 1).
        windows: of both halves, in the space of usual spreads, and `counts`, what the other half
            of the rows has in them, together.
    """

    centers: Floats
    share: float
    p_value: float
    agreement: float
    depth: float
    windows: tuple[Windows, Windows]
    counts: tuple[int, int, int]

    def news(self, W: Floats) -> float:
        """p-value of there being no deeper a valley than in other rows, such as those of the past;
        1 where they hold too few to tell.

        Of two proportions, of the middle window among it and the lesser outer one.
        """
        before = np.sum([one.counts(W) for one in self.windows], axis=0) / 2
        then, total = _between(before)
        now, rows = _between(np.array(self.counts))
        if min(total, rows) < _FEWEST_TO_COMPARE:
            return 1.0
        common = (then * total + now * rows) / (total + rows)
        error = np.sqrt(max(common * (1 - common), 1e-12) * (1 / total + 1 / rows))
        return float(ndtr((now - then) / error))


def _between(counts: Floats | Places) -> tuple[float, float]:
    """Share of the middle window among it and the lesser outer one, and rows in both."""
    total = float(counts[1] + min(counts[0], counts[2]))
    return float(counts[1]) / max(total, 1.0), total


def _fewer(middle: int, side: int) -> float:
    """P(as few in the middle) where both windows are as likely."""
    total = middle + side
    return float(bdtr(middle, total, 0.5)) if total else 1.0


def halves(X: Floats, seed: int) -> tuple[Places, Places]:
    """Rows of two random halves; the same whatever order the rows came in."""
    order = canonical_order(X)
    order = order[np.random.default_rng([seed, len(order)]).permutation(len(order))]
    return np.sort(order[::2]), np.sort(order[1::2])


def together(p_values: Sequence[float]) -> float:
    """One p-value of independent ones (Stouffer, 1949)."""
    scores = ndtri(np.clip(p_values, 1e-15, 1 - 1e-15))
    return float(ndtr(scores.sum() / np.sqrt(len(scores))))


def two_modes(X: Floats, roots: Floats | None = None, *, seed: int = 0) -> Modes | None:
    """Look for two groups in rows; None where there are too few rows or no two places.

    Args:
        X: (n, d) rows, of one segment.
        roots: (d, d) X @ roots has the same spread in all directions within a usual segment;
            None: as it is.
    """
    if len(X) < 16:
        return None
    W = X if roots is None else X @ roots
    one, other = halves(X, seed)
    first, second, both = _looked(W[one]), _looked(W[other]), _looked(W)
    if first is None or second is None or both is None:
        return None
    p_value = together([first.windows.p_value(W[other]), second.windows.p_value(W[one])])
    sides = [part.side(W) for part in (first, second)]
    same = float((sides[0] == sides[1]).mean())
    if same < 0.5:
        sides[1] = ~sides[1]
    side = both.side(W)
    if side.mean() > 0.5:
        side = ~side
    centers = np.array([X[~side].mean(axis=0), X[side].mean(axis=0)])
    counts = np.sum([first.windows.counts(W[other]), second.windows.counts(W[one])], axis=0)
    lesser = max(min(int(counts[0]), int(counts[2])), 1)
    return Modes(
        centers, float(side.mean()), p_value, max(same, 1 - same),
        float(np.clip(1 - counts[1] / lesser, 0, 1)), (first.windows, second.windows),
        (int(counts[0]), int(counts[1]), int(counts[2])),
    )  # fmt: skip


@dataclass(frozen=True)
class _Looked:
    windows: Windows
    cut: float

    def side(self, W: Floats) -> npt.NDArray[np.bool_]:
        return np.asarray(W @ self.windows.direction > self.cut)


def _looked(W: Floats) -> _Looked | None:
    """Of the directions tried that along which two normal densities tell most of these rows."""
    best: tuple[float, _Looked] | None = None
    for direction in _directions(W):
        fitted = along(W @ direction)
        if fitted is None:
            continue
        windows = Windows(direction, fitted.places, _WIDTH * float(np.diff(fitted.places).min()))
        if best is None or fitted.gain > best[0]:
            best = fitted.gain, _Looked(windows, fitted.places[1])
    return None if best is None else best[1]


def _directions(W: Floats) -> list[Floats]:
    """(d,) unit vectors along which two groups may lie: that of greatest spread, and from one to
    the other of two means that start along it."""
    centered = W - W.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered / len(W))
    if values[-1] <= 1e-12:
        return []
    axis = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
    start = np.outer([-1, 1], np.sqrt(values[-1]) * axis)
    means, _, _, _ = lloyd(centered, start, 100)
    across = means[1] - means[0]
    return [axis, across / max(float(np.linalg.norm(across)), 1e-12)]


@dataclass(frozen=True)
class Fitted:
    """Two normal densities of equal spread along a line.

    Args:
        places: lesser mode or greater one, the lowest place between, and the other mode.
        gain: of log-likelihood a row, over one normal density.
    """

    places: tuple[float, float, float]
    gain: float


def along(x: Floats) -> Fitted | None:
    """Two normal densities of equal spread, fitted by expectation-maximisation from two means;
    None where a mode is too small."""
    low = nearest(x[:, None], np.quantile(x, [0.2, 0.8])[:, None])[0] == 0
    if low.all() or not low.any():
        return None
    mean, square = float(x.mean()), float(x @ x) / len(x)
    second, before = (~low).astype(np.float64), np.inf
    for _ in range(_STEPS):
        part = float(second.sum()) / len(x)
        if min(part, 1 - part) < LEAST_SHARE / 2:
            return None
        upper = float(second @ x) / len(x)
        one, other = (mean - upper) / (1 - part), upper / part
        variance = max(square - (1 - part) * one**2 - part * other**2, 1e-12)
        slope = (other - one) / variance
        if abs(slope - before) <= _SETTLED * abs(slope):
            break
        level = np.log(part / (1 - part)) - slope * (one + other) / 2
        before, second = slope, expit(slope * x + level)
    if min(part, 1 - part) < LEAST_SHARE or other - one < 1e-6 * np.sqrt(variance):
        return None
    means, mass = np.array([one, other]), np.array([1 - part, part])
    logits = np.log(mass) - np.square(x[:, None] - means) / (2 * variance)
    told = np.logaddexp(logits[:, 0], logits[:, 1]).mean() - np.log(variance) / 2
    gain = float(told + 0.5 + np.log(x.var()) / 2)
    return Fitted((float(means[0]), _lowest(means, mass, variance), float(means[1])), gain)


def _lowest(means: Floats, mass: Floats, variance: float) -> float:
    """Where the fitted density is least between the modes; off their middle where one is large."""
    grid = np.linspace(means[0], means[1], 41)[8:33]
    density = (mass * np.exp(-np.square(grid[:, None] - means) / (2 * variance))).sum(axis=1)
    return float(grid[density.argmin()])
