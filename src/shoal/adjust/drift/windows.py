"""Which earlier looks a look is compared with, and which of its customers with whom.

*Looks.* Weekdays differ, so earlier looks are those a whole number of weeks before. Seasons differ,
so where the log has a year, what changed at the same time a year ago is no news. What remains is
that a shop's weeks differ for no reason at all: several earlier looks tell by how much.

*Customers.* Everybody gets older, lifetime totals grow and more and more customers are gone, in a
shop in which nothing changes. So customers are compared with those who were known for as long as
they are: means are taken within strata of tenure and put together with the shares that strata have
now (post-stratification; Holt and Smith 1979), of this look and of all it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from shoal.adjust.drift.look import TENURE, Floats, Look, Places
from shoal.domain.text import Text
from shoal.domain.time import iso

_DAY: Final = timedelta(days=1)
#: Windows of seven days that do not overlap; a customer's week is whole in both.
LEAST_DAYS: Final = 6.5
#: Older looks tell of another shop.
MOST_DAYS: Final = 92.0
#: Looks compared with at most, spread evenly over those there are.
MOST_LOOKS: Final = 6
#: A year of whole weeks, and how far from it a look may be.
_YEAR_DAYS: Final = 364.0
_YEAR_SLACK: Final = 3.6
#: Within so many days of a whole number of weeks, a look has the same weekday.
_SLACK: Final = 0.26
#: Weeks before a look at which others should be made; the year before at the same ones.
_WANTED_WEEKS: Final = (1, 2, 3, 4, 6, 8)
_WANTED_YEAR_WEEKS: Final = (0, 1, 4, 8)

#: Strata of tenure, and customers of each look that a stratum needs.
_STRATA: Final = 8
_FEWEST: Final = 30


@dataclass(frozen=True)
class Windows:
    """Looks to compare with, oldest first.

    Args:
        recent: of the last weeks.
        year: looks of a year before: those that were recent then, and last the one of the same
            date; fewer than two tell of no season.
        notes: what a person should know of the choice.
    """

    recent: tuple[Look, ...]
    year: tuple[Look, ...] = ()
    notes: tuple[Text, ...] = ()


def wanted(moment: datetime, first: datetime) -> tuple[datetime, ...]:
    """Moments of looks worth making to compare one with, latest first.

    Args:
        first: the log's first event; looks within four weeks of it know too little.
    """
    weeks = [*_WANTED_WEEKS, *(52 + week for week in _WANTED_YEAR_WEEKS)]
    found = [moment - week * 7 * _DAY for week in weeks]
    return tuple(one for one in found if one >= first + 28 * _DAY)


def matched(now: Look, references: Sequence[Look]) -> Windows:
    """The looks that fit; those of now or later, and empty ones, never do.

    Where none of the last weeks fits, the latest one at least a day old is taken, and it is said.
    """
    earlier = sorted(
        (one for one in references if one.moment < now.moment and one.customers),
        key=lambda one: one.moment,
    )
    ages = [(now.moment - one.moment) / _DAY for one in earlier]
    aged = list(zip(ages, earlier, strict=True))
    recent = [pair for pair in aged if LEAST_DAYS <= pair[0] <= MOST_DAYS]
    same = [pair for pair in recent if abs(pair[0] / 7 - round(pair[0] / 7)) * 7 <= _SLACK]
    notes: list[Text] = []
    if not same and recent:
        notes.append(_other_weekday())
    chosen = same or recent
    if not chosen and aged:
        old = [pair for pair in aged if pair[0] >= 1] or aged
        chosen = old[-1:]
        notes.append(_far(chosen[0][1].moment))
    chosen = _spread(chosen)
    return Windows(tuple(one for _, one in chosen), _year_before(aged, chosen), tuple(notes))


def _spread(aged: list[tuple[float, Look]]) -> list[tuple[float, Look]]:
    if len(aged) <= MOST_LOOKS:
        return aged
    at = np.linspace(0, len(aged) - 1, MOST_LOOKS).round().astype(int)
    return [aged[place] for place in at]


def _year_before(
    aged: list[tuple[float, Look]], recent: list[tuple[float, Look]]
) -> tuple[Look, ...]:
    """The looks nearest to a year before the recent ones, and to a year before now."""

    def near(age: float) -> Look | None:
        close = [(abs(had - age), one) for had, one in aged if abs(had - age) <= _YEAR_SLACK]
        return min(close, key=lambda pair: pair[0])[1] if close else None

    then = near(_YEAR_DAYS)
    if then is None:
        return ()
    before = {one.moment: one for age, _ in recent if (one := near(_YEAR_DAYS + age)) is not None}
    before.pop(then.moment, None)
    return (*(before[moment] for moment in sorted(before)), then) if before else ()


def strata(looks: Sequence[tuple[Look, Places]]) -> tuple[list[Places], Floats]:
    """The stratum of the chosen customers of each look, and the share of each stratum now.

    Args:
        looks: with the rows of their features that are compared; the last one is now.

    Returns:
        (rows,) strata of each look, (strata,) shares that sum to one.
    """
    tenures = [look.feature(TENURE)[rows] for look, rows in looks]
    tenures = [np.nan_to_num(one, nan=-1.0) for one in tenures]
    now = tenures[-1]
    if not len(now):
        return [np.zeros(len(one), np.int64) for one in tenures], np.ones(1)
    cuts = np.unique(np.quantile(now, np.arange(1, _STRATA) / _STRATA))
    found = [np.searchsorted(cuts, one, side="right") for one in tenures]
    counts = np.array([np.bincount(one, minlength=len(cuts) + 1) for one in found])
    joined, held = np.zeros(len(cuts) + 1, np.int64), np.zeros(len(found), np.int64)
    for place in range(len(cuts) + 1):
        if place and held.min() >= _FEWEST:
            joined[place] = joined[place - 1] + 1
            held = np.zeros(len(found), np.int64)
        elif place:
            joined[place] = joined[place - 1]
        held = held + counts[:, place]
    if joined[-1] and held.min() < _FEWEST:
        joined[joined == joined[-1]] = joined[-1] - 1
    found = [joined[one] for one in found]
    shares = np.bincount(found[-1], minlength=int(joined[-1]) + 1) / len(now)
    return found, shares


def _other_weekday() -> Text:
    return Text(
        "No earlier look is a whole number of weeks before: weekdays may differ.",
        "没有相隔整周的更早观察:星期几可能不同。",
    )


def _far(moment: datetime) -> Text:
    return Text(
        f"The only earlier look near enough is that of {iso(moment)}.",
        f"足够近的更早观察只有 {iso(moment)} 那一次。",
    )
