"""Weights of new segments made honest by the shop's past (`shoal.segments.soften`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from shoal.features.row_order import sample_rows
from shoal.features.tastes import Vocabulary
from shoal.segments.base import CUSTOMER
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.soften import fitted_temperature
from shoal.workflows.segment_outlook import horizon_of

if TYPE_CHECKING:
    from shoal.workflows.known import Known

#: Customers by whom the temperature is told; more tell no more.
_MOST_CUSTOMERS: Final = 20_000


def temper(
    segmenter: ClusterSegmenter,
    known: Known,
    then: Callable[[datetime], Known],
    vocabulary: Vocabulary,
) -> None:
    """Give a segmenter the temperature at which its weights a horizon ago say where customers are
    now; it stays 1 where the log is too short, or too few were known then.

    Args:
        then: what was known at an earlier moment.
    """
    horizon = horizon_of(known.features)
    if horizon is None:
        return
    before = then(known.as_of - timedelta(days=horizon)).table(vocabulary)
    before = before.filter(pa.array(segmenter.known(before)))
    now = known.table(vocabulary)
    found = pc.index_in(before[CUSTOMER], now[CUSTOMER].combine_chunks())
    before, found = before.filter(pc.is_valid(found)), found.drop_null()
    now = now.take(found)
    with threadpool_limits(1, user_api="blas"):
        Z = segmenter.embed(before)
        rows = sample_rows(Z, _MOST_CUSTOMERS, segmenter.seed)
        places = segmenter.clusterer.weights(segmenter.embed(now.take(pa.array(rows))))
        told = fitted_temperature(segmenter.clusterer.weights(Z[rows]), places.argmax(axis=1))
    segmenter.temperature = 1.0 if told is None else told
