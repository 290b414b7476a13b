"""What is known of customers at a moment: from all events before it, or from stored states.

Both give the same rows (`shoal.workflows.segment_learn.Known`); the step takes either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import Zone
from shoal.features import state
from shoal.features.fold import Fold
from shoal.features.snapshot import snapshot_table
from shoal.features.tastes import COUNTS_SCHEMA, counts, counts_at
from shoal.ports import EventTable, StateStore
from shoal.segments.base import CUSTOMER
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.segment_learn import Known


def from_events(
    counted: EventTable,
    fold: Fold,
    zone: Zone,
    moment: datetime,
    items: pa.Table | None,
    *,
    model: ModelInUse | None = None,
    version: int | None = None,
) -> Known:
    """Every customer with an event before a moment, sorted.

    Args:
        counted: the events as they count at that moment (`Admission.at`).
        items: the frozen reference; None builds it.
        model: whose embeddings are needed; None for none.
        version: of the event table; None for the latest.

    Raises:
        InputError: `too_little_data`, the shop holds no event of a customer.
    """
    features = snapshot_table(
        counted, fold, zone=zone, as_of=moment, reference_table=items, version=version
    )
    found = counts_at(fold, counted.events(version=version), moment)
    embedded = None
    if model is not None and features.num_rows:
        embedded = model.embeddings(counted, moment, version=version)
    return Known(moment, features, found, embedded)


def one_from_events(
    counted: EventTable,
    fold: Fold,
    zone: Zone,
    customer_id: str,
    moment: datetime,
    items: pa.Table | None,
) -> Known:
    """One customer, from the events before a moment; no row for one who has none."""
    own = pc.field(CUSTOMER) == customer_id
    events = counted.events()
    return Known(
        moment,
        fold.features(events, moment, zone, items).filter(own),
        counts_at(fold, events, moment).filter(own),
    )


def from_states(
    store: StateStore,
    fold: Fold,
    zone: Zone,
    customers: Sequence[str],
    moment: datetime,
    items: pa.Table | None,
) -> Known:
    """Some customers from their stored states, sorted; those without a state are left out.

    Args:
        moment: not before any event that a state holds.
        items: the frozen reference; None knows no item.
    """
    stored = store.get_states(customers)
    if not stored.num_rows:
        nobody = pa.table({CUSTOMER: pa.array([], pa.string())})
        return Known(moment, nobody, COUNTS_SCHEMA.empty_table())
    partials = state.decode(stored)
    return Known(moment, fold.finish(partials, moment, zone, items), counts(partials))
