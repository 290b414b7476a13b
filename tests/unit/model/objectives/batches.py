"""Training batches of made-up events: slices of whole customers, with what follows each event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from tests.unit.model import made
from torch import Tensor

from shoal.domain.sequence import DTYPES, KIND_CODES, NUMBERS, EventSequences
from shoal.model.batch import collate
from shoal.model.behaviour import BehaviourModel
from shoal.model.config import HORIZON_DAYS
from shoal.model.objectives.base import Objective, TrainingBatch

OWN: Final = ("kind", "item", "category1", "price_bucket")


def training_batch(
    sequences: EventSequences,
    rows: np.ndarray | None = None,
    starts: np.ndarray | None = None,
    stops: np.ndarray | None = None,
    *,
    categories: int = 7,
) -> TrainingBatch:
    """Slices (whole customers by default), asked about at their last event; no future is known."""
    rows = np.arange(len(sequences)) if rows is None else rows
    events = collate(sequences, rows, starts, stops)
    stops = sequences.lengths[rows] if stops is None else stops
    starts = np.zeros(len(rows), np.int64) if starts is None else starts
    places = sequences.offsets[rows, None] + starts[:, None] + np.arange(events.us.shape[1]) + 1
    known = torch.from_numpy(places < sequences.offsets[rows + 1, None]) & events.valid
    at = np.minimum(places, max(sequences.events - 1, 0))
    following = {
        name: torch.from_numpy(sequences.fields[name][at].astype(np.int64)) * known for name in OWN
    }
    gap_us = torch.from_numpy(sequences.fields["us"][at]) - events.us
    following["gap_s"] = torch.where(known, gap_us / 1e6, 0.0).float()
    return TrainingBatch(
        events=events,
        customer=torch.from_numpy(rows.astype(np.int64)),
        next=following,
        masked=torch.zeros_like(events.valid),
        own={name: events.fields[name] for name in OWN},
        future=no_future(len(rows), categories),
        known=torch.zeros(len(rows), len(HORIZON_DAYS), dtype=torch.bool),
    )


def no_future(batch: int, categories: int) -> dict[str, Tensor]:
    """What came after, where nothing came."""
    horizons = len(HORIZON_DAYS)
    return {
        "kinds": torch.zeros(batch, horizons, KIND_CODES),
        "categories": torch.zeros(batch, horizons, categories),
        "days": torch.zeros(batch, horizons),
        "spend": torch.zeros(batch, horizons),
    }


def padded(batch: TrainingBatch, more: int) -> TrainingBatch:
    """The same batch with `more` places of padding, which hold what padding may hold."""

    def longer(values: Tensor) -> Tensor:
        shape = (len(values), more)
        if values.dtype == torch.float32:
            return torch.cat([values, torch.full(shape, 7.0)], dim=1)
        if values.dtype == torch.bool:
            return torch.cat([values, torch.zeros(shape, dtype=torch.bool)], dim=1)
        return torch.cat([values, torch.zeros(shape, dtype=values.dtype)], dim=1)

    events = batch.events
    fields = {
        name: torch.cat([one, one.new_full((len(one), more), float("nan"))], dim=1)
        if one.is_floating_point()
        else longer(one)
        for name, one in events.fields.items()
    }
    us = torch.cat([events.us, events.us[:, -1:].expand(-1, more)], dim=1)
    return replace(
        batch,
        events=replace(events, us=us, fields=fields),
        next={name: longer(one) for name, one in batch.next.items()},
        masked=longer(batch.masked),
        own={name: longer(one) for name, one in batch.own.items()},
    )


def told(lengths: Sequence[int], **fields: np.ndarray) -> EventSequences:
    """Customers with these numbers of events, of which only these fields are told."""
    n = int(np.sum(lengths))
    whole = {
        name: np.full(n, np.nan if name in NUMBERS else 0, dtype) for name, dtype in DTYPES.items()
    }
    whole["kind"][:] = 1
    for name, values in fields.items():
        whole[name][:] = values
    names = np.array([f"c{row:05d}" for row in range(len(lengths))])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return EventSequences(names, offsets, whole, made.texts())


def halves(sequences: EventSequences) -> TrainingBatch:
    """Two slices of each customer: the first half of the events and the second."""
    rows = np.repeat(np.arange(len(sequences)), 2)
    whole = sequences.lengths[rows]
    second = np.arange(len(rows)) % 2 == 1
    starts, stops = np.where(second, whole // 2, 0), np.where(second, whole, whole // 2)
    return training_batch(sequences, rows, starts, stops)


def learn(
    objective: Objective,
    model: BehaviourModel,
    batch_of: Callable[[int], TrainingBatch],
    *,
    steps: int,
    rate: float = 1e-2,
) -> None:
    """Train a model and an objective's heads, on another batch each step."""
    model.train()
    objective.train()
    both = [*model.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(both, lr=rate, weight_decay=0.0)
    for step in range(steps):
        torch.manual_seed(step)
        batch = batch_of(step)
        loss, _ = objective(model, batch, model.step(batch.events))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both, 1.0)
        optimizer.step()
    model.eval()
    objective.eval()


def figures(objective: Objective, model: BehaviourModel, batch: TrainingBatch) -> dict[str, float]:
    """What the objective reports of a batch in evaluation, with its loss as `loss`."""
    model.eval()
    objective.eval()
    with torch.no_grad():
        loss, found = objective(model, batch, model.step(batch.events))
    return {"loss": float(loss), **found}
