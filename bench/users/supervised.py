"""A GRU trained end to end on one outcome: what labels alone make of the events."""

from __future__ import annotations

import copy
import time
from datetime import datetime

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from bench.users.gru import UNITS, EventGru
from bench.users.heads import parts
from bench.users.histories import NUMBERS, Histories
from bench.users.outcomes import ACTIVE, MIX, ORDERS, Outcome
from shoal.evaluation.deviance import Values

#: Found on seeds 1 and 2.
CUSTOMERS, RATE, LONGEST, PATIENCE = 64, 2e-3, 256, 5


class Forecaster(nn.Module):
    """The state after the last event and the silence since then -> a linear predictor.

    The silence is told as the logarithm of its days: without it nobody could know that a customer
    has been away.
    """

    def __init__(self, known: Histories, outputs: int, units: int = UNITS) -> None:
        super().__init__()
        self.encoder = EventGru(known.sizes, len(NUMBERS), units)
        self.out = nn.Linear(units + 1, outputs)

    def forward(
        self, known: Histories, rows: npt.NDArray[np.int64], moment: datetime
    ) -> torch.Tensor:
        """(n, outputs) of customers by what came before the moment."""
        ends = known.ends(moment)[rows]
        starts = np.maximum(known.offsets[rows], ends - LONGEST)
        state = self.encoder(*known.slices(starts, ends))
        silence = torch.from_numpy(np.log1p(known.silence(ends, moment)))
        return self.out(torch.cat([state, silence[:, None]], dim=1))


def forecast(
    known: Histories,
    learners: npt.NDArray[np.int64],
    outcome: Outcome,
    before: datetime,
    asked: npt.NDArray[np.int64],
    moment: datetime,
    *,
    seed: int,
    budget_s: float,
    units: int = UNITS,
) -> tuple[Values, int]:
    """Forecasts (n, m) of those asked as of the moment, and the epochs that were trained.

    Learned from the learners as of `before`; stops after `PATIENCE` epochs without gain on its
    validation customers or when the seconds are spent, and keeps the best epoch. Linear predictors
    stay within those of the learners.
    """  # fmt: skip
    torch.manual_seed(seed)
    fitted, held = (rows[outcome.known[rows]] for rows in parts(len(learners), seed))
    scale = 1.0 if outcome.name in (ACTIVE, MIX) else max(float(outcome.values.mean()), 1e-12)
    y = torch.from_numpy(outcome.values / scale).float()
    model = Forecaster(known, outcome.values.shape[1], units)
    if outcome.name == ACTIVE:
        share = float(np.clip(outcome.values[fitted].mean(), 1e-3, 1 - 1e-3))
        nn.init.constant_(model.out.bias, float(np.log(share / (1 - share))))
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    random, began = np.random.default_rng(seed), time.perf_counter()
    best, kept, since, epochs = np.inf, copy.deepcopy(model.state_dict()), 0, 0
    while len(fitted) > 1 and len(held) and since < PATIENCE:
        for some in _batches(random.permutation(fitted)):
            model.train()
            loss = _loss(outcome.name, model(known, learners[some], before), y[some])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if time.perf_counter() - began > budget_s:
                break
        epochs += 1
        told = float(_loss(outcome.name, _asked(model, known, learners[held], before), y[held]))
        best, since = (told, 0) if told < best else (best, since + 1)
        if since == 0:
            kept = copy.deepcopy(model.state_dict())
        if time.perf_counter() - began > budget_s:
            break
    model.load_state_dict(kept)
    seen = _asked(model, known, learners, before)
    found = _asked(model, known, asked, moment).clamp(seen.amin(0), seen.amax(0))
    return scale * _means(outcome.name, found).double().numpy(), epochs


def _batches(rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.array_split(rows, max(1, len(rows) // CUSTOMERS))


@torch.no_grad()
def _asked(
    model: Forecaster, known: Histories, rows: npt.NDArray[np.int64], moment: datetime
) -> torch.Tensor:
    model.eval()
    order = np.argsort(known.ends(moment)[rows], kind="stable")
    found = [model(known, rows[some], moment) for some in _batches(order)]
    return torch.cat(found)[torch.from_numpy(np.argsort(order, kind="stable"))]


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
