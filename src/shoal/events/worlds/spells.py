"""Where customers are in their life: segments as a semi-Markov chain, lifecycle stages, changes.

Time is in whole days here. A *piece* is a stretch in which nothing about a customer changes; a
*spell*, one or more pieces, is one segment and one stage: the truth that is written.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import World
from shoal.events.worlds.drifts import SHARE, Change

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NEWCOMER, ACTIVE, PAUSED, FADING = range(4)
#: Names of the stages, by code.
STAGES: Final = ("newcomer", "active", "paused", "fading")
#: Factor on a customer's visits in each stage.
STAGE_RATE: Final = np.array([1.0, 1.0, 0.0, 0.45])

START, TRANSITION, SPLIT, MERGE, BIRTH, DEATH, PAUSE, RETURN, SETTLED, FADES = range(10)
#: What began a spell, by code.
CAUSES: Final = (
    "start", "transition", "split", "merge", "birth", "death", "pause", "return", "settled",
    "fades",
)  # fmt: skip
_CHANGE_CAUSE: Final = {"split": SPLIT, "merge": MERGE, "birth": BIRTH, "death": DEATH}
_STAGE_CAUSE: Final = np.array([START, SETTLED, PAUSE, FADES])

_NEWCOMER_DAYS: Final = 21
_FADING_DAYS: Final = 30
_MOST_PAUSES: Final = 3
_NEVER: Final = 1 << 40


@dataclass(frozen=True)
class Lives:
    """When customers live, in days: `first` day, `end` the day after the last (within the log).

    `leaves` says whether they are gone before the log ends; the `established` were there before;
    `segment` is the first one.
    """

    segment: Ints
    first: Ints
    end: Ints
    one_off: Bools
    established: Bools
    leaves: Bools


@dataclass(frozen=True)
class Pieces:
    """Pieces in order of person and day. `person` is an index into the lives.

    `stay` numbers the stays in one segment within the block (a pause does not end a stay); `cause`
    says what began the piece's spell, and `opens` whether the piece begins one.
    """

    person: Ints
    since: Ints
    until: Ints
    segment: Ints
    stage: Ints
    stay: Ints
    cause: Ints
    opens: Bools

    def take(self, index: Ints | Bools) -> Pieces:
        """The pieces at those places."""
        return Pieces(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def shares_on(world: World, day: Ints, span_days: int) -> Floats:
    """(days, segments) share of each segment among those who come on those days; rows sum to 1.

    Segments that do not exist on a day have none.
    """
    shares = np.tile([segment.share for segment in world.segments], (len(day), 1)).astype(float)
    for change in sorted(world.changes, key=lambda one: one.at):
        after = day >= change.day(span_days)
        parents = np.array([world.place(name) for name in change.parents], np.int64)
        children = np.array([world.place(name) for name in change.children], np.int64)
        freed = shares[:, parents].sum(axis=1)
        if change.change == "birth":
            freed = np.full(len(day), change.shares[0])
        weights = change.shares if change.change == "split" else (1.0,) * len(children)
        shares[np.ix_(np.flatnonzero(~after), children)] = 0.0
        shares[np.ix_(np.flatnonzero(after), parents)] = 0.0
        for child, weight in zip(children, weights, strict=True):
            shares[after, child] = freed[after] * weight
    for drift in world.drifts:
        if drift.dial == SHARE:
            shares[:, world.place(drift.segment)] *= drift.factor(day, span_days)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def draw_pieces(world: World, lives: Lives, span_days: int, rng: np.random.Generator) -> Pieces:
    """Segments and stages of every life, cut into pieces."""
    stays = _stays(world, lives, span_days, rng)
    pauses = _pauses(world, lives, rng)
    fades = lives.leaves
    if world.dials.fading < 1:
        fades = fades & (rng.random(len(fades)) < world.dials.fading)
    cuts = sorted({day for drift in world.drifts for day in drift.cuts(span_days)})
    return _cut(lives, fades, stays, pauses, cuts)


@dataclass(frozen=True)
class _Stays:
    """Stays in a segment, in order of person and day; a stay lasts to the next one or the end."""

    person: Ints
    since: Ints
    segment: Ints
    cause: Ints


def _stays(world: World, lives: Lives, span_days: int, rng: np.random.Generator) -> _Stays:
    """The chain of segments: dwell times of a gamma shape, moved on by weights and by changes."""
    n = len(lives.first)
    segment = lives.segment.copy()
    found = [(np.arange(n), lives.first, segment.copy(), np.full(n, START))]
    leaves_at = lives.first + _dwell(world, segment, lives.established, rng)
    changes = sorted(world.changes, key=lambda one: one.at)
    for change in [*changes, None]:
        until = span_days if change is None else change.day(span_days)
        exists = shares_on(world, np.array([until - 1]), span_days)[0] > 0
        while True:
            moving = np.flatnonzero((leaves_at < np.minimum(lives.end, until)) & ~lives.one_off)
            if not len(moving):
                break
            segment[moving] = _next(world, segment[moving], exists, rng)
            found.append((moving, leaves_at[moving], segment[moving], _same(moving, TRANSITION)))
            fresh = np.zeros(len(moving), bool)
            leaves_at[moving] += _dwell(world, segment[moving], fresh, rng)
        if change is None:
            break
        here = (lives.first < until) & (lives.end > until)
        moved, to = _moved(world, change, segment, here, span_days, rng)
        segment[moved] = to
        found.append((moved, _same(moved, until), to, _same(moved, _CHANGE_CAUSE[change.change])))
        fresh = np.zeros(len(moved), bool)
        leaves_at[moved] = until + _dwell(world, to, fresh, rng)
    person, since, to, cause = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((since, person))
    return _Stays(person[order], since[order], to[order], cause[order])


def _same(like: Ints, value: int) -> Ints:
    return np.full(len(like), value, np.int64)


def _dwell(world: World, segment: Ints, midway: Bools, rng: np.random.Generator) -> Ints:
    """Days left in those segments; for those met midway, what is left of a stay."""
    mean = np.array([one.dwell_days for one in world.segments])[segment]
    shape = np.array([one.dwell_shape for one in world.segments])[segment]
    days = rng.standard_gamma(shape) / shape * mean
    days = np.where(midway, days * rng.random(len(segment)), days)
    return np.where(mean > 0, np.maximum(np.rint(days), 1), _NEVER).astype(np.int64)


def _next(world: World, segment: Ints, exists: Bools, rng: np.random.Generator) -> Ints:
    """Where customers of those segments move: by the world's weights, to what exists."""
    k = len(world.segments)
    weights = np.array(world.transitions) if world.transitions else np.ones((k, k))
    weights = weights * exists * (1 - np.eye(k))
    # Nowhere to go: they stay where they are.
    weights[weights.sum(axis=1) == 0] = np.eye(k)[weights.sum(axis=1) == 0]
    return choose(weights[segment], rng)


