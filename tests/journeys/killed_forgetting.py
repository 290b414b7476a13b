"""Run as a program: an erasure that ends itself with SIGKILL at a named point.

python -m tests.journeys.killed_forgetting SHOP POINT ID
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.journeys.killed_ingest import after, before, die

import shoal
from shoal.adapters.delta_log import DeltaLog
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.files import FileRegistry
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_erasures import SqlErasures
from shoal.adapters.sql_people import SqlPeople
from shoal.workflows import forget_artefacts, forget_files, forget_lists, forget_quarantine
from shoal.workflows.forget_lists import Lists


def writing_in(folder: str) -> None:
    """Die when a file of a folder is written anew and not yet in its place."""
    real = forget_files._sync

    def work(path: Path) -> None:
        if path.parent.name == folder:
            die()
        real(path)

    forget_files._sync = work


#: Point -> what makes the process die there.
POINTS: dict[str, Callable[[], None]] = {
    "states gone, not journaled yet": lambda: after(SqlStateStore, "forget"),
    "journaled": lambda: before(DeltaWarehouse, "erase"),
    "rows rewritten, not committed": lambda: before(DeltaLog, "commit"),
    "events gone": lambda: after(DeltaWarehouse, "erase"),
    "links gone, not committed": lambda: after(SqlPeople, "forget"),
    "links gone": lambda: before(DeltaWarehouse, "purge"),
    "files gone, log whole": lambda: before(DeltaLog, "truncate"),
    "log cut": lambda: after(DeltaWarehouse, "purge"),
    "quarantine half written": lambda: writing_in("quarantine"),
    "quarantine written anew, not counted": lambda: after(forget_quarantine, "without_quarantined"),
    "artefact marked": lambda: before(forget_artefacts, "without"),
    "artefact half done": lambda: after(forget_artefacts, "without"),
    "first artefact done": lambda: after(FileRegistry, "redact"),
    "lists begun": lambda: before(Lists, "clean"),
    "list half written": lambda: writing_in("exports"),
    "first list done": lambda: after(forget_lists, "without"),
    "lists clean": lambda: after(Lists, "clean"),
    "receipt written, not committed": lambda: after(SqlErasures, "finish"),
    "receipt kept, not scrubbed": lambda: before(SqlStateStore, "scrub"),
    "scrubbed": lambda: after(SqlStateStore, "scrub"),
}


if __name__ == "__main__":
    directory, point, person = sys.argv[1:]
    POINTS[point]()
    with shoal.open(Path(directory)) as shop:
        shop.forget([person])
