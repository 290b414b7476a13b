"""When customers come: sessions with weekday, hour, season and bursts, and what each holds."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.segments import TOPS, Segment
from shoal.events.worlds.spells import chosen_by
from shoal.events.worlds.visits import draw_visits

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: A session counts at most this many of anything: the tail is heavy, not endless.
_MOST = 40
#: A sale of depth d multiplies the odds of buying by exp(this x sensitivity x d).
_SALE_PULL = 4.0
#: How often the next visit of those who walk through the categories is in the next one.
_ON_ROUTE = 0.8


@dataclass(frozen=True)
class Sessions:
    """A block of sessions, one entry each, ordered by customer and start.

    `customer` is an index into the block's pieces; `start_s` seconds since the world's start;
    `views`, `added`, `lines`, `removed` count slots (see `funnel`); `late` says that the search
    comes after the views, `sale` that the shop has a sale; `mark` is free for layers (-1: none).
    The rest are flags and codes.
    """

    customer: Ints
    start_s: Ints
    first: Bools
    one_off: Bools
    views: Ints
    lines: Ints
    added: Ints
    removed: Ints
    search: Bools
    late: Bools
    sign_up: Bools
    profile: Bools
    login: Bools
    checkout: Bools
    sale: Bools
    channel: Ints
    device: Ints
    focus: Ints
    mark: Ints

    def take(self, index: Ints | Bools) -> Sessions:
        """The sessions at those places."""
        return Sessions(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def ordered(self, pieces: Customers) -> Sessions:
        """The sessions in order of customer number and start; the piece breaks ties."""
        order = np.lexsort((self.customer, self.start_s, pieces.number[self.customer]))
        return self.take(order)


def hour_weights(segment: Segment, dials: Dials | None = None) -> Floats:
    """Share of a segment's sessions that start in each hour of the day; sums to 1."""
    hour = np.arange(24) + 0.5
    weight = np.full(24, 0.02)
    for centre, width, share in segment.hours:
        distance = np.abs(hour - centre)
        distance = np.minimum(distance, 24 - distance)
        bell = np.exp(-0.5 * (distance / width) ** 2)
        weight += share * bell / bell.sum()
    if dials is not None and dials.hours:
        weight *= np.maximum(dials.hours, 1e-9)
    return np.asarray(weight / weight.sum())


def sale_on(dials: Dials, day: Ints) -> Bools:
    """Whether the shop has a sale on each day: the last days of every stretch between sales."""
    if dials.sale_every_days <= 0 or dials.sale_depth <= 0:
        return np.zeros(len(day), bool)
    return np.asarray(day % dials.sale_every_days >= dials.sale_every_days - dials.sale_days)


def sale_pull(world: World, segment: int) -> float:
    """How many times a sale raises a segment's odds of buying."""
    sensitivity = world.segments[segment].price_sensitivity
    return float(np.exp(_SALE_PULL * sensitivity * world.dials.sale_depth))


def taste_factor(dials: Dials, day: Ints) -> Floats:
    """(days, top categories) yearly swing of the categories, each with its own month of peak."""
    when = 2 * np.pi * (dials.start.timetuple().tm_yday + day) / 365.25
    peak = 2 * np.pi * np.arange(len(TOPS)) / len(TOPS)
    return np.asarray(1 + dials.taste_season * np.cos(when[:, None] - peak))


def draw_sessions(
    world: World, pieces: Customers, span_days: int, rng: np.random.Generator
) -> Sessions:
    """All sessions of a block of customers; every customer has at least one."""
    piece, day = draw_visits(world, pieces, span_days, rng)
    start = day * DAY_S + _seconds(world, pieces.segment[piece], rng)
    order = np.lexsort((start, piece))
    piece, start = piece[order], start[order]
    number = pieces.number[piece]
    first = np.append(True, number[1:] != number[:-1])
    regular = _plan(world, pieces, piece, start, first, rng)
    return _cut_to_one_or_two(regular, rng)


def _seconds(world: World, segment: Ints, rng: np.random.Generator) -> Ints:
    """Second of the day at which sessions of those segments start."""
    edges = np.cumsum([hour_weights(s, world.dials) for s in world.segments], axis=1)
    ladder = (edges / edges[:, -1:] + np.arange(len(edges))[:, None]).ravel()
    hour = np.searchsorted(ladder, segment + rng.random(len(segment)), side="right") - 24 * segment
    second: Ints = np.minimum(hour, 23) * 3600 + rng.integers(0, 3600, len(segment))
    return second