def _moved(
    world: World, change: Change, segment: Ints, here: Bools, span_days: int,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Who a change moves, and to which segment."""
    children = np.array([world.place(name) for name in change.children], np.int64)
    parents = [world.place(name) for name in change.parents]
    if change.change == "birth":
        moved = np.flatnonzero(here & (rng.random(len(segment)) < change.shares[0]))
        return moved, np.full(len(moved), children[0])
    moved = np.flatnonzero(here & np.isin(segment, parents))
    if change.change == "death":
        left = shares_on(world, np.array([change.day(span_days)]), span_days)
        return moved, choose(np.tile(left, (len(moved), 1)), rng)
    shares = change.shares if change.change == "split" else (1.0,)
    return moved, children[choose(np.tile(shares, (len(moved), 1)), rng)]


def _pauses(world: World, lives: Lives, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(people, 3) first and end day of pauses: silent stretches from which customers return."""
    n = len(lives.first)
    drawn = rng.random((n, _MOST_PAUSES))
    length = np.exp(np.log(world.dials.pause_days) + 0.5 * rng.standard_normal((n, _MOST_PAUSES)))
    count = rng.random(n)
    days = np.maximum(lives.end - lives.first, 0)
    every = world.dials.pause_every_days
    mean = days / every if every > 0 else np.zeros(n)
    # At most three, by the Poisson distribution's steps.
    steps = np.exp(-mean)[:, None] * np.cumsum(
        np.stack([np.ones(n), mean, mean**2 / 2], axis=1), axis=1
    )
    wanted = (count[:, None] >= steps).sum(axis=1)
    since = lives.first[:, None] + (drawn * days[:, None]).astype(np.int64)
    since = np.where(np.arange(_MOST_PAUSES) < wanted[:, None], since, _NEVER)
    # Newcomers are not away yet, and who comes once does not pause.
    early = since < (lives.first + np.where(lives.established, 0, _NEWCOMER_DAYS))[:, None]
    since = np.where(early | lives.one_off[:, None], _NEVER, since)
    return since, since + np.maximum(length, 7).astype(np.int64)


def _cut(
    lives: Lives, fades: Bools, stays: _Stays, pauses: tuple[Ints, Ints], cuts: list[int]
) -> Pieces:  # fmt: skip
    """Pieces: lives cut wherever the segment, the stage or a drift changes."""
    n = len(lives.first)
    everyone = np.arange(n)
    newcomer_end = lives.first + np.where(lives.established | lives.one_off, 0, _NEWCOMER_DAYS)
    fading_from = np.where(fades, lives.end - _FADING_DAYS, _NEVER)
    fading_from = np.where(fading_from > newcomer_end, fading_from, _NEVER)
    days = [lives.first, newcomer_end, fading_from, *pauses[0].T, *pauses[1].T]
    days += [np.full(n, day) for day in cuts]
    person = np.concatenate([np.tile(everyone, len(days)), stays.person])
    since = np.concatenate([*days, stays.since])
    kept = (since >= lives.first[person]) & (since < lives.end[person])
    key = np.unique(person[kept] * (1 << 20) + since[kept])
    person, since = key >> 20, key & ((1 << 20) - 1)
    last = np.append(person[1:] != person[:-1], True)
    until = np.where(last, lives.end[person], np.append(since[1:], 0))
    stay_key = stays.person * (1 << 20) + stays.since
    stay = np.searchsorted(stay_key, key, side="right") - 1
    stage = np.where(since < newcomer_end[person], NEWCOMER, ACTIVE)
    stage = np.where(since >= fading_from[person], FADING, stage)
    away = (since[:, None] >= pauses[0][person]) & (since[:, None] < pauses[1][person])
    stage = np.where(away.any(axis=1), PAUSED, stage)
    first = np.append(True, person[1:] != person[:-1])
    moved = first | np.append(True, stay[1:] != stay[:-1])
    turned = np.append(True, stage[1:] != stage[:-1])
    back = np.append(False, stage[:-1] == PAUSED) & turned
    cause = np.where(moved, stays.cause[stay], np.where(back, RETURN, _STAGE_CAUSE[stage]))
    return Pieces(
        person=person, since=since, until=until, segment=stays.segment[stay], stage=stage,
        stay=stay, cause=cause, opens=first | moved | turned,
    )  # fmt: skip


def choose(weights: Floats, rng: np.random.Generator) -> Ints:
    """One column index a row, drawn in proportion to the row's weights."""
    return chosen_by(rng.random(len(weights)), weights)


def chosen_by(quantile: Floats, weights: Floats) -> Ints:
    """One column index a row: where a quantile in [0, 1) falls among the row's weights."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64), axis=1)
    edges = edges / edges[:, -1:]
    return np.asarray((quantile[:, None] >= edges[:, :-1]).sum(axis=1), dtype=np.int64)
