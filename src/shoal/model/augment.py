"""Slices told a little differently: what a customer might as well have done.

Every one keeps the moment asked about and what came after it, and moves what is known of an event
(its successor, its own fields before it was hidden) together with the event. None loops over
events. Dimensions: B slices, L events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shoal.domain.sequence import CODES, MASK, NUMBERS, Array
from shoal.model.config import AUGMENTATIONS, TrainConfig
from shoal.model.objectives.base import TrainingBatch

#: Events closer than this belong to one session.
SESSION_GAP_US: Final = 30 * 60 * 1_000_000
#: Share of events that the objective `masked` hides unless another is set (Devlin et al., 2019).
MASK_SHARE: Final = 0.15
#: Prices of similar items (log1p of the price over the shop's median) differ by no more than this.
_NEAR_PRICE: Final = 0.25
#: Stands for an unknown price, beyond all known ones.
_NO_PRICE: Final = 1_000.0
#: Points of a slice at which time runs by a factor of its own; in between it is interpolated.
_KNOTS: Final = 4

Ints = npt.NDArray[np.int64]


def strengths(config: TrainConfig) -> dict[str, float]:
    """The strength of each augmentation; the objective `masked` brings hidden events with it."""
    found = dict(config.augment)
    if config.weights.get("masked"):
        found.setdefault("mask", MASK_SHARE)
    return {name: strength for name, strength in found.items() if strength}


def augment(
    batch: TrainingBatch,
    settings: Mapping[str, float],
    rng: np.random.Generator,
    similar: Similar | None = None,
) -> TrainingBatch:
    """The batch told differently; a pure function of its arguments.

    Args:
        batch: on the processor, with nothing hidden yet.
        settings: augmentation -> strength; absent or 0 is off. `crop`: the share of events that is
            cut off at most. `reorder`, `substitute`, `mask`: the share of sessions, of events with
            an item, of events. `time_warp`: standard deviation of the log of how fast time runs.
        similar: which items may stand for each other; needed by `substitute`.

    Raises:
        ValueError: an unknown augmentation, or `substitute` without `similar`.
    """
    unknown = set(settings) - set(AUGMENTATIONS)
    if unknown:
        raise ValueError(f"no augmentation is called {min(unknown)!r}")
    if settings.get("substitute") and similar is None:
        raise ValueError("substitute needs to know which items are similar")
    for name, apply in _ALL.items():
        strength = settings.get(name, 0.0)
        if strength:
            batch = apply(batch, strength, rng, similar)
    return batch


@dataclass(frozen=True)
class Similar:
    """Which known items may stand for each other: of one deepest category, of about one price.

    Args:
        codes: what is told of each known item (row i is item code i + 1): categories, brand, text.
        texts: rows that `codes["text"]` names.
        order: (n,) rows by category and price; `place` is its inverse.
        start, stop: (n,) bounds in `order` of an item's own category and price.
    """

    codes: Mapping[str, Ints]
    texts: Array
    order: Ints
    place: Ints
    start: Ints
    stop: Ints

    @classmethod
    def of(cls, items: Mapping[str, Array]) -> Self:
        """Of codes, price and texts of the known items, as `BehaviourModel` takes them."""
        codes = {name: np.asarray(items[name], np.int64) for name in items if name in CODES}
        price = np.clip(np.asarray(items["price"], np.float64), 0.0, _NO_PRICE / 2)
        group = np.zeros(len(price), np.int64)
        first = 1
        for level in ("category1", "category2", "category3"):
            group = np.where(codes[level] > 0, first + codes[level], group)
            first += int(codes[level].max(initial=0)) + 1
        key = group * (2 * _NO_PRICE) + np.nan_to_num(price, nan=_NO_PRICE)
        order = np.argsort(key, kind="stable").astype(np.int64)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        start = np.searchsorted(key[order], key - _NEAR_PRICE)
        stop = np.searchsorted(key[order], key + _NEAR_PRICE, side="right")
        return cls(codes, items["texts"], order, place, start, np.where(group > 0, stop, start))

    def draw(self, items: Ints, rng: np.random.Generator) -> Ints:
        """A similar item's code for each, of any shape; 0 where there is none or no known item."""
        drawn = rng.random(items.shape)
        known = (items > 0) & (items <= len(self.order))
        if not known.any():
            return np.zeros(items.shape, np.int64)
        rows = np.where(known, items - 1, 0)
        start, others = self.start[rows], self.stop[rows] - self.start[rows] - 1
        to = start + np.floor(drawn * np.maximum(others, 1)).astype(np.int64)
        to += to >= self.place[rows]  # all but itself
        found = self.order[np.minimum(to, len(self.order) - 1)] + 1
        return np.where(known & (others > 0), found, 0)


