"""What a strategy of a backtest said: memberships, and what became of its segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.adjustment import KEEP
from shoal.domain.errors import InputError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import iso
from shoal.segments.base import CUSTOMER
from shoal.workflows.replay_cut import Cut

_MONTH_DAYS: Final = 30.0


@dataclass
class Followed:
    """What a strategy said: memberships at the periods' beginnings, and what became of segments.

    Args:
        moments: whose memberships and features are kept.
    """

    moments: set[datetime]
    labels: dict[datetime, pa.Table] = field(default_factory=dict)
    tables: dict[datetime, pa.Table] = field(default_factory=dict)
    first_ids: tuple[str, ...] = ()
    last_ids: tuple[str, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None
    switched: float = 0.0
    relabelled: float = 0.0
    versions: int = 0
    alarms: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    _before: pa.Table | None = None

    def add(self, cut: Cut) -> None:
        """One cut more.

        Raises:
            InputError: `too_little_data`, there was none.
        """
        if cut.skipped:
            raise InputError(
                "too_little_data",
                f"there are no segments as of {iso(cut.as_of)}: {cut.skipped}",
                hint="Ask for fewer --periods, or ingest more of the past.",
            )
        members = cut.memberships.select([CUSTOMER, "segment_id"])
        ids = tuple(one for one in cut.segment_ids if one != TIER_NEW)
        if self._before is None:
            self.first_ids, self.began = ids, cut.as_of
        else:
            self.switched += differ(self._before, members)
            self.relabelled += 0.0 if cut.held is None else differ(cut.held, members)
            self.versions += cut.learned
        self._before, self.last_ids, self.ended = members, ids, cut.as_of
        if cut.as_of in self.moments:
            self.labels[cut.as_of], self.tables[cut.as_of] = members, cut.features
        if cut.adjusted is not None:
            for alarm in cut.adjusted.alarms:
                self.alarms[alarm.subject] = self.alarms.get(alarm.subject, 0) + 1
            for one in cut.adjusted.adjustments:
                if one.action != KEEP and cut.adjusted.changed:
                    self.done[one.action] = self.done.get(one.action, 0) + 1

    @property
    def months(self) -> float:
        """Months of 30 days from the first cut to the last."""
        if self.began is None or self.ended is None:
            return 0.0
        return (self.ended - self.began) / timedelta(days=_MONTH_DAYS)

    def as_document(self) -> dict[str, Any]:
        """As JSON: shares of customers are a month."""
        months = max(self.months, 1e-9)
        return {
            "segments": {"first": len(self.first_ids), "last": len(self.last_ids),
                         "kept": len(set(self.first_ids) & set(self.last_ids))},
            "versions": self.versions,
            "turnover_a_month": self.switched / months,
            "relabelled_by_model_a_month": self.relabelled / months,
            "alarms": dict(sorted(self.alarms.items())),
            "adjustments": dict(sorted(self.done.items())),
        }  # fmt: skip


def differ(before: pa.Table, after: pa.Table) -> float:
    """Share of the customers of both, placed in both, who are in another segment."""
    rows = pc.index_in(after[CUSTOMER], before[CUSTOMER].combine_chunks())
    was, now = before["segment_id"].take(rows), after["segment_id"]
    placed = pc.and_(pc.fill_null(pc.not_equal(was, TIER_NEW), False), pc.not_equal(now, TIER_NEW))
    moved = pc.not_equal(was, now).filter(placed)
    return float(pc.mean(moved.cast(pa.float64())).as_py() or 0.0)
