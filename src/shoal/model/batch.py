"""Events of some customers (or slices of them) as one padded batch of tensors.

Dimensions: B rows, L events at most, U distinct texts, w numbers a text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shoal.domain.sequence import CODES, NUMBERS, TIME, EventSequences

Ints = npt.NDArray[np.int64]
_FIELDS: Final = (*CODES, *NUMBERS)


@dataclass(frozen=True)
class EventBatch:
    """A batch, padded on the right.

    Args:
        us: (B, L) int64, UTC microseconds; padding repeats the last moment of its row.
        lengths: (B,) int64, events of each row; may be 0.
        now_us: (B,) int64, the moment at which the row's customer is asked about.
        fields: code fields (B, L) int64 and numbers (B, L) float32 with NaN for unknown.
        texts: (U, w) rows that `fields["text"]` names; row 0 is no text.
    """

    us: Tensor
    lengths: Tensor
    now_us: Tensor
    fields: dict[str, Tensor]
    texts: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def valid(self) -> Tensor:
        """(B, L) bool, False in padding."""
        return torch.arange(self.us.shape[1], device=self.us.device) < self.lengths[:, None]

    def to(self, device: torch.device | str) -> EventBatch:
        """The batch on a device."""
        fields = {name: value.to(device) for name, value in self.fields.items()}
        moved = (one.to(device) for one in (self.us, self.lengths, self.now_us))
        us, lengths, now_us = moved
        return EventBatch(us, lengths, now_us, fields, self.texts.to(device))

    def rows(self, index: Tensor) -> EventBatch:
        """Some rows, with all texts."""
        fields = {name: value[index] for name, value in self.fields.items()}
        return EventBatch(
            self.us[index], self.lengths[index], self.now_us[index], fields, self.texts
        )

    def between(self, start: int, stop: int) -> EventBatch:
        """Events `start` to `stop` of every row; `now_us` stays."""
        fields = {name: value[:, start:stop] for name, value in self.fields.items()}
        lengths = (self.lengths - start).clamp(0, stop - start)
        return replace(self, us=self.us[:, start:stop], lengths=lengths, fields=fields)


def collate(
    sequences: EventSequences,
    rows: Ints,
    starts: Ints | None = None,
    stops: Ints | None = None,
    now_us: Ints | None = None,
) -> EventBatch:
    """Events [start, stop) of some customers as a batch.

    Args:
        rows: (B,) which customers; one may come more than once.
        starts, stops: (B,) places within a customer's events; None takes all of them.
        now_us: (B,) moments asked about; None: the moment of the last event (0 without one).

    Raises:
        ValueError: a slice is not within its customer's events.
    """
    lengths_all = sequences.lengths[rows]
    starts = np.zeros(len(rows), np.int64) if starts is None else starts
    stops = lengths_all if stops is None else stops
    if ((starts < 0) | (starts > stops) | (stops > lengths_all)).any():
        raise ValueError("a slice is not within its customer's events")
    lengths = stops - starts
    width = max(int(lengths.max(initial=0)), 1)
    first = sequences.offsets[rows] + starts
    places = first[:, None] + np.minimum(np.arange(width), np.maximum(lengths - 1, 0)[:, None])
    places = np.minimum(places, max(sequences.events - 1, 0))
    padding = np.arange(width) >= lengths[:, None]
    fields: dict[str, Tensor] = {}
    texts = torch.from_numpy(np.array(sequences.texts[:1]))
    for name in _FIELDS:
        values = _picked(sequences, name, places)
        values[padding] = np.nan if name in NUMBERS else 0
        if name == "text":
            distinct, values = _distinct(values)
            texts = torch.from_numpy(np.array(sequences.texts[distinct]))
        fields[name] = torch.from_numpy(values)
    us = _picked(sequences, TIME, places)
    us[lengths == 0] = 0
    last = us[:, -1] if now_us is None else np.asarray(now_us, np.int64)
    return EventBatch(
        torch.from_numpy(us), torch.from_numpy(lengths.copy()), torch.from_numpy(last.copy()),
        fields, texts,
    )  # fmt: skip


def _picked(sequences: EventSequences, name: str, places: Ints) -> npt.NDArray[np.generic]:
    dtype = np.float32 if name in NUMBERS else np.int64
    if not sequences.events:
        return np.zeros(places.shape, dtype)
    return np.asarray(sequences.fields[name][places], dtype)


def _distinct(codes: npt.NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Distinct codes with 0 first, and each code's place among them."""
    distinct, places = np.unique(np.append(codes.ravel(), 0), return_inverse=True)
    return distinct, places[:-1].reshape(codes.shape).astype(np.int64)
