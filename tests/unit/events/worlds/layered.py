"""Simulated shops for tests: a world with chosen layers, its events and its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from shoal.events import worlds
from shoal.events.worlds import sample, truth
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.layers import Layer, Setting


@dataclass(frozen=True)
class Shop:
    """A simulated shop and its truth; `rows` are `funnel.RECORD`, by customer and time."""

    world: World
    goods: Catalogue
    rows: np.ndarray
    truth: dict[str, pa.Table]

    def of(self, kind: str) -> np.ndarray:
        return np.asarray(self.rows[self.rows["kind"] == CODE[kind]])

    def seconds(self, table: str, column: str) -> np.ndarray:
        """Seconds since the world's start of a column of times; null is -1."""
        micros = self.truth[table][column].cast(pa.int64()).fill_null(-1).to_numpy()
        start = int(self.world.dials.start.timestamp())
        return np.where(micros < 0, -1, micros // 1_000_000 - start)


def simulated(
    layers: Sequence[Layer],
    customers: int,
    days: int,
    *,
    seed: int = 5,
    world: str | World = "steady",
) -> Shop:
    """A world, by name or as it is, with those layers alone."""
    chosen = worlds.load(world) if isinstance(world, str) else world
    chosen = replace(chosen, layers=tuple(layers))
    goods = sample.build_catalogue(chosen, seed)
    plans = sample.plans(Setting(chosen, goods, customers, days, seed))
    rows: list[np.ndarray] = []
    found: dict[str, list[pa.Table]] = {}
    for block in sample.blocks(
        chosen, goods, customers=customers, days=days, seed=seed, layers=plans
    ):
        rows.append(block.events)
        for name, tables in block.truth.items():
            found.setdefault(name, []).extend(tables)
    tables = {name: truth.kept(pa.concat_tables(parts), customers) for name, parts in found.items()}
    for plan in plans:
        tables |= plan.tables()
    return Shop(chosen, goods, np.concatenate(rows), tables)
