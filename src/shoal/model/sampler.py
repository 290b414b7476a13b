"""From customers' sequences to batches of slices, the same for the same seed and step.

A batch is a pure function of seed and step, so that training goes on at any step without a state.
Sequences may be mapped from a file: only what a batch needs is read.
Dimensions: N customers, B slices of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from shoal.domain.errors import InputError
from shoal.domain.sequence import Array, EventSequences
from shoal.domain.time import from_us as to_moment
from shoal.domain.time import iso
from shoal.model.augment import Similar, augment, strengths
from shoal.model.batch import collate
from shoal.model.config import TrainConfig
from shoal.model.objectives.base import TrainingBatch
from shoal.model.targets import Ints, coming, first_at, following, told_at

_ORDER, _SLICES, _CHANGES = range(3)
#: Steps whose slices are drawn to foretell how many events a step has.
_TRIED_STEPS: Final = 8


class Sampler:
    """Random slices of customers' histories and what is known to follow them.

    An epoch visits every customer once, in an order of its own. A customer gives `config.slices`
    slices, or as many as there are events. A slice is as long as a draw between `slice_min` and
    `slice_max` says; of a history shorter than twice the least, from half of it to all. A slice
    ends with a moment, never between events of one moment, since no one can be asked about there.

    Args:
        sequences: customers' events.
        config: how many, how long, how changed.
        sizes: rows of each embedding table (`Tokenizer.sizes`).
        until_us: events at or after it are not seen, not in targets either.
        value_kind: code of the kind whose amounts are spend.
        seed: of all draws.
        from_us: slices are asked about at this moment or later, and only customers with an event
            since then are visited; their history before may be in a slice. None: at any moment.
        similar: items that may stand for each other, where that augmentation is on.

    Raises:
        InputError: `too_little_data`, no customer has an event to begin with.
    """

    def __init__(
        self,
        sequences: EventSequences,
        config: TrainConfig,
        sizes: Mapping[str, int],
        *,
        until_us: int,
        value_kind: int,
        seed: int,
        from_us: int | None = None,
        similar: Similar | None = None,
    ) -> None:
        self.sequences, self.config = sequences, config
        self.until_us, self.from_us = until_us, from_us
        self._categories, self._value_kind = sizes["category1"], value_kind
        self._seed, self._similar = seed, similar
        self._strengths = strengths(config)
        first = sequences.offsets[:-1]
        limits = first_at(sequences.fields["us"], first, sequences.offsets[1:], until_us)
        before = first
        if from_us is not None:
            before = first_at(sequences.fields["us"], first, limits, from_us)
        #: (N,) places of the customers that are visited, and of each one what may be known.
        self.customers: Ints = np.flatnonzero(limits > before)
        if not len(self.customers):
            raise InputError(
                "too_little_data",
                f"no customer has an event {_period(from_us, until_us)}",
                hint="Choose a later cut-off (--until), or ingest more events.",
            )
        self._first, self._limit = first[self.customers], limits[self.customers]
        self._old = (before - first)[self.customers]
        self._take = np.minimum(self._limit - self._first, config.slices)
        rows = int(self._take.sum())
        self.steps_an_epoch = max(1, rows // (config.batch_customers * config.slices))
        self._epoch = lru_cache(maxsize=2)(self._ordered)

    @property
    def events(self) -> int:
        """Events that a slice may end with: all in the period."""
        return int((self._limit - self._first - self._old).sum())

    @property
    def events_a_step(self) -> float:
        """Events in a step's slices, on average over some steps."""
        tried = [self._slices(step) for step in range(_TRIED_STEPS)]
        return float(np.mean([(stop - start).sum() for _, start, stop, _ in tried]))

    def batch(self, step: int) -> TrainingBatch:
        """The slices of a step with their targets."""
        who, starts, stops, now_us = self._slices(step)
        made = sliced(
            self.sequences, self.customers[who], starts, stops, self._limit[who], now_us,
            until_us=self.until_us, categories=self._categories, value_kind=self._value_kind,
        )  # fmt: skip
        if not self._strengths:
            return made
        return augment(made, self._strengths, self._rng(step, _CHANGES), self._similar)

    def names(self, step: int) -> list[str]:
        """Ids of the customers in a step's batch."""
        rows = np.unique(self.customers[self._members(step)])
        return [str(one) for one in self.sequences.customers[rows]]

    # -- draws -------------------------------------------------------------------------------------

    def _rng(self, step: int, what: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, step, what))

    def _ordered(self, epoch: int) -> tuple[Ints, Ints]:
        """Customers in the order of an epoch, and where each of its steps begins among them.

        Steps have about equal numbers of slices.
        """
        order = self._rng(epoch, _ORDER).permutation(len(self.customers))
        before = np.cumsum(self._take[order])
        shares = np.arange(1, self.steps_an_epoch) / self.steps_an_epoch
        bounds = np.searchsorted(before, shares * before[-1])
        return order, np.concatenate([[0], bounds, [len(order)]])

    def _members(self, step: int) -> Ints:
        epoch, place = divmod(step, self.steps_an_epoch)
        order, bounds = self._epoch(epoch)
        return order[bounds[place] : bounds[place + 1]]

    def _slices(self, step: int) -> tuple[Ints, Ints, Ints, Ints]:
        """Which customers, the places where slices start and stop, and moments asked about."""
        members = self._members(step)
        who = np.repeat(members, self._take[members])
        first, old = self._first[who], self._old[who]
        starts, stops, now_us = drawn(
            self.sequences.fields["us"], first, self._limit[who], self.config,
            self._rng(step, _SLICES), until_us=self.until_us, after=first + old,
            from_us=self.from_us,
        )  # fmt: skip
        return who, starts, stops, now_us


