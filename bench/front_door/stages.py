"""A command line as a user types it, with its seconds, its processor time and its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stage:
    """One command that was run: wall-clock and processor seconds, peak memory, what it printed."""

    name: str
    seconds: float
    peak_gib: float
    document: dict[str, Any]
    cpu_seconds: float = 0.0

    def as_document(self) -> dict[str, Any]:
        """Name and figures."""
        return {
            "stage": self.name,
            "seconds": round(self.seconds, 2),
            "peak_gib": round(self.peak_gib, 2),
        }


def shoal(name: str, *arguments: object) -> Stage:
    """Run `shoal ... --json` in a process of its own.

    A small process starts it and waits for it: to Linux the peak memory of a process is at least
    that of the one that started it (`signal->maxrss` at exec), and a bench may hold gigabytes.

    Raises:
        RuntimeError: the command failed; its last words are told.
    """
    with tempfile.NamedTemporaryFile(suffix=".json") as told:
        command = [sys.executable, "-m", "bench.front_door.stages", told.name]
        given = [*map(str, arguments), "--json"]
        ran = subprocess.run([*command, *given], cwd=ROOT, capture_output=True, text=True)
        if ran.returncode:
            said = f"{ran.stderr[-2000:]} {ran.stdout[-2000:]}"
            raise RuntimeError(f"{' '.join(given)}: {said}")
        used = json.loads(Path(told.name).read_text(encoding="utf-8"))
    document = json.loads(ran.stdout.splitlines()[-1]) if ran.stdout.strip() else {}
    return Stage(name, used["seconds"], used["peak_kib"] / 2**20, document, used["cpu_seconds"])


def main(told: str, *arguments: str) -> int:
    """Run `shoal` and write what it used to a file: what `shoal` above starts."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "shoal.cli.main", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    used = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
    }
    Path(told).write_text(json.dumps(used), encoding="utf-8")
    return process.returncode


def own_peak_gib() -> float:
    """The peak memory of this process since it began to run its program (Linux's `VmHWM`)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [kib] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kib) / 2**20


def total_bytes(path: Path) -> int:
    """Bytes of all files under a directory."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
