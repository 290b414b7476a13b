"""Moments of a log, and how far those of two logs are apart.

A moment is a number or a shape (shares that sum to 1) that describes a log without naming anybody:
gaps between orders, repeat rate, basket, conversion, rhythm, concentration. What a log cannot tell
is None, never 0. The catalogue `MOMENTS` says unit and measure of each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.domain import kinds
from shoal.domain.time import DAY_US
from shoal.evaluation.log_tally import Contents, Tally

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.bool_]
Value = float | tuple[float, ...] | None

#: How two values are compared: absolute logarithm of their ratio; absolute difference of shares;
#: total variation, half the sum of absolute differences of two shapes.
RATIO: Final = "ratio"
POINTS: Final = "points"
SHAPE: Final = "shape"

#: A distance counts at most as much as a factor of ten; so does a moment that only one log has.
FARTHEST: Final = math.log(10)
#: Gaps and amounts below these are taken as these, so that a ratio is told by more than a blink.
LEAST_GAP_DAYS: Final = 1 / 24
#: Fewer than these tell nothing of a quantile or of a shape; gaps have long tails and need more.
LEAST: Final = 20
LEAST_GAPS: Final = 100
#: Parts of the log's span in which arrivals and volume are counted.
PARTS: Final = 8
#: Days a log must span to tell how weekdays differ, and that customers come back late.
LEAST_WEEK_DAYS: Final = 7.0
LEAST_RETURN_DAYS: Final = 8.0


@dataclass(frozen=True)
class Moment:
    """A moment's declaration: what it is, in which unit, and how two values are compared."""

    name: str
    says: str
    unit: str
    measure: str


MOMENTS: Final = (
    Moment("one_visit_customers", "customers seen in one visit only", "share", POINTS),
    Moment("few_event_customers", "customers with one or two events", "share", POINTS),
    Moment("visits_per_customer", "visits a customer, mean", "visits", RATIO),
    Moment("activity_gini", "inequality of customers by events (Gini)", "0 to 1", POINTS),
    Moment("activity_top_10pct", "events of the most active tenth of customers", "share", POINTS),
    Moment("returned_late", "of customers of the first half, seen in the last quarter", "share",
           POINTS),
    Moment("arrivals", "customers first seen in each eighth of the span", "shares", SHAPE),
    Moment("volume", "events in each eighth of the span", "shares", SHAPE),
    Moment("kinds", "events of each kind", "shares", SHAPE),
    Moment("visit_gap_p25", "between visits of a customer, lower quartile", "days", RATIO),
    Moment("visit_gap_p50", "between visits of a customer, median", "days", RATIO),
    Moment("visit_gap_p75", "between visits of a customer, upper quartile", "days", RATIO),
    Moment("events_per_visit", "events a visit, mean", "events", RATIO),
    Moment("events_per_visit_p90", "events a visit, 90th percentile", "events", RATIO),
    Moment("views_per_visit", "views a visit, mean", "views", RATIO),
    Moment("weekday", "visits a day, Monday to Sunday", "shares", SHAPE),
    Moment("hour", "visits begun in each hour of the day", "shares", SHAPE),
    Moment("conversion_per_visit", "visits with an order", "share", RATIO),
    Moment("conversion_per_customer", "customers with an order", "share", RATIO),
    Moment("repeat_rate", "buyers with two orders or more", "share", POINTS),
    Moment("orders_per_buyer", "orders a buyer, mean", "orders", RATIO),
    Moment("orders_per_buyer_p90", "orders a buyer, 90th percentile", "orders", RATIO),
    Moment("order_gap_p25", "between orders of a buyer, lower quartile", "days", RATIO),
    Moment("order_gap_p50", "between orders of a buyer, median", "days", RATIO),
    Moment("order_gap_p75", "between orders of a buyer, upper quartile", "days", RATIO),
    Moment("order_gap_p95", "between orders of a buyer, 95th percentile", "days", RATIO),
    Moment("carts_per_line", "cart additions an order line", "additions", RATIO),
    Moment("favourites_per_line", "favourites an order line", "favourites", RATIO),
    Moment("refunds_per_line", "refund lines an order line", "share", RATIO),
    Moment("lines_per_order", "lines an order, mean", "lines", RATIO),
    Moment("lines_per_order_p50", "lines an order, median", "lines", RATIO),
    Moment("units_per_order", "units an order, mean", "units", RATIO),
    Moment("units_per_order_p50", "units an order, median", "units", RATIO),
    Moment("order_value_p50", "paid for an order, median", "currency", RATIO),
    Moment("order_value_spread", "90th over 10th percentile of what is paid for an order", "factor",
           RATIO),
    Moment("item_gini", "inequality of items seen by events (Gini)", "0 to 1", POINTS),
    Moment("item_top_1pct", "events of the most frequent hundredth of items seen", "share", POINTS),
    Moment("item_top_10pct", "events of the most frequent tenth of items seen", "share", POINTS),
    Moment("items_seen", "different items seen in a thousand events with an item", "items", RATIO),
    Moment("category_gini", "inequality of categories seen by events (Gini)", "0 to 1", POINTS),
    Moment("category_top_10pct", "events of the most frequent tenth of categories seen", "share",
           POINTS),
)  # fmt: skip
BY_NAME: Final = {moment.name: moment for moment in MOMENTS}