def _plan(
    world: World, pieces: Customers, piece: Ints, start: Ints, first: Bools,
    rng: np.random.Generator,
) -> Sessions:  # fmt: skip
    """What happens in each session: how many views, adds and lines, which channel and focus."""
    n = len(piece)
    who = pieces.take(piece)
    day = start // DAY_S
    sale = sale_on(world.dials, day)
    buys = _buys(world, who, sale, first, rng)
    # Geometric counts: many short sessions, a few very long ones.
    views = np.maximum(_geometric(who.views, rng), ~buys)
    lines = np.where(buys, 1 + _geometric(np.maximum(who.lines - 1, 0.02), rng), 0)
    lines = np.minimum(lines, _MOST)
    extra = np.minimum(rng.poisson(np.where(buys, 0.3, 1.0) * who.abandoned), _MOST)
    removed = rng.binomial(extra, 0.35)
    newcomer = first & ~who.established
    sign_up = newcomer & (rng.random(n) < 0.55)
    late = np.array([one.late_search for one in world.segments])[who.segment]
    channels = np.array([one.channels for one in world.segments], np.float64)[who.segment]
    device = np.where(rng.random(n) < 0.85, who.device, rng.integers(0, 3, n))
    return Sessions(
        customer=piece, start_s=start, first=first, one_off=who.one_off,
        views=np.minimum(views, _MOST), lines=lines, added=lines + extra, removed=removed,
        search=rng.random(n) < who.search, late=rng.random(n) < late, sign_up=sign_up,
        profile=sign_up | (first & who.established & (rng.random(n) < 0.35)),
        login=~first & (rng.random(n) < 0.15),
        checkout=(extra > 0) & (rng.random(n) < 0.2), sale=sale,
        channel=chosen_by(rng.random(n), channels), device=device,
        focus=_focus(world, who, day, first, rng), mark=np.full(n, -1),
    )  # fmt: skip


def _buys(
    world: World, who: Customers, sale: Bools, first: Bools, rng: np.random.Generator
) -> Bools:
    """Which sessions end in an order; those who buy once only do so in the first of theirs."""
    pulls = np.array([sale_pull(world, place) for place in range(len(world.segments))])
    pull = np.where(sale, pulls[who.segment], 1.0)
    odds = who.conversion / (1 - who.conversion) * pull
    buys = rng.random(len(sale)) < odds / (1 + odds)
    before: Ints = np.cumsum(buys) - buys
    at_first: Ints = before[first][np.cumsum(first) - 1] if len(first) else before
    return np.asarray(buys & ~(who.one_order & (before > at_first)))


def _focus(world: World, who: Customers, day: Ints, first: Bools, rng: np.random.Generator) -> Ints:
    """The category a session is about: by taste and season, or the next one on the way."""
    tastes = who.tastes
    if world.dials.taste_season > 0:
        tastes = tastes * taste_factor(world.dials, day)
    drawn = chosen_by(rng.random(len(day)), tastes)
    step = np.array([one.route for one in world.segments])[who.segment]
    if not step.any():
        return drawn
    began = np.flatnonzero(first)[np.cumsum(first) - 1]
    visit = np.arange(len(day)) - began
    on_route = (step != 0) & (rng.random(len(day)) < _ON_ROUTE)
    return np.where(on_route, (drawn[began] + step * visit) % len(TOPS), drawn)


def _geometric(mean: Floats, rng: np.random.Generator) -> Ints:
    """Counts 0, 1, 2, ... with the given means."""
    return np.asarray(rng.geometric(1 / (1 + mean)) - 1, dtype=np.int64)


#: What a customer seen once leaves: (views, lines, added, search, sign_up, profile) and weight.
_GLIMPSES = np.array(
    [
        (1, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0), (1, 0, 0, 1, 0, 0), (1, 0, 0, 0, 1, 0),
        (0, 0, 0, 0, 1, 1), (1, 0, 1, 0, 0, 0), (0, 1, 1, 0, 0, 0),
    ]
)  # fmt: skip
_GLIMPSE_WEIGHTS = np.array([0.34, 0.18, 0.16, 0.1, 0.06, 0.08, 0.08])


def _cut_to_one_or_two(sessions: Sessions, rng: np.random.Generator) -> Sessions:
    """The sessions, with those of customers seen once cut to one or two events."""
    drawn = rng.choice(len(_GLIMPSES), len(sessions.customer), p=_GLIMPSE_WEIGHTS)
    glimpse = _GLIMPSES[drawn]
    changed = {f.name: getattr(sessions, f.name) for f in fields(sessions)}
    for column, name in enumerate(("views", "lines", "added", "search", "sign_up", "profile")):
        kept = changed[name]
        changed[name] = np.where(sessions.one_off, glimpse[:, column].astype(kept.dtype), kept)
    for name in ("removed", "login", "checkout"):
        changed[name] = np.where(sessions.one_off, np.zeros_like(changed[name]), changed[name])
    return replace(sessions, **changed)
