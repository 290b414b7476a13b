"""When customers come: sessions with weekday, hour and season, and what each session holds."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.segments import Segment

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: A session counts at most this many of anything: the tail is heavy, not endless.
_MOST = 40


@dataclass(frozen=True)
class Sessions:
    """A block of sessions, one entry each, ordered by customer and start.

    `customer` is an index into the block's customers; `start_s` seconds since the world's start;
    `views`, `added`, `lines`, `removed` count slots (see `funnel`); the rest are flags and codes.
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
    sign_up: Bools
    profile: Bools
    login: Bools
    checkout: Bools
    channel: Ints
    device: Ints
    focus: Ints

    def take(self, index: Ints | Bools) -> Sessions:
        """The sessions at those places."""
        return Sessions(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def day_factor(dials: Dials, span_days: int) -> Floats:
    """Season: the factor on sessions of each day of the log, at most 1."""
    first = dials.start.timetuple().tm_yday
    phase = 2 * np.pi * (first + np.arange(span_days) - 349) / 365.25
    return np.asarray((1 + dials.season * np.cos(phase)) / (1 + dials.season))


def hour_weights(segment: Segment) -> Floats:
    """Share of a segment's sessions that start in each hour of the day; sums to 1."""
    hour = np.arange(24) + 0.5
    weight = np.full(24, 0.02)
    for centre, width, share in segment.hours:
        distance = np.abs(hour - centre)
        distance = np.minimum(distance, 24 - distance)
        bell = np.exp(-0.5 * (distance / width) ** 2)
        weight += share * bell / bell.sum()
    return np.asarray(weight / weight.sum())


def draw_sessions(
    world: World, customers: Customers, span_days: int, rng: np.random.Generator
) -> Sessions:
    """All sessions of a block of customers; every customer has at least one."""
    customer, day, first = _days(world, customers, span_days, rng)
    second = _seconds(world, customers.segment[customer], rng)
    start = day * DAY_S + second
    order = np.lexsort((start, customer))
    customer, start = customer[order], start[order]
    first = np.append(True, customer[1:] != customer[:-1])
    regular = _plan(world, customers, customer, start, first, rng)
    return _cut_to_one_or_two(regular, rng)


def _days(
    world: World, customers: Customers, span_days: int, rng: np.random.Generator
) -> tuple[Ints, Ints, Bools]:
    """Customer and day of every session: a thinned Poisson process over the days of their life."""
    factor = day_factor(world.dials, span_days)
    weekday = (world.dials.start.weekday() + np.arange(span_days)) % 7
    end_s = np.minimum(customers.end_s, span_days * DAY_S)
    alive_days = np.maximum(end_s - customers.birth_s, 0.0) / DAY_S
    # Weekends are `weekend` times likelier, at an unchanged mean over the week.
    base = 7 / (5 + 2 * customers.weekend)
    peak = base * np.maximum(customers.weekend, 1.0) * factor.max()
    mean = customers.sessions_per_30_days / 30 * alive_days * peak
    count = np.where(customers.one_off, 0, rng.poisson(np.minimum(mean, 5_000.0)))
    customer = np.repeat(np.arange(len(count)), count)
    moment = customers.birth_s[customer] + rng.random(len(customer)) * alive_days[customer] * DAY_S
    day = np.minimum((moment // DAY_S).astype(np.int64), span_days - 1)
    likely = factor[day] * base[customer]
    likely = likely * np.where(weekday[day] >= 5, customers.weekend[customer], 1.0)
    kept = rng.random(len(day)) * peak[customer] < likely
    customer, day = customer[kept], day[kept]
    # Newcomers come on the day of their birth; the established at least once.
    seen = np.bincount(customer, minlength=len(count)) > 0
    forced = np.flatnonzero(~customers.established | ~seen)
    life = np.where(customers.established, alive_days, 0.0)[forced] * DAY_S
    forced_day = ((customers.birth_s[forced] + rng.random(len(forced)) * life) // DAY_S).astype(int)
    forced_day = np.minimum(forced_day, span_days - 1)
    first = np.concatenate((np.zeros(len(customer), bool), np.ones(len(forced), bool)))
    return np.concatenate((customer, forced)), np.concatenate((day, forced_day)), first


def _seconds(world: World, segment: Ints, rng: np.random.Generator) -> Ints:
    """Second of the day at which sessions of those segments start."""
    edges = np.cumsum([hour_weights(s) for s in world.segments], axis=1)
    ladder = (edges / edges[:, -1:] + np.arange(len(edges))[:, None]).ravel()
    hour = np.searchsorted(ladder, segment + rng.random(len(segment)), side="right") - 24 * segment
    second: Ints = np.minimum(hour, 23) * 3600 + rng.integers(0, 3600, len(segment))
    return second


def _plan(
    world: World, customers: Customers, customer: Ints, start: Ints, first: Bools,
    rng: np.random.Generator,
) -> Sessions:  # fmt: skip
    """What happens in each session: how many views, adds and lines, which channel and focus."""
    n = len(customer)
    who = customers.take(customer)
    buys = rng.random(n) < who.conversion
    # Geometric counts: many short sessions, a few very long ones.
    views = np.maximum(_geometric(who.views, rng), ~buys)
    lines = np.where(buys, 1 + _geometric(np.maximum(who.lines - 1, 0.02), rng), 0)
    lines = np.minimum(lines, _MOST)
    extra = np.minimum(rng.poisson(np.where(buys, 0.3, 1.0) * who.abandoned), _MOST)
    removed = rng.binomial(extra, 0.35)
    newcomer = first & ~who.established
    sign_up = newcomer & (rng.random(n) < 0.55)
    channels = np.cumsum([s.channels for s in world.segments], axis=1)
    channels = (channels / channels[:, -1:])[who.segment]
    device = np.where(rng.random(n) < 0.85, who.device, rng.integers(0, 3, n))
    return Sessions(
        customer=customer, start_s=start, first=first, one_off=who.one_off,
        views=np.minimum(views, _MOST), lines=lines, added=lines + extra, removed=removed,
        search=rng.random(n) < who.search, sign_up=sign_up,
        profile=sign_up | (first & who.established & (rng.random(n) < 0.35)),
        login=~first & (rng.random(n) < 0.15),
        checkout=(extra > 0) & (rng.random(n) < 0.2),
        channel=(rng.random(n)[:, None] >= channels).sum(axis=1), device=device,
        focus=(rng.random(n)[:, None] >= np.cumsum(who.tastes, axis=1)[:, :-1]).sum(axis=1),
    )  # fmt: skip


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
    return Sessions(**changed)
