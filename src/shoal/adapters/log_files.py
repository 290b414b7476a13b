"""Entries and checkpoints of a Delta log as files: what they tell of, and how old ones leave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from shoal.adapters.bucket_files import sync

LOG_DIR: Final = "_delta_log"
_ENTRY: Final = re.compile(r"(\d{20})\.json")
_CHECKPOINT: Final = re.compile(r"(\d{20})\.checkpoint.*\.parquet")


@dataclass(frozen=True)
class LogFiles:
    """Which versions have an entry, and which a checkpoint (what all entries up to it come to)."""

    entries: frozenset[int]
    checkpoints: frozenset[int]

    @classmethod
    def of(cls, root: Path) -> Self:
        """Those of a table; none where it has no log."""
        directory = root / LOG_DIR
        names = [file.name for file in directory.iterdir()] if directory.is_dir() else []
        return cls(_numbers(names, _ENTRY), _numbers(names, _CHECKPOINT))

    def first_entry(self, latest: int) -> int:
        """From which version on every commit can be read, up to the latest."""
        first = latest + 1
        while first - 1 in self.entries:
            first -= 1
        return first

    def oldest(self, latest: int) -> int:
        """The oldest version that can be read; the one after the latest where none can.

        Entries before the first checkpoint that is left tell of commits, and of no version.
        """
        first = self.first_entry(latest)
        if first == 0:
            return 0
        after = [one for one in self.checkpoints if first - 1 <= one <= latest]
        return min(after, default=latest + 1)


def numbered_files(root: Path) -> Iterator[tuple[int, Path]]:
    """Entries and checkpoints, each with its version."""
    for file in sorted((root / LOG_DIR).iterdir()):
        found = _ENTRY.fullmatch(file.name) or _CHECKPOINT.fullmatch(file.name)
        if found:
            yield int(found[1]), file


def remove_before(root: Path, version: int) -> int:
    """Let a log begin with a version that has a checkpoint; how many entries went.

    The checkpoint is on disk before anything goes, and the oldest goes first: killed in between,
    what is left has no gap and the latest version can be read.

    Raises:
        OSError: a file cannot be removed; some may be gone already.
    """
    directory = root / LOG_DIR
    old = []
    for file in directory.iterdir():
        number = file.name.partition(".")[0]
        if number.isdigit() and int(number) < version:
            old.append((int(number), file))
        elif number.isdigit() and int(number) == version and _CHECKPOINT.fullmatch(file.name):
            sync(file)
    sync(directory)
    for _, file in sorted(old):
        file.unlink()
    if old:
        sync(directory)
    return sum(_ENTRY.fullmatch(file.name) is not None for _, file in old)


def _numbers(names: list[str], form: re.Pattern[str]) -> frozenset[int]:
    return frozenset(int(found[1]) for name in names if (found := form.fullmatch(name)))
