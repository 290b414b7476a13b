"""World `fraud`: steady's segments, with rings, lone fraudsters, takeovers and look-alikes."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, segments
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.layer_fraud import Fraud

WORLD: Final = World(
    name="fraud",
    version=1,
    summary="Rings that share devices and cards, lone fraudsters, takeovers; honest look-alikes.",
    dials=Dials(),
    segments=segments.STEADY,
    catalogue=catalogue.digest(),
    layers=(Fraud(),),
)
