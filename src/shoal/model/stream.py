"""Customers' states, moved on event by event at a cost that no length of history changes.

What is kept of a customer: the state after the last event (*head*), the last events themselves (the
*tail*, up to twice `tail_events`), and the state before the tail (*base*). Events in order step the
head once. A late one that falls into the tail takes its place there, and the tail is read again
from the base. An older one is counted and left to the next rebuild. When the tail is full, its
older part is folded into the base in one go, so that an event in order is read twice at most.

Of events of one moment those that came first go first; nobody here knows their ids, so whoever
brings them sorts such events and drops duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shoal.domain.sequence import TIME, Array, EventSequences
from shoal.model.carry import CustomerCarry, Tail, cut, events_of, in_time, joined, tails_of
from shoal.model.runtime import About, Floats, Ints, States, Stepper

#: Events of a tail as a shop keeps them by default (`shop.tail_events`).
TAIL_EVENTS: Final = 32


@dataclass(frozen=True)
class Advanced:
    """What came of some events.

    Args:
        carries: one a customer, in the order of the events' customers.
        embeddings: (n, e) float32 at the moment asked about.
        late_beyond_tail: events that were older than their customer's tail; they did not count.
    """

    carries: list[CustomerCarry]
    embeddings: Floats
    late_beyond_tail: int = 0


def build(
    stepper: Stepper,
    histories: EventSequences,
    now_us: int | Ints,
    *,
    tail_events: int = TAIL_EVENTS,
) -> Advanced:
    """Carries of customers from their whole histories.

    Args:
        histories: each customer's events in order.
        now_us: the moment asked about, not before any event; one for all or (n,).
    """
    about, layout = stepper.about, stepper.about.layout
    moments = _moments(now_us, len(histories))
    older = histories.lengths - np.minimum(histories.lengths, _kept(about, tail_events))
    before = _between(histories, np.zeros_like(older), older)
    tails = _between(histories, older, histories.lengths)
    _, base = stepper.read(before, stepper.initial(len(histories)), moments)
    embeddings, head = stepper.read(tails, base, moments)
    bases = (row if n else b"" for row, n in zip(layout.rows(base), older.tolist(), strict=True))
    parts = zip(layout.rows(head), bases, tails_of(tails, about), strict=True)
    return Advanced([_carry(about, *one) for one in parts], embeddings)


def advance(
    stepper: Stepper,
    carries: Sequence[CustomerCarry | None],
    events: EventSequences,
    now_us: int | Ints,
    *,
    tail_events: int = TAIL_EVENTS,
) -> Advanced:
    """Let new events count.

    Args:
        carries: what is kept of each of the events' customers, in their order; None for one who is
            new.
        events: the new events, a customer's in any order; a customer may have none: the embedding
            ages.
        now_us: the moment asked about, not before any event; one for all or (n,).

    Raises:
        OperationError: `model_mismatch`, a carry is of another model or other vocabularies.
    """
    about, layout = stepper.about, stepper.about.layout
    for carry in carries:
        if carry is not None:
            carry.check(about)
    moments = _moments(now_us, len(events))
    known = _known(stepper, carries)
    events, lost = _in_time(events), 0
    heads = layout.states([carry.head for carry in known])
    late = _late(events, heads, about)
    if late.any():
        events, lost = _within_reach(events, known, late, about)
        late = _late(events, heads, about)
    kept = _kept(about, tail_events)
    if about.context is None and not late.any():
        embeddings, found = _stepped(stepper, known, heads, events, moments, kept)
        return Advanced(found, embeddings, lost)
    again = late if about.context is None else np.ones_like(late)
    embeddings, found = _mixed(stepper, known, heads, events, moments, kept, again)
    return Advanced(found, embeddings, lost)


def _known(stepper: Stepper, carries: Sequence[CustomerCarry | None]) -> list[CustomerCarry]:
    """The carries, with that of a customer without an event for one who is new."""
    if None not in carries:
        return [carry for carry in carries if carry is not None]
    new = _carry(stepper.about, _empty(stepper), b"", Tail())
    return [carry or new for carry in carries]


def _empty(stepper: Stepper) -> bytes:
    return stepper.about.layout.rows(stepper.initial(1))[0]


def _mixed(
    stepper: Stepper, known: list[CustomerCarry], heads: States, events: EventSequences,
    moments: Ints, kept: int, again: Array,
) -> tuple[Floats, list[CustomerCarry]]:  # fmt: skip
    """Some customers step, the others' tails are read again."""
    ahead, behind = np.flatnonzero(~again), np.flatnonzero(again)
    carries = [known[n] for n in behind.tolist()]
    told, found = _replayed(stepper, carries, events.take(behind), moments[behind], kept)
    embeddings = np.zeros((len(known), told.shape[1]), np.float32)
    embeddings[behind] = told
    whole = dict(zip(behind.tolist(), found, strict=True))
    if len(ahead):
        carries = [known[n] for n in ahead.tolist()]
        embeddings[ahead], found = _stepped(
            stepper, carries, heads.take(ahead), events.take(ahead), moments[ahead], kept
        )
        whole |= zip(ahead.tolist(), found, strict=True)
    return embeddings, [whole[n] for n in range(len(known))]


