"""What a kill left half done is finished or undone when the next writer starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shoal.ports import StateStore, Warehouse
from shoal.workflows import quarantine_file, units


@dataclass(frozen=True)
class Settled:
    """Units that a kill left staged: those that were committed, and those that were not."""

    finished: int = 0
    discarded: int = 0


def settle(warehouse: Warehouse, store: StateStore, quarantine_dir: Path) -> Settled:
    """Settle every unit that a kill left staged, and remove quarantine files that nobody names.

    Under the shop's lease only: a staged unit may otherwise be another process at work.
    """
    kept: set[str] = set()
    finished = discarded = 0
    for unit in units.all_units(store):
        if unit.status == units.STAGED:
            if warehouse.committed(unit.name):
                units.finish(store, unit)
                finished += 1
            else:
                discarded += 1
                units.put(store, replace(unit, status=units.DISCARDED, quarantine=None))
    for unit in units.all_units(store):
        if unit.status == units.COMMITTED and unit.quarantine is not None:
            kept.add(unit.quarantine)
    quarantine_file.sweep(quarantine_dir, frozenset(kept))
    return Settled(finished, discarded)
