"""What the shop holds and what is current, from the state store alone."""

from __future__ import annotations

from typing import Any, Final

from shoal.ports import StateStore
from shoal.workflows import units

POINTERS: Final = ("segmentation.main", "segmentation.rfm", "reference", "model.main")


def status(*, store: StateStore) -> dict[str, Any]:
    """The JSON document `shoal.status/1`: counts, period, versions, current artefacts."""
    known = [unit for unit in units.all_units(store) if unit.status == units.COMMITTED]
    settings = store.get_settings()
    pointers = {name: store.get_pointer(name) for name in POINTERS}
    return {
        "schema": "shoal.status/1",
        "events": sum(unit.events for unit in known),
        "customers": store.count_states(),
        "from": settings.get("first"),
        "to": settings.get("last"),
        "table_version": store.applied_version(),
        "units": len(known),
        "units_with_quarantine": sum(unit.quarantine is not None for unit in known),
        "value_event": settings.get("value_event"),
        "currency": settings.get("currency"),
        "current": {name: target for name, target in pointers.items() if target is not None},
    }