# -- which events ----------------------------------------------------------------------------------


def crop(
    batch: TrainingBatch, strength: float, rng: np.random.Generator, similar: Similar | None = None
) -> TrainingBatch:
    """Cut the beginning off: up to `strength` of the events, of a slice of two or more.

    The end stays, since the moment asked about and what came next belong to it.
    """
    lengths = batch.events.lengths.numpy()
    cut = np.floor(lengths * strength * rng.random(len(lengths))).astype(np.int64)
    cut = np.minimum(cut, np.maximum(lengths - 1, 0))
    kept = lengths - cut
    width = max(int(kept.max(initial=0)), 1)
    last = np.maximum(lengths - 1, 0)[:, None]
    places = torch.from_numpy(np.minimum(cut[:, None] + np.arange(width), last))
    padding = torch.from_numpy(np.arange(width) >= kept[:, None])
    events = batch.events
    fields = {
        name: values.gather(1, places).masked_fill(padding, _none(name))
        for name, values in events.fields.items()
    }
    told = replace(
        events, us=events.us.gather(1, places), lengths=torch.from_numpy(kept), fields=fields
    )

    def moved(group: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: values.gather(1, places).masked_fill(padding, 0) for name, values in group.items()
        }

    masked = batch.masked.gather(1, places) & ~padding
    return replace(batch, events=told, next=moved(batch.next), masked=masked, own=moved(batch.own))


def reorder(
    batch: TrainingBatch, strength: float, rng: np.random.Generator, similar: Similar | None = None
) -> TrainingBatch:
    """Shuffle what was done within a share of the sessions; the moments stay where they are.

    What follows an event is then the event that follows it in the new order, so that an event's
    successor was not seen before it.
    """
    events = batch.events
    us, valid = events.us.numpy(), events.valid.numpy()
    if us.shape[1] < 2:
        return batch
    gaps = np.diff(us, axis=1, prepend=us[:, :1])
    session = np.cumsum((gaps >= SESSION_GAP_US) & valid, axis=1)
    session[~valid] = us.shape[1]
    shuffled = rng.random(us.shape) < strength  # one draw a session: that at its number
    chosen = np.take_along_axis(shuffled, np.minimum(session, us.shape[1] - 1), 1) & valid
    at = np.arange(us.shape[1]) / us.shape[1]
    order = np.argsort(session + np.where(chosen, rng.random(us.shape), at), axis=1, kind="stable")
    places = torch.from_numpy(order)
    fields = {name: values.gather(1, places) for name, values in events.fields.items()}
    own = {name: values.gather(1, places) for name, values in batch.own.items()}
    masked = batch.masked.gather(1, places)
    inside = torch.from_numpy(valid[:, 1:])
    following = dict(batch.next)
    for name, values in own.items():
        within = torch.where(inside, values[:, 1:], following[name][:, :-1])
        # what was not told of the log stays untold: the end of what is known comes once a slice
        within = torch.where(batch.next["kind"][:, :-1] > 0, within, following[name][:, :-1])
        following[name] = torch.cat([within, following[name][:, -1:]], dim=1)
    told = replace(events, fields=fields)
    return replace(batch, events=told, next=following, masked=masked, own=own)


