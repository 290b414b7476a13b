"""Memory of this process: how much it may have, and giving back what it does not need any more."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


def memory_mib(root: Path = _ROOT) -> int:
    """MiB of the machine, or of the container that this process is in.

    Limits of control groups of both versions count, of every group up to the root's (cgroups(7)).

    Args:
        root: below which `proc` and `sys` lie.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)]) // 2**20


def give_back() -> None:
    """Let the system have the memory that is free in this process's heaps.

    The C library and Arrow keep what was freed for the next time. A service whose batches differ
    in size would keep what the largest of them needed, in every thread's heap. It takes some ten
    milliseconds; where the C library is another than glibc only Arrow gives back.
    """
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _limits(root: Path) -> Iterator[int]:
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        mounted, file = root / "sys/fs/cgroup", "memory.max"
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            mounted, file = mounted / "memory", "memory.limit_in_bytes"
        # In a container the group that a process is in is often mounted as the root.
        group = Path(path.lstrip("/"))
        for one in (group, *group.parents):
            try:
                told = (mounted / one / file).read_text().strip()
            except OSError:
                continue
            if told.isdigit() and int(told):
                yield int(told)
