"""Taking out what the event table keeps for versions that nobody may ask for any more.

A version is as old as the commit that took its place, by the moment that the log says: a copy or a
restored backup has other times on its files. Entries go first and data files after them, so that a
version which can be asked for has all its files. What a kill leaves is found by the next call,
which looks at the directories and not at what the one before had planned.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime

from shoal.adapters.delta_log import STAGING, DeltaLog
from shoal.adapters.failures import translated
from shoal.adapters.log_files import LogFiles
from shoal.domain.time import system_clock, to_us
from shoal.events.schema import BUCKET
from shoal.ports import Trimmed


class Trimming:
    """Trims one table, some at a time; one thread at a time, under the shop's lease.

    What was found to be needed by no version stays so, whatever is committed meanwhile: names of
    files are never used again. So directories are looked through once, and not at every call.
    """

    def __init__(self, log: DeltaLog) -> None:
        self._log = log
        self._going: list[str] = []

    def trim(self, before: datetime, needed: int, most: int | None) -> Trimmed:
        """Remove what only versions replaced before a moment need; see `Warehouse.trim`."""
        log = self._log
        latest = log.version()
        if latest < 0:
            return Trimmed()
        with translated(log.root):
            oldest = log.oldest()
            first = oldest
            if most is None or not self._going:
                upto = latest if most is None else min(latest, oldest + most)
                first = max(oldest, _first_kept(log, upto, to_us(before)))
                more = first == upto < latest
                if 0 <= needed <= first:
                    first, more = max(oldest, needed), False
                log.begin_with(first)
                if more:  # files are looked for once the log is as it should be
                    return Trimmed(first, first - oldest, left=True)
                self._going = _unnamed(log, first)
            files, freed = self._remove(most)
        return Trimmed(first, first - oldest, files, freed, bool(self._going))

    def _remove(self, most: int | None) -> tuple[int, int]:
        """Remove files that are to go; how many, and of how many bytes.

        Directories are not synchronised: a file that a power cut brings back goes the next time.
        """
        gone = freed = 0
        while self._going and gone != most:
            path = self._log.root / self._going.pop()
            with suppress(FileNotFoundError):  # an erasure came first
                freed += path.stat().st_size
                path.unlink()
            gone += 1
        return gone, freed


def _first_kept(log: DeltaLog, upto: int, before_us: int) -> int:
    """Of the versions up to one, that which was the latest at a moment.

    A commit is never taken for older than one before it: a clock that was behind for a while lets
    nothing go early. What is dated in the future says nothing; the commits beside it do.
    """
    found, now_us = -1, to_us(system_clock())
    for version in range(LogFiles.of(log.root).first_entry(log.version()), upto + 1):
        moment = log.moment_us(version)
        if moment is None or (moment > now_us and moment >= before_us):
            continue
        if moment >= before_us:
            break
        found = version
    return found


def _unnamed(log: DeltaLog, first: int) -> list[str]:
    """Data files that no version from `first` on names. What is staged is left alone."""
    named = set(log.paths(first))
    for _, actions in log.entries(first):
        named |= {action["add"]["path"] for action in actions if "add" in action}
    staging = log.root / STAGING
    stems = tuple(f"{one.name}-" for one in staging.iterdir()) if staging.is_dir() else ()
    found = []
    for bucket in log.root.glob(f"{BUCKET}=*"):
        for name in os.listdir(bucket):  # noqa: PTH208  # a hundred thousand: names do
            path = f"{bucket.name}/{name}"
            staged = bool(stems) and name.startswith(stems)
            if name.endswith(".parquet") and path not in named and not staged:
                found.append(path)
    return sorted(found, reverse=True)