def _period(from_us: int | None, until_us: int) -> str:
    before = f"before {iso(to_moment(until_us))}"
    return before if from_us is None else f"from {iso(to_moment(from_us))} and {before}"


def drawn(
    us: Array,
    first: Ints,
    limits: Ints,
    config: TrainConfig,
    rng: np.random.Generator,
    *,
    until_us: int,
    after: Ints | None = None,
    from_us: int | None = None,
) -> tuple[Ints, Ints, Ints]:
    """One random slice of each range [first, limit) of a customer's events, and its moment.

    Args:
        us: moments of all events.
        after: slices asked about at their last event end behind these places.
        from_us: the others are asked about at this moment or later.

    Returns:
        places where slices start and stop, and moments asked about.
    """
    n = limits - first
    least = np.minimum(config.slice_min, np.maximum(n // 2, 1))
    length = rng.integers(least, np.minimum(n, config.slice_max) + 1)
    stop = rng.integers(np.maximum(length, 1 + (0 if after is None else after - first)), n + 1)
    last_us = us[first + stop - 1]
    earliest = us[first + length - 1] + 1
    if from_us is not None:
        earliest = np.maximum(earliest, from_us)
    span = np.maximum(until_us - earliest, 0)
    moment = earliest + (rng.random(len(n)) * (span + 1)).astype(np.int64)
    fresh = rng.random(len(n)) < config.fresh_share
    stops = first_at(us, first, limits, np.where(fresh, last_us + 1, moment))
    return stops - length, stops, np.where(fresh, last_us, moment)


class Alternating:
    """Batches of a new period with batches of the time before strewn in, by a share of the steps.

    Args:
        new, old: where they come from.
        share: of old ones.
    """

    def __init__(self, new: Sampler, old: Sampler, share: float) -> None:
        self._new, self._old, self._share = new, old, share

    def _at(self, step: int) -> tuple[Sampler, int]:
        replayed = int(step * self._share)
        if int((step + 1) * self._share) > replayed:
            return self._old, replayed
        return self._new, step - replayed

    @property
    def events(self) -> int:
        """Events of the new period."""
        return self._new.events

    @property
    def events_a_step(self) -> float:
        """Events in a step's slices, on average over some steps."""
        return (1 - self._share) * self._new.events_a_step + self._share * self._old.events_a_step

    def batch(self, step: int) -> TrainingBatch:
        """The batch of a step."""
        sampler, place = self._at(step)
        return sampler.batch(place)

    def names(self, step: int) -> list[str]:
        """Ids of the customers in a step's batch."""
        sampler, place = self._at(step)
        return sampler.names(place)


def sliced(
    sequences: EventSequences,
    customers: Ints,
    starts: Ints,
    stops: Ints,
    limits: Ints,
    now_us: Ints,
    *,
    until_us: int,
    categories: int,
    value_kind: int,
) -> TrainingBatch:
    """Slices with what follows them, nothing hidden or changed.

    Args:
        customers: (B,) places of the customers.
        starts, stops: (B,) of the slices in the flat arrays.
        limits: (B,) the place after each customer's last event that may be known.
        now_us: (B,) moments asked about.
        until_us, categories, value_kind: as of `targets.coming`.
    """
    first = sequences.offsets[customers]
    events = collate(sequences, customers, starts - first, stops - first, now_us)
    places = starts[:, None] + np.arange(events.us.shape[1])
    valid = events.valid.numpy()
    places = np.where(valid, places, 0)
    future, known = coming(
        sequences, stops, limits, now_us,
        until_us=until_us, categories=categories, value_kind=value_kind,
    )  # fmt: skip
    return TrainingBatch(
        events=events,
        customer=torch.from_numpy(customers.astype(np.int64)),
        next=following(sequences, places, valid, events.us.numpy(), stops, limits),
        masked=torch.zeros(valid.shape, dtype=torch.bool),
        own=told_at(sequences, places, valid),
        future=future,
        known=known,
    )


def enough(
    sequences: EventSequences, config: TrainConfig, *, until_us: int | None = None
) -> str | None:
    """Why there is too little to train on, for a person; None if there is enough.

    Needed are two steps' customers with two events or more (a slice of a customer is compared with
    another one, and with other customers'), and one step's events.
    """
    lengths: npt.NDArray[np.int64] = sequences.lengths
    if until_us is not None:
        first = sequences.offsets[:-1]
        us = sequences.fields["us"]
        lengths = first_at(us, first, sequences.offsets[1:], until_us) - first
    several, events = int((lengths > 1).sum()), int(lengths.sum())
    customers = 2 * config.batch_customers
    least = config.batch_customers * config.slices * config.slice_min
    if several >= customers and events >= least:
        return None
    return (
        f"a behaviour model needs {customers:,} customers with at least 2 events and {least:,} "
        f"events in all; there are {several:,} such customers and {events:,} events. With less, "
        "segments are made of features (shoal segment SHOP), and a smaller recipe needs fewer."
    )
