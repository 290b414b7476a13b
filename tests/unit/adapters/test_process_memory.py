"""What a process may have of memory, by limits of its control groups."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest

from shoal.adapters.process_memory import give_back, memory_mib

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, MACHINE),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}, MACHINE),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": str(512 * 2**20)}, 512),
        # a group that is mounted as the root, and one whose parent has less than it has
        ({"proc/self/cgroup": "0::/docker/4f1c", "sys/fs/cgroup/memory.max": str(2**29)}, 512),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/memory.max": str(2**30),
          "sys/fs/cgroup/a/memory.max": str(2**28)}, 256),
        # version 1, where no limit is a number beyond every machine
        ({"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n0::/",
          "sys/fs/cgroup/memory/x/memory.limit_in_bytes": str(2**28)}, 256),
        ({"proc/self/cgroup": "4:memory:/x",
          "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712"}, MACHINE),
    ],
)  # fmt: skip
def test_the_least_limit_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert memory_mib(written(tmp_path, files)) == expected


def test_the_machine_it_runs_on_is_read() -> None:
    assert 0 < memory_mib() <= MACHINE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_freed_is_given_back() -> None:
    def resident_mib() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    # Small pieces between others that stay: the heap cannot shrink from its end alone.
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        pytest.skip("not glibc")
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    pieces = [libc.malloc(ctypes.c_size_t(60_000)) for _ in range(4_000)]
    for piece in pieces:
        ctypes.memset(piece, 1, 60_000)
    for piece in pieces[:-1:2] + pieces[1:-1:2]:
        libc.free(piece)
    full = resident_mib()
    give_back()
    assert resident_mib() < full - 150
    libc.free(pieces[-1])
