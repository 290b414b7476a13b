"""A sampled world in memory, for tests that recompute from its events what was planted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from shoal.events import worlds
from shoal.events.worlds import sample, truth
from shoal.events.worlds.base import World, with_dials
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.spells import Pieces


@dataclass(frozen=True)
class Drawn:
    """Events and truth of one world. `pieces.person` is an index into `people`."""

    world: World
    goods: Catalogue
    days: int
    rows: np.ndarray
    people: Customers
    pieces: Pieces

    def of(self, *kinds: str) -> np.ndarray:
        """The events of those kinds."""
        return self.rows[np.isin(self.rows["kind"], [CODE[kind] for kind in kinds])]

    def piece_at(self, customer: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Index of the piece a customer is in on a day (the last one begun)."""
        key = self.pieces.person * 100_000 + self.pieces.since
        return np.searchsorted(key, customer * 100_000 + day, side="right") - 1

    def segment_of(self, rows: np.ndarray) -> np.ndarray:
        """The segment each event's customer is in at its time."""
        piece = self.piece_at(rows["customer"], rows["time_s"] // DAY_S)
        return self.pieces.segment[piece]

    def sessions(self) -> np.ndarray:
        """The first event of every session."""
        rows = self.rows[self.rows["session"] >= 0]
        return rows[np.unique(rows["session"], return_index=True)[1]]

    def spells(self) -> pa.Table:
        """The truth table of spells."""
        return truth.truth_spells(self.world, self.people, self.pieces, self.days)


@lru_cache(maxsize=6)
def drawn(
    name: str, *, blocks: int = 2, days: int = 200, seed: int = 3, difficulty: float | None = None,
    dials: tuple[tuple[str, object], ...] = (),
) -> Drawn:  # fmt: skip
    """A world of whole blocks of customers, numbered from 0."""
    world = with_dials(worlds.load(name), dict(dials), difficulty)
    goods = sample.build_catalogue(world, seed)
    customers = blocks * sample.BLOCK_CUSTOMERS
    found = list(sample.blocks(world, goods, customers=customers, days=days, seed=seed))

    def joined(parts: list[object], kind: type) -> object:
        names = parts[0].__dataclass_fields__
        return kind(**{n: np.concatenate([getattr(one, n) for one in parts]) for n in names})

    pieces = joined([one.pieces for one in found], Pieces)
    offset = np.repeat(
        np.arange(len(found)) * sample.BLOCK_CUSTOMERS, [len(one.pieces.person) for one in found]
    )
    pieces.person[:] += offset
    return Drawn(
        world, goods, days, np.concatenate([one.events for one in found]),
        joined([one.customers for one in found], Customers), pieces,
    )  # fmt: skip
