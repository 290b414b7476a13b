"""Run as a program: a writer that ends itself with SIGKILL in a function, before or after its work.

python -m tests.unit.adapters.killed_writer DIRECTORY BUCKETS MODULE NAME (before|after)

It writes `DIRECTORY/chunk-*.parquet` into the table `DIRECTORY/events`, as the unit `second`.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine


def die_in(module: str, name: str, when: str) -> None:
    """Let a function of an adapter die, wherever it was imported."""
    real = getattr(import_module(f"shoal.adapters.{module}"), name)

    def dying(*arguments: Any, **options: Any) -> None:
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").startswith("shoal.") and getattr(other, name, 0) is real:
            setattr(other, name, dying)


if __name__ == "__main__":
    path, buckets, module, name, when = sys.argv[1:]
    warehouse = DeltaWarehouse(Path(path) / "events", int(buckets), DuckEngine(threads=1))
    die_in(module, name, when)
    writer = warehouse.unit("second")
    for chunk in sorted(Path(path).glob("chunk-*.parquet")):
        writer.append(pq.read_table(chunk))
    writer.resolve()
    writer.commit({})
