"""Labels that follow customers through time: flicker, delay, their trade-off, and recovery.

Rows are observations of a customer at a cut (a moment of a replay). Every function takes them as
arrays of one length: `customers` (any ids), `days` (float, the cut's day), and labels; rows may
come in any order. Days count from any fixed moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

#: Days of a customer-month.
MONTH_DAYS = 30.0


@dataclass(frozen=True)
class Flicker:
    """`rate`: switches that no true change paid for, a customer-month; NaN without two cuts."""

    rate: float
    switches: int
    unpaid: int
    true_changes: int
    customer_months: float


def flicker(customers: Array, days: Floats, truth: Array, found: Array) -> Flicker:
    """How often labels switch without a reason.

    A true change between two cuts of a customer pays for one switch at that cut or later; switches
    beyond are unpaid. So a late but right switch is no flicker (its lateness is `delay`), while
    going to and fro is, and so is a relabelling of everybody. No matching is needed.

    Raises:
        ValueError: lengths differ.
    """
    _same_length(customers, days, truth, found)
    order, same = _by_customer(customers, days)
    changed = same & (truth[order][1:] != truth[order][:-1])
    switched = same & (found[order][1:] != found[order][:-1])
    months = float(np.diff(days[order])[same].sum()) / MONTH_DAYS
    unpaid, credit = 0, 0
    for is_same, change, switch in zip(same, changed, switched, strict=True):
        credit = credit + change if is_same else 0
        if switch:
            unpaid += credit == 0
            credit = max(0, credit - 1)
    return Flicker(
        rate=unpaid / months if months else float("nan"),
        switches=int(switched.sum()),
        unpaid=int(unpaid),
        true_changes=int(changed.sum()),
        customer_months=months,
    )


@dataclass(frozen=True)
class Change:
    """A customer's true change: from `since` (day) to `until` they are in `segment`, coming from
    `origin`."""

    customer: Any
    since: float
    until: float
    segment: Any
    origin: Any = None


@dataclass(frozen=True)
class Delay:
    """`days`: mean days from a true change to the first right label, within `horizon_days`."""

    days: float
    detected_share: float
    changes: int
    horizon_days: float


def delay(
    customers: Array,
    days: Floats,
    called: Array,
    changes: Sequence[Change],
    horizon_days: float,
    *,
    kept_cuts: int = 2,
) -> Delay:
    """Days from a true change to the first cut from which the label says the new segment.

    The label must be right at `kept_cuts` cuts in a row, so that nobody is found by guessing often.
    Changes to a segment that the label said already before are left out, so that nobody is found by
    having been wrong. A change whose segment ends, or whose customer is seen no more, before the
    label is right is censored then, not counted as found: the mean is the area under the
    Kaplan-Meier (1958) curve of "not yet right" up to the horizon (restricted mean of Irwin, 1949).
    A method that never switches has the whole horizon.

    Args:
        called: (n,) true segment that each label stands for (after matching).

    Raises:
        ValueError: lengths differ.
    """
    _same_length(customers, days, called)
    seen: dict[Any, list[tuple[float, Any]]] = {}
    order = np.argsort(days, kind="stable")
    for customer, day, segment in zip(
        customers[order].tolist(), days[order].tolist(), called[order].tolist(), strict=True
    ):
        seen.setdefault(customer, []).append((day, segment))
    waits, right = [], []
    for change in changes:
        told = _wait(change, seen.get(change.customer, []), kept_cuts)
        if told is not None:
            waits.append(told[0])
            right.append(told[1])
    waited, found = np.array(waits, dtype=np.float64), np.array(right, dtype=bool)
    return Delay(
        days=restricted_mean(waited, found, horizon_days),
        detected_share=float(found.mean()) if len(found) else float("nan"),
        changes=len(found),
        horizon_days=horizon_days,
    )


def by_chance(changes: Sequence[Change], segments: Sequence[Any]) -> list[Change]:
    """The changes as they were not: each to every segment but the old and the true new one.

    The `delay` of these is what a method reaches that knows that something changed and not what:
    going from label to label finds the new one sooner or later. What it gains over that is told by
    the difference.

    >>> [one.segment for one in by_chance([Change("c", 1.0, 9.0, "b", "a")], ["a", "b", "c", "d"])]
    ['c', 'd']
    """
    return [
        Change(one.customer, one.since, one.until, segment, one.origin)
        for one in changes
        for segment in segments
        if segment not in (one.segment, one.origin)
    ]


def _wait(
    change: Change, seen: Sequence[tuple[float, Any]], kept_cuts: int
) -> tuple[float, bool] | None:
    """Days waited and whether it was found; None where it does not count."""
    before = [segment for day, segment in seen if day < change.since]
    after = [one for one in seen if one[0] >= change.since]
    if not after or (before and before[-1] == change.segment):
        return None
    inside = [one for one in after if one[0] < change.until]
    right = [segment == change.segment for _, segment in inside]
    for place in range(len(inside) - kept_cuts + 1):
        if all(right[place : place + kept_cuts]):
            return inside[place][0] - change.since, True
    return min(change.until, after[-1][0]) - change.since, False


def restricted_mean(waits: Floats, happened: npt.NDArray[np.bool_], horizon: float) -> float:
    """Area under the Kaplan-Meier curve up to the horizon; NaN without observations.

    Args:
        waits: (n,) time until it happened, or until it was last looked for.
        happened: (n,) which of both.

    >>> restricted_mean(np.array([2.0, 4.0]), np.array([True, True]), 10.0)
    3.0
    >>> restricted_mean(np.array([2.0, 4.0]), np.array([True, False]), 10.0)
    6.0
    """
    if not len(waits):
        return float("nan")
    alive, area, before = 1.0, 0.0, 0.0
    for moment in np.unique(waits[happened & (waits < horizon)]):
        area += alive * (moment - before)
        before = float(moment)
        alive *= 1 - (happened & (waits == moment)).sum() / (waits >= moment).sum()
    return float(area + alive * (horizon - before))


def with_margin(customers: Array, days: Floats, weights: Floats, margin: float) -> Array:
    """(n,) labels under hysteresis: a customer leaves a label only for one whose weight exceeds
    that of the label held by more than `margin`.

    Args:
        weights: (n, m) weight of each label; rows need not sum to one.
    """
    _same_length(customers, days, weights)
    best: Array = weights.argmax(axis=1)
    found = best.copy()
    for before, now in _steps(customers, days):
        held = found[before]
        stays = weights[now, best[now]] - weights[now, held] <= margin
        found[now] = np.where(stays, held, best[now])
    return found


def with_patience(customers: Array, days: Floats, labels: Array, cuts: int) -> Array:
    """(n,) labels that switch only after the same other one was proposed at `cuts` cuts more in a
    row; 0 changes nothing."""
    _same_length(customers, days, labels)
    found = labels.copy()
    proposed, times = labels.copy(), np.zeros(len(labels), dtype=np.int64)
    for before, now in _steps(customers, days):
        again = labels[now] == proposed[before]
        times[now] = np.where(again, times[before] + 1, 0)
        proposed[now] = labels[now]
        waits = (labels[now] != found[before]) & (times[now] < cuts)
        found[now] = np.where(waits, found[before], labels[now])
    return found


def trade_off(points: Sequence[tuple[float, float]], most: tuple[float, float]) -> float:
    """Share of the box from (0, 0) to `most` that points (flicker, delay) dominate, 0 to 1.

    A point dominates what is worse in both; the area is the hypervolume of Zitzler and Thiele
    (1998). Who never switches waits for ever and who always switches flickers: both get near 0.

    >>> trade_off([(0.0, 5.0), (0.5, 0.0)], (1.0, 10.0))
    0.75
    """
    area, lowest = 0.0, most[1]
    for rate, days in sorted(points):
        if rate < most[0] and days < lowest:
            area += (most[0] - rate) * (lowest - days)
            lowest = days
    return area / (most[0] * most[1])


def dominated(point: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    """Whether one of the others is no worse in both and better in one.

    >>> dominated((0.2, 9.0), [(0.1, 9.0)])
    True
    """
    return any(one[0] <= point[0] and one[1] <= point[1] and one != tuple(point) for one in others)


@dataclass(frozen=True)
class Recovery:
    """After an abrupt change: `days` until accuracy is back for good (None: not by the end),
    accuracy `before` it and the `lowest` after."""

    days: float | None
    before: float
    lowest: float


def recovery(
    days: Floats, accuracy: Floats, at: float, *, within: float = 0.05, cuts_before: int = 4
) -> Recovery | None:
    """Days from a change until accuracy stays within a tolerance of what it was.

    `before` is the mean of the last cuts not after the change. Counted is the first cut from which
    on accuracy is at least `before - within` to the end, because features that look back fall with
    a lag; 0 where it never falls below. None where no cut lies before or after the change.

    Args:
        days, accuracy: (c,) of each cut, in order of time.
    """
    _same_length(days, accuracy)
    earlier, later = accuracy[days <= at], accuracy[days > at]
    if not len(earlier) or not len(later):
        return None
    before = float(earlier[-cuts_before:].mean())
    below = np.flatnonzero(later < before - within)
    lowest = float(later.min())
    if not len(below):
        return Recovery(0.0, before, lowest)
    if below[-1] == len(later) - 1:
        return Recovery(None, before, lowest)
    return Recovery(float(days[days > at][below[-1] + 1] - at), before, lowest)


def _same_length(*columns: Array) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"columns of {', '.join(map(str, lengths))} rows")


def _by_customer(
    customers: Array, days: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Rows in order of customer and day; (n - 1,) whether a row's next one is the same customer."""
    codes = np.unique(customers, return_inverse=True)[1].ravel()
    order = np.lexsort((days, codes))
    return order, codes[order][1:] == codes[order][:-1]


def _steps(
    customers: Array, days: Floats
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """For each cut in order of time: rows of it, and the row before of the same customers."""
    order, same = _by_customer(customers, days)
    before, now = order[:-1][same], order[1:][same]
    return [(before[days[now] == day], now[days[now] == day]) for day in np.unique(days[now])]