# -- what they say ---------------------------------------------------------------------------------


def substitute(
    batch: TrainingBatch, strength: float, rng: np.random.Generator, similar: Similar | None = None
) -> TrainingBatch:
    """Put a similar item in the place of some: another id, brand and text, at the event's price."""
    assert similar is not None
    events = batch.events
    item = events.fields["item"].numpy()
    drawn = rng.random(item.shape) < strength
    found = similar.draw(np.where(drawn, item, 0), rng)
    changed = torch.from_numpy(found > 0)
    if not found.any():
        return batch
    rows = np.maximum(found - 1, 0)
    fields = dict(events.fields)
    fields["item"] = torch.where(changed, torch.from_numpy(found), fields["item"])
    for name in ("category1", "category2", "category3", "brand"):
        other = torch.from_numpy(similar.codes[name][rows])
        fields[name] = torch.where(changed, other, fields[name])
    codes = np.where(found > 0, similar.codes["text"][rows], 0)
    distinct, places = np.unique(codes, return_inverse=True)
    base = len(events.texts)
    places = places.reshape(codes.shape) + base
    text = torch.from_numpy(np.where(codes > 0, places, 0))
    fields["text"] = torch.where(changed, text, fields["text"])
    more = torch.from_numpy(np.array(similar.texts[distinct])).to(events.texts.dtype)
    told = replace(events, fields=fields, texts=torch.cat([events.texts, more]))
    return replace(batch, events=told)


def time_warp(
    batch: TrainingBatch, strength: float, rng: np.random.Generator, similar: Similar | None = None
) -> TrainingBatch:
    """Let time run faster or slower between events, by a factor that changes smoothly.

    The last event keeps its moment; events of one moment stay so, and the order stays.
    """
    us, valid = batch.events.us.numpy(), batch.events.valid.numpy()
    length = us.shape[1]
    knots = rng.normal(0.0, strength, (len(us), _KNOTS))
    at = np.linspace(0.0, _KNOTS - 1.0, length)
    low = np.minimum(at.astype(np.int64), _KNOTS - 2)
    share = at - low
    log = knots[:, low] * (1 - share) + knots[:, low + 1] * share
    gaps = np.diff(us, axis=1, prepend=us[:, :1]) * valid
    gaps = np.rint(gaps * np.exp(log)).astype(np.int64)
    run = np.cumsum(gaps, axis=1)
    warped = us[:, -1:] - (run[:, -1:] - run)  # padding repeats the last moment of its row
    return replace(batch, events=replace(batch.events, us=torch.from_numpy(warped)))


def mask(
    batch: TrainingBatch, strength: float, rng: np.random.Generator, similar: Similar | None = None
) -> TrainingBatch:
    """Hide a share of the events: the kind is `MASK`, nothing else is told but the moment.

    At least one event of each slice stays.
    """
    events = batch.events
    valid = events.valid.numpy()
    drawn = np.where(valid, rng.random(valid.shape), np.inf)
    hidden = drawn < strength
    whole = hidden.sum(axis=1) == events.lengths.numpy()
    spared = np.argmax(np.where(valid, drawn, -1.0), axis=1)
    hidden[whole, spared[whole]] = False
    masked = torch.from_numpy(hidden)
    fields = {
        name: values.masked_fill(masked, MASK if name == "kind" else _none(name))
        for name, values in events.fields.items()
    }
    return replace(batch, events=replace(events, fields=fields), masked=batch.masked | masked)


def _none(name: str) -> float:
    return float("nan") if name in NUMBERS else 0


#: In the order they are applied: which events, what they say, whether they are seen.
_ALL: Final[Mapping[str, Callable[..., TrainingBatch]]] = {
    "crop": crop,
    "reorder": reorder,
    "substitute": substitute,
    "time_warp": time_warp,
    "mask": mask,
}
