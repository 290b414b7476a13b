"""World `lineage`: segments split, merge, are born and die, on known dates."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, planted
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.drifts import Change
from shoal.events.worlds.layer_stock import Stock

WORLD: Final = World(
    name="lineage",
    version=1,
    summary="A split, a merge, a birth and a death of segments; customers move with them.",
    dials=Dials(),
    segments=planted.LINEAGE,
    catalogue=catalogue.digest(),
    changes=(
        Change("split", 0.45, ("fashion_returners",), ("trend_followers", "wardrobe_refreshers"),
               (0.5, 0.5)),
        Change("merge", 0.58, ("young_families", "routine_restockers"), ("family_suppliers",)),
        Change("birth", 0.71, (), ("sporty_socials",), (0.12,)),
        Change("death", 0.84, ("weekend_browsers",), ()),
    ),
    layers=(Stock(),),
)  # fmt: skip
