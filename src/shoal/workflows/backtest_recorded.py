"""What live segments foretold, as they are on record, beside an earlier version left as it was.

Nothing is replayed: who belonged where at each period's beginning is read from the membership log,
and the earlier version is moved on from its own last word by the one step's switching rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.adjustment import KEEP
from shoal.config import SegmentConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso, parse_moment
from shoal.features.fold import Fold
from shoal.features.span import log_span
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.protected import protected_of
from shoal.workflows import adjust_state
from shoal.workflows.admission import Admission
from shoal.workflows.advance import InForce, placed
from shoal.workflows.backtest import (
    FROZEN,
    PERIODS,
    SHOAL,
    Plan,
    came_of,
    check_periods,
    documented,
)
from shoal.workflows.backtest_follow import differ
from shoal.workflows.backtest_judge import Asked, foretold
from shoal.workflows.membership_log import line
from shoal.workflows.memberships import current, known_at
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.segment_outlook import HORIZON_DAYS

_MONTH_DAYS: Final = 30.0


@dataclass
class Recorded:
    """The backtest of what is on record; nothing of the shop changes."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    settings: SegmentConfig
    seed: int = 0
    progress: Progress = field(default_factory=NoProgress)

    def run(
        self,
        against: str | None = None,
        periods: int = PERIODS,
        *,
        period_days: int = HORIZON_DAYS,
    ) -> dict[str, Any]:
        """The document `shoal.backtest/1` of two strategies, `frozen` and `shoal`.

        Args:
            against: the version that is left as it was; None: the first one on record.
            periods: the last ones, at most as many as began after that version was made.

        Raises:
            UsageError: `usage`, `unknown_segmentation`.
            InputError: `too_little_data`, no period began after it.
        """
        versions = line(self.store)
        frozen = current(self.store, self.registry, against or (versions[0] if versions else None))
        if frozen.segmentation_id not in versions:
            raise UsageError(
                "unknown_segmentation",
                f"{frozen.segmentation_id} was never the main segmentation of this shop",
                hint=f"Allowed: {', '.join(versions)}.",
            )
        plan = self.plan(frozen, periods, period_days)
        labels = {moment: self._labels(frozen, moment) for moment in plan.moments}
        asked, left = self._asked(frozen, plan, labels)
        told = foretold(asked, self.fold.catalog, protected_of(self.settings), plan.days, self.seed)
        strategies = {
            FROZEN: _strategy(left, plan, [], frozen, frozen),
            SHOAL: _strategy(
                list(labels.values()), plan, self._looks(plan), frozen,
                current(self.store, self.registry),
            ),
        }  # fmt: skip
        return documented(plan, asked, told, strategies, self.seed, against=frozen.segmentation_id)

    def plan(self, frozen: SegmentationArtefact, periods: int, period_days: int) -> Plan:
        """Periods that end with the log and begin when the version was there, or later."""
        check_periods(periods, period_days)
        _, last = log_span(self.warehouse)
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        length = timedelta(days=period_days)
        plan = Plan(midnight - periods * length, period_days, periods)
        while plan.count and plan.first < frozen.trained_until:
            plan = Plan(plan.first + length, period_days, plan.count - 1)
        if plan.count:
            return plan
        raise InputError(
            "too_little_data",
            f"{frozen.segmentation_id} knows all until {iso(frozen.trained_until)}; no period of "
            f"{plan.days} days began after that and is over",
            hint="Ask again when a period has passed, for shorter ones (--period-days), or for a "
            "replay instead (without --recorded).",
        )

    def _labels(self, frozen: SegmentationArtefact, moment: datetime) -> pa.Table:
        """Where customers were at a moment, as it is on record."""
        found = self.store.get_memberships(line(self.store), as_of=moment)
        if not found.num_rows:
            raise InputError(
                "too_little_data",
                f"no membership is on record as of {iso(moment)}, "
                f"though {frozen.segmentation_id} was there",
                hint="Ask for fewer --periods.",
            )
        return found.select([CUSTOMER, "segment_id"])

    def _asked(
        self, frozen: SegmentationArtefact, plan: Plan, labels: Mapping[datetime, pa.Table]
    ) -> tuple[list[Asked], list[pa.Table]]:
        """What is known at every beginning and what came; where the version left as it was has
        everybody then."""
        began = self.store.get_memberships(
            frozen.segmentation_id, as_of=parse_moment(frozen.document["as_of"])
        )
        found, left = [], []
        self.progress.start("backtest", len(plan.moments))
        for moment in plan.moments:
            known = known_at(
                frozen, self.admission.at(moment), self.fold, self.registry, self.zone, moment,
                store=self.store,
            )  # fmt: skip
            table = known.table(frozen.vocabulary)
            customers = table[CUSTOMER]
            weights = frozen.segmenter.transform(table)
            began, _ = placed(customers, weights, InForce.of(frozen), began, moment)
            rows = pc.index_in(customers, labels[moment][CUSTOMER].combine_chunks())
            live = pc.fill_null(labels[moment]["segment_id"].take(rows), TIER_NEW)
            came = came_of(
                self.fold, self.admission, customers, moment, moment + timedelta(days=plan.days)
            )
            told = {FROZEN: began["segment_id"], SHOAL: live}
            found.append(
                Asked(
                    table, came,
                    {name: one.to_numpy(zero_copy_only=False) for name, one in told.items()},
                )
            )  # fmt: skip
            left.append(began.select([CUSTOMER, "segment_id"]))
            self.progress.advance()
        self.progress.done()
        return found, left

    def _looks(self, plan: Plan) -> list[dict[str, Any]]:
        """The looks of the periods."""
        return [
            one
            for one in adjust_state.looks(self.registry, self.store)
            if "alarms" in one and plan.first <= parse_moment(one["as_of"]) < plan.ends
        ]


def _strategy(
    labels: Sequence[pa.Table],
    plan: Plan,
    looks: Sequence[Mapping[str, Any]],
    first: SegmentationArtefact,
    last: SegmentationArtefact,
) -> dict[str, Any]:
    """As `Followed.as_document` tells it, of memberships at the beginnings and the looks between.

    The version that is compared with tells how many segments there were.
    """
    months = max((plan.moments[-1] - plan.first) / timedelta(days=_MONTH_DAYS), 1e-9)
    switched = float(np.sum([differ(one, other) for one, other in pairwise(labels)]))
    spent = (plan.ends - plan.first) / timedelta(days=_MONTH_DAYS)
    alarms: dict[str, int] = {}
    done: dict[str, int] = {}
    for look in looks:
        for alarm in look["alarms"]:
            alarms[alarm["subject"]] = alarms.get(alarm["subject"], 0) + 1
        for one in look["adjustments"] if look["changed"] else ():
            if one["action"] != KEEP:
                done[one["action"]] = done.get(one["action"], 0) + 1
    before, after = (
        [one for one in version.segmenter.segment_ids if one != TIER_NEW]
        for version in (first, last)
    )
    return {
        "segments": {"first": len(before), "last": len(after),
                     "kept": len(set(before) & set(after))},
        "versions": sum(bool(look["published"]) for look in looks),
        "turnover_a_month": switched / months,
        "relabelled_by_model_a_month": sum(look["moved"] for look in looks) / spent,
        "alarms": dict(sorted(alarms.items())),
        "adjustments": dict(sorted(done.items())),
    }  # fmt: skip
