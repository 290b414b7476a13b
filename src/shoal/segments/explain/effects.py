"""How groups of customers differ in a feature, with bootstrap intervals.

Each group is compared with all other customers given: Cohen's d on robustly scaled values
(difference of means over the pooled deviation) and the rank-biserial correlation (Kerby, 2014),
which needs no scale: the chance that a member exceeds a non-member minus the chance of the
opposite, from -1 to 1. Undefined values are left out.

The interval of d is the middle 95 % of `DRAWS` bootstrap draws within groups (Efron, 1979): of
their own size, members among members. Scaling and ranks are those of all customers given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from shoal.features.prepare import SkewScaler

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

DRAWS: Final = 200
#: Ends of the interval, in per cent of the draws.
LOW, HIGH = 2.5, 97.5
#: Effects beyond this are told as this: the groups do not overlap.
LARGEST: Final = 10.0
#: A feature is only compared where this many members and others have it.
FEWEST_KNOWN: Final = 5
_LEAST_SPREAD: Final = 1e-9


@dataclass(frozen=True)
class Effect:
    """How a group differs from the rest in one feature.

    `inside`, `outside` are medians; `low`, `high` the ends of the interval of `effect`.
    """

    feature: str
    inside: float
    outside: float
    mean: float
    rest_mean: float
    effect: float
    low: float
    high: float
    rank_effect: float


def effects(
    columns: Iterable[tuple[str, Matrix]], places: Places, groups: Sequence[int], *, seed: int = 0
) -> dict[int, list[Effect]]:
    """Differences of each group from the rest in every feature that varies, strongest first.

    Args:
        columns: name and (n,) values, NaN where undefined.
        places: (n,) the group of each customer.
        groups: those that are told of.
    """
    found: dict[int, list[_Difference]] = {group: [] for group in groups}
    scaled: list[Matrix] = []
    for name, values in columns:
        known = ~np.isnan(values)
        if known.sum() < 2 * FEWEST_KNOWN or values[known].min() == values[known].max():
            continue
        column = np.full(len(values), np.nan)
        column[known] = SkewScaler().scaled(values[known, None])[:, 0]
        if _compare(name, len(scaled), values[known], column[known], places[known], found):
            scaled.append(column)
    ends = _intervals(np.column_stack(scaled), places, groups, seed) if scaled else {}
    told: dict[int, list[Effect]] = {}
    for group, differences in found.items():
        told[group] = [one.within(*ends[group][:, one.column]) for one in differences]
        told[group].sort(key=lambda one: (-abs(one.effect), one.feature))
    return told


@dataclass(frozen=True)
class _Difference:
    """An effect without its interval, and the column of its scaled values."""

    column: int
    told: Effect

    def within(self, low: float, high: float) -> Effect:
        effect = self.told.effect
        # A draw is rarely on one side altogether; then the ends still hold what was measured.
        ends = min(float(low), effect), max(float(high), effect)
        return Effect(
            self.told.feature, self.told.inside, self.told.outside, self.told.mean,
            self.told.rest_mean, effect, *ends, self.told.rank_effect,
        )  # fmt: skip


def _compare(
    name: str,
    column: int,
    values: Matrix,
    scaled: Matrix,
    places: Places,
    found: dict[int, list[_Difference]],
) -> bool:
    """Compare every group in one feature; whether there was anything to compare."""
    groups, own = np.unique(places, return_inverse=True)
    sizes = np.bincount(own)
    few = np.minimum(sizes, len(values) - sizes) < FEWEST_KNOWN
    told = [(at, int(group)) for at, group in enumerate(groups) if group in found and not few[at]]
    if not told:
        return False
    inside, outside = _means(values, own, sizes)
    effect = cohens_d(*_apart(scaled, own, sizes))
    ranks = np.subtract(*_means(rankdata(values), own, sizes))
    order = np.argsort(values, kind="stable")
    ordered, owner = values[order], own[order]
    for at, group in told:
        mine = owner == at
        one = Effect(
            name, _middle(ordered[mine]), _middle(ordered[~mine]),
            float(inside[at]), float(outside[at]),
            float(effect[at]), float(effect[at]), float(effect[at]),
            float(2 * ranks[at] / len(values)),
        )  # fmt: skip
        found[group].append(_Difference(column, one))
    return True


def _means(values: Matrix, own: Places, sizes: Places) -> tuple[Matrix, Matrix]:
    """(groups,) means of each group and of all others; (n,) `own` is the group of each value."""
    sums = np.bincount(own, values)
    # The others are added, not taken away from all: of nothing but zeros the sum is zero.
    rest = (1.0 - np.eye(len(sums))) @ sums
    return sums / sizes, rest / np.maximum(len(values) - sizes, 1)


def _apart(values: Matrix, own: Places, sizes: Places) -> tuple[Matrix, Matrix]:
    """(groups,) difference of the means of each group and of all others; the pooled variance."""
    means, rest = _means(values, own, sizes)
    within = np.bincount(own, (values - means[own]) ** 2)
    others = 1.0 - np.eye(len(sizes))
    about = (others * sizes * (means - rest[:, None]) ** 2).sum(axis=1) + others @ within
    return means - rest, (within + about) / len(values)


def _middle(ordered: Matrix) -> float:
    """The median of values in order."""
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def cohens_d(difference: Matrix | float, variance: Matrix | float) -> Matrix:
    """A difference of means in pooled deviations.

    Where neither side varies the difference is total; told as the largest effect there is.
    """
    deviation = np.maximum(np.sqrt(np.maximum(variance, 0.0)), _LEAST_SPREAD)
    return np.clip(np.asarray(difference) / deviation, -LARGEST, LARGEST)


def _intervals(
    scaled: Matrix, places: Places, groups: Sequence[int], seed: int
) -> dict[int, Matrix]:
    """(2, columns) ends of the interval of each group."""
    parts = {int(group): places == group for group in np.unique(places)}
    with threadpool_limits(1, user_api="blas"):  # sums of floats in one order
        drawn = {group: _drawn(scaled[own], [seed, group]) for group, own in parts.items()}
    whole = np.sum(list(drawn.values()), axis=0)
    found = {}
    for group in groups:
        if group not in drawn:
            found[group] = np.zeros((2, scaled.shape[1]))
            continue
        mine, rest = drawn[group], whole - drawn[group]
        inside, mean = _moments(mine)
        outside, rest_mean = _moments(rest)
        weight = np.maximum(mine[0] + rest[0], 1)
        spread = (mine[0] * inside + rest[0] * outside) / weight
        found[group] = np.percentile(cohens_d(mean - rest_mean, spread), [LOW, HIGH], axis=0)
    return found


def _drawn(rows: Matrix, seed: Sequence[int]) -> Matrix:
    """(3, draws, columns) how many values are known in each draw, their sum and that of squares."""
    random = np.random.default_rng(seed)
    size = len(rows)
    weights = np.empty((DRAWS, size))
    for draw in range(DRAWS):
        weights[draw] = np.bincount(random.integers(0, size, size), minlength=size)
    known = ~np.isnan(rows)
    filled = np.where(known, rows, 0.0)
    return np.stack([weights @ known, weights @ filled, weights @ filled**2])


def _moments(sums: Matrix) -> tuple[Matrix, Matrix]:
    """(draws, columns) variances and means."""
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    return np.maximum(sums[2] / count - mean**2, 0.0), mean
