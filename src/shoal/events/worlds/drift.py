"""World `drift`: the population, the segments themselves and their response change, one by one."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, planted
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.drifts import MIX, RESPONSE, SHARE, WITHIN, Drift
from shoal.events.worlds.layer_stock import Stock

#: Customers of the moving segments do not stay for ever: tech enthusiasts start families, bargain
#: hunters get used to fashion, browsers settle down, and some come back.
_MOVES: Final = (
    # bargain weekend tech families fashion restock night
    (0, 1, 0, 2, 3, 1, 0),
    (2, 0, 0, 2, 2, 1, 1),
    (0, 1, 0, 4, 0, 1, 2),
    (1, 0, 1, 0, 0, 4, 0),
    (3, 2, 0, 2, 0, 0, 1),
    (1, 0, 0, 1, 0, 0, 0),
    (0, 1, 3, 1, 1, 0, 0),
)

WORLD: Final = World(
    name="drift",
    version=1,
    summary="Customers move between segments; the mix of newcomers, two segments themselves and "
    "the response to offers drift.",
    dials=Dials(),
    segments=planted.moving(120.0),
    catalogue=catalogue.digest(),
    transitions=_MOVES,
    drifts=(
        Drift(MIX, SHARE, by=5.0, since=0.40, segment="night_readers"),
        Drift(WITHIN, "views", by=2.2, since=0.50, until=0.75, segment="routine_restockers",
              gradual=True),
        Drift(WITHIN, "taste_kids", by=0.25, since=0.50, until=0.75, segment="young_families",
              gradual=True),
        Drift(WITHIN, "taste_sports", by=8.0, since=0.50, until=0.75, segment="young_families",
              gradual=True),
        Drift(RESPONSE, "conversion", by=0.45, since=0.80, segment="bargain_hunters"),
        Drift(RESPONSE, "discount", by=4.0, since=0.80, segment="tech_enthusiasts"),
    ),
    layers=(Stock(),),
)  # fmt: skip
