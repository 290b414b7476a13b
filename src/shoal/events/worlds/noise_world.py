"""World `noise`: one population without segments. Honest methods say so."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, planted
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.layer_stock import Stock

WORLD: Final = World(
    name="noise",
    version=1,
    summary="One population whose customers differ by degrees; there are no segments to find.",
    dials=Dials(spread=2.0),
    segments=planted.NOISE,
    catalogue=catalogue.digest(),
    layers=(Stock(),),
)
