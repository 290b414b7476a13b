"""A command line as a user types it, with its seconds, its processor time and its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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

    Raises:
        RuntimeError: the command failed; its last words are told.
    """
    command = [sys.executable, "-m", "shoal.cli.main", *map(str, arguments), "--json"]
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out = process.stdout.read()
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {said[-2000:]} {out[-2000:]}")
    document = json.loads(out.splitlines()[-1]) if out.strip() else {}
    cpu = usage.ru_utime + usage.ru_stime
    return Stage(name, seconds, usage.ru_maxrss / 2**20, document, cpu)


def total_bytes(path: Path) -> int:
    """Bytes of all files under a directory."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])
