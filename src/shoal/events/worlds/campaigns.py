"""World `campaigns`: steady's segments, written to by mails whose true effects are known."""

from __future__ import annotations

from typing import Final

from shoal.events.worlds import catalogue, segments
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.layer_campaigns import Campaigns

WORLD: Final = World(
    name="campaigns",
    version=1,
    summary="Mails with known propensities and true effects; sleeping dogs, fatigue, delays.",
    dials=Dials(),
    segments=segments.STEADY,
    catalogue=catalogue.digest(),
    layers=(Campaigns(),),
)
