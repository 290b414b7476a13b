"""Whether a process that left its number somewhere is still the same and still alive."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def started(pid: int) -> str | None:
    """When the process with that number started, as an opaque text; None if there is none.

    A process number is used again after its process has ended, so a number alone proves nothing;
    the number and this text together name one process of one machine. On Linux it is the boot's id
    and the start in clock ticks since boot (proc(5), `stat` field 22); elsewhere what `ps` says. A
    process that has ended but was not yet waited for by its parent counts as none.

    >>> started(os.getpid()) == started(os.getpid()) and started(os.getpid()) is not None
    True
    """
    if pid <= 0:
        return None
    if (_PROC / "self" / "stat").exists():
        return _started_linux(pid)
    return _started_ps(pid)


def of_this_boot(told: str) -> bool:
    """Whether what `started` once told is of a process that this kernel ran, in any container.

    >>> of_this_boot(started(os.getpid()) or "") or not (_PROC / "self" / "stat").exists()
    True
    """
    return bool(told) and told.partition("/")[0] == _boot()


def _boot() -> str | None:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _started_linux(pid: int) -> str | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything, spaces and ) included.
    fields = text.rpartition(")")[2].split()
    state, ticks, boot = fields[0], fields[19], _boot()
    return None if state in ("Z", "X") or boot is None else f"{boot}/{ticks}"


def _started_ps(pid: int) -> str | None:
    try:
        found = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError:
        return None
    state, _, moment = found.stdout.strip().partition(" ")
    return moment.strip() if moment and not state.startswith("Z") else None
