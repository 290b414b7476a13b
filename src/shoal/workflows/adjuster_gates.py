"""What the gates ask of a change, from one look (`shoal.adjust.gates`)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.adjust.gates import Gate, Side, gates
from shoal.adjust.settings import AdjustSettings
from shoal.segments.assign import places_of
from shoal.segments.base import CUSTOMER, column
from shoal.segments.inputs import is_embedding
from shoal.workflows.adjuster_challenge import Gain, foretelling_gain
from shoal.workflows.advance import active_since

if TYPE_CHECKING:
    from shoal.workflows.adjuster_change import Change
    from shoal.workflows.adjuster_live import Live
    from shoal.workflows.adjuster_looks import LastPeriod
    from shoal.workflows.known import Known

#: Who had an event within so many days is active.
ACTIVE_DAYS = 28


def gated(
    live: Live,
    change: Change,
    known: Known,
    recorded: pa.Table,
    period: LastPeriod | None,
    settings: AdjustSettings,
    *,
    seed: int = 0,
) -> tuple[Gate, ...]:
    """The gates of a change.

    Args:
        known: all customers, as the live segments read them.
        recorded: `MEMBERSHIPS_SCHEMA`, where they are, in the order of `known`.
        period: judges both; None: nobody does.
    """
    gain = _foretold(live, change, period, seed)
    before, after = (None, None) if gain is None else errors_of(gain)
    active = active_since(known.features, known.as_of, known.as_of - timedelta(days=ACTIVE_DAYS))
    return gates(
        _side(live, known, recorded, active, before),
        _side(change.live, change.known or known, change.memberships, active, after),
        settings,
    )


def _side(
    live: Live,
    known: Known,
    memberships: pa.Table,
    active: npt.NDArray[np.bool_],
    error: npt.NDArray[np.float64] | None,
) -> Side:
    table = known.table(live.vocabulary)
    ids = live.segmenter.segment_ids
    assert memberships[CUSTOMER].equals(table[CUSTOMER]), "memberships are of the customers known"
    return Side(
        ids, live.segmenter.transform(table), places_of(memberships["segment_id"], ids), active,
        _embeddings(table.filter(pa.array(live.segmenter.known(table)))), error,
    )  # fmt: skip


def _embeddings(placed: pa.Table) -> npt.NDArray[np.float64] | None:
    """Of those placed; None where no model is read."""
    names = [name for name in placed.column_names if is_embedding(name)]
    if not names or not placed.num_rows:
        return None
    return np.column_stack([column(placed, name) for name in names])


def _foretold(live: Live, change: Change, period: LastPeriod | None, seed: int) -> Gain | None:
    """What the change foretells more; of segments that were all made anew the fit of a horizon ago
    says it, for the new ones have seen what came."""
    if change.known is not None:
        return change.future
    if period is None:
        return None
    labels = [one.segmenter.predict(period.table) for one in (live, change.live)]
    return foretelling_gain(period, labels[0], labels[1], seed=seed)


def errors_of(gain: Gain) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n,) the error of each customer before and after, whose difference has the gain's mean and
    standard error."""
    n = len(gain.influence)
    return np.zeros(n), -(gain.share + n * gain.influence)
