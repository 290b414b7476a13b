"""What the shop holds and what is current, from the state store alone."""

from __future__ import annotations

from typing import Any, Final

from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.units_followed import Summary, summary

POINTERS: Final = ("segmentation.main", "segmentation.rfm", "reference", "model.main")


def status(*, store: StateStore, known: Summary | None = None) -> dict[str, Any]:
    """The JSON document `shoal.status/1`: counts, period, versions, current artefacts.

    Args:
        known: of the units; None: they are read.
    """
    known = known or summary(units.all_units(store))
    settings = store.get_settings()
    pointers = {name: store.get_pointer(name) for name in POINTERS}
    return {
        "schema": "shoal.status/1",
        "events": known.events,
        "customers": store.count_states(),
        "from": settings.get("first"),
        "to": settings.get("last"),
        "table_version": store.applied_version(),
        "units": known.units,
        "units_with_quarantine": known.with_quarantine,
        "value_event": settings.get("value_event"),
        "currency": settings.get("currency"),
        "current": {name: target for name, target in pointers.items() if target is not None},
    }
