"""How many customers each segment had at any moment, kept up with the membership log as it grows.

The whole log is read once. After that what a question costs is what was written since the last one:
of the customers who have new rows their old spells are taken back and their new ones are put in.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import from_us, to_us
from shoal.ports import StateStore
from shoal.workflows.membership_log import line_of, spells

#: Rows written since the last question up to which they are followed one customer at a time.
FOLLOWED: Final = 20_000
#: Lines of segmentations that are kept: the main one, RFM and rules.
_LINES: Final = 4

_Numbers = npt.NDArray[np.int64]


@dataclass
class Counts:
    """By segment the moments (us) at which its customers became more or fewer, and by how many."""

    changes: dict[str, tuple[_Numbers, _Numbers]] = field(default_factory=dict)

    def add(self, history: pa.Table, sign: int = 1) -> None:
        """Count memberships of some customers, all that there are of each; -1: take them back."""
        if not history.num_rows:
            return
        found = spells(history)
        for segment in pc.unique(found["segment_id"]).to_pylist():
            own = found.filter(pc.equal(found["segment_id"], segment))
            began = own["since"].cast(pa.int64()).to_numpy()
            ended = own["until"].cast(pa.int64()).drop_null().to_numpy()
            before = self.changes.get(segment, (began[:0], began[:0]))
            signs = np.repeat([sign, -sign], [len(began), len(ended)])
            moments, place = np.unique(
                np.concatenate([before[0], began, ended]), return_inverse=True
            )
            by = np.zeros(len(moments), np.int64)
            np.add.at(by, place, np.concatenate([before[1], signs]))
            self.changes[segment] = moments[by != 0], by[by != 0]

    def at(self, segment_id: str, moments: Sequence[datetime]) -> list[int]:
        """Customers of a segment at each moment."""
        if segment_id not in self.changes:
            return [0] * len(moments)
        when, by = self.changes[segment_id]
        total = np.concatenate([[0], np.cumsum(by)])
        asked = np.array([to_us(one) for one in moments], np.int64)
        found: list[int] = total[np.searchsorted(when, asked, side="right")].tolist()
        return found

    def earliest(self) -> datetime | None:
        """When the first customer came into any segment; None: nobody did."""
        first = [int(when[0]) for when, _ in self.changes.values() if len(when)]
        return from_us(min(first)) if first else None


@dataclass
class _Kept:
    counts: Counts
    position: int
    erasures: Hashable


class SegmentCounts:
    """Counts of the lines of a shop's segmentations; safe to ask from several threads."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def of(self, segmentation_id: str, erasures: Hashable) -> Counts:
        """Counts in the line of a segmentation, as the log stands now.

        Args:
            erasures: changes when one begins and when one ends: the log lacks rows after each.
        """
        line = line_of(self._store, segmentation_id)
        with self._guard:
            position = self._store.last_membership()
            kept = self._kept.pop(line, None)
            if kept is None or kept.erasures != erasures or not self._follow(kept, line, position):
                history = self._store.membership_history(segmentations=line, upto=position)
                kept = _Kept(Counts(), position, erasures)
                kept.counts.add(history)
            self._kept[line] = kept
            for name in list(self._kept)[:-_LINES]:
                del self._kept[name]
            # What others are told does not change while they read it.
            return Counts(dict(kept.counts.changes))

    def _follow(self, kept: _Kept, line: tuple[str, ...], position: int) -> bool:
        """Bring counts up to a position; False: it is better to count anew."""
        new = position - kept.position
        if not 0 <= new <= FOLLOWED:
            return False
        if new == 0:
            return True
        rows = self._store.membership_log(kept.position, new, lambda name: (name,))
        rows = rows.filter(pc.less_equal(rows["position"], position))
        rows = rows.filter(pc.is_in(rows["segmentation_id"], pa.array(line, pa.string())))
        names = pc.unique(rows["customer_id"]).to_pylist()
        if names:
            for sign, upto in ((-1, kept.position), (1, position)):
                history = self._store.membership_history(names, segmentations=line, upto=upto)
                kept.counts.add(history, sign)
        kept.position = position
        return True
