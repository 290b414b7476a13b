"""Look for drift: customers now beside earlier weeks, all as the live segmentation sees them."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from shoal.adjust.drift.detect import Detection, Look, Monitors, detect
from shoal.adjust.settings import AdjustSettings
from shoal.domain.errors import InputError
from shoal.domain.time import DAY_US, to_us
from shoal.features.rhythm import rhythm
from shoal.workflows.adjuster_live import Live
from shoal.workflows.adjuster_looks import LastPeriod, Past, last_period, looked, references_of
from shoal.workflows.known import Known
from shoal.workflows.segment_learn import Learner


def noticed(
    live: Live,
    learner: Learner,
    known: Known,
    past: Past,
    period: LastPeriod | None,
    monitors: Monitors | None,
    settings: AdjustSettings,
) -> Detection:
    """What a look finds.

    Args:
        learner: reads the log's daily counts, by which faults of the tracking are told.
        period: the horizon before now; None where the log is too short for one.
        monitors: of the look before.
    """
    earlier = [_at(live, past, when, period) for when in references_of(known)]
    references = [one for one in earlier if one is not None]
    now = looked(live.in_force, known, period, daily(learner, known.as_of))
    return detect(now, references, monitors=monitors, settings=settings, seed=learner.seed)


def _at(live: Live, past: Past, moment: datetime, period: LastPeriod | None) -> Look | None:
    """An earlier look; None where nobody was there yet."""
    try:
        then = past(moment)
    except InputError as error:
        if error.code != "too_little_data":
            raise
        return None
    before = None
    if period is not None and period.expected is not None:
        # forecasts of what the outlook has learned from are none
        horizon_us = period.future.horizon_days * DAY_US
        if to_us(moment) - horizon_us >= to_us(live.fitted_at):
            before = last_period(live.in_force, then, past, fitted_at=live.fitted_at)
    return looked(live.in_force, then, before)


def daily(learner: Learner, moment: datetime) -> pa.Table:
    """Daily counts of the log as it is stored: once it is known whose a visitor's events are, it
    does not show any more that sign-ins are lost."""
    stored = learner.admission.stored
    return rhythm(stored.engine, stored.events(version=learner.table_version), moment)
