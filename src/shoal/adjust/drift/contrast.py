"""How far means of a look lie from those of earlier looks, and how far chance would carry them.

The customers of two looks are mostly the same ones, so what one adds to both is taken together:
the sampling error is that of sums of customers (cluster-robust variance; Liang and Zeger 1986).
Weeks of a shop differ even where customers do not; by how much is told by the steps from one
earlier look to the next, taken as a random walk (the local level model of Harvey 1989), pooled over
statistics because few looks tell little of a single one. The degrees of freedom of both errors
together are those of Satterthwaite (1946).

A difference that nobody would act on is none however many customers tell it: tested is whether it
is greater than a stated least one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.drift.look import Floats, Look, Places
from shoal.adjust.drift.windows import Windows, strata
from shoal.segments.base import CUSTOMER

#: Customers of a look that are compared; of more a sample, the same people at every look.
MOST: Final = 20_000
#: Of fewer nothing is said.
LEAST: Final = 100
#: Steps between earlier looks that the pooled wander of all statistics is worth for a single one.
_POOLED_STEPS: Final = 3
#: Wander of a week in units of the least difference, where one earlier look alone is there.
_UNTOLD_WANDER: Final = 0.5


#: By number of steps: sum of squares of normal values as a multiple of that without the largest.
#: One change among earlier looks is no wander: it would hide itself from the next look.
_WITHOUT_LARGEST: Final = {4: 2.9, 5: 2.46}

#: From one recent look to the next: difference, variance of sampling, weeks.
Steps = list[tuple[Floats, Floats, float]]


@dataclass(frozen=True)
class Contrasts:
    """Of p statistics.

    Args:
        means: (looks, p) of recent looks, of those a year before, and last of now.
        difference: (p,) now less the mean of the recent ones, or, where that is nearer to none,
            less what the year before says besides.
        error: (p,) its standard error: of sampling customers, and of weeks that differ.
        p_value: (p,) of no greater difference than the least one.
    """

    means: Floats
    difference: Floats
    error: Floats
    p_value: Floats

    def with_better(self, places: Places, better: Contrasts) -> Contrasts:
        """With what another calculation says of some of the statistics."""
        difference, error, p = self.difference.copy(), self.error.copy(), self.p_value.copy()
        difference[places], error[places] = better.difference, better.error
        p[places] = better.p_value
        return replace(self, difference=difference, error=error, p_value=p)


@dataclass(frozen=True)
class Panel:
    """Customers of several looks, side by side.

    Args:
        looks: recent ones, oldest first, those a year before, and now.
        recent: number of the recent ones.
        rows: of each look, places in its features.
        placed: of each look, places in its Z.
        who: of each look, the number of each customer; people have the same number in all.
        people: how many there are.
        strata, shares: of tenure (`shoal.adjust.drift.windows.strata`).
        weeks: (looks,) before now.
    """

    looks: tuple[Look, ...]
    recent: int
    rows: list[Places]
    placed: list[Places]
    who: list[Places]
    people: int
    strata: list[Places]
    shares: Floats
    weeks: Floats

    @classmethod
    def of(cls, now: Look, windows: Windows, *, seed: int, most: int = MOST) -> Panel:
        """Placed customers of now and of the looks that it is compared with."""
        looks = (*windows.recent, *windows.year, now)
        rows = [_sampled(look, seed, most) for look in looks]
        placed = [(np.cumsum(look.known) - 1)[own] for look, own in zip(looks, rows, strict=True)]
        ids = [
            look.features[CUSTOMER].combine_chunks().take(pa.array(own))
            for look, own in zip(looks, rows, strict=True)
        ]
        people = pc.unique(pa.chunked_array([one.cast(pa.string()) for one in ids]))
        # whatever order rows come in, draws are of the same people
        people = people.take(pc.sort_indices(people))
        who = [
            np.asarray(pc.index_in(one.cast(pa.string()), value_set=people), np.int64)
            for one in ids
        ]
        found, shares = strata(list(zip(looks, rows, strict=True)))
        weeks = np.array([(now.moment - one.moment).total_seconds() / 604_800 for one in looks])
        return cls(looks, len(windows.recent), rows, placed, who, len(people), found, shares, weeks)

    def each(self, work: Callable[[Look, Places, Places], Floats]) -> list[Floats]:
        """What the work makes of every look, its rows and its placed rows."""
        return [
            work(look, rows, placed)
            for look, rows, placed in zip(self.looks, self.rows, self.placed, strict=True)
        ]

    def feature(self, name: str) -> list[Floats]:
        """(rows,) values of a feature at every look."""
        return [look.feature(name)[rows] for look, rows in zip(self.looks, self.rows, strict=True)]

    def contrast(
        self, statistics: Sequence[Floats], least: npt.ArrayLike, *, worse: bool = False
    ) -> Contrasts:
        """Compare means of statistics.

        Args:
            statistics: of each look (rows, p); NaN where a customer has none.
            least: (p,) or one for all: no smaller difference is one.
            worse: whether greater is worse and only that is asked for.
        """
        floor = np.broadcast_to(np.asarray(least, np.float64), statistics[0].shape[1:])
        means, now, base, steps, year = self._gathered(statistics)
        noise = ((now - base) ** 2).sum(axis=0)
        both = None if year is None else ((now - base - year) ** 2).sum(axis=0)
        return self._judged(means, noise, both, steps, floor, worse)

    def products(self, scores: Sequence[Floats], least: float) -> Contrasts:
        """Compare correlations of all pairs of columns, in the order of `numpy.triu_indices`.

        Errors are those of different people at each look, which is on the safe side where they are
        the same: means of products are products of matrices, and p is many.

        Args:
            scores: of each look (rows, columns) without NaN, standardised.
        """
        count = scores[0].shape[1]
        one, other = np.triu_indices(count, 1)
        means, noises = [], []
        for place, S in enumerate(scores):
            weight = self._weights(place)[:, None]
            mean = ((weight * S).T @ S)[one, other]
            squares = np.square(S)
            noises.append(
                ((weight**2 * squares).T @ squares)[one, other] - mean**2 * float((weight**2).sum())
            )
            means.append(mean)
        recent, last = self.recent, len(scores) - 1
        steps = [
            (means[place] - means[place - 1], noises[place] + noises[place - 1],
             float(self.weeks[place - 1] - self.weeks[place]))
            for place in range(1, recent)
        ]  # fmt: skip
        noise = noises[last] + np.sum(noises[:recent], axis=0) / recent**2
        both = None
        if last > recent:
            before = noises[recent : last - 1]
            both = noise + noises[last - 1] + np.sum(before, axis=0) / len(before) ** 2
        floor = np.full(len(one), least)
        return self._judged(np.array(means), noise, both, steps, floor, False)

    def _judged(
        self, means: Floats, noise: Floats, both: Floats | None, steps: Steps, floor: Floats,
        worse: bool,
    ) -> Contrasts:  # fmt: skip
        """Now against the recent looks and, where a year is there, against what it says besides."""
        recent = self.recent
        wander = self._wander(steps, floor) * _carried(self.weeks[:recent])
        plain = means[-1] - means[:recent].mean(axis=0)
        found = _tested(plain, noise, wander, floor, recent, worse)
        if both is None:
            return Contrasts(means, *found)
        usual = means[-2] - means[recent:-2].mean(axis=0)
        seasonal = _tested(plain - usual, both, 2 * wander, floor, recent, worse)
        milder = seasonal[2] > found[2]
        difference, error, p = (
            np.where(milder, b, a) for a, b in zip(found, seasonal, strict=True)
        )
        return Contrasts(means, difference, error, p)

    def _weights(self, place: int) -> Floats:
        """(rows,) of each customer of a look, strata weighed as now; they sum to one."""
        own = self.strata[place]
        count = np.bincount(own, minlength=len(self.shares))
        held = np.where(count > 0, self.shares, 0.0)
        held = held / max(float(held.sum()), 1e-12)
        return np.asarray((held / np.maximum(count, 1))[own])

    def _gathered(
        self, statistics: Sequence[Floats]
    ) -> tuple[Floats, Floats, Floats, Steps, Floats | None]:
        """Means of looks; each person's part in now, in the base, in the steps and in the year."""
        means, steps = [], []
        base = year = None
        before, last = None, len(self.looks) - 1
        for place, X in enumerate(statistics):
            mean, part = self._mean(place, X)
            means.append(mean)
            if place < self.recent:
                base = part / self.recent if base is None else base + part / self.recent
                if before is not None:
                    lag = float(self.weeks[place - 1] - self.weeks[place])
                    steps.append((mean - means[-2], ((part - before) ** 2).sum(axis=0), lag))
                before = part
            elif place < last - 1:
                share = part / (last - 1 - self.recent)
                year = -share if year is None else year - share
            elif place == last - 1 and year is not None:
                year = year + part
        assert base is not None
        return np.array(means), part, base, steps, year

    def _mean(self, place: int, X: Floats) -> tuple[Floats, Floats]:
        """(p,) the mean of a look, strata weighed as now; (people, p) each person's part in it."""
        own, shares = self.strata[place], self.shares
        there = ~np.isnan(X)
        filled = X if there.all() else np.where(there, X, 0.0)
        member = np.zeros((len(own), len(shares)))
        member[np.arange(len(own)), own] = 1.0
        count = member.T @ there
        sums = member.T @ filled
        held = np.where(count > 0, shares[:, None], 0.0)
        held /= np.maximum(held.sum(axis=0), 1e-12)
        inside = sums / np.maximum(count, 1)
        part = np.zeros((self.people, X.shape[1]))
        weight = held / np.maximum(count, 1)
        part[self.who[place]] = there * (filled - inside[own]) * weight[own]
        return (held * inside).sum(axis=0), part

    def _wander(self, steps: Steps, floor: Floats) -> Floats:
        """(p,) variance that a week adds to a difference, beyond that of sampling."""
        if not steps:
            return np.asarray(np.square(_UNTOLD_WANDER * floor))
        told = np.array([(step**2 - noise) / lag for step, noise, lag in steps]) / floor**2
        sums = told.sum(axis=0)
        if len(told) >= min(_WITHOUT_LARGEST):
            factor = _WITHOUT_LARGEST[min(len(told), max(_WITHOUT_LARGEST))]
            sums = factor * (sums - told.max(axis=0))
        usual = max(float(np.median(sums)) / len(told), 0.0)
        shrunk = (_POOLED_STEPS * usual + sums) / (_POOLED_STEPS + len(told))
        return np.asarray(np.maximum(shrunk, 0.0) * floor**2)


