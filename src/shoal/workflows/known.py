"""What is known of customers at a moment: from all events before it, or from stored states.

Both give the same rows (`Known`); the step takes either. States hold
what counts of every event there is, so they tell of a moment that is not before any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import Zone
from shoal.features import state
from shoal.features.fold import Fold
from shoal.features.snapshot import snapshot_table, stamped
from shoal.features.tastes import COUNTS_SCHEMA, Vocabulary, counts, counts_at
from shoal.ports import EventTable, StateStore, Warehouse
from shoal.segments.base import CUSTOMER
from shoal.segments.inputs import with_embedding, with_more, with_tastes
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import behind
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.pipeline import ahead

#: Customers whose states are read and finished at once, 2-20 KB each; a call of the finishing
#: query costs about 0.2 s besides.
CUSTOMERS_AT_ONCE: Final = 25_000


@dataclass(frozen=True)
class Known:
    """What is known at a moment.

    Args:
        features: of a snapshot.
        counts: by name (`COUNTS_SCHEMA`).
        embeddings: `customer_id`, `e0`, ... by the model in use; None where none is.
        more: further columns by `customer_id`, such as whom a rule holds for.
    """

    as_of: datetime
    features: pa.Table
    counts: pa.Table
    embeddings: pa.Table | None = None
    more: pa.Table | None = None

    def of(self, customers: Sequence[str]) -> Known:
        """The same of some customers."""
        names = pa.array(customers, pa.string())

        def own(table: pa.Table | None) -> pa.Table | None:
            return None if table is None else table.filter(pc.is_in(table[CUSTOMER], names))

        features, found = own(self.features), own(self.counts)
        assert features is not None
        assert found is not None
        return Known(self.as_of, features, found, own(self.embeddings), own(self.more))

    def table(self, vocabulary: Vocabulary) -> pa.Table:
        """Features, tastes, embedding and what else there is: what segmenters read."""
        table = with_embedding(with_tastes(self.features, self.counts, vocabulary), self.embeddings)
        return with_more(table, self.more)


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
    partials = state.decode(stored, tail=False)
    return Known(moment, fold.finish(partials, moment, zone, items), counts(partials))


def all_from_states(
    store: StateStore,
    fold: Fold,
    zone: Zone,
    moment: datetime,
    references: Mapping[str, pa.Table],
    customers: Sequence[str] | None = None,
) -> Iterator[Mapping[str, Known]]:
    """All customers from their stored states, some at a time, in order; by reference what is known.

    The same rows as `from_events`, where `why_not_states` has nothing to say against it. What is in
    memory does not depend on how many customers there are.

    Args:
        references: frozen references of items by name; of each the features are finished.
        customers: those alone; who has no state is left out.
    """
    decoded = (state.decode(stored, tail=False) for stored in _stored(store, customers))
    with ahead(decoded, depth=1) as ready:
        for partials in ready:
            found = counts(partials)
            yield {
                name: Known(
                    moment, stamped(fold.finish(partials, moment, zone, items), fold, moment), found
                )
                for name, items in references.items()
            }


def _stored(store: StateStore, customers: Sequence[str] | None) -> Iterator[pa.Table]:
    """States of all customers or of some, in order, some at a time."""
    if customers is None:
        yield from store.iter_states(CUSTOMERS_AT_ONCE)
        return
    names = sorted(customers)
    for start in range(0, len(names), CUSTOMERS_AT_ONCE):
        found = store.get_states(names[start : start + CUSTOMERS_AT_ONCE])
        if found.num_rows:
            yield found


def why_not_states(
    warehouse: Warehouse,
    store: StateStore,
    admission: Admission,
    fold: Fold,
    moment: datetime,
    latest: datetime,
) -> str | None:
    """Why the stored states do not tell of a moment what the events before it tell; None: they do.

    Args:
        latest: the moment just after the latest event (`latest_moment`).
    """
    if latest > moment:
        return "there are events at or after the moment"
    if behind(warehouse, store, admission, fold):
        return "the stored states lag behind the event table"
    if not admission.settled_at(moment):
        return "what is told at or after the moment changes whose an event is, or whether it counts"
    return None
