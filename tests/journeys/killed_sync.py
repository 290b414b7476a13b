"""Run as a program: a sync that ends itself with SIGKILL at a named point.

python -m tests.journeys.killed_sync NIGHT POINT

NIGHT holds `shop` and `source`; lists go to `lists`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.journeys.killed_ingest import after, before

import shoal
from shoal.workflows import advance, deliveries
from shoal.workflows.sync_journal import Journal
from shoal.workflows.whole_file import WholeFile

#: Point -> what makes the process die there.
POINTS: dict[str, Callable[[], None]] = {
    "memberships recorded": lambda: after(advance, "note_recorded"),
    "a list placed": lambda: after(WholeFile, "place"),
    "a list recorded": lambda: after(deliveries, "write"),
    "run recorded": lambda: before(Journal, "clear"),
}


if __name__ == "__main__":
    night, point = Path(sys.argv[1]), sys.argv[2]
    POINTS[point]()
    with shoal.open(night / "shop") as opened:
        opened.sync(night / "source", preset="shoal", export=night / "lists", adjust=False)