def moments(log: Tally) -> dict[str, Value]:
    """The value of every moment of `MOMENTS`, None where the log cannot tell it."""
    if not len(log.kinds):
        return dict.fromkeys(BY_NAME)
    told: dict[str, Value] = {
        **_activity(log), **_rhythm(log), **_visits(log), **_buyers(log), **_baskets(log),
        **_concentration(log),
    }  # fmt: skip
    return {name: told.get(name) for name in BY_NAME}


def why_untold(name: str, contents: Contents) -> str:
    """Why a log of such contents cannot tell a moment; too few cases where nothing else is said."""
    lacks = {
        "conversion_per_visit": not contents.views, "views_per_visit": not contents.views,
        "conversion_per_customer": not contents.views,
    }  # fmt: skip
    if lacks.get(name):
        return "no views"
    for prefix, told, reason in (
        ("hour", contents.hours, "dates without hours"),
        ("carts", kinds.CART_ADD in contents.kinds, "no carts"),
        ("favourites", kinds.FAVOURITE in contents.kinds, "no favourites"),
        ("refunds", contents.refunds, "no refunds"),
        ("lines_", contents.items, "no items"),
        ("item", contents.items, "no items"),
        ("category", contents.categories, "no categories"),
        ("order_value", contents.prices, "no prices"),
        ("units", contents.units, "no quantities"),
        ("kinds", len(contents.kinds) > 1, "one kind of event only"),
    ):
        if name.startswith(prefix) and not told:
            return reason
    return "too few cases, or too short a span"


def _activity(log: Tally) -> dict[str, Value]:
    events = log.events
    visits = log.per_customer(log.visits)
    seen = visits[visits > 0]
    first, last = log.customers["first_us"], log.customers["last_us"]
    span = max(1, log.last_us - log.first_us)
    place = (first - log.first_us) / span
    early = place < 0.5
    late = log.span_days >= LEAST_RETURN_DAYS and early.sum() >= LEAST
    spread = log.span_days >= PARTS
    return {
        "one_visit_customers": _mean(seen == 1),
        "few_event_customers": _mean(events <= 2),
        "visits_per_customer": _mean(seen),
        "activity_gini": gini(events),
        "activity_top_10pct": top_share(events, 0.1),
        "returned_late": _mean((last - log.first_us)[early] >= 0.75 * span) if late else None,
        "arrivals": _shape(_part(place), PARTS) if spread else None,
        # An event's time is not kept; visits and orders are.
        "volume": _shape(
            _part((log.visits["start_us"] - log.first_us) / span), PARTS, log.visits["events"]
        ) if spread else None,
        "kinds": _normal(log.kinds.sum(axis=0)) if len(log.contents.kinds) > 1 else None,
    }  # fmt: skip


