"""How much memory this process may have: the machine's, or less where its control group says so."""

from __future__ import annotations

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
