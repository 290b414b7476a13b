"""Sample a world, block by block of customers: the same seed gives the same events.

A block has its own random generator, so that blocks can be drawn alone, in any order, in bounded
memory, and a longer list of customers begins with the same customers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shoal.events.worlds import catalogue as shelves
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import Customers, draw_customers
from shoal.events.worlds.funnel import draw_events
from shoal.events.worlds.sessions import draw_sessions

#: Customers drawn together. Part of a world's sampling: changing it changes the events.
BLOCK_CUSTOMERS = 4096
_CATALOGUE_STREAM, _CUSTOMER_STREAM = 0, 1


@dataclass(frozen=True)
class Block:
    """The customers of one block and their events (`funnel.RECORD`, by customer and time)."""

    customers: Customers
    events: npt.NDArray[np.void]


def build_catalogue(world: World, seed: int) -> Catalogue:
    """The items of a world under a seed."""
    return shelves.build(world.dials.items, _generator(seed, _CATALOGUE_STREAM, 0))


def blocks(
    world: World, catalogue: Catalogue, *, customers: int, days: int, seed: int
) -> Iterator[Block]:
    """Blocks of at most `BLOCK_CUSTOMERS` customers, in order of customer number."""
    sessions_before = 0
    for place, low in enumerate(range(0, customers, BLOCK_CUSTOMERS)):
        rng = _generator(seed, _CUSTOMER_STREAM, place)
        # A whole block is always drawn, then cut: customer 17 is the same in any size of shop.
        people = draw_customers(world, np.arange(low, low + BLOCK_CUSTOMERS), days, rng)
        sessions = draw_sessions(world, people, days, rng)
        events = draw_events(world, catalogue, people, sessions, sessions_before, days, rng)
        sessions_before += len(sessions.customer)
        if low + BLOCK_CUSTOMERS > customers:
            people = people.take(np.arange(customers - low))
            events = events[events["customer"] < customers]
        yield Block(customers=people, events=events)


def _generator(seed: int, stream: int, place: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, place])))