def _sampled(look: Look, seed: int, most: int) -> Places:
    """Rows of placed customers; of many those whose ids hash lowest, so that people stay."""
    rows = np.flatnonzero(look.known)
    if len(rows) <= most:
        return rows
    from xxhash import xxh3_64_intdigest

    ids = look.features[CUSTOMER].take(pa.array(rows)).to_pylist()
    hashed = np.array([xxh3_64_intdigest(one.encode(), seed) for one in ids], np.uint64)
    return np.asarray(rows[np.sort(np.argsort(hashed, kind="stable")[:most])])


def _carried(weeks: Floats) -> float:
    """Weeks that a random walk takes from the mean of earlier looks to now, as variance.

    >>> round(_carried(np.array([1.0])), 2), round(_carried(np.array([2.0, 1.0])), 2)
    (1.0, 1.25)
    """
    lags = np.sort(weeks)
    older = (len(lags) - np.arange(len(lags))) / len(lags)
    return float((np.diff(lags, prepend=0.0) * older**2).sum())


def _tested(
    difference: Floats, noise: Floats, wander: Floats, floor: Floats, recent: int, worse: bool
) -> tuple[Floats, Floats, Floats]:
    """The difference, its error, and the p-value."""
    from scipy.special import stdtr

    total = noise + wander
    # A statistic that is the same for everybody has no error of its own.
    error = np.sqrt(np.maximum(total, (1e-3 * floor) ** 2))
    freedom = recent - 1 + _POOLED_STEPS
    spread = np.square(wander) / freedom + np.square(noise) / 1_000
    df = np.clip(np.square(total) / np.maximum(spread, 1e-300), freedom, 1_000)
    size = difference if worse else np.abs(difference)
    t = (size - floor) / error
    p = np.where(t > 0, stdtr(df, -np.maximum(t, 0.0)) * (1 if worse else 2), 1.0)
    return difference, error, np.minimum(p, 1.0)