def _rhythm(log: Tally) -> dict[str, Value]:
    """Visits a calendar day of each weekday, by the days the log covers; and hours of the day."""
    start = log.visits["start_us"]
    if len(start) < LEAST:
        return {}
    hour = _shape((start % DAY_US) // (DAY_US // 24), 24) if log.contents.hours else None
    if log.span_days < LEAST_WEEK_DAYS:
        return {"hour": hour}
    # 1970 began on a Thursday.
    visits = np.bincount(((start // DAY_US + 3) % 7).astype(np.int64), minlength=7)
    day = np.arange(log.first_us // DAY_US, log.last_us // DAY_US + 1)
    covered = np.minimum((day + 1) * DAY_US, log.last_us) - np.maximum(day * DAY_US, log.first_us)
    whole = covered / DAY_US if log.contents.hours else np.ones(len(day))
    exposed = np.bincount((day + 3) % 7, weights=whole, minlength=7)
    return {"hour": hour, "weekday": _normal(visits / np.maximum(exposed, 1e-9))}


def _visits(log: Tally) -> dict[str, Value]:
    visits = log.visits
    gap = _quantiles(gaps_days(visits), (0.25, 0.5, 0.75), LEAST_GAPS)
    told = log.contents.views and len(visits["views"])
    return {
        **dict(zip(("visit_gap_p25", "visit_gap_p50", "visit_gap_p75"), gap, strict=True)),
        "events_per_visit": _mean(visits["events"]),
        "events_per_visit_p90": _quantiles(visits["events"], (0.9,))[0],
        "views_per_visit": _mean(visits["views"]) if told else None,
        "conversion_per_visit": _mean(visits["bought"]) if told else None,
    }


def _buyers(log: Tally) -> dict[str, Value]:
    orders = log.per_customer(log.orders)
    buyers = orders[orders > 0]
    if len(buyers) < LEAST:
        return {}
    gap = _quantiles(gaps_days(log.orders), (0.25, 0.5, 0.75, 0.95), LEAST_GAPS)
    names = ("order_gap_p25", "order_gap_p50", "order_gap_p75", "order_gap_p95")
    return {
        **dict(zip(names, gap, strict=True)),
        "conversion_per_customer": _mean(orders > 0) if log.contents.views else None,
        "repeat_rate": _mean(buyers >= 2),
        "orders_per_buyer": _mean(buyers),
        "orders_per_buyer_p90": _quantiles(buyers, (0.9,))[0],
        "carts_per_line": _per_line(log, kinds.CART_ADD),
        "favourites_per_line": _per_line(log, kinds.FAVOURITE),
        "refunds_per_line": _per_line(log, kinds.REFUND),
    }


def _per_line(log: Tally, kind: str) -> float | None:
    """Events of a kind an order line; None where the log has no such kind."""
    lines = log.orders["lines"].sum()
    if kind not in log.contents.kinds or not lines:
        return None
    return float(log.of(kind).sum() / lines)


def _baskets(log: Tally) -> dict[str, Value]:
    told, orders = log.contents, log.orders
    if len(orders["lines"]) < LEAST:
        return {}
    values: dict[str, Value] = {}
    if told.items:
        values["lines_per_order"] = _mean(orders["lines"])
        values["lines_per_order_p50"] = _quantiles(orders["lines"], (0.5,))[0]
    if told.units:
        values["units_per_order"] = _mean(orders["units"])
        values["units_per_order_p50"] = _quantiles(orders["units"], (0.5,))[0]
    paid = orders["paid"][orders["paid"] > 0]
    if told.prices and len(paid) >= LEAST:
        low, middle, high = np.quantile(paid, (0.1, 0.5, 0.9))
        values["order_value_p50"] = float(middle)
        values["order_value_spread"] = float(high / low)
    return values


def _concentration(log: Tally) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if log.contents.items and len(log.items) >= LEAST:
        values["item_gini"] = gini(log.items)
        values["item_top_1pct"] = top_share(log.items, 0.01)
        values["item_top_10pct"] = top_share(log.items, 0.1)
        values["items_seen"] = float(1000 * len(log.items) / log.items.sum())
    if log.contents.categories and len(log.categories) >= LEAST:
        values["category_gini"] = gini(log.categories)
        values["category_top_10pct"] = top_share(log.categories, 0.1)
    return values


# -- distances --------------------------------------------------------------------------------


def distance(name: str, real: Value, other: Value) -> float | None:
    """How far two values of a moment are apart; None where the real log cannot tell it.

    `ratio`: |ln(other / real)|; `points`: |other - real|; `shape`: total variation, half the sum of
    absolute differences. At most `FARTHEST`, which also stands for a value the other log lacks and
    for a ratio to nothing.

    >>> distance("visits_per_customer", 2.0, 4.0) == math.log(2)
    True
    >>> distance("kinds", (0.5, 0.5), (1.0, 0.0)), distance("hour", None, (1.0,))
    (0.5, None)
    """
    if real is None:
        return None
    if other is None:
        return FARTHEST
    measure = BY_NAME[name].measure
    if measure == SHAPE:
        return float(np.abs(np.subtract(other, real)).sum() / 2)
    a, b = float(np.asarray(real)), float(np.asarray(other))
    if measure == POINTS:
        return abs(b - a)
    if a == b:
        return 0.0
    return min(abs(math.log(b / a)), FARTHEST) if a > 0 and b > 0 else FARTHEST


def distances(real: Mapping[str, Value], other: Mapping[str, Value]) -> dict[str, float]:
    """The distance of every moment that the real log tells."""
    found = {name: distance(name, real.get(name), other.get(name)) for name in BY_NAME}
    return {name: value for name, value in found.items() if value is not None}


def total_distance(found: Mapping[str, float]) -> float:
    """The mean distance over the moments that the real log tells; NaN where it tells none."""
    return sum(found.values()) / len(found) if found else math.nan


# -- parts ------------------------------------------------------------------------------------


def gaps_days(rows: Mapping[str, Floats]) -> Floats:
    """Days between one customer's successive visits or orders (ordered by customer and start)."""
    gap = np.diff(rows["start_us"]) / DAY_US
    return np.asarray(np.maximum(gap[np.diff(rows["customer"]) == 0], LEAST_GAP_DAYS))


def gini(counts: npt.NDArray[np.int64] | Sequence[int]) -> float | None:
    """Gini index of counts: 0 where all are equal, towards 1 where one has all.

    Half the relative mean absolute difference (Gini 1912), by sorted sums. None without any count.

    >>> gini([1, 1, 1]), gini([0, 0, 0, 12])
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(counts, np.float64))
    n, total = len(ordered), float(ordered.sum())
    if not total:
        return None
    rank = np.arange(1, n + 1)
    return float((2 * (rank * ordered).sum() / total - n - 1) / n)


def top_share(counts: npt.NDArray[np.int64] | Sequence[int], share: float) -> float | None:
    """Part of all counts that the largest `share` of them has (at least one of them).

    >>> top_share([6, 2, 1, 1], 0.25)
    0.6
    """
    ordered = np.sort(np.asarray(counts, np.float64))[::-1]
    total = float(ordered.sum())
    if not total:
        return None
    return float(ordered[: max(1, round(share * len(ordered)))].sum() / total)


def _part(place: Floats) -> Floats:
    return np.minimum(np.floor(place * PARTS), PARTS - 1)


def _shape(code: Floats, length: int, weights: Floats | None = None) -> Value:
    if len(code) < LEAST:
        return None
    return _normal(np.bincount(code.astype(np.int64), weights=weights, minlength=length))


def _normal(counts: Numbers) -> Value:
    total = float(counts.sum())
    return tuple((counts / total).tolist()) if total else None


def _mean(values: Numbers) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _quantiles(values: Floats, at: Sequence[float], least: int = LEAST) -> list[float | None]:
    if len(values) < least:
        return [None] * len(at)
    return [float(value) for value in np.quantile(values, at)]
