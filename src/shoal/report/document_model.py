"""What the behaviour model makes of some customers, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np


@dataclass(frozen=True)
class RestsOnEvent:
    """One event of a customer, and how much the customer's embedding rests on it.

    `item_id`, `title` and `category` are empty where the event has none; the title of a search is
    its query. `occlusion` is the distance (0 to 2) that the embedding moves without the event,
    `gradient` how fast it moves as the event fades.
    """

    moment: datetime
    kind: str
    item_id: str
    title: str
    category: str
    occlusion: float
    gradient: float


@dataclass(frozen=True)
class RestsOn:
    """What the embedding of one customer rests on.

    `total` counts the customer's events, of which the last, `events`, are looked at, oldest first.
    `fields` are distances moved when a field of all these events is hidden, `embedding` is where
    the customer lies.
    """

    customer_id: str
    total: int
    events: tuple[RestsOnEvent, ...]
    fields: Mapping[str, float] = field(default_factory=dict)
    embedding: tuple[float, ...] = ()

    def foremost(self, most: int) -> list[RestsOnEvent]:
        """The events that the embedding moves most without, the later one first of equals."""
        ranked = sorted(self.events, key=lambda one: (-one.occlusion, -one.moment.timestamp()))
        return ranked[:most]

    def held_by(self, most: int) -> float:
        """The share of all events' occlusion that the foremost ones have; 0 where there is none."""
        whole = sum(one.occlusion for one in self.events)
        return sum(one.occlusion for one in self.foremost(most)) / whole if whole else 0.0


@dataclass(frozen=True)
class ModelSeen:
    """The report's section on the behaviour model: one customer a segment, by segment id.

    `foreknown` says that the model was trained on events after the report's moment, `readable` that
    it could be used.
    """

    model_id: str
    trained_until: datetime
    foreknown: bool = False
    examples: Mapping[str, RestsOn] = field(default_factory=dict)
    readable: bool = True

    @property
    def apart(self) -> float | None:
        """The mean distance between two examples, 0 to 2; None of fewer than two."""
        known = np.array([one.embedding for one in self.examples.values() if one.embedding])
        if len(known) < 2:
            return None
        unit = known / np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-12)
        between = np.linalg.norm(unit[:, None] - unit[None], axis=2)
        return float(between.sum() / (len(unit) * (len(unit) - 1)))

    @property
    def fields(self) -> dict[str, float]:
        """Distance moved when a field is hidden, the mean of the customers that have the field."""
        return mean_fields(tuple(self.examples.values()))


def mean_fields(customers: Sequence[RestsOn]) -> dict[str, float]:
    """Means of `RestsOn.fields` over the customers that have the field, the greatest first."""
    names = dict.fromkeys(name for one in customers for name in one.fields)
    means = {
        name: float(np.mean([one.fields[name] for one in customers if name in one.fields]))
        for name in names
    }
    return dict(sorted(means.items(), key=lambda one: (-one[1], one[0])))