def _stepped(
    stepper: Stepper, known: list[CustomerCarry], heads: States, events: EventSequences,
    moments: Ints, kept: int,
) -> tuple[Floats, list[CustomerCarry]]:  # fmt: skip
    """Events in order on top of the heads."""
    about = stepper.about
    embeddings, after = stepper.read(events, heads, moments)
    rows = zip(about.layout.rows(after), known, tails_of(events, about), strict=True)
    found = [
        _carry(about, head, carry.base, joined(carry.tail, tail, about))
        for head, carry, tail in rows
    ]
    return embeddings, _folded(stepper, found, kept)


def _replayed(
    stepper: Stepper, known: list[CustomerCarry], events: EventSequences, moments: Ints, kept: int
) -> tuple[Floats, list[CustomerCarry]]:
    """Events take their places in the tails, which are read again from the bases."""
    about, layout = stepper.about, stepper.about.layout
    found = [
        replace(carry, tail=in_time(joined(carry.tail, tail, about)))
        for carry, tail in zip(known, tails_of(events, about), strict=True)
    ]
    found = _folded(stepper, found, kept)
    tails = events_of([carry.tail for carry in found], about)
    embeddings, after = stepper.read(tails, _bases(stepper, found), moments)
    heads = layout.rows(after)
    return embeddings, [replace(one, head=head) for one, head in zip(found, heads, strict=True)]


def _folded(stepper: Stepper, carries: list[CustomerCarry], kept: int) -> list[CustomerCarry]:
    """Of tails that are twice as long as need be, the older part becomes part of the base."""
    about, layout = stepper.about, stepper.about.layout
    full = [n for n, carry in enumerate(carries) if len(carry.tail) > 2 * kept]
    if not full:
        return carries
    parts = [cut(carries[n].tail, kept, about) for n in full]
    older = events_of([old for old, _ in parts], about)
    last = older.fields[TIME][older.offsets[1:] - 1]
    _, base = stepper.read(older, _bases(stepper, [carries[n] for n in full]), last)
    for n, (_, tail), row in zip(full, parts, layout.rows(base), strict=True):
        carries[n] = replace(carries[n], base=row, tail=tail)
    return carries


def _bases(stepper: Stepper, carries: list[CustomerCarry]) -> States:
    """States before the tails."""
    empty = _empty(stepper)
    return stepper.about.layout.states([carry.base or empty for carry in carries])


def _late(events: EventSequences, heads: States, about: About) -> Array:
    """(n,) whether a customer's first new event is before the last known one."""
    last = heads.ints[:, about.layout.column("last_us")]
    count = heads.ints[:, about.layout.column("count")]
    if not events.events:
        return np.zeros(len(events), bool)
    first = events.fields[TIME][np.minimum(events.offsets[:-1], events.events - 1)]
    late: Array = (events.lengths > 0) & (count > 0) & (first < last)
    return late


def _within_reach(
    events: EventSequences, known: list[CustomerCarry], late: Array, about: About
) -> tuple[EventSequences, int]:
    """The events without those that are older than their customer's tail, and how many went."""
    column = about.layout.column("last_us")
    stays = np.ones(events.events, bool)
    for n in np.flatnonzero(late).tolist():
        if known[n].base:
            before = about.layout.states([known[n].base]).ints[0, column]
            part = slice(events.offsets[n], events.offsets[n + 1])
            stays[part] = events.fields[TIME][part] >= before
    lost = int((~stays).sum())
    if not lost:
        return events, 0
    offsets = np.concatenate([[0], np.cumsum(stays)])[events.offsets].astype(np.int64)
    return _chosen(events, np.flatnonzero(stays), offsets), lost


def _in_time(events: EventSequences) -> EventSequences:
    """Each customer's events by their moments; those of one moment stay as they are."""
    if int(events.lengths.max(initial=0)) <= 1:
        return events
    who = np.repeat(np.arange(len(events)), events.lengths)
    order = np.lexsort((events.fields[TIME], who))
    if (order[1:] > order[:-1]).all():
        return events
    return _chosen(events, order, events.offsets)


def _between(events: EventSequences, starts: Ints, stops: Ints) -> EventSequences:
    """Events [start, stop) of each customer."""
    lengths = stops - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = np.repeat(events.offsets[:-1] + starts - offsets[:-1], lengths)
    return _chosen(events, first + np.arange(offsets[-1]), offsets)


def _chosen(events: EventSequences, rows: Array, offsets: Ints) -> EventSequences:
    fields = {name: values[rows] for name, values in events.fields.items()}
    return EventSequences(events.customers, offsets, fields, events.texts)


def _carry(about: About, head: bytes, base: bytes, tail: Tail) -> CustomerCarry:
    return CustomerCarry(about.model_id, about.fingerprint, head, base, tail)


def _moments(now_us: int | Ints, n: int) -> Ints:
    moments = np.empty(n, np.int64)
    moments[:] = now_us
    return moments


def _kept(about: About, tail_events: int) -> int:
    """Events that a tail keeps when it is cut: a backbone without a state looks back on them."""
    return max(tail_events, about.context or 0)
