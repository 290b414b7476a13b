"""Training batches of made-up events: slices of whole customers, with what follows each event."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from shoal.domain.sequence import KIND_CODES, EventSequences
from shoal.model.batch import collate
from shoal.model.config import HORIZON_DAYS
from shoal.model.objectives.base import TrainingBatch

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
