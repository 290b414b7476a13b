"""World `awkward`: segments that counts cannot part, of shapes that centres cannot."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, planted
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.layer_stock import Stock

WORLD: Final = World(
    name="awkward",
    version=1,
    summary="Overlapping and curved segments; some differ in the order or the timing of their "
    "events and in no count.",
    # Season, sales and pauses would tell clockwork from chance by other things than the gaps.
    dials=Dials(season=0.0, sale_depth=0.0, pause_every_days=0.0, taste_concentration=60.0),
    segments=planted.AWKWARD,
    catalogue=catalogue.digest(),
    layers=(Stock(),),
)
