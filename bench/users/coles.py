"""CoLES: embeddings by contrast of slices of one customer with slices of others.

Written from Babaev et al., "CoLES: Contrastive Learning for Event Sequences with
Self-Supervision" (SIGMOD 2022): random slices (their algorithm 1), a GRU, embeddings of unit norm,
and the contrastive loss of Hadsell, Chopra and LeCun ("Dimensionality reduction by learning an
invariant mapping", 2006) over all pairs of slices of one customer and the hardest of others:

    d(u, v)^2 for slices of one customer, max(0, margin - d(u, v))^2 for slices of two.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from bench.users.gru import EventGru
from bench.users.histories import NUMBERS, Histories

#: Settings of the authors.
MARGIN, SLICES, HARDEST, CUSTOMERS, RATE = 0.5, 5, 5, 64, 1e-3
#: Their least and greatest length of a slice on the set of longest histories. Where histories are
#: shorter the least is a quarter of the shop's median one.
LEAST, MOST = 25, 200
#: Width of the state, found on seed 1; the authors' 800 to 1024 are for a GPU and hours.
UNITS = 256
#: Events at the end of a history that an embedding reads at most.
LONGEST = 512


@dataclass
class Coles:
    """A trained encoder and what training it came to."""

    encoder: EventGru
    steps: int
    loss: float

    @torch.no_grad()
    def embed(
        self, known: Histories, moment: datetime, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """(n, units) unit vectors of customers' events before the moment."""
        self.encoder.eval()
        ends = known.ends(moment)[rows]
        starts = np.maximum(known.offsets[rows], ends - LONGEST)
        found = np.zeros((len(rows), self.encoder.units), np.float32)
        order = np.argsort(ends - starts, kind="stable")
        for some in np.array_split(order, max(1, len(order) // 128)):
            state = self.encoder(*known.slices(starts[some], ends[some]))
            found[some] = functional.normalize(state, dim=1).numpy()
        return found


def train(
    known: Histories, until: datetime, *, seed: int, budget_s: float, units: int = UNITS
) -> Coles:
    """Train on events before `until` for so many seconds, or at least one step.

    Raises:
        ValueError: fewer than two customers have a history long enough for two slices.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    starts, ends = known.offsets[:-1], known.ends(until)
    lengths = ends - starts
    least = int(np.clip(np.median(lengths[lengths > 0]) // 4, 1, LEAST))
    usable = np.flatnonzero(lengths >= max(2, least))
    if len(usable) < 2:
        raise ValueError(f"{len(usable)} customers have two events or more: too few to contrast")
    encoder = EventGru(known.sizes, len(NUMBERS), units)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=RATE)
    began, steps, loss = time.perf_counter(), 0, torch.tensor(0.0)
    while steps == 0 or time.perf_counter() - began < budget_s:
        drawn = random.choice(usable, size=min(CUSTOMERS, len(usable)), replace=False)
        rows = np.repeat(drawn, SLICES)
        low, high = sliced(lengths[rows], least, random)
        vectors = encoder(*known.slices(starts[rows] + low, starts[rows] + high))
        loss = contrast(functional.normalize(vectors, dim=1), torch.from_numpy(rows))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps += 1
    return Coles(encoder, steps, float(loss.detach()))


def sliced(
    lengths: npt.NDArray[np.int64], least: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ends [low, high) of a random slice of each history: its length even between `least` and the
    history's (at most `MOST`), its place even."""
    size = random.integers(np.minimum(least, lengths), np.minimum(lengths, MOST) + 1)
    low = random.integers(0, lengths - size + 1)
    return low, low + size


def contrast(vectors: torch.Tensor, customer: torch.Tensor) -> torch.Tensor:
    """The mean loss over pairs of one customer and, of each slice, the nearest of others.

    Args:
        vectors: (B, d) of unit norm.
        customer: (B,) same number = same customer.
    """
    squared = (2 - 2 * vectors @ vectors.T).clamp_min(0)
    same = customer[:, None] == customer[None]
    others = torch.where(same, torch.inf, squared)
    near = others.topk(min(HARDEST, len(vectors)), largest=False).values
    near = near[near.isfinite()]
    pairs = torch.triu(same, diagonal=1)
    apart = (MARGIN - (near + 1e-12).sqrt()).clamp_min(0).square()
    return (squared[pairs].sum() + apart.sum()) / max(1, int(pairs.sum()) + len(apart))
