"""What an adjuster looks at: customers now and at earlier moments, and the last period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.drift.look import Look
from shoal.adjust.drift.windows import wanted
from shoal.domain.errors import InputError
from shoal.features.tastes import Vocabulary
from shoal.heads.next_period import ACTIVE, ORDERS, SPEND
from shoal.segments.assign import places_of
from shoal.segments.base import CUSTOMER, column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.judge import Future
from shoal.workflows.advance import InForce
from shoal.workflows.known import Known
from shoal.workflows.segment_outlook import came_between, horizon_of

Places = npt.NDArray[np.int64]
Past = Callable[[datetime], Known]

#: Earlier looks of the last weeks that a look is compared with, the latest ones; each takes a
#: reading of the whole log. Those of a year before are few and all taken.
_RECENT: Final = 4
_YEAR: Final = timedelta(days=300)
#: Customers a segment whose last period is asked; of fewer nothing is said.
CUSTOMERS_A_SEGMENT: Final = 10


@dataclass(frozen=True)
class LastPeriod:
    """The horizon before now, as the live segmentation read customers at its beginning.

    Args:
        then: what was known at its beginning.
        table: what the live segmentation reads of those known well enough then.
        future: the same rows in its space, and what came of them.
        expected: (n,) what the live outlook foretold of them, by name; None without an outlook.
        came: (n,) what came, by name.
    """

    then: Known
    table: pa.Table
    future: Future
    expected: Mapping[str, npt.NDArray[np.float64]] | None
    came: Mapping[str, npt.NDArray[np.float64]]


def first_event(known: Known) -> datetime:
    """The moment of the oldest customer's first event, to the day."""
    oldest = float(np.nanmax(column(known.features, "tenure_days"), initial=0.0))
    return known.as_of - timedelta(days=int(oldest))


def references_of(known: Known) -> tuple[datetime, ...]:
    """Moments of earlier looks to compare one with, latest first; of the log and the moment alone,
    so that a replay and a nightly job compare with the same."""
    every = wanted(known.as_of, first_event(known))
    recent = [one for one in every if known.as_of - one < _YEAR]
    return (*recent[:_RECENT], *(one for one in every if known.as_of - one >= _YEAR))


def looked(
    segmentation: InForce,
    known: Known,
    period: LastPeriod | None = None,
    rhythm: pa.Table | None = None,
) -> Look:
    """Customers at a moment, as the live segmentation sees them: where its weights put them, now
    as then, for what a margin held is recorded of now alone."""
    segmenter = segmentation.segmenter
    assert isinstance(segmenter, ClusterSegmenter)
    table = known.table(segmentation.vocabulary)
    return Look.of(
        segmenter, table, None, known.as_of,
        expected=None if period is None else period.expected,
        came=None if period is None else period.came,
        rhythm=rhythm,
    )  # fmt: skip


def recorded_places(
    recorded: pa.Table, customers: pa.ChunkedArray, segmenter: ClusterSegmenter
) -> Places:
    """(n,) places of the segments recorded for some customers; -1 where none is."""
    rows = pc.index_in(customers, value_set=recorded[CUSTOMER].combine_chunks())
    return places_of(recorded["segment_id"].take(rows), segmenter.ids)


def last_period(
    segmentation: InForce, known: Known, past: Past, *, fitted_at: datetime
) -> LastPeriod | None:
    """What the horizon before a moment says; None where the log is too short for one.

    Args:
        fitted_at: the outlook has seen what came before; what it says of that is no forecast.
    """
    segmenter = segmentation.segmenter
    assert isinstance(segmenter, ClusterSegmenter)
    horizon = horizon_of(known.features)
    if horizon is None:
        return None
    try:
        then = past(known.as_of - timedelta(days=horizon))
    except InputError as error:
        if error.code != "too_little_data":
            raise
        return None
    table = then.table(segmentation.vocabulary)
    enough = segmenter.known(table)
    if enough.sum() < CUSTOMERS_A_SEGMENT * len(segmenter.ids):
        return None
    table = table.filter(pa.array(enough))
    found = came_since(segmenter, segmentation.vocabulary, then, table, known, horizon)
    outlook = segmenter.outlook
    if outlook is not None and then.as_of >= fitted_at and outlook.head.horizon_days == horizon:
        return replace(found, expected=outlook.head.predict(table))
    return found


def came_since(
    segmenter: ClusterSegmenter,
    vocabulary: Vocabulary,
    then: Known,
    table: pa.Table,
    known: Known,
    days: float,
) -> LastPeriod:
    """What came of some customers since an earlier moment.

    Args:
        table: what the segmenter read of them then.
        known: customers now; all of them are among these.
        days: how long ago that was.
    """
    came = came_between(table, known.features)
    taken = vocabulary.events(table[CUSTOMER], known.counts) - vocabulary.events(
        table[CUSTOMER], then.counts
    )
    categories = [facet == "category" for facet, _ in vocabulary.names]
    future = Future(
        segmenter.embed(table), round(days), came[ACTIVE], came[ORDERS], came[SPEND],
        np.maximum(taken[:, categories], 0),
    )  # fmt: skip
    return LastPeriod(then, table, future, None, came)
