"""Taking out what the event table keeps for versions that nobody may ask for any more.

A version is as old as the commit that took its place, by the moment that the log says: a copy or a
restored backup has other times on its files. Entries go first and data files after them, so that a
version which can be asked for has all its files. What a kill leaves is found by the next call,
which looks at the directories and not at what the one before had planned.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from shoal.adapters.bucket_files import sync
from shoal.adapters.delta_log import STAGING, DeltaLog
from shoal.adapters.failures import translated
from shoal.adapters.log_files import LogFiles
from shoal.domain.time import system_clock, to_us
from shoal.events.schema import BUCKET
from shoal.ports import Trimmed


def trim(log: DeltaLog, before: datetime, needed: int, most: int | None) -> Trimmed:
    """Remove what only versions replaced before a moment need; see `Warehouse.trim`."""
    latest = log.version()
    if latest < 0:
        return Trimmed()
    with translated(log.root):
        oldest = log.oldest()
        wanted = max(oldest, _first_kept(log, latest, to_us(before)))
        if 0 <= needed < wanted:
            wanted = max(oldest, needed)
        first = wanted if most is None else min(wanted, oldest + most)
        log.begin_with(first)
        if first < wanted:  # files are looked through once, when the log is as it should be
            return Trimmed(first, first - oldest, left=True)
        files, freed, left = _remove_unnamed(log, first, latest, most)
    return Trimmed(first, first - oldest, files, freed, left)


def _first_kept(log: DeltaLog, latest: int, before_us: int) -> int:
    """The version that was the latest one at a moment.

    A commit is never taken for older than one before it: a clock that was behind for a while lets
    nothing go early. What is dated in the future says nothing; the commits beside it do.
    """
    found, now_us = -1, to_us(system_clock())
    for version in range(LogFiles.of(log.root).first_entry(latest), latest + 1):
        moment = log.moment_us(version)
        if moment is None or (moment > now_us and moment >= before_us):
            continue
        if moment >= before_us:
            break
        found = version
    return found


def _remove_unnamed(
    log: DeltaLog, first: int, latest: int, most: int | None
) -> tuple[int, int, bool]:
    """Remove data files that no version from `first` on names: files, bytes, whether some are left.

    What is staged is left alone.
    """
    named = set(log.paths(first))
    for _, actions in log.entries(first):
        named |= {action["add"]["path"] for action in actions if "add" in action}
    staging = log.root / STAGING
    stems = tuple(f"{one.name}-" for one in staging.iterdir()) if staging.is_dir() else ()
    gone = freed = 0
    for bucket in sorted(log.root.glob(f"{BUCKET}=*")):
        with os.scandir(bucket) as listed:
            found = [
                one
                for one in listed
                if one.name.endswith(".parquet")
                and f"{bucket.name}/{one.name}" not in named
                and not (stems and one.name.startswith(stems))
            ]
        going = found if most is None else found[: most - gone]
        for one in going:
            freed += one.stat().st_size
            Path(one).unlink()
        gone += len(going)
        if going:
            sync(bucket)
        if len(going) < len(found):
            return gone, freed, True
    return gone, freed, False
