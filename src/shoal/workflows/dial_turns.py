"""The dials that calibration turns, and how each follows a moment of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shoal.domain import kinds
from shoal.evaluation.log_tally import Contents
from shoal.evaluation.moments import Value

Moments = Mapping[str, Value]

LOG: Final = "log"
LOGIT: Final = "logit"


@dataclass(frozen=True)
class Turn:
    """A dial that may be turned.

    Args:
        dial: its name.
        scale: in which it moves: `log`, or `logit` for shares.
        low, high: its limits.
        start: where it starts when the world's own value is no place to start from; None: there.
        lead: how far its own moments call for it to move, from (real, simulated).
        needs: whether a log of such contents says anything about it.
    """

    dial: str
    scale: str
    low: float
    high: float
    lead: Callable[[Moments, Moments], float]
    needs: Callable[[Contents], bool] = lambda contents: True
    start: float | None = None

    def inner(self, value: float) -> float:
        """The dial's value on its scale."""
        value = min(max(value, self.low), self.high)
        return math.log(value / (1 - value)) if self.scale == LOGIT else math.log(value)

    def outer(self, inner: float) -> float:
        """The dial's value from that on its scale, within its limits."""
        value = 1 / (1 + math.exp(-inner)) if self.scale == LOGIT else math.exp(inner)
        return min(max(value, self.low), self.high)


def _log_ratio(name: str, *, above: float = 0.0, gain: float = 1.0) -> Any:
    """The move that closes a ratio of a moment, counted from `above` on."""

    def lead(real: Moments, other: Moments) -> float:
        a, b = number_of(real, name), number_of(other, name)
        if a is None or b is None:
            return 0.0
        return gain * math.log(max(a - above, 0.02) / max(b - above, 0.02))

    return lead


def _logit_difference(name: str, *, gain: float = 1.0) -> Any:
    def lead(real: Moments, other: Moments) -> float:
        a, b = number_of(real, name), number_of(other, name)
        if a is None or b is None:
            return 0.0
        return gain * (_logit(a) - _logit(b))

    return lead


def _difference(name: str, gain: float) -> Any:
    def lead(real: Moments, other: Moments) -> float:
        a, b = number_of(real, name), number_of(other, name)
        return 0.0 if a is None or b is None else gain * (a - b)

    return lead


def _both(one: Any, other: Any) -> Any:
    return lambda real, sample: one(real, sample) + other(real, sample)


def _burst(real: Moments, other: Moments) -> float:
    """Visits in bursts pull the lower quartile of gaps away from the upper one."""
    found = []
    for log in (real, other):
        low, high = number_of(log, "visit_gap_p25"), number_of(log, "visit_gap_p75")
        if low is None or high is None:
            return 0.0
        found.append(math.log(high / low))
    return 0.7 * (found[0] - found[1])


def _with_views(contents: Contents) -> bool:
    return contents.views


def _without_views(contents: Contents) -> bool:
    return not contents.views


def _stays(real: Moments, other: Moments) -> float:
    """No moment tells where a dial should go: it moves with the others, in the joint steps."""
    return 0.0


#: Every dial that is turned, in this order.
TURNS: Final = (
    Turn("one_off", LOGIT, 0.005, 0.98, _logit_difference("few_event_customers", gain=0.8),
         _with_views),
    Turn("rate_scale", LOG, 0.01, 100, _log_ratio("visits_per_customer", above=1.0), _with_views),
    Turn("rate_scale", LOG, 0.01, 100, _log_ratio("orders_per_buyer", above=1.0), _without_views),
    Turn("lifetime_scale", LOG, 0.02, 50, _logit_difference("returned_late", gain=0.7)),
    Turn("rate_sigma", LOG, 0.05, 2.5, _difference("activity_gini", 2.0)),
    Turn("gap_burst", LOG, 0.02, 5.0, _burst),
    Turn("one_time_buyers", LOGIT, 0.005, 0.98, _logit_difference("repeat_rate", gain=-0.8),
         start=0.1),
    Turn("views_scale", LOG, 0.02, 50, _log_ratio("views_per_visit"), _with_views),
    Turn("conversion_scale", LOG, 0.002, 100, _log_ratio("conversion_per_visit"), _with_views),
    Turn("lines_scale", LOG, 0.05, 100, _log_ratio("lines_per_order"), lambda told: told.items),
    Turn("units_scale", LOG, 0.05, 500,
         _both(_log_ratio("units_per_order"), _log_ratio("lines_per_order", gain=-1.0)),
         lambda told: told.units),
    Turn("price_scale", LOG, 0.001, 1000,
         _both(_log_ratio("order_value_p50"), _log_ratio("units_per_order_p50", gain=-1.0)),
         lambda told: told.prices),
    Turn("price_spread", LOG, 0.05, 3.0, _log_ratio("order_value_spread", gain=0.7),
         lambda told: told.prices),
    Turn("cart_scale", LOG, 0.01, 100, _log_ratio("carts_per_line", above=1.0),
         lambda told: kinds.CART_ADD in told.kinds),
    Turn("favourite_scale", LOG, 0.005, 200, _log_ratio("favourites_per_line"),
         lambda told: kinds.FAVOURITE in told.kinds),
    Turn("established", LOGIT, 0.002, 0.998, _stays, start=0.5),
    Turn("refund_scale", LOG, 0.005, 100, _log_ratio("refunds_per_line"),
         lambda told: told.refunds),
    Turn("item_concentration", LOG, 0.05, 2.5, _difference("item_gini", 2.5),
         lambda told: told.items),
    Turn("items", LOG, 200, 200_000, _log_ratio("items_seen"), lambda told: told.items),
)  # fmt: skip
#: Lists of weights: the dial, the shape it follows, and that moment's place in the log.
SHAPES: Final = (("hours", "hour"), ("weekdays", "weekday"), ("arrivals", "arrivals"))


def number_of(log: Moments, name: str) -> float | None:
    value = log.get(name)
    return value if isinstance(value, float) else None


def _logit(share: float) -> float:
    inside = min(max(share, 0.002), 0.998)
    return math.log(inside / (1 - inside))
