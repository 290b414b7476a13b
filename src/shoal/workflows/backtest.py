"""Backtest: what the last quarter would have looked like frozen, refitted monthly, and with Shoal.

Three replays of the shop's own log begin with the same segments: `frozen` keeps them, `monthly`
segments anew every period (28 days) as `shoal segment` would, `shoal` adjusts as the nightly job
would, with a person who says yes to everything. At each period's beginning they are asked where
customers belong; what came of these customers says what that was worth (`backtest_judge`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import iso
from shoal.features.fold import Fold
from shoal.features.outcomes import outcomes
from shoal.features.span import log_span
from shoal.heads.next_period import ACTIVE, ORDERED, ORDERS, SPEND
from shoal.ports import Warehouse
from shoal.segments.base import CUSTOMER
from shoal.segments.protected import protected_of
from shoal.workflows.admission import Admission
from shoal.workflows.backtest_follow import Followed
from shoal.workflows.backtest_judge import Asked, foretold
from shoal.workflows.backtest_words import sentences
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.replay import Replay
from shoal.workflows.segment_outlook import HORIZON_DAYS, SHORTEST_HORIZON_DAYS

SCHEMA: Final = "shoal.backtest/1"

FROZEN: Final = "frozen"
MONTHLY: Final = "monthly"
SHOAL: Final = "shoal"
STRATEGIES: Final = (FROZEN, MONTHLY, SHOAL)

PERIODS: Final = 3
MOST_PERIODS: Final = 24
MOST_DAYS: Final = 365
#: From cut to cut of the replays.
EVERY_DAYS: Final = 7
#: Horizons that segments have to look back to at the first period's beginning.
_BEFORE: Final = 4
_MICROS: Final = 1_000_000

#: Strategy, its periods, days between cuts -> the replay.
Replays = Callable[[str, "Plan", int], Replay]


@dataclass(frozen=True)
class Plan:
    """Periods of equal length that end with the log.

    Args:
        first: the beginning of the first.
    """

    first: datetime
    days: int
    count: int

    @property
    def moments(self) -> tuple[datetime, ...]:
        """The beginning of each period."""
        return tuple(self.first + n * timedelta(days=self.days) for n in range(self.count))

    @property
    def ends(self) -> datetime:
        """The end of the last one."""
        return self.first + self.count * timedelta(days=self.days)


def check_periods(periods: int, period_days: int) -> None:
    """Refuse what no backtest can be asked for.

    Raises:
        UsageError: `usage`, not so many periods, or so short ones.
    """
    if not 1 <= periods <= MOST_PERIODS:
        raise UsageError("usage", f"--periods is {periods}", hint=f"Allowed: 1 to {MOST_PERIODS}.")
    if not SHORTEST_HORIZON_DAYS <= period_days <= MOST_DAYS:
        raise UsageError(
            "usage", f"--period-days is {period_days}",
            hint=f"Allowed: {SHORTEST_HORIZON_DAYS} to {MOST_DAYS}.",
        )  # fmt: skip


def planned(
    first: datetime,
    last: datetime,
    periods: int,
    period_days: int = HORIZON_DAYS,
    every_days: int = EVERY_DAYS,
) -> Plan:
    """Periods of so many days that end with the log, shorter ones of a shorter log; each holds
    whole steps from cut to cut.

    Raises:
        UsageError: `usage`, not so many periods, or so short ones.
        InputError: `too_little_data`.
    """
    check_periods(periods, period_days)
    span = (last - first) / timedelta(days=1)
    days = min(period_days, int(span / (_BEFORE + periods)))
    days -= days % every_days
    shortest = max(SHORTEST_HORIZON_DAYS, every_days)
    if days < shortest:
        needed = shortest * (_BEFORE + periods)
        raise InputError(
            "too_little_data",
            f"the log holds {span:.0f} days; a backtest of {periods} periods needs {needed}",
            hint="Ask for fewer --periods, or ingest more of the past.",
        )
    return Plan(last - periods * timedelta(days=days), days, periods)


@dataclass
class Backtest:
    """One backtest of a shop; nothing of the shop changes.

    Args:
        replays: makes the replay of a strategy.
        every_days: from cut to cut.
    """

    warehouse: Warehouse
    fold: Fold
    admission: Admission
    settings: SegmentConfig
    replays: Replays
    every_days: int = EVERY_DAYS
    seed: int = 0
    progress: Progress = field(default_factory=NoProgress)

    def run(
        self,
        periods: int = PERIODS,
        strategies: Sequence[str] = STRATEGIES,
        *,
        period_days: int = HORIZON_DAYS,
    ) -> dict[str, Any]:
        """The document `shoal.backtest/1`.

        Raises:
            UsageError: `usage`.
            InputError: `too_little_data`.
        """
        plan = self.plan(periods, period_days)
        followed = {one: self.followed(one, plan) for one in strategies}
        asked = self.asked(plan, followed)
        told = foretold(asked, self.fold.catalog, protected_of(self.settings), plan.days, self.seed)
        said = {name: one.as_document() for name, one in followed.items()}
        return documented(plan, asked, told, said, self.seed)

    def plan(self, periods: int, period_days: int = HORIZON_DAYS) -> Plan:
        """When periods begin and end."""
        first, last = log_span(self.warehouse)
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
        return planned(first, midnight + timedelta(days=1), periods, period_days, self.every_days)

    def followed(self, strategy: str, plan: Plan) -> Followed:
        """What a strategy says, from the first period's beginning to the last one's end."""
        replay = self.replays(strategy, plan, self.every_days)
        found = Followed(set(plan.moments))
        for cut in replay.cuts(self.progress):
            found.add(cut)
        return found

    def asked(self, plan: Plan, followed: Mapping[str, Followed]) -> list[Asked]:
        """What is known at the beginning of every period, and what came."""
        found = []
        first = next(iter(followed.values()))
        for moment in plan.moments:
            table = first.tables[moment]
            customers = table[CUSTOMER]
            labels = {
                name: one.labels[moment]["segment_id"]
                .take(pc.index_in(customers, one.labels[moment][CUSTOMER].combine_chunks()))
                .to_numpy(zero_copy_only=False)
                for name, one in followed.items()
            }
            ends = moment + timedelta(days=plan.days)
            came = came_of(self.fold, self.admission, customers, moment, ends)
            found.append(Asked(table, came, labels))
        return found


def came_of(
    fold: Fold,
    admission: Admission,
    customers: pa.ChunkedArray,
    since: datetime,
    until: datetime,
) -> dict[str, npt.NDArray[np.float64]]:
    """(n,) of each outcome of the customers in a period."""
    counted = admission.at(until)
    told = outcomes(fold.engine, counted.events(), fold.rules, since, until)
    rows = pc.index_in(customers, told[CUSTOMER].combine_chunks())
    events, orders, net = (
        np.nan_to_num(told[name].take(rows).cast(pa.float64()).to_numpy(zero_copy_only=False))
        for name in ("events", "orders", "net")
    )
    return {
        ACTIVE: (events > 0).astype(np.float64),
        ORDERED: (orders > 0).astype(np.float64),
        ORDERS: orders,
        SPEND: np.maximum(net, 0.0) / _MICROS,
    }


def documented(
    plan: Plan,
    asked: Sequence[Asked],
    told: Mapping[str, Any],
    strategies: Mapping[str, Mapping[str, Any]],
    seed: int,
    **more: Any,
) -> dict[str, Any]:
    """The document `shoal.backtest/1`, its sentences with it."""
    document = {
        "schema": SCHEMA,
        "from": iso(plan.first),
        "to": iso(plan.ends),
        "period_days": plan.days,
        "periods": [
            {"from": iso(moment), "customers": one.table.num_rows}
            for moment, one in zip(plan.moments, asked, strict=True)
        ],
        "seed": seed,
        "against": None,
        **more,
        "outcomes": told,
        "strategies": {
            name: {**one, "of_attainable": _mean_share(told, name)}
            for name, one in strategies.items()
        },
    }
    return {**document, "sentences": [one.as_document() for one in sentences(document)]}


def _mean_share(told: Mapping[str, Any], name: str) -> float | None:
    """Mean over outcomes of the share of what is attainable."""
    shares = [one["strategies"][name]["of_attainable"] for one in told.values()]
    there = [one for one in shares if one is not None]
    return sum(there) / len(there) if there else None
