"""Run the units of a bench: fresh processes, fixed threads, failures told, finished work kept.

A unit is one peer on one log with one seed. Units of a peer and a seed share a process (imports
cost seconds); processes take turns over seeds and peers, so that a noisy minute does not fall on
one peer alone. A unit that raises, crashes or runs out of time gives `{"failed": reason}` and the
rest goes on. A finished unit is kept as JSON under a name made of all it depends on and is taken
from there the next time; failed ones are tried again.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: One thread for everything that reads such a variable (DuckDB does not: features are made before
#: and apart).
THREADS = dict.fromkeys(
    (
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
    ),
    "1",
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """One call of the bench's function.

    Args:
        peer: whose turn it is.
        label: which log and seed, for progress and file names, such as `steady-11`.
        seed: units of a peer and seed share a process.
        arguments: JSON that the function is given.
        stamp: what its result depends on beside the arguments: digest of the world, hash of code.
    """

    peer: str
    label: str
    seed: int
    arguments: Mapping[str, Any]
    stamp: Mapping[str, str] = field(default_factory=dict)

    def key(self, function: str) -> str:
        told = json.dumps([function, self.peer, dict(self.arguments), dict(self.stamp)],
                          sort_keys=True)  # fmt: skip
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def code_hash(*paths: str) -> str:
    """16 hex digits of source files or folders (from the repository's root), in order of name."""
    digest = hashlib.sha256()
    for path in paths:
        place = ROOT / path
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        for file in files:
            digest.update(str(file.relative_to(ROOT)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def run(
    function: str,
    units: Sequence[Unit],
    *,
    kept: Path,
    timeout_s: float = 600.0,
    keep: bool = True,
    tell: bool = True,
) -> list[dict[str, Any]]:
    """The result of every unit, in their order: `{"peer", "label", "seed", "seconds", ...}`.

    Args:
        function: `module:name`, called as `name(**arguments)` in the child; returns JSON.
        kept: folder of finished units.
        keep: False runs all of them, whatever is there.
        timeout_s: a unit may take that long.

    A KeyboardInterrupt ends the child and is raised; what was finished stays kept.
    """
    kept.mkdir(parents=True, exist_ok=True)
    found: dict[int, dict[str, Any]] = {}
    for place, unit in enumerate(units):
        file = _file(kept, unit, function)
        if keep and file.exists():
            found[place] = {**json.loads(file.read_text()), "kept": True}
    turns = _turns([place for place in range(len(units)) if place not in found], units)
    done = len(found)
    if tell and done:
        say(f"  {done} of {len(units)} units were finished before")
    for places in turns:
        for place, result in _process(function, places, units, timeout_s):
            unit = units[place]
            found[place] = result
            if keep and "failed" not in result:
                part = _file(kept, unit, function).with_suffix(".part")
                part.write_text(json.dumps(result) + "\n")
                part.replace(part.with_suffix(".json"))
            done += 1
            if tell:
                end = f"failed: {result['failed'][:200]}" if "failed" in result else ""
                say(f"  {done}/{len(units)} {unit.peer} {unit.label} "
                    f"{result['seconds']:.1f} s {end}".rstrip())  # fmt: skip
    return [
        {"peer": unit.peer, "label": unit.label, "seed": unit.seed, **found[place]}
        for place, unit in enumerate(units)
    ]


def _file(kept: Path, unit: Unit, function: str) -> Path:
    return kept / f"{unit.peer}-{unit.label}-{unit.key(function)}.json"


def _turns(places: Iterable[int], units: Sequence[Unit]) -> list[list[int]]:
    """Places by process: those of a seed and peer together, seeds in the outer loop; each seed
    begins with another peer."""
    groups: dict[int, dict[str, list[int]]] = {}
    for place in places:
        unit = units[place]
        groups.setdefault(unit.seed, {}).setdefault(unit.peer, []).append(place)
    turns = []
    for turn, peers in enumerate(groups.values()):
        order = list(peers.values())
        shift = (turn * len(order)) // max(1, len(groups))
        turns += order[shift:] + order[:shift]
    return turns


def _process(
    function: str, places: list[int], units: Sequence[Unit], timeout_s: float
) -> Iterable[tuple[int, dict[str, Any]]]:
    """Results of some units from one process; another is started after a crash or a time-out."""
    left = list(places)
    while left:
        child = _Child(function, [dict(units[place].arguments) for place in left])
        try:
            while left:
                started = time.perf_counter()
                result = child.next(timeout_s)
                result.setdefault("seconds", round(time.perf_counter() - started, 3))
                yield left.pop(0), result
                if child.over:
                    break
        finally:
            child.end()


class _Child:
    """A child process that answers one line a unit."""

    def __init__(self, function: str, arguments: list[dict[str, Any]]) -> None:
        self.over = False
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "bench.harness.child", function],
            cwd=ROOT, env=os.environ | THREADS | {"PYTHONHASHSEED": "0"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._words: list[str] = []
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._process.stdin.write(json.dumps(arguments))
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once; its words tell why

    def next(self, timeout_s: float) -> dict[str, Any]:
        """The next unit's result; after `failed` by time-out or crash the child is over."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            self.over = True
            return {"failed": f"took longer than {timeout_s:.0f} s"}
        if line is None:
            self.over = True
            code = self._process.wait()
            self._readers[1].join(5)
            last = " ".join("".join(self._words).split())[-500:]
            return {"failed": f"the process ended with {code}: {last}".rstrip(": ")}
        result: dict[str, Any] = json.loads(line)
        return result

    def end(self) -> None:
        if self._process.poll() is None:
            if self.over:
                self._process.kill()
            else:
                self._process.terminate()
        self._process.wait()
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _listen(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._words.append(line)
            del self._words[:-50]


def say(text: str) -> None:
    """Tell a person how far the bench is."""
    print(text, file=sys.stderr, flush=True)
