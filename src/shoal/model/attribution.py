"""Which events, and which facts of events, a customer's embedding rests on.

Distances are between embeddings of length one: 0 is no change, 2 the opposite.

Two views of an event. *Occlusion*: how far the embedding moves when the event is left out, as if it
had never happened, so the gap of the event after it grows (Zeiler and Fergus, "Visualizing and
understanding convolutional networks", 2014). *Gradient times input*: how fast it moves when the
event's encoding fades, |J_i x_i| with J_i the derivative of the embedding by the encoding x_i
(Shrikumar et al., "Learning important features through propagating activation differences", 2017;
here of a vector, so the length of what each direction moves).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shoal.domain.sequence import EventSequences
from shoal.model.backbones import Carry
from shoal.model.batch import EventBatch, collate
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import TOUCH
from shoal.model.embedding import context_of, read

Floats = npt.NDArray[np.float64]

#: The last events of a customer that are looked at; earlier ones are read and stay as they are.
MOST_EVENTS: Final = 64

#: What is hidden together, and with which fields of an event.
FIELDS: Final = {
    "kind": ("kind",),
    "item": ("item",),
    "category": ("category1", "category2", "category3"),
    "brand": ("brand",),
    "price": ("price", "price_bucket", "discount"),
    "quantity": ("quantity",),
    "rating": ("rating",),
    "time": ("hour", "weekday"),
    "text": ("text",),
    "channel and device": ("channel", "device"),
}
#: Rows of a batch at once.
_ROWS: Final = 64


@dataclass(frozen=True)
class Attribution:
    """What the embedding of one customer rests on.

    Args:
        embedding: (e,) of the customer at the moment asked about.
        first: place among the customer's events of the first one that was looked at.
        occlusion: (m,) distance moved when each of the m events is left out.
        gradient: (m,) length of the derivative along each event's encoding.
        fields: distance moved when a field of all m events is hidden, for the fields that they
            have; `time` is as if all of them had happened at the moment asked about.
    """

    embedding: Floats
    first: int
    occlusion: Floats
    gradient: Floats
    fields: dict[str, float]


def attribute(
    model: BehaviourModel,
    sequences: EventSequences,
    row: int,
    now_us: int,
    *,
    most: int = MOST_EVENTS,
) -> Attribution:
    """What the embedding of one customer at a moment rests on.

    Args:
        model: in evaluation mode; left as it is.
        row: which customer of the sequences.
        now_us: the moment asked about, not before the last event.
        most: of the customer's last events are looked at.

    Raises:
        ValueError: the customer has no event, or the model is in training mode.
    """
    length = int(sequences.lengths[row])
    if not length:
        raise ValueError(f"customer {sequences.customers[row]} has no event")
    if model.training:
        raise ValueError("attribution needs the model in evaluation mode")
    first = length - min(length, most, context_of(model) or length)
    with torch.no_grad():
        history = _History(model, sequences, row, now_us, first)
        z = history.embedded(history.batch)[0]
        left_out = history.embedded(history.without_each())
        hidden = {
            name: float(_distance(history.embedded(one)[0], z)) for name, one in history.hidden()
        }
    return Attribution(
        np.asarray(z, np.float64),
        first,
        _distance(left_out, z).double().numpy(),
        history.gradients(len(z)),
        hidden,
    )


class _History:
    """One customer's last events, on top of the state that the earlier ones left.

    A backbone that does not stream reads all events that it looks back on each time anew.
    """

    def __init__(
        self, model: BehaviourModel, sequences: EventSequences, row: int, now_us: int, first: int
    ) -> None:
        self.model = model
        rows, now = np.array([row]), np.array([now_us], np.int64)
        context = context_of(model)
        start = first if context is None else max(0, int(sequences.lengths[row]) - context)
        self.batch = collate(sequences, rows, np.array([start]), None, now)
        #: Place in the batch of the first event that is looked at.
        self.first = first - start
        self.carry: Carry | None = None
        if start and context is None:
            _, carry = read(model, sequences, rows, now, stops=np.array([start]))
            self.carry = {name: one.clone() for name, one in carry.items()}  # to derive through

    @property
    def length(self) -> int:
        return int(self.batch.lengths[0])

    def embedded(self, batch: EventBatch) -> Tensor:
        """(B, e) embeddings of variants."""
        parts = torch.arange(len(batch)).split(_ROWS)
        return torch.cat(
            [self.model.step(batch.rows(one), self._carried(len(one))).embedding for one in parts]
        )

    def _carried(self, rows: int) -> Carry | None:
        if self.carry is None:
            return None
        return {name: one.expand(rows, *one.shape[1:]) for name, one in self.carry.items()}

    def without_each(self) -> EventBatch:
        """A row an event that is looked at, without it."""
        length = self.length
        kept = torch.arange(length - 1).repeat(length - self.first, 1)
        left_out = torch.arange(self.first, length)[:, None]
        index = kept + (kept >= left_out)
        return replace(
            self.batch,
            us=self.batch.us[0][index],
            lengths=torch.full((len(index),), length - 1),
            now_us=self.batch.now_us.expand(len(index)),
            fields={name: one[0][index] for name, one in self.batch.fields.items()},
        )

    def hidden(self) -> Iterator[tuple[str, EventBatch]]:
        """The events with each of the fields hidden that one of them has."""
        for group, names in FIELDS.items():
            told = [name for name in names if self._told(name)]
            if told or group == "time":
                yield group, self._without(told, timeless=group == "time")

    def _told(self, name: str) -> bool:
        if name in TOUCH and name not in self.model.config.touch:
            return False  # the model does not read it
        values = self.batch.fields[name][:, self.first :]
        known = ~values.isnan() if values.is_floating_point() else values > 0
        return bool(known.any())

    def _without(self, names: list[str], *, timeless: bool) -> EventBatch:
        fields = dict(self.batch.fields)
        for name in names:
            values = fields[name].clone()
            values[:, self.first :] = torch.nan if values.is_floating_point() else 0
            fields[name] = values
        us = self.batch.us
        if timeless:
            us = us.clone()
            us[:, self.first :] = self.batch.now_us[:, None]
        return replace(self.batch, us=us, fields=fields)

    def gradients(self, width: int) -> Floats:
        """(m,) |J_i x_i| of the events that are looked at.

        The customer stands in the batch once for each dimension of the embedding, so that one pass
        back gives all derivatives.
        """
        rows = torch.zeros(width, dtype=torch.int64)
        with _watched(self.model) as seen, torch.enable_grad():
            unit = nn.functional.normalize(
                self.model.step(self.batch.rows(rows), self._carried(width)).embedding, dim=-1
            )
            (x,) = seen
            (slope,) = torch.autograd.grad(unit.diagonal().sum(), x)
        moved = (slope * x).detach().sum(dim=-1)[:, self.first : self.length]
        return moved.norm(dim=0).double().numpy()


@contextmanager
def _watched(model: BehaviourModel) -> Iterator[list[Tensor]]:
    """Encodings that the model reads within the block, as leaves to derive by."""
    seen: list[Tensor] = []

    def leaf(_module: nn.Module, _given: Any, told: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x = told[0].detach().requires_grad_()
        seen.append(x)
        return x, told[1]

    handle = model.encoder.register_forward_hook(leaf)
    try:
        yield seen
    finally:
        handle.remove()


def _distance(left: Tensor, right: Tensor) -> Tensor:
    """(...) distances of embeddings of length one."""
    both = (nn.functional.normalize(one, dim=-1) for one in (left, right))
    return torch.linalg.vector_norm(torch.sub(*both), dim=-1)
