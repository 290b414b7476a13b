"""Run as a program: a migration that ends itself with SIGKILL at a named point.

python -m tests.journeys.killed_migration SHOP POINT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.journeys.killed_ingest import after, before, die

import shoal
from shoal.adapters import migrating, sql_migration
from shoal.adapters.bucket_files import BucketFiles
from shoal.adapters.delta_log import DeltaLog
from shoal.adapters.sql import SqlStateStore


def dying(module: Any, name: str) -> None:
    """Let a function of a module do its work and die."""
    real: Callable[..., Any] = getattr(module, name)

    def work(*values: Any, **named: Any) -> None:
        real(*values, **named)
        die()

    setattr(module, name, work)


#: Point -> what makes the process die there.
POINTS: dict[str, Callable[[], None]] = {
    "store half migrated": lambda: dying(sql_migration, "move"),
    "store migrated": lambda: dying(sql_migration, "migrate_store"),
    "columns added": lambda: after(DeltaLog, "add_columns"),
    "files begun": lambda: after(BucketFiles, "append"),
    "files written": lambda: after(BucketFiles, "close"),
    "before the commit": lambda: before(DeltaLog, "commit"),
    "after the commit": lambda: after(DeltaLog, "commit"),
    "table migrated": lambda: dying(migrating, "migrate_table"),
    "before the states": lambda: before(SqlStateStore, "put_states"),
    "states written, not committed": lambda: after(SqlStateStore, "set_applied_version"),
}


if __name__ == "__main__":
    POINTS[sys.argv[2]]()
    shoal.migrate(sys.argv[1])
