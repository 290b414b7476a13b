"""What the shop holds and what is current, from the state store alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shoal.ports import StateStore
from shoal.workflows import units
from shoal.workflows.ingest_result import PERIOD
from shoal.workflows.live_waiting import beside
from shoal.workflows.units_followed import Summary, summary

POINTERS: Final = ("segmentation.main", "segmentation.rfm", "reference", "model.main")


def status(*, store: StateStore, known: Callable[[], Summary] | None = None) -> dict[str, Any]:
    """The JSON document `shoal.status/1`: counts, period, versions, current artefacts.

    Args:
        known: of the units; None: all are read.
    """
    found, waiting = beside(store, known or (lambda: summary(units.all_units(store))))
    settings = store.get_settings()
    pointers = {name: store.get_pointer(name) for name in POINTERS}
    return {
        "schema": "shoal.status/1",
        "events": found.events + waiting.events,
        "customers": store.count_states(),
        "from": settings.get(PERIOD[0]),
        "to": settings.get(PERIOD[1]),
        "table_version": store.applied_version(),
        "units": found.units,
        "units_with_quarantine": found.with_quarantine,
        "value_event": settings.get("value_event"),
        "currency": settings.get("currency"),
        "current": {name: target for name, target in pointers.items() if target is not None},
    }
