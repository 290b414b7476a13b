"""Files that are there whole or not at all: written aside, then put in their place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WholeFile:
    """A file, written aside and then put in its place whole and safe from a power cut.

    `fill` writes it to the path that it is given; `rows` is what is told of it.
    """

    path: Path
    rows: int
    fill: Callable[[Path], object]

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = aside(self.path)
        self.fill(beside)
        _sync(beside)

    def place(self) -> None:
        aside(self.path).replace(self.path)
        _sync(self.path.parent)

    def abandon(self) -> None:
        """Remove what was written aside and not put in its place."""
        aside(self.path).unlink(missing_ok=True)


def aside(path: Path) -> Path:
    """Beside the file, with its ending: an erasure looks through it should a kill leave it."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(file: WholeFile) -> None:
    """Write a file and put it in its place; on any failure what was there stands."""
    try:
        file.write()
        file.place()
    finally:
        file.abandon()
