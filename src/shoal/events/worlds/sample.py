"""Sample a world, block by block of customers: the same seed gives the same events.

A block has its own random generators, so that blocks can be drawn alone, in any order, in bounded
memory, and a longer list of customers begins with the same customers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.events.worlds import catalogue as shelves
from shoal.events.worlds.base import World
from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import Customers, draw_persons, settle
from shoal.events.worlds.funnel import RECORD, draw_events, in_order
from shoal.events.worlds.layers import Draft, Plan, Setting
from shoal.events.worlds.sessions import draw_sessions
from shoal.events.worlds.spells import Pieces, draw_pieces

#: Customers drawn together. Part of a world's sampling: changing it changes the events.
BLOCK_CUSTOMERS = 4096
_CATALOGUE_STREAM, _CUSTOMER_STREAM, _PLAN_STREAM, _LAYER_STREAM = 0, 1, 2, 3


@dataclass(frozen=True)
class Block:
    """The customers of one block and their events (`funnel.RECORD`, by customer and time).

    `pieces` are the stretches of the customers' lives, `pieces.person` an index into `customers`;
    `truth` holds tables that layers made, by file name.
    """

    customers: Customers
    events: npt.NDArray[np.void]
    pieces: Pieces
    truth: dict[str, list[pa.Table]] = field(default_factory=dict)


def build_catalogue(world: World, seed: int) -> Catalogue:
    """The items of a world under a seed."""
    dials = world.dials
    return shelves.build(
        dials.items, _generator(seed, _CATALOGUE_STREAM, 0), price_scale=dials.price_scale,
        price_spread=dials.price_spread,
        concentration=dials.item_concentration, arriving=dials.arriving_items,
    )  # fmt: skip


def plans(setting: Setting) -> list[Plan]:
    """What each of the world's layers does to a shop, in their order."""
    return [
        layer.plan(setting, _generator(setting.seed, _PLAN_STREAM, place))
        for place, layer in enumerate(setting.world.layers)
    ]


def blocks(
    world: World, catalogue: Catalogue, *, customers: int, days: int, seed: int,
    layers: list[Plan] | None = None, block_customers: int = BLOCK_CUSTOMERS,
) -> Iterator[Block]:  # fmt: skip
    """Blocks of at most `block_customers` customers, in order of customer number.

    Args:
        layers: plans of the world's layers, where a caller needs their tables afterwards.
        block_customers: another size than the usual one gives other draws of the same world, as
            good for measuring it and in less time where few customers are wanted.
    """
    setting = Setting(world, catalogue, customers, days, seed)
    if layers is None:
        layers = plans(setting)
    sessions_before = 0
    for place, low in enumerate(range(0, customers, block_customers)):
        number = np.arange(low, low + block_customers)
        draft, pieces = _drawn(setting, layers, place, number, sessions_before)
        sessions_before += len(draft.sessions.customer)
        people, events = draft.people, draft.events
        if low + block_customers > customers:
            people = people.take(np.arange(customers - low))
            events = events[events["customer"] < customers]
            pieces = pieces.take(pieces.person < customers - low)
        yield Block(customers=people, events=events, pieces=pieces, truth=draft.truth)


def _drawn(
    setting: Setting,
    layers: list[Plan],
    place: int,
    number: npt.NDArray[np.int64],
    sessions_before: int,
) -> tuple[Draft, Pieces]:
    """A whole block, layers and all: it is always drawn whole, then cut, so that customer 17 is
    the same in any size of shop."""
    world, days = setting.world, setting.days
    rng = _generator(setting.seed, _CUSTOMER_STREAM, place)
    layer_rngs = [
        _generator(setting.seed, _LAYER_STREAM + layer, place) for layer in range(len(layers))
    ]
    persons = draw_persons(world, number, days, rng)
    pieces = draw_pieces(world, persons.lives(days), days, rng)
    settled = settle(world, persons, pieces, days, rng)
    draft = Draft(
        setting, people=_people(settled), pieces=settled,
        sessions=draw_sessions(world, settled, days, rng), events=np.empty(0, RECORD),
    )  # fmt: skip
    for plan, own in zip(layers, layer_rngs, strict=True):
        plan.shape_sessions(draft, own)
    if layers:
        draft.sessions = draft.sessions.ordered(draft.pieces)
    shapers = [
        partial(plan.shape_visits, draft, rng=own)
        for plan, own in zip(layers, layer_rngs, strict=True)
    ]
    draft.events = draw_events(
        world, setting.catalogue, draft.pieces, draft.sessions, sessions_before, days, rng, shapers
    )
    for plan, own in zip(layers, layer_rngs, strict=True):
        plan.shape_events(draft, own)
        draft.events = in_order(draft.events, days)
    return draft, pieces


def _people(pieces: Customers) -> Customers:
    """One entry a customer: as in their first piece, with the end of their last."""
    opening = np.flatnonzero(pieces.opening)
    last = np.append(opening[1:], len(pieces.number)) - 1
    people = pieces.take(opening)
    people.end_s[:] = pieces.end_s[last]
    return people


def _generator(seed: int, stream: int, place: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, place])))
