"""A GRU trained end to end on the outcomes: what labels alone make of the events.

One network for all outcomes of a set, a linear layer for each: at an equal budget it sees the
events three or four times as often as a network for each would. The epoch that is kept is chosen
for each outcome apart, by its validation customers.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from bench.users.gru import EventGru
from bench.users.heads import parts
from bench.users.histories import NUMBERS, Histories
from bench.users.outcomes import ACTIVE, MIX, ORDERS, Outcome
from shoal.evaluation.deviance import Values

Rows = npt.NDArray[np.int64]
#: (n, m) linear predictors, losses or outcomes, by outcome.
Predictors = dict[str, torch.Tensor]

#: Customers a step and the events at the end of a history that are read; epochs without gain.
CUSTOMERS, LONGEST, PATIENCE = 64, 128, 5
#: Found on seed 1.
UNITS, RATE, DROPOUT = 128, 1e-3, 0.3
#: Batches whose customers are sorted by length together.
_HEAP = 10


class Forecaster(nn.Module):
    """The state after the last event and the silence since then -> linear predictors by outcome.

    The silence is told as the logarithm of its days: without it nobody could know that a customer
    has been away.
    """

    def __init__(self, known: Histories, outputs: Mapping[str, int], units: int = UNITS) -> None:
        super().__init__()
        self.encoder = EventGru(known.sizes, len(NUMBERS), units, DROPOUT)
        self.out = nn.ModuleDict({name: nn.Linear(units + 1, m) for name, m in outputs.items()})

    def forward(self, known: Histories, rows: Rows, moment: datetime) -> Predictors:
        """(n, m) by outcome, of customers by what came before the moment."""
        ends = known.ends(moment)[rows]
        starts = np.maximum(known.offsets[rows], ends - LONGEST)
        state = self.encoder(*known.slices(starts, ends))
        silence = torch.from_numpy(np.log1p(known.silence(ends, moment)))
        joined = torch.cat([state, silence[:, None]], dim=1)
        return {name: layer(joined) for name, layer in self.out.items()}


@dataclass
class _Best:
    """The epoch that told the validation customers most of one outcome."""

    weights: dict[str, torch.Tensor]
    loss: float = float("inf")
    epoch: int = 0


def forecast(
    known: Histories,
    learners: Rows,
    outcomes: Mapping[str, Outcome],
    before: datetime,
    asked: Rows,
    moment: datetime,
    *,
    seed: int,
    budget_s: float,
    units: int = UNITS,
) -> tuple[dict[str, Values], dict[str, int]]:
    """Forecasts (n, m) by outcome of those asked as of the moment, and the epochs that were kept.

    Learned from the learners as of `before`; stops after `PATIENCE` epochs without gain in any
    outcome or when the seconds are spent. Linear predictors stay within those of the learners.
    """  # fmt: skip
    torch.manual_seed(seed)
    fitted, held = parts(len(learners), seed)
    scales = {
        name: 1.0 if name in (ACTIVE, MIX) else max(float(one.values[fitted].mean()), 1e-12)
        for name, one in outcomes.items()
    }
    y = {
        name: torch.from_numpy(one.values / scales[name]).float() for name, one in outcomes.items()
    }
    model = Forecaster(known, {name: one.shape[1] for name, one in y.items()}, units)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    random, began, epoch = np.random.default_rng(seed), time.perf_counter(), 0
    best = {name: _Best(copy.deepcopy(model.state_dict())) for name in outcomes}
    lengths = (known.ends(before) - known.offsets[:-1])[learners]
    over = False
    while not over and epoch - max(one.epoch for one in best.values()) < PATIENCE:
        epoch += 1
        for some in _batches(fitted, lengths, random):
            model.train()
            losses = _losses(outcomes, model(known, learners[some], before), y, some)
            optimiser.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            over = time.perf_counter() - began > budget_s
            if over:
                break
        told = _losses(outcomes, _asked(model, known, learners[held], before), y, held)
        for name, loss in told.items():
            if float(loss) < best[name].loss:
                best[name] = _Best(copy.deepcopy(model.state_dict()), float(loss), epoch)
    found = {}
    for name, one in best.items():
        model.load_state_dict(one.weights)
        seen = _asked(model, known, learners, before)[name]
        predictors = _asked(model, known, asked, moment)[name].clamp(seen.amin(0), seen.amax(0))
        found[name] = scales[name] * _means(name, predictors).double().numpy()
    return found, {name: one.epoch for name, one in best.items()}


def _batches(rows: Rows, lengths: Rows, random: np.random.Generator | None = None) -> list[Rows]:
    """Customers of like length together, which saves padding; in random order for training: sorted
    within random heaps of `_HEAP` batches."""
    heaps = 1
    if random is not None:
        rows = random.permutation(rows)
        heaps = max(1, len(rows) // (_HEAP * CUSTOMERS))
    found = []
    for heap in np.array_split(rows, heaps):
        alike = heap[np.argsort(lengths[heap], kind="stable")]
        found += np.array_split(alike, max(1, len(alike) // CUSTOMERS))
    if random is not None:
        random.shuffle(found)
    return found


@torch.no_grad()
def _asked(model: Forecaster, known: Histories, rows: Rows, moment: datetime) -> Predictors:
    model.eval()
    ends = known.ends(moment)
    some = _batches(np.arange(len(rows)), (ends - known.offsets[:-1])[rows])
    found = [model(known, rows[batch], moment) for batch in some]
    back = torch.from_numpy(np.argsort(np.concatenate(some)))
    return {name: torch.cat([one[name] for one in found])[back] for name in model.out}


def _losses(
    outcomes: Mapping[str, Outcome], told: Predictors, y: Predictors, rows: Rows
) -> Predictors:
    """The loss of each outcome over the rows of whom it is known."""
    found = {}
    for name, outcome in outcomes.items():
        known = torch.from_numpy(outcome.known[rows])
        mine, theirs = told[name][known], y[name][rows][known]
        found[name] = _loss(name, mine, theirs) if len(mine) else told[name].sum() * 0
    return found


def _loss(name: str, told: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Half the mean deviance, up to a constant of the outcomes."""
    if name == ACTIVE:
        return functional.binary_cross_entropy_with_logits(told, y)
    if name == MIX:
        return functional.cross_entropy(told, y)
    told = told.clamp(-12, 12)
    if name == ORDERS:
        return (told.exp() - y * told).mean()
    return (2 * (told / 2).exp() + 2 * y * (-told / 2).exp()).mean()  # Tweedie of power 1.5


def _means(name: str, told: torch.Tensor) -> torch.Tensor:
    if name == ACTIVE:
        return told.sigmoid()
    return told.softmax(dim=1) if name == MIX else told.exp()
