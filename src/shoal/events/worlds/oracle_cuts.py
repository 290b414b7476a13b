"""The oracle at the cuts of a log: who it would put where, for everyone there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.events.worlds import oracle, sample
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import DAY_S
from shoal.events.worlds.encode import numbered, texts

Ints = npt.NDArray[np.int64]


def memberships(
    world: World, *, customers: int, days: int, seed: int, cuts: Sequence[int]
) -> pa.Table:
    """What the oracle says of the shop that `simulate` writes with these arguments.

    Args:
        cuts: days, from 1 on; events before their local midnight count.

    Returns:
        One row a cut and customer who is there then and not seen once only: `day`, `customer_id`,
        `segment` (the truth), `likeliest`, `probability` (of the likeliest), `events` of the stay.
    """
    catalogue = sample.build_catalogue(world, seed)
    parts = [
        _block(world, catalogue, block, day, days)
        for block in sample.blocks(world, catalogue, customers=customers, days=days, seed=seed)
        for day in cuts
    ]
    return pa.concat_tables(parts)


def _block(
    world: World, catalogue: Catalogue, block: sample.Block, day: int, days: int
) -> pa.Table:
    people, pieces = block.customers, block.pieces
    n = len(people.number)
    everyone = np.arange(n)
    # The piece each customer is in on the last day before the cut, and when its stay began.
    key = pieces.person * (1 << 20) + pieces.since
    piece = np.searchsorted(key, everyone * (1 << 20) + day - 1, side="right") - 1
    stay = pieces.stay - pieces.stay.min()
    began = np.full(int(stay.max()) + 1, 1 << 40)
    np.minimum.at(began, stay, pieces.since)
    since = began[stay[piece]]
    there = (people.birth_s < day * DAY_S) & (people.end_s > day * DAY_S) & ~people.one_off
    rows = block.events[block.events["time_s"] < day * DAY_S]
    who: Ints = rows["customer"] - people.number[0]
    counts = there[who] & (rows["time_s"] >= since[who] * DAY_S)
    group = np.where(counts, who, -1)
    chance = oracle.posterior(world, catalogue, rows, group, n, day, days)
    names = tuple(segment.name for segment in world.segments)
    kept = np.flatnonzero(there)
    return pa.table(
        {
            "day": pa.repeat(day, len(kept)),
            "customer_id": numbered("c", people.number[kept], 8),
            "segment": texts(names, pieces.segment[piece[kept]]).cast(pa.string()),
            "likeliest": texts(names, chance[kept].argmax(axis=1)).cast(pa.string()),
            "probability": pa.array(chance[kept].max(axis=1)),
            "events": pa.array(np.bincount(who[counts], minlength=n)[kept]),
        }
    )
