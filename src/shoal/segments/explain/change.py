"""The smallest change that would put a customer into another segment, found by asking for it.

Only what a customer can still do is changed: counts grow, time since the last order shrinks, shares
move (and the shares beside them give way). One column is tried at a time, at values that customers
have, and then two; what works is made as small as it can be by halving. Every answer is the
segmenter's own: a change that is told was tried. Sizes are measured in the spread between the
quarters of customers, so that days and money can be compared.

What other columns would change with it (an order more is also money more) is not worked out: the
change is one of columns, and an upper bound of what has to happen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pyarrow as pa

from shoal.domain.segment import TIER_NEW
from shoal.features.algebra import Feature
from shoal.segments.base import Segmenter, column
from shoal.segments.explain.reasons import changed

#: Shares of customers at whose values changes are tried.
QUANTILES: Final = (0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95)
#: Columns of which pairs are tried: those that bring a customer nearest to leaving.
_PAIRED: Final = 8
_HALVINGS: Final = 12
_MOST_TRIALS: Final = 20_000

#: Columns that only shrink when a customer does something.
_SHRINKS: Final = frozenset({"recency_days", "order_recency_days", "order_overdue"})
#: Shares of the same events: one grows only as the others give way.
HOURS: Final = ("night_share", "morning_share", "afternoon_share", "evening_share")
#: Facts of the past, or of the shop.
_FIXED: Final = frozenset(
    {"tenure_days", "active_span_days", "foreign_lines", "item_age_days", "basket_value_max",
     "basket_units_max", "session_depth_max_90d"}
)  # fmt: skip
_ACTED: Final = frozenset({"behaviour", "interest", "interaction"})


@dataclass(frozen=True)
class Lever:
    """A column that a customer can change.

    Args:
        tries: values to try, the nearest first, all in directions that are possible.
        spread: of customers; the unit of sizes.
        whole: it holds whole numbers.
        beside: columns that share one whole with it.
    """

    feature: str
    value: float
    tries: tuple[float, ...]
    spread: float
    whole: bool
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """Columns with their new values, and where the customer then is."""

    values: Mapping[str, float]
    size: float
    place: int
    weight: float


def levers(
    row: pa.Table,
    features: Sequence[Feature],
    tastes: Mapping[str, Sequence[str]],
    quantiles: Mapping[str, Sequence[float]],
) -> list[Lever]:
    """What a customer can change.

    Args:
        tastes: columns of tastes by facet.
        quantiles: values of each column at `QUANTILES` of the customers.
    """
    found = []
    for one in features:
        fits = one.type != "text" and one.group in _ACTED and one.name not in _FIXED
        if fits and one.name in quantiles:
            up = one.type == "count" or one.unit == "currency"
            beside = HOURS if one.name in HOURS else ()
            found.append(_lever(row, one.name, quantiles, one.type == "count", up, beside))
    for names in tastes.values():
        found += [_lever(row, name, quantiles, False, False, names) for name in names
                  if name in quantiles]  # fmt: skip
    return [one for one in found if one is not None and one.tries]


def _lever(
    row: pa.Table,
    name: str,
    quantiles: Mapping[str, Sequence[float]],
    whole: bool,
    grows: bool,
    beside: Sequence[str],
) -> Lever | None:
    value = float(column(row, name)[0])
    points = quantiles[name]
    if np.isnan(value) or not points:
        return None
    quarter, half = QUANTILES.index(0.25), QUANTILES.index(0.75)
    spread = points[half] - points[quarter] or points[-1] - points[0]
    if spread <= 0:
        return None
    tries = {float(np.ceil(one)) if whole else float(one) for one in points}
    if grows:
        tries = {one for one in tries if one > value}
    elif name in _SHRINKS:
        tries = {one for one in tries if one < value} | ({0.0} if value > 0 else set())
    order = sorted(tries - {value}, key=lambda one: (abs(one - value), one))
    others = tuple(one for one in beside if one != name)
    return Lever(name, value, tuple(order), float(spread), whole, others)


def smallest_change(
    segmenter: Segmenter,
    row: pa.Table,
    here: int,
    options: Sequence[Lever],
    *,
    margin: float = 0.0,
    wanted: int | None = None,
) -> Change | None:
    """The smallest change of one or two columns that moves a customer; None where none is found.

    Args:
        row: the customer as the segmenter reads them.
        here: the place where the customer is.
        margin: the weight of the new segment must exceed that of the old one by more than this.
        wanted: the place to move to; None: any but the tier of the too little known.
    """
    search = _Search(segmenter, row, here, margin, wanted)
    single = [{lever.feature: value} for lever in options for value in lever.tries]
    if not single:
        return None
    by_name = {lever.feature: lever for lever in options}
    leaving = search.gaps(single, by_name)
    best = search.least(single, leaving, by_name)
    if best is None:
        nearest: dict[str, float] = {}
        for change, gap in zip(single, leaving, strict=True):
            name = next(iter(change))
            nearest[name] = max(nearest.get(name, -np.inf), float(gap))
        chosen = sorted(nearest, key=lambda name: (-nearest[name], name))[:_PAIRED]
        double = list(_pairs([by_name[name] for name in chosen]))[:_MOST_TRIALS]
        if not double:
            return None
        best = search.least(double, search.gaps(double, by_name), by_name)
    return None if best is None else search.halved(best, by_name)


def _pairs(options: Sequence[Lever]) -> Iterator[dict[str, float]]:
    for one, other in combinations(options, 2):
        if other.feature in one.beside:
            continue
        for first in one.tries:
            for second in other.tries:
                yield {one.feature: first, other.feature: second}


@dataclass(frozen=True)
class _Search:
    segmenter: Segmenter
    row: pa.Table
    here: int
    margin: float
    wanted: int | None

    def gaps(
        self, changes: Sequence[Mapping[str, float]], by_name: Mapping[str, Lever]
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """(n,) weight of the best other segment less that of the own one and the margin."""
        weights = self._weights(changes, by_name)
        own = weights[:, self.here].copy()
        if self.wanted is not None:
            other = weights[:, self.wanted]
        else:
            weights[:, self.here] = -1.0
            ids = self.segmenter.segment_ids
            weights[:, [place for place, name in enumerate(ids) if name == TIER_NEW]] = -1.0
            other = weights.max(axis=1)
        gap: np.ndarray[tuple[int], np.dtype[np.float64]] = other - own - self.margin
        return gap

    def _weights(
        self, changes: Sequence[Mapping[str, float]], by_name: Mapping[str, Lever]
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        full = [self.with_others(one, by_name) for one in changes]
        return np.array(self.segmenter.transform(changed(self.row, full)))

    def with_others(
        self, change: Mapping[str, float], by_name: Mapping[str, Lever]
    ) -> dict[str, float]:
        """A change with the shares that give way to it."""
        found = dict(change)
        for name, new in change.items():
            lever = by_name[name]
            left = 1.0 - lever.value
            for other in lever.beside:
                if other not in change:
                    old = float(column(self.row, other)[0])
                    found[other] = old * (1.0 - new) / left if left > 0 else old
        return found

    def least(
        self,
        changes: Sequence[Mapping[str, float]],
        gaps: np.ndarray[tuple[int], np.dtype[np.float64]],
        by_name: Mapping[str, Lever],
    ) -> Mapping[str, float] | None:
        """Of the changes that work the smallest."""
        working = [one for one, gap in zip(changes, gaps, strict=True) if gap > 0]
        return min(working, key=lambda one: size_of(one, by_name), default=None)

    def halved(self, change: Mapping[str, float], by_name: Mapping[str, Lever]) -> Change:
        """The smallest change on the way from nothing to this one that still works."""
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.gaps([self._part(change, middle, by_name)], by_name)[0] > 0:
                high = middle
            else:
                low = middle
        found = self._part(change, high, by_name)
        if self.gaps([found], by_name)[0] <= 0:  # rounding to whole numbers went too far
            found = dict(change)
        weights = self._weights([found], by_name)[0]
        place = self.wanted
        if place is None:
            others = weights.copy()
            others[self.here] = -1.0
            place = int(others.argmax())
        return Change(found, size_of(found, by_name), place, float(weights[place]))

    def _part(
        self, change: Mapping[str, float], share: float, by_name: Mapping[str, Lever]
    ) -> dict[str, float]:
        found = {}
        for name, new in change.items():
            lever = by_name[name]
            value = lever.value + share * (new - lever.value)
            found[name] = float(np.ceil(value)) if lever.whole else value
        return found


def size_of(change: Mapping[str, float], by_name: Mapping[str, Lever]) -> float:
    """Sum over columns of the change in spreads of the customers."""
    return sum(
        abs(new - by_name[name].value) / by_name[name].spread for name, new in change.items()
    )
