"""Embeddings of whole histories: customers of like length together, long ones in portions of time.

What is in memory at once is bounded by the events of a portion, however long histories are: a
portion goes on from the state that the one before left. A backbone that does not stream is given
the last events of each customer, as many as it looks back on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from shoal.domain.sequence import EventSequences
from shoal.model.backbones import Carry
from shoal.model.batch import collate
from shoal.model.behaviour import BehaviourModel

#: Events (with padding) in one batch.
EVENTS_A_BATCH: Final = 16_384
#: Events of one customer that are read at once.
PORTION: Final = 512
#: Customers in one batch at most.
_ROWS: Final = 1_024

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def embed(
    model: BehaviourModel,
    sequences: EventSequences,
    now_us: int | Ints,
    *,
    told: Callable[[int], None] | None = None,
) -> Floats:
    """(n, e) float32 embeddings of customers at a moment.

    Args:
        now_us: the moment, not before any event; one for all or (n,).
        told: called with the number of events after each batch.
    """
    found = np.zeros((len(sequences), model.config.embedding_dim), np.float32)
    moments = np.broadcast_to(np.asarray(now_us, np.int64), (len(sequences),))
    training = model.training
    model.eval()
    try:
        for rows in batches(sequences.lengths, context_of(model)):
            found[rows] = read(model, sequences, rows, moments[rows])[0]
            if told:
                told(int(sequences.lengths[rows].sum()))
    finally:
        model.train(training)
    return found


def read(
    model: BehaviourModel,
    sequences: EventSequences,
    rows: Ints,
    now_us: Ints,
    carry: Carry | None = None,
    *,
    starts: Ints | None = None,
    stops: Ints | None = None,
) -> tuple[Floats, Carry]:
    """Embeddings (b, e) of some customers after their events, on top of a state, and the state.

    Args:
        rows, starts, stops: as of `collate`; a customer may have no event.
        now_us: (b,) the moments asked about.
        carry: the states before; None: of customers without an event.
    """
    lengths = sequences.lengths[rows]
    start = np.zeros_like(lengths) if starts is None else starts
    stop = lengths if stops is None else stops
    context = context_of(model)
    if context is not None:
        start = np.maximum(start, stop - context)
    device = model.readout.project.weight.device
    with torch.inference_mode():
        while True:
            end = np.minimum(start + PORTION, stop) if context is None else stop
            # a portion that is not the last is asked about its own end; nobody reads the answer
            batch = collate(sequences, rows, start, end, now_us).to(device)
            output = model.step(batch, carry)
            start, carry = end, output.carry
            if (start >= stop).all():
                return output.embedding.float().cpu().numpy(), carry


def context_of(model: BehaviourModel) -> int | None:
    """The last events that a backbone which does not stream is given; None for one that does."""
    return None if model.backbone.streams else int(model.config.context)


def batches(lengths: Ints, context: int | None = None) -> Iterator[Ints]:
    """Places of customers, those of like length together, within `EVENTS_A_BATCH`.

    >>> [one.tolist() for one in batches(np.array([3, 1, 2]))]
    [[1, 2, 0]]
    """
    read_at_once = np.minimum(lengths, PORTION if context is None else context)
    order = np.argsort(lengths, kind="stable")
    first = 0
    while first < len(order):
        stop = min(first + _ROWS, len(order))
        widths = np.maximum(read_at_once[order[first:stop]], 1)
        fits = widths * np.arange(1, len(widths) + 1) <= EVENTS_A_BATCH
        # histories beyond a portion are read as long as the longest of them
        alike = lengths[order[first:stop]] <= np.maximum(2 * lengths[order[first]], PORTION)
        taken = max(int((fits & alike).cumprod().sum()), 1)
        yield order[first : first + taken]
        first += taken
