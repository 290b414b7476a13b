"""Run as a program: a look that ends a canary, and that ends itself with SIGKILL at a named point.

python -m tests.journeys.killed_canary SHOP MOMENT POINT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.journeys.canary_shops import quiet
from tests.journeys.killed_ingest import before

import shoal
from shoal.workflows import adjust_state
from shoal.workflows.adjust import Job
from shoal.workflows.adjust_publish import Publishing

#: Point -> what makes the process die there.
POINTS: dict[str, Callable[[], None]] = {
    "all written, not committed": lambda: before(adjust_state, "remember"),
    "committed, nobody told": lambda: before(Publishing, "_told"),
}


if __name__ == "__main__":
    directory, moment, point = sys.argv[1:]
    POINTS[point]()
    Job.look = quiet()
    with shoal.open(Path(directory)) as shop:
        shop.adjust(as_of=moment)
