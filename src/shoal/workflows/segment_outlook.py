"""What segments owe to the outlook: the next-period head of a shop.

A shop whose log holds four horizons has a head that learned from the two last ones, and an earlier
head that knew the one before alone: the earlier one's outlook of the last period says, before
anything of the future is known, how far dividing customers by the outlook makes segments foretell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.traits import PROTECTED
from shoal.features.catalog import Catalog
from shoal.features.matrix import numeric_columns
from shoal.features.tastes import Vocabulary
from shoal.heads.next_period import NextPeriod, Period, outcomes_between
from shoal.segments.base import (
    CUSTOMER,
    EVENTS,
    NET_REVENUE,
    ORDERS,
    column,
)
from shoal.segments.outlook import Outlook
from shoal.segments.protected import left_out

#: What segments are for: to tell as much of how customers shop as costs no foretelling, to
#: foretell as well as can be, to tell how they shop alone, or what they will do alone.
BALANCE: Final = "balance"
FORETELL: Final = "foretell"
STYLE: Final = "style"
OUTLOOK: Final = "outlook"
AIMS: Final = (BALANCE, FORETELL, STYLE, OUTLOOK)

#: The period that segments have to foretell, and the shortest one worth asking for.
HORIZON_DAYS: Final = 28
SHORTEST_HORIZON_DAYS: Final = 7
#: A horizon may take this share of the log at most.
_HORIZON_SHARE: Final = 4

#: Periods that a head learns from, and customers of each at most.
_PERIODS: Final = 2
_MOST_CUSTOMERS: Final = 20_000
#: Fewer customers at the earlier moment and there is no head.
_FEWEST_CUSTOMERS: Final = 100


class KnownThen(Protocol):
    """What is known at a moment (`shoal.workflows.segment_learn.Known`)."""

    @property
    def as_of(self) -> datetime: ...

    @property
    def features(self) -> pa.Table: ...

    def table(self, vocabulary: Vocabulary) -> pa.Table:
        """Features, tastes and embedding, one row a customer."""
        ...


def check_aim(aim: str | None) -> None:
    """Refuse what is no aim of segments.

    Raises:
        UsageError: `unknown_aim`.
    """
    if aim is not None and aim not in AIMS:
        raise UsageError(
            "unknown_aim",
            f"segments have no aim {aim!r}",
            hint=f"Allowed: {', '.join(AIMS)}.",
        )


def horizon_of(features: pa.Table) -> int | None:
    """Days of the period to foretell; None where the log is too short for one."""
    span = float(np.nanmax(column(features, "tenure_days")))
    horizon = min(HORIZON_DAYS, int(span / _HORIZON_SHARE))
    return horizon if horizon >= SHORTEST_HORIZON_DAYS else None


@dataclass(frozen=True)
class Foreseen:
    """Heads of a shop at a moment.

    Args:
        head: learned from all periods, for customers as they are now.
        earlier: learned without the last period, for customers as they were a horizon ago; None
            where the log holds one period alone.
    """

    head: NextPeriod
    earlier: NextPeriod | None

    def outlook(self, share: float) -> Outlook:
        """The outlook of today's customers, with its share of what is clustered on."""
        return Outlook(self.head, share)


def foresee(
    known: KnownThen,
    then: Callable[[datetime], KnownThen],
    vocabulary: Vocabulary,
    catalog: Catalog,
    horizon_days: int,
    *,
    minimum_events: int,
    seed: int,
    protected: Sequence[str] = PROTECTED,
) -> Foreseen | None:
    """The heads that the shop's past allows; None where too few customers have one.

    Args:
        then: what was known at an earlier moment.
        protected: traits and features that nothing is learned from.

    The embedding of a model that was trained later than a past moment knows what came after it, so
    heads read features and tastes alone.
    """
    names = head_inputs(known.table(vocabulary), catalog, vocabulary, protected)
    moments = [known.as_of - n * timedelta(days=horizon_days) for n in range(_PERIODS + 1)]
    states = [known, *(then(moment) for moment in moments[1:])]
    periods = [
        _period(before, after, vocabulary, minimum_events, seed)
        for after, before in pairwise(states)
    ]
    periods = [one for one in periods if one.features.num_rows >= _FEWEST_CUSTOMERS]
    if not periods:
        return None
    earlier = NextPeriod(names, horizon_days, seed).fit(periods[1:]) if len(periods) > 1 else None
    head = NextPeriod(names, horizon_days, seed).fit(periods, earlier)
    if not head.foretold:
        return None
    return Foreseen(head, earlier if earlier is not None and earlier.foretold else None)


def head_inputs(
    table: pa.Table, catalog: Catalog, vocabulary: Vocabulary, protected: Sequence[str] = PROTECTED
) -> tuple[str, ...]:
    """The columns that a head reads: numeric features of the customer, and tastes; no brands."""
    aside = {one.name for one in catalog if one.window == "now" or one.group == "profile"}
    aside |= left_out(catalog, protected).keys()
    names = [one.name for one in numeric_columns(table, catalog) if one.name not in aside]
    tastes = [
        name
        for name, (facet, _) in zip(vocabulary.columns, vocabulary.names, strict=True)
        if facet != "brand"
    ]
    return (*names, *tastes)


def came_between(before: pa.Table, after: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    """(n,) outcomes of the customers of `before`, from features of two moments."""
    now = after.take(pc.index_in(before[CUSTOMER], after[CUSTOMER].combine_chunks()))
    told: list[dict[str, Any]] = [
        {"events": column(one, EVENTS), "orders": column(one, ORDERS),
         "spend": column(one, NET_REVENUE)}
        for one in (before, now)
    ]  # fmt: skip
    return outcomes_between(*told)


def _period(
    before: KnownThen, after: KnownThen, vocabulary: Vocabulary, minimum_events: int, seed: int
) -> Period:
    table = before.table(vocabulary)
    enough = np.flatnonzero(np.nan_to_num(column(table, EVENTS)) >= minimum_events)
    if len(enough) > _MOST_CUSTOMERS:
        enough = np.sort(np.random.default_rng(seed).permutation(enough)[:_MOST_CUSTOMERS])
    table = table.take(pa.array(enough))
    return Period(table, came_between(table, after.features))
