"""Run as a program: a service that kills itself at a named point, or whose clock jumps.

    python -m bench.faults.serving SHOP PORT EVERY [--point NAME --after SECONDS] [--clock FILE]

The point counts from so many seconds after the start on. The clock is off by the seconds that stand
in FILE, read again at each look.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shoal.adapters.delta_unit import DeltaUnit
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_inbox import SqlInbox
from shoal.adapters.sql_live import SqlLive
from shoal.cli.main import run
from shoal.domain import time as shop_time
from shoal.workflows import live_moves
from shoal.workflows.quarantine_file import QuarantineFile

#: Point -> whose method it is, its name, whether the process dies after it has done its work.
POINTS: dict[str, tuple[object, str, bool]] = {
    "calls not written": (SqlInbox, "append", False),
    "calls written, nobody told": (SqlInbox, "append", True),
    "calls written, mark not": (SqlInbox, "_write_mark", False),
    "rows staged": (DeltaUnit, "append", True),
    "quarantine published": (QuarantineFile, "publish", True),
    "before the log's commit": (DeltaUnit, "commit", False),
    "after the log's commit": (DeltaUnit, "commit", True),
    "after the log's commit, batches still there": (SqlLive, "drop", False),
    "states of the new version, not committed": (SqlStateStore, "set_applied_version", True),
    "batch kept, nothing else": (SqlLive, "add", True),
    "before the states": (SqlStateStore, "put_states", False),
    "before memberships": (live_moves, "record", False),
    "memberships recorded": (live_moves, "record", True),
    "position written, not committed": (SqlLive, "set_position", True),
    "calls in the log, still in the inbox": (SqlInbox, "drain", False),
    "inbox emptied": (SqlInbox, "drain", True),
}
#: Flushes are points too: they come more often than in a shop.
_FLUSH_S = "2"


def die_at(point: str, after_s: float) -> None:
    """Make the process end itself when a point is passed for the first time from a moment on."""
    owner, name, later = POINTS[point]
    real: Callable[..., Any] = getattr(owner, name)
    from_s = time.monotonic() + after_s

    def work(*values: Any, **named: Any) -> Any:
        due = time.monotonic() >= from_s
        if due and not later:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*values, **named)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, work)


def set_clock(file: Path) -> None:
    """Let every clock of the process be off by what stands in a file.

    Clocks were handed out by name when modules were loaded, so that the function itself is changed.
    """

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(globals()["_OFF"].read_text() or 0))

    shop_time.__dict__.update(_OFF=file, timedelta=timedelta)
    shop_time.system_clock.__code__ = clock.__code__


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until killed or told to stop.

    Args:
        arguments: None: those of the process.
    """
    parser = argparse.ArgumentParser(prog="bench.faults.serving")
    parser.add_argument("shop")
    parser.add_argument("port")
    parser.add_argument("every")
    parser.add_argument("--point", choices=POINTS)
    parser.add_argument("--after", type=float, default=0.0)
    parser.add_argument("--flush", default=_FLUSH_S)
    parser.add_argument("--clock", type=Path)
    options = parser.parse_args(arguments)
    if options.point:
        die_at(options.point, options.after)
    if options.clock:
        set_clock(options.clock)
    return run([
        "serve", options.shop, "--port", options.port, "--every", options.every,
        "--flush-every", options.flush, "--json",
    ])  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
