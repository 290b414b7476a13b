"""One fault, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.faults import disks, hooks, kills, odd, parted
from bench.faults.syncs import NoCompilerError


def run(fault: str, shop: str, **settings: Any) -> dict[str, Any]:
    """Run a fault on a fresh copy of a shop; `not_measured` says what was missing."""
    try:
        return _FAULTS[fault](shop, **settings)
    except NoCompilerError as error:
        return {"not_measured": str(error)}


_FAULTS: dict[str, Callable[..., dict[str, Any]]] = {
    "kills": kills.run, "full": disks.full, "lying": disks.lying, "disordered": odd.disordered,
    "jumping": odd.jumping, "overloaded": odd.overloaded, "away": hooks.away,
    "parted": parted.parted,
}  # fmt: skip
