"""Isolated environments: peers that need other packages run in one the bench makes for them.

An environment is a virtual environment with the pins declared here, made by pip once and found
again by name and pins. A worker in it talks through files and lines (`bench.peers.worker`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench.harness.data import CACHE

#: Exact packages of every environment.
PINS: dict[str, tuple[str, ...]] = {
    "faiss": ("faiss-cpu==1.15.0", "numpy>=2.2,<3"),
    "river": ("river==0.26.0", "numpy>=2.2,<3"),
    "sasrec": (
        "rectools[torch]==0.19.0",
        "torch==2.13.0",
        "pytorch-lightning==2.5.2",
        "numpy>=1.26,<2",
        "pandas>=2.2,<3",
    ),
}


class EnvironmentMissingError(Exception):
    """The environment could not be made; the peer's row says why."""


def python_of(name: str, cache: Path | None = None, timeout_s: float = 300.0) -> Path:
    """The environment's interpreter; makes the environment at the first call.

    Raises:
        EnvironmentMissingError: unknown name, or pip failed: its last words.
    """
    if name not in PINS:
        raise EnvironmentMissingError(f"no environment {name!r}; there are {', '.join(PINS)}")
    told = json.dumps([PINS[name], sys.version_info[:2]])
    key = hashlib.sha256(told.encode()).hexdigest()[:10]
    folder = (cache or CACHE) / "environments" / f"{name}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "made.json").exists():
        _make(name, folder, python, timeout_s)
    return python


def versions_of(name: str, cache: Path | None = None) -> dict[str, str]:
    """Package versions of an environment that was made; empty where it was not."""
    for file in sorted((cache or CACHE).glob(f"environments/{name}-*/made.json")):
        return dict(json.loads(file.read_text())["packages"])
    return {}


def _make(name: str, folder: Path, python: Path, timeout_s: float) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    commands = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
         *PINS[name]],
    ]  # fmt: skip
    for command in commands:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=timeout_s
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentMissingError(f"environment {name}: {error}") from error
        if done.returncode:
            words = " ".join(done.stderr.split())[-300:]
            raise EnvironmentMissingError(f"environment {name} could not be made: {words}")
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    packages = {one["name"]: one["version"] for one in json.loads(listed.stdout)}
    (folder / "made.json").write_text(json.dumps({"packages": packages}) + "\n")
