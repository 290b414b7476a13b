"""The part of a step that is of each customer alone: states, and what is known of their customers.

It reads what the last step committed and writes nothing, so a step may have it done in several
shares of the customers at once, in other processes too. In how many makes no difference to the
bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import Zone, from_us
from shoal.events.identity import bucket_column
from shoal.features import state
from shoal.features.admit import ADMITTED_SCHEMA
from shoal.features.fold import Fold, customers_of
from shoal.features.snapshot import stamped
from shoal.features.tastes import COUNTS_SCHEMA, counts
from shoal.ports import Registry, StateStore
from shoal.segments.base import CUSTOMER
from shoal.workflows import reference

#: References that are kept: of the segmentation in force, one tried beside it, and those beside.
_REFERENCES: Final = 4


@dataclass(frozen=True)
class Share:
    """What a step asks of some customers.

    Args:
        rows: events as they count, with `customer_id`: the new ones, and of customers in `anew`
            all; none where time alone passed.
        anew: customers whose stored states do not count.
        silent: customers of whom nothing came, where time alone passed.
        moment: at which features are finished; after every event.
        references: ids of the frozen references of items with which they are.
    """

    rows: pa.Table
    anew: pa.Array
    silent: pa.Array
    moment: datetime
    references: tuple[str, ...]

    def divided(self, parts: int) -> list[Share]:
        """Shares by the hash of the customer, some of them perhaps empty."""
        rows, anew, silent = (
            _by_hash(one, _customers(one), parts) for one in (self.rows, self.anew, self.silent)
        )
        return [
            Share(*found, self.moment, self.references)
            for found in zip(rows, anew, silent, strict=True)
        ]

    @property
    def empty(self) -> bool:
        return not (self.rows.num_rows or len(self.silent))

    @property
    def customers(self) -> int:
        """How many there are."""
        return int(pc.count_distinct(self.rows[CUSTOMER]).as_py()) + len(self.silent)


@dataclass(frozen=True)
class Folded:
    """What became of the customers of a share.

    Args:
        customers: who they are, sorted: of whom an event counts, or who were silent.
        states: theirs now (`STATE_SCHEMA`); of silent ones none, since theirs are as they were.
        counts: theirs by name (`COUNTS_SCHEMA`).
        features: theirs at the moment, by the reference's id, sorted by customer.
    """

    customers: pa.Array
    states: pa.Table
    counts: pa.Table
    features: Mapping[str, pa.Table]

    @classmethod
    def nobody(cls) -> Folded:
        """Of an empty share; `features` of no reference."""
        return cls(
            pa.array([], pa.string()), state.STATE_SCHEMA.empty_table(),
            COUNTS_SCHEMA.empty_table(), {},
        )  # fmt: skip


#: Does a share, wherever it is done.
Folder = Callable[[Share], Folded]


@dataclass
class Folding:
    """A `Folder` that does shares here.

    Args:
        registry: where references are.
    """

    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    _references: dict[str, pa.Table] = field(default_factory=dict)

    def __call__(self, share: Share) -> Folded:
        """Fold and finish.

        Raises:
            OperationError: as a store raises, and as `reference.read`.
        """
        if share.empty:
            return Folded.nobody()
        if share.rows.num_rows:
            partials = self._merged(share)
            states = state.encode(partials)
        else:
            stored = self.store.get_states(share.silent.to_pylist())
            partials = state.decode(stored, tail=False)
            states = state.STATE_SCHEMA.empty_table()
        customers = customers_of(partials).combine_chunks()
        if not len(customers):
            return Folded.nobody()
        features = {
            name: stamped(
                self.fold.finish(partials, share.moment, self.zone, self._reference(name)),
                self.fold, share.moment,
            )
            for name in share.references
        }  # fmt: skip
        return Folded(customers, states, counts(partials), features)

    def prepare(self) -> None:
        """Have the queries ready that shares ask: the first call of each takes longest."""
        nothing = self.fold.partials(ADMITTED_SCHEMA.empty_table())
        self.fold.finish(self.fold.merge(nothing, nothing), from_us(0), self.zone)

    def _merged(self, share: Share) -> Mapping[str, pa.Table]:
        """Partials of everything that is known of customers with events."""
        partials = self.fold.partials(share.rows)
        names = customers_of(partials).combine_chunks()
        kept = names.filter(pc.invert(pc.is_in(names, value_set=share.anew)))
        stored = self.store.get_states(kept.to_pylist()) if len(kept) else None
        if stored is None or not stored.num_rows:
            return partials
        return self.fold.merge(state.decode(stored), partials)

    def _reference(self, name: str) -> pa.Table:
        """A reference; those of the last segmentations in force are kept."""
        found = self._references.pop(name, None)
        if found is None:
            found = reference.read(self.registry, name)
        self._references[name] = found
        while len(self._references) > _REFERENCES:
            del self._references[next(iter(self._references))]
        return found


def joined(parts: Sequence[Folded]) -> Folded:
    """Of several shares, which have no customer in common."""
    found = [one for one in parts if len(one.customers)]
    if len(found) < 2:
        return found[0] if found else Folded.nobody()
    names = pa.concat_arrays([one.customers for one in found])
    return Folded(
        names.take(pc.sort_indices(names)),
        pa.concat_tables([one.states for one in found]).sort_by(CUSTOMER),
        pa.concat_tables([one.counts for one in found]),
        {
            name: pa.concat_tables([one.features[name] for one in found]).sort_by(CUSTOMER)
            for name in found[0].features
        },
    )


def _customers(told: pa.Table | pa.Array) -> pa.Array:
    if isinstance(told, pa.Table):
        column = told[CUSTOMER]
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return told


def _by_hash(
    told: pa.Table | pa.Array, customers: pa.Array, parts: int
) -> list[pa.Table] | list[pa.Array]:
    """Rows or names by the part of their customer; those of nobody are in none."""
    place = pa.array(bucket_column(customers, parts))
    return [told.filter(pc.equal(place, number)) for number in range(parts)]
