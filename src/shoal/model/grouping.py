"""The forward over rows of unequal length, in portions of about equal length: less padding.

A batch holds short and long slices at random, since what it contrasts must not depend on length.
Its rows are computed in portions by length; the outputs are those of one forward over all.
Dimensions: B rows, L events, G portions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shoal.model.batch import EventBatch
from shoal.model.behaviour import BehaviourModel, StepOutput

Ints = npt.NDArray[np.int64]

#: What a further portion costs, in places of a model of width 1: on a processor as measured (580
#: places of width 32, 230 of width 128); on an accelerator, where launches cost more, about half of
#: what a whole step of few places costs there (measured: 370,000 places of width 128).
_PORTION_COST: Final = {"cpu": 24_000, "cuda": 24_000_000}
#: Rows that a backbone which reads events one after the other could read in the time in which it
#: does no more than go on: such a portion costs as if it had so many rows more (2 x 128 on a
#: processor: 0.31 ms an event, 46 us a row and event of the whole step).
_RECURRENT_ROWS: Final = {"cpu": 900, "cuda": 32_000}


def portion_cost(d_model: int, device: str, recurrent: bool = False) -> tuple[int, int]:
    """Places that a further portion must save, and rows that it counts beside its own."""
    cost = _PORTION_COST.get(device, _PORTION_COST["cuda"]) // d_model
    rows = _RECURRENT_ROWS.get(device, _RECURRENT_ROWS["cuda"]) // d_model
    return cost, rows if recurrent else 0


def portions(lengths: Ints, most: int, cost: int = 0, beside: int = 0) -> list[Ints]:
    """Rows in at most `most` portions such that padded places are fewest.

    Args:
        lengths: (B,) events of each row.
        cost: places that a further portion must save.
        beside: rows that every portion counts beside its own.

    Returns:
        rows of each portion; together all rows, each once.

    Exact, by dynamic programming over the distinct lengths.
    """
    order = np.argsort(lengths, kind="stable").astype(np.int64)
    distinct, starts = np.unique(lengths[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    # places[i, j]: of one portion that holds the distinct lengths i to j
    rows = ends[None, :] - starts[:, None]
    wide = (rows + beside) * (distinct[None, :] + 1) + cost
    places = np.where(rows > 0, wide, np.inf)
    best, cuts = places[0], []
    for _ in range(min(most, len(distinct)) - 1):
        joined = np.concatenate([[np.inf], best[:-1]])[:, None] + places
        cut = joined.argmin(axis=0)
        better = joined[cut, np.arange(len(distinct))]
        cuts.append(np.where(better < best, cut, 0))
        best = np.minimum(best, better)
    bounds, stop = [len(order)], len(distinct)
    for cut in reversed(cuts):
        at = int(cut[stop - 1])
        if at == 0:
            continue
        bounds.append(int(starts[at]))
        stop = at
    return [one for one in np.split(order, sorted(bounds[1:])) if len(one)]


def step_in_portions(
    model: BehaviourModel, batch: EventBatch, most: int, cost: int = 0, beside: int = 0
) -> StepOutput:
    """`model.step(batch)` computed in `portions` of rows; hidden states of padding may be zeros."""
    if most <= 1 or len(batch) < 2:
        return model.step(batch)
    groups = portions(batch.lengths.cpu().numpy(), most, cost, beside)
    if len(groups) == 1:
        return model.step(batch)
    order = torch.from_numpy(np.concatenate(groups)).to(batch.us.device)
    outputs = [model.step(part(batch, rows)) for rows in groups]
    width = batch.us.shape[1]
    back = torch.argsort(order)
    hidden = torch.cat(
        [nn.functional.pad(one.hidden, (0, 0, 0, width - one.hidden.shape[1])) for one in outputs]
    )
    carry = {
        name: torch.cat([one.carry[name] for one in outputs])[back] for name in outputs[0].carry
    }
    embedding = torch.cat([one.embedding for one in outputs])
    return StepOutput(hidden[back], embedding[back], carry)


def part(batch: EventBatch, rows: Ints) -> EventBatch:
    """Some rows, as wide as the longest of them, with the texts that they name."""
    index = torch.from_numpy(rows).to(batch.us.device)
    width = max(int(batch.lengths[index].max()), 1)
    cut = batch.rows(index).between(0, width)
    texts, places = _texts(cut.fields["text"], batch.texts)
    return replace(cut, fields={**cut.fields, "text": places}, texts=texts)


def _texts(codes: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of texts that codes name, row 0 first, and the codes in them."""
    named = torch.zeros(len(texts), dtype=torch.bool, device=texts.device)
    named[codes.reshape(-1)] = True
    named[0] = True
    places = torch.cumsum(named, 0) - 1
    return texts[named], places[codes]


def places_computed(lengths: Ints, most: int, cost: int = 0, beside: int = 0) -> int:
    """Places (NOW counted) that `portions` has."""
    found = portions(lengths, most, cost, beside)
    return sum(len(rows) * (int(lengths[rows].max()) + 1) for rows in found)
