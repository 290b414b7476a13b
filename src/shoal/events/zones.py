"""Local time of an IANA zone for whole columns, from one table of the zone's changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shoal.domain.time import EARLIEST, LATEST, SECOND_US, Zone, to_us

Micros = NDArray[np.int64]


@dataclass(frozen=True)
class ZoneTable:
    """The zone's offsets: `offsets_s[i]` holds from `changes_us[i-1]` to `changes_us[i]` (UTC)."""

    changes_us: Micros
    offsets_s: NDArray[np.int32]

    def offset_s(self, utc_us: Micros) -> NDArray[np.int32]:
        """Seconds to add to each UTC time to get local time, shape as given."""
        if not len(self.changes_us):
            return np.full(len(utc_us), self.offsets_s[0], np.int32)
        place = np.searchsorted(self.changes_us, utc_us, side="right")
        return self.offsets_s[place]

    def to_utc(self, local_us: Micros) -> Micros:
        """UTC of local wall-clock times.

        At a change of offset the offset *before* the change is used (as Python's `fold=0`): a time
        that occurs twice is the first of the two, a time that never occurs is moved forward by the
        gap. So every local time has exactly one UTC time.
        """
        before = self.offsets_s[:-1].astype(np.int64)
        after = self.offsets_s[1:].astype(np.int64)
        thresholds = self.changes_us + np.maximum(before, after) * SECOND_US
        place = np.searchsorted(thresholds, local_us, side="right")
        return local_us - self.offsets_s[place].astype(np.int64) * SECOND_US


@lru_cache(maxsize=32)
def zone_table(zone: Zone) -> ZoneTable:
    """The table of a zone between the earliest and the latest event time allowed.

    The zone is probed once a day and each change found is narrowed down to the second.
    """
    changes: list[int] = []
    offsets = [zone.offset_s(EARLIEST)]
    day, now = timedelta(days=1), EARLIEST
    if zone.name != "UTC":
        while now < LATEST:
            ahead = now + day
            offset = zone.offset_s(ahead)
            if offset != offsets[-1]:
                changes.append(to_us(_narrow(zone, now, ahead)))
                offsets.append(offset)
            now = ahead
    return ZoneTable(np.array(changes, np.int64), np.array(offsets, np.int32))


def _narrow(zone: Zone, low: datetime, high: datetime) -> datetime:
    """The first second at which the zone has the offset it has at `high`."""
    old = zone.offset_s(low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if zone.offset_s(middle) == old:
            low = middle
        else:
            high = middle
    return high
