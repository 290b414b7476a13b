"""Layers: facts laid over a world's plain behaviour, each switched on by being named in a world.

A layer is a frozen declaration (part of the world's definition and digest). `plan` draws what holds
for the whole shop, from the seed alone; the plan then shapes block after block. Each layer has a
random generator of its own a block, so that switching one on leaves the draws of the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.events.worlds.catalogue import Catalogue
from shoal.events.worlds.customers import Customers
from shoal.events.worlds.sessions import Sessions

if TYPE_CHECKING:
    from shoal.events.worlds.base import World


def id_prefix(world: World, seed: int) -> str:
    """Ids of different worlds and seeds do not meet: two simulated shops can be one."""
    return f"{world.name}{seed}-"


@dataclass(frozen=True)
class Setting:
    """What a plan may know: the world, its items, and the size of the shop (`days` of log)."""

    world: World
    catalogue: Catalogue
    customers: int
    days: int
    seed: int

    @property
    def prefix(self) -> str:
        """Before ids: those of different worlds and seeds do not meet."""
        return id_prefix(self.world, self.seed)


@dataclass
class Draft:
    """One block of a shop while it is made.

    `people` has one entry a customer, as they are at first. `pieces` has one a customer and stretch
    of time in which nothing about them changes (`number` repeats, `birth_s` and `end_s` bound the
    stretch); `sessions.customer` is an index into `pieces`. `events` are `funnel.RECORD` rows,
    ordered by customer and time, with ids of sessions and orders that are unique in the shop; they
    are empty while sessions are shaped. `truth` gathers tables a file name, appended in order.
    """

    setting: Setting
    people: Customers
    pieces: Customers
    sessions: Sessions
    events: npt.NDArray[np.void]
    truth: dict[str, list[pa.Table]] = field(default_factory=dict)


class Plan(Protocol):
    """What a layer does to one shop. Every method may do nothing."""

    def shape_sessions(self, draft: Draft, rng: np.random.Generator) -> None:
        """Change `draft.sessions` before their events are drawn: add, drop, alter.

        Sessions need not stay ordered; they are put in order of customer and start afterwards.
        """
        ...

    def shape_visits(
        self, draft: Draft, rows: npt.NDArray[np.void], rng: np.random.Generator
    ) -> npt.NDArray[np.void]:
        """Change what happens in the visits, before orders are priced and refunded or reviewed.

        `rows` are `funnel.RECORD` ordered by session; `session` and `order` are still places in
        `draft.sessions`. What is returned has the same order.
        """
        ...

    def shape_events(self, draft: Draft, rng: np.random.Generator) -> None:
        """Change `draft.events`: add, drop, alter. They are put in order again afterwards."""
        ...

    def tables(self) -> dict[str, pa.Table]:
        """Truth tables of the whole shop, by file name without ending, after the last block."""
        ...


class Layer(Protocol):
    """A declared layer: a frozen dataclass of plain values."""

    def plan(self, setting: Setting, rng: np.random.Generator) -> Plan:
        """Draw what holds for the whole shop."""
        ...
