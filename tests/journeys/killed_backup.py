"""Run as a program: a backup that ends itself with SIGKILL at a named point.

python -m tests.journeys.killed_backup SHOP DEST POINT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.journeys.killed_ingest import after, before

import shoal
from shoal.adapters import delta_files
from shoal.workflows import backup_manifest

#: Point -> what makes the process die there.
POINTS: dict[str, Callable[[], None]] = {
    "log of the table half copied": lambda: before(delta_files, "_shorten"),
    "no manifest yet": lambda: before(backup_manifest, "write"),
    "manifest written, not in its place": lambda: after(backup_manifest, "write"),
}


if __name__ == "__main__":
    directory, destination, point = sys.argv[1:]
    POINTS[point]()
    with shoal.open(Path(directory)) as shop:
        shop.backup(destination)
