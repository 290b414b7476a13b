"""World `steady`: planted segments that do not change while the log runs."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, segments
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.layer_stock import Stock

WORLD: Final = World(
    name="steady",
    version=2,
    summary="Seven planted segments that stay as they are; weekdays, season, sales, pauses, "
    "drop-out.",
    dials=Dials(),
    segments=segments.STEADY,
    catalogue=catalogue.digest(),
    layers=(Stock(),),
)
