"""Run measured tasks: each in a fresh process, engines taking turns, peak memory of its own."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "shoal",
    "duckdb",
    "ibis-framework",
    "deltalake",
    "pyarrow",
    "numpy",
    "polars",
    "pandas",
)


@dataclass(frozen=True)
class Task:
    """A call of `bench.speed.tasks.<name>(**arguments)`, told apart in tables by its label."""

    label: str
    name: str
    arguments: Mapping[str, Any]
    repeats: int


def run(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run a task in a process of its own; what it returned, with `peak_mib`.

    Raises:
        RuntimeError: the process failed; its last words are told.
    """
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bench.speed.tasks",
        name,
        json.dumps(arguments),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """Run every task as often as it asks, taking turns; by label: the runs and their summary.

    A peer that fails gives a row that says so; the rest runs.
    """
    runs: dict[str, list[dict[str, Any]]] = {task.label: [] for task in tasks}
    failed: dict[str, str] = {}
    for turn in range(max(task.repeats for task in tasks)):
        for task in tasks:
            if turn >= task.repeats or task.label in failed:
                continue
            say(f"  {task.label} {turn + 1}/{task.repeats}")
            try:
                runs[task.label].append(run(task.name, {**task.arguments, "turn": turn}))
            except RuntimeError as error:
                failed[task.label] = str(error)
    return {
        label: {"runs": rows, **summary(rows)} if rows else {"failed": failed[label]}
        for label, rows in runs.items()
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Median, least and greatest of every number of the runs."""
    names = [name for name, value in rows[0].items() if isinstance(value, int | float)]
    return {
        name: {
            "median": statistics.median(row[name] for row in rows),
            "min": min(row[name] for row in rows),
            "max": max(row[name] for row in rows),
        }
        for name in names
    }


def wall_of(command: Sequence[str], repeats: int) -> dict[str, Any]:
    """Seconds of a command from start to end; `failed` holds its words if it fails."""
    rows = []
    for _ in range(repeats):
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": done.stderr.strip()[-2000:]}
        rows.append({"seconds": time.perf_counter() - start})
    return {"runs": rows, **summary(rows)}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def say(text: str) -> None:
    """Tell a person how far the bench is."""
    print(text, file=sys.stderr, flush=True)
