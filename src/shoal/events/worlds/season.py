"""World `season`: the year turns strongly, and nothing else does. Nobody should be alarmed."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, segments
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.drifts import SEASON, Drift
from shoal.events.worlds.layer_stock import Stock

WORLD: Final = World(
    name="season",
    version=1,
    summary="A strong yearly season of visits and of what is bought; the segments stay.",
    dials=Dials(season=0.55, taste_season=0.45),
    segments=segments.STEADY,
    catalogue=catalogue.digest(),
    # Nothing beside the dials: the entry says in the truth that there is a season.
    drifts=(Drift(SEASON, "season", by=1.0, since=0.0),),
    layers=(Stock(),),
)
