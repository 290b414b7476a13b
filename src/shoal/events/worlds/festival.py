"""World `festival`: a sales festival of a few days, as at 11 November, and then life goes on."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, segments
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.drifts import FESTIVAL, NEWCOMERS, Drift
from shoal.events.worlds.layer_stock import Stock

_SINCE, _UNTIL = 0.62, 0.66

WORLD: Final = World(
    name="festival",
    version=1,
    summary="A sales festival: visits, orders and discounts soar for a few days and fall back.",
    dials=Dials(),
    segments=segments.STEADY,
    catalogue=catalogue.digest(),
    drifts=tuple(
        Drift(FESTIVAL, dial, by=by, since=_SINCE, until=_UNTIL, passing=True)
        for dial, by in (
            ("sessions_per_30_days", 3.0), ("conversion", 2.2), ("discount", 5.0), ("coupon", 2.0),
            ("lines", 1.3), (NEWCOMERS, 4.0),
        )
    ),
    layers=(Stock(),),
)  # fmt: skip
