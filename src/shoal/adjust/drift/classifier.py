"""Can a classifier tell the customers of now from those of before? All columns asked at once.

The classifier two-sample test of Lopez-Paz and Oquab (2017; `shoal.evaluation.two_sample` describes
two logs with it): a classifier learns on one half of the people from which of two looks a row is,
and is asked about the other half. What differs here is that most people are in both looks. Were
nothing different, the two rows of a person could be exchanged, so the p-value comes from exchanging
them: sign flips of what each person adds to the area under the ROC curve (AUC). Both halves take
both parts, and the smaller of the two p-values counts twice (Bonferroni).

The classifier is the linear discriminant of Fisher (1936) on columns, their squares and products,
shrunk as a ridge regression is: it sees changes of means, of spreads and of how columns go together
with one solution of equations. What an earlier pair of looks, or the same pair of the year before,
can be told apart by, this one may too: the AUC has to be greater than theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shoal.adjust.drift.contrast import Panel
from shoal.adjust.drift.look import Floats, Mask, Places

#: AUC beyond chance, and beyond that of earlier looks, that somebody might act on.
LEAST_AUC: Final = 0.01
#: Sign flips; p-values too small for them come from the normal distribution of their sum.
FLIPS: Final = 399
_TELLING_FLIPS: Final = 20
#: Columns whose products are asked for; of more the leading components.
_MOST_COLUMNS: Final = 20
#: People of both halves together.
_PEOPLE: Final = 12_000
#: Share of the mean variance that is added to all variances, at least.
_RIDGE: Final = 0.05
#: Weeks before now that the look compared with is best made at: windows of 28 days do not overlap.
_WEEKS: Final = 4.0
_FEWEST: Final = 100
#: A smaller p-value is asked whether an earlier pair of looks is told apart as well.
_ASK_BEFORE: Final = 0.2


@dataclass(frozen=True)
class Told:
    """How well now is told from before.

    Args:
        auc: of rows that the classifier did not learn from; 0.5 is chance.
        usual: of an earlier pair of looks; 0.5 where there is none.
        p_value: of no AUC beyond chance, and of none beyond `usual` by `LEAST_AUC`.
        people: whose rows were asked about.
        telling: (columns,) difference of means in standard deviations.
    """

    auc: float
    usual: float
    p_value: float
    people: int
    telling: Floats


def told_apart(panel: Panel, columns: list[Floats], seed: int) -> Told | None:
    """Tell now from the recent look nearest to four weeks ago; None where too few can be asked.

    Args:
        columns: of each look of the panel (rows, columns); NaN counts as the mean.
    """
    last = len(panel.looks) - 1
    then = int(np.abs(panel.weeks[: panel.recent] - _WEEKS).argmin())
    random = np.random.default_rng([seed, 7])
    half = random.integers(0, 2, panel.people).astype(bool)
    asked = random.permutation(panel.people) < _PEOPLE
    found = _pair(panel, columns, then, last, half, asked, random)
    if found is None:
        return None
    areas, people, telling = found
    usual = 0.5
    p = _judged(areas, usual)
    if p < _ASK_BEFORE:
        for one, other in _earlier_pairs(panel, then):
            earlier = _pair(panel, columns, one, other, half, asked, None)
            if earlier is not None:
                usual = max(usual, float(np.mean([area for area, _, _ in earlier[0]])))
        p = _judged(areas, usual)
    return Told(float(np.mean([one[0] for one in areas])), usual, p, people, telling)


def _earlier_pairs(panel: Panel, then: int) -> list[tuple[int, int]]:
    """The earlier look that is furthest from the one compared with, and those of a year before."""
    found = []
    others = [place for place in range(panel.recent) if place != then]
    if others:
        far = max(others, key=lambda place: abs(panel.weeks[place] - panel.weeks[then]))
        found.append((min(far, then), max(far, then)))
    year = range(panel.recent, len(panel.looks) - 1)
    if len(year) > 1:
        lag = panel.weeks[then]
        nearest = min(year[:-1], key=lambda place: abs(panel.weeks[place] - panel.weeks[-2] - lag))
        found.append((nearest, year[-1]))
    return found


#: AUC, standard error and p-value of a half.
Area = tuple[float, float, float]


def _judged(areas: list[Area], usual: float) -> float:
    floor = usual + LEAST_AUC
    return min(1.0, 2 * min(max(chance, _tail((area - floor) / error))
                            for area, error, chance in areas))  # fmt: skip


def _pair(
    panel: Panel, columns: list[Floats], then: int, now: int, half: Mask, asked: Mask,
    random: np.random.Generator | None,
) -> tuple[list[Area], int, Floats] | None:  # fmt: skip
    """(AUC, standard error, p-value) of each half; people asked; what tells.

    Without `random` the p-value is that of the normal distribution.
    """
    kept = [np.flatnonzero(asked[panel.who[place]]) for place in (then, now)]
    if min(len(one) for one in kept) < _FEWEST:
        return None
    who = [panel.who[place][own] for place, own in zip((then, now), kept, strict=True)]
    own = [panel.strata[place][rows] for place, rows in zip((then, now), kept, strict=True)]
    X = [columns[place][rows] for place, rows in zip((then, now), kept, strict=True)]
    X = _aged_alike(X, own)
    telling = X[1].mean(axis=0) - X[0].mean(axis=0)
    rows = np.concatenate(_reduced(X))
    y = np.repeat([False, True], [len(one) for one in kept])
    people = np.concatenate(who)
    F = _products(rows)
    areas = []
    for side in (False, True):
        learned, held = half[people] != side, half[people] == side
        if min((learned & y).sum(), (learned & ~y).sum()) < _FEWEST // 2:
            return None
        score = F[held] @ _discriminant(F[learned], y[learned])
        areas.append(_area(score, y[held], people[held], random))
    return areas, len(np.unique(people)), telling


def _aged_alike(X: list[Floats], own: list[Places]) -> list[Floats]:
    """Columns in deviations from the mean before, of those known for as long (`strata`)."""
    before = X[0]
    usual = np.nansum(before, axis=0) / np.maximum((~np.isnan(before)).sum(axis=0), 1)
    count = int(max(one.max(initial=0) for one in own)) + 1
    centre = np.tile(usual, (count, 1))
    for stratum in range(count):
        rows = before[own[0] == stratum]
        if len(rows) >= 30:
            there = ~np.isnan(rows)
            number = there.sum(axis=0)
            sums = np.where(there, rows, 0.0).sum(axis=0)
            centre[stratum] = np.where(number >= 30, sums / np.maximum(number, 1), usual)
    away = [np.nan_to_num(one - centre[stratum]) for one, stratum in zip(X, own, strict=True)]
    spread = away[0].std(axis=0)
    return [one / np.where(spread > 1e-9, spread, 1.0) for one in away]


def _reduced(X: list[Floats]) -> list[Floats]:
    """At most `_MOST_COLUMNS` columns more: those along which customers differed most before."""
    if X[0].shape[1] <= _MOST_COLUMNS:
        return X
    variance = X[0].T @ X[0] / len(X[0])
    axes = np.linalg.eigh(variance)[1][:, ::-1][:, :_MOST_COLUMNS]
    return [one @ axes for one in X]


def _products(X: Floats) -> Floats:
    """Columns, squares and products, of heavy tails cut."""
    X = np.clip(X / np.maximum(X.std(axis=0), 1e-9), -4, 4).astype(np.float32)
    one, other = np.triu_indices(X.shape[1])
    return np.hstack([X, X[:, one] * X[:, other]])


def _discriminant(F: Floats, y: Mask) -> Floats:
    """The direction that tells best, by ridge regression on standardised columns."""
    mean, spread = F.mean(axis=0), np.maximum(F.std(axis=0), 1e-6)
    S = (F - mean) / spread
    share = max(_RIDGE, S.shape[1] / len(S))
    told = S.T @ S / len(S)
    told[np.diag_indices_from(told)] += share
    lead = S[y].mean(axis=0) - S[~y].mean(axis=0)
    return np.asarray(np.linalg.solve(told, lead) / spread)


def _area(score: Floats, y: Mask, people: Places, random: np.random.Generator | None) -> Area:
    """AUC, its standard error and its p-value, by what each person adds to it."""
    from scipy.stats import rankdata

    m, n = int(y.sum()), int((~y).sum())
    placed = (rankdata(score) - (m + n + 1) / 2) / (m * n)
    sums = np.bincount(people, np.where(y, placed, -placed))
    # the ranks of all rows add to nothing, so both groups tell the same: half of their difference
    parts: Floats = sums[np.unique(people)] / 2
    away = float(parts.sum())
    error = float(np.sqrt((parts**2).sum())) or 1e-12
    return 0.5 + away, error, _flipped(parts, away, error, random)


def _flipped(parts: Floats, away: float, error: float, random: np.random.Generator | None) -> float:
    """Share of sign flips whose sum is at least as large."""
    p = _tail(away / error)
    if random is None or p * FLIPS < _TELLING_FLIPS:
        return p
    signs = random.integers(0, 2, (FLIPS, len(parts)), dtype=np.int8) * 2 - 1
    sums = signs.astype(np.float32) @ parts.astype(np.float32)
    return float((1 + (sums >= away).sum()) / (1 + FLIPS))


def _tail(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-z))
