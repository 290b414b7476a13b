"""Run as a program: an ingest that ends itself with SIGKILL at a named point.

python -m tests.journeys.killed_ingest SHOP POINT FILE [MAPPING.toml]

With a mapping the file is stated again, though the shop has it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.shops import Shop

from shoal.adapters.delta_unit import DeltaUnit
from shoal.adapters.sql import SqlStateStore
from shoal.events.mapping import read_mapping
from shoal.workflows.quarantine_file import QuarantineFile


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: object, name: str) -> None:
    """Die when the method is called."""
    setattr(owner, name, lambda *_, **__: die())


def after(owner: object, name: str) -> None:
    """Die when the method has done its work."""
    real: Callable[..., Any] = getattr(owner, name)

    def work(*values: Any, **named: Any) -> None:
        real(*values, **named)
        die()

    setattr(owner, name, work)


#: Point -> what makes the process die there.
POINTS: dict[str, Callable[[], None]] = {
    "rows staged": lambda: after(DeltaUnit, "append"),
    "quarantine published": lambda: after(QuarantineFile, "publish"),
    "before the commit": lambda: before(DeltaUnit, "commit"),
    "after the commit": lambda: after(DeltaUnit, "commit"),
    "before the states": lambda: before(SqlStateStore, "put_states"),
    "states and version written, not committed": lambda: after(
        SqlStateStore, "set_applied_version"
    ),
}


if __name__ == "__main__":
    directory, point, file, *mapping = sys.argv[1:]
    POINTS[point]()
    chosen = read_mapping(Path(mapping[0])) if mapping else None
    Shop(Path(directory)).ingest(file, mapping=chosen, again=bool(mapping))
