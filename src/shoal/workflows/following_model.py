"""Embeddings of all customers by states of a behaviour model that follow a log, for a replay.

The model's own step: a customer's new events are read on top of the state after those before, and
the embedding of who had none ages. It gives what embedding the whole histories gives, to 1e-5.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.sequence import DTYPES, EventSequences
from shoal.domain.time import to_us
from shoal.features.items import tells_items
from shoal.features.sequences import read_sequences
from shoal.ports import EventTable
from shoal.segments.base import CUSTOMER
from shoal.workflows.embed import tokenizer_of
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.models import check


class Carried:
    """A model's states of all customers, by the events before a moment that only moves on.

    Args:
        events: in the order of time nothing counts otherwise later on.
        version: of the event table.

    Raises:
        UsageError, OperationError: `model_mismatch`, `missing_extra`, as of `embed.embeddings`.
    """

    def __init__(self, model: ModelInUse, events: EventTable, version: int | None) -> None:
        from shoal.model.runtime import EagerStepper

        check(model.found, model.rules)
        self._rules = model.rules
        self._tokenizer = tokenizer_of(model.found)
        self._stepper = EagerStepper.of(model.found, self._tokenizer.fingerprint)
        self._events = events
        self._version = version
        self._moment: datetime | None = None
        self._customers = pa.array([], pa.string())
        self._states = self._stepper.initial(1).take(np.empty(0, np.int64))

    def embeddings(self, moment: datetime) -> pa.Table:
        """`customer_id`, `e0`, ... (float32) of every customer with an event before a moment.

        Args:
            moment: not before the last one asked for.
        """
        now_us = to_us(moment)
        width = self._stepper.model.config.embedding_dim
        told = np.zeros((len(self._customers), width), np.float32)
        idle = np.ones(len(self._customers), bool)
        for part in read_sequences(
            self._events, self._tokenizer, self._rules,
            as_of=moment, since=self._moment, version=self._version,
        ):  # fmt: skip
            rows = self._rows(part)
            more = len(self._customers) - len(told)
            told = np.concatenate([told, np.zeros((more, width), np.float32)])
            idle = np.concatenate([idle, np.ones(more, bool)])
            told[rows] = self._read(part, rows, now_us)
            idle[rows] = False
        self._moment = moment
        silent = np.flatnonzero(idle)
        if len(silent):
            told[silent] = self._read(self._nothing(silent), silent, now_us)
        columns = [pa.array(column) for column in told.T]
        names = [f"e{place}" for place in range(width)]
        return pa.table([self._customers, *columns], names=[CUSTOMER, *names])

    def _rows(self, part: EventSequences) -> npt.NDArray[np.int64]:
        """Where the customers of some sequences are; new ones get a state."""
        names = pa.array(part.customers.tolist(), pa.string())
        places = pc.index_in(names, value_set=self._customers)
        if places.null_count:
            new = names.filter(pc.is_null(places))
            first = self._stepper.initial(len(new))
            self._customers = pa.concat_arrays([self._customers, new])
            self._states = type(first)(
                np.concatenate([self._states.floats, first.floats]),
                np.concatenate([self._states.ints, first.ints]),
            )
            places = pc.index_in(names, value_set=self._customers)
        return np.asarray(places.to_numpy(), np.int64)

    def _read(
        self, events: EventSequences, rows: npt.NDArray[np.int64], now_us: int
    ) -> npt.NDArray[np.float32]:
        """Step some customers; their embeddings."""
        moments = np.full(len(rows), now_us, np.int64)
        embeddings, after = self._stepper.read(events, self._states.take(rows), moments)
        self._states.floats[rows], self._states.ints[rows] = after.floats, after.ints
        return embeddings

    def _nothing(self, rows: npt.NDArray[np.int64]) -> EventSequences:
        """No event of some customers."""
        fields = {name: np.empty(0, dtype) for name, dtype in DTYPES.items()}
        customers = np.empty(len(rows), dtype=object)
        offsets = np.zeros(len(rows) + 1, np.int64)
        return EventSequences(customers, offsets, fields, self._stepper.about.texts[:1])


def carried(model: ModelInUse, events: EventTable, version: int | None) -> Carried | None:
    """States of the model that can follow the log; None where histories must be read whole.

    A backbone that looks back on the last events has no state; and what is told of an item later
    changes how earlier events with it are read.
    """
    from shoal.model.embedding import context_of

    if context_of(model.found.model) is not None:
        return None
    if tells_items(events.engine, events.events(version=version)):
        return None
    return Carried(model, events, version)
