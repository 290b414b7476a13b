"""World `broken`: customers of `steady`, seen through instruments that fail one after another."""

from __future__ import annotations

from typing import Final

from shoal.domain.kinds import CART_ADD, CART_REMOVE, PURCHASE, VIEW
from shoal.events.worlds import catalogue, segments
from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.layer_faults import (
    NULL,
    REPEATED,
    SCALED,
    SHIFTED,
    STOPPED,
    UNSIGNED,
    Fault,
    Faults,
)
from shoal.events.worlds.layer_stock import Stock
from shoal.events.worlds.layer_visitors import Visitors

_FAULTS: Final = (
    Fault(NULL, "web", 0.30, 0.36, kinds=(VIEW,), field="category"),
    Fault(NULL, "app", 0.38, 0.44, kinds=(VIEW,), field="item_id"),
    Fault(SCALED, "app", 0.46, 0.52, kinds=(PURCHASE,), by=100),
    Fault(SCALED, "web", 0.54, 0.60, kinds=(CART_ADD, CART_REMOVE, PURCHASE), by=2),
    Fault(REPEATED, "web", 0.62, 0.67),
    Fault(SHIFTED, "app", 0.69, 0.75, by=-8),
    Fault(STOPPED, "web", 0.77, 0.82, kinds=(CART_ADD,)),
    Fault(STOPPED, "app", 0.84, 0.90),
    Fault(UNSIGNED, "app", 0.93, 1.0),
)

WORLD: Final = World(
    name="broken",
    version=1,
    summary="Steady customers seen through failing instruments: fields that go missing, amounts in "
    "other units, events sent twice or not at all, clocks and sign-ins that are lost.",
    dials=Dials(),
    segments=segments.STEADY,
    catalogue=catalogue.digest(),
    layers=(Stock(), Visitors(), Faults(_FAULTS)),
)
