"""The days on which customers come: a clustered point process over each piece of their life."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import Dials, World
from shoal.events.worlds.customers import DAY_S, Customers

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Mean days from a visit to one that follows it.
BURST_DAYS = 1.2
#: A month's last days, from this one on, are payday; they are this share of a month.
PAYDAY_FROM, _PAYDAY_SHARE = 25, 6.4 / 30.4


def day_factor(dials: Dials, span_days: int) -> Floats:
    """Season: the factor on sessions of each day of the log, at most 1."""
    first = dials.start.timetuple().tm_yday
    phase = 2 * np.pi * (first + np.arange(span_days) - 349) / 365.25
    return np.asarray((1 + dials.season * np.cos(phase)) / (1 + dials.season))


def draw_visits(
    world: World, pieces: Customers, span_days: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Piece and day of every visit; every customer has at least one.

    Parents come by a Poisson process and draw a Poisson number of visits after them (a
    Neyman-Scott process); all are then thinned by season, weekday and payday, so that a burst
    keeps to the customer's weekdays too. Where a segment is regular, the gaps have a gamma shape
    instead. The mean number of visits is what the customer's rate says.
    """
    segments = world.segments
    regularity = np.array([one.regularity for one in segments])[pieces.segment]
    burst = world.dials.gap_burst * np.array([one.burst for one in segments])[pieces.segment]
    days = np.maximum(np.minimum(pieces.end_s, span_days * DAY_S) - pieces.birth_s, 0.0) / DAY_S
    rate = np.where(pieces.one_off, 0.0, pieces.sessions_per_30_days / 30)
    chance = regularity == 1.0
    piece, moment = _by_chance(world, pieces, np.where(chance, rate, 0), burst, span_days, rng)
    if not chance.all():
        more, when = _by_clock(np.where(chance, 0.0, rate), regularity, days, rng)
        piece = np.concatenate((piece, more))
        moment = np.concatenate((moment, pieces.birth_s[more] / DAY_S + when))
    forced, forced_day = _forced(pieces, piece, rate, days, rng)
    day = np.concatenate((moment.astype(np.int64), forced_day))
    return np.concatenate((piece, forced)), np.minimum(day, span_days - 1)


def _by_chance(
    world: World, pieces: Customers, rate: Floats, burst: Floats, span_days: int,
    rng: np.random.Generator,
) -> tuple[Ints, Floats]:  # fmt: skip
    """A thinned cluster process: piece and moment (in days) of every visit kept."""
    likely, peak = _likely(world, pieces, span_days)
    end = np.minimum(pieces.end_s, span_days * DAY_S) / DAY_S
    begin = pieces.birth_s / DAY_S
    days = np.maximum(end - begin, 0.0)
    count = rng.poisson(np.minimum(rate * days * peak / (1 + burst), 5_000.0))
    piece = np.repeat(np.arange(len(count)), count)
    moment = begin[piece] + rng.random(len(piece)) * days[piece]
    followers = rng.poisson(burst[piece])
    more = np.repeat(piece, followers)
    when = np.repeat(moment, followers) + rng.exponential(BURST_DAYS, len(more))
    piece, moment = np.concatenate((piece, more)), np.concatenate((moment, when))
    inside = moment < end[piece]
    piece, moment = piece[inside], moment[inside]
    day = np.minimum(moment.astype(np.int64), span_days - 1)
    kept = rng.random(len(day)) * peak[piece] < likely(piece, day)
    return piece[kept], moment[kept]


def _likely(
    world: World, pieces: Customers, span_days: int
) -> tuple[Callable[[Ints, Ints], Floats], Floats]:
    """How likely a visit of a piece is on a day (1 on average over a year), and its peak."""
    dials = world.dials
    season = day_factor(dials, span_days)
    weekday = (dials.start.weekday() + np.arange(span_days)) % 7
    month_day = _month_day(dials, span_days)
    # Weekends are `weekend` times likelier, at an unchanged mean over the week.
    week = np.asarray(dials.weekdays or (1.0,) * 7, np.float64)
    week_base = 7 / np.maximum(week[:5].sum() + week[5:].sum() * pieces.weekend, 1e-9)
    week_peak = week_base * np.maximum(pieces.weekend * week[5:].max(), week[:5].max())
    payday = np.array([one.payday for one in world.segments])[pieces.segment]
    pay_base = 1 / (1 - _PAYDAY_SHARE + _PAYDAY_SHARE * payday)

    def likely(piece: Ints, day: Ints) -> Floats:
        weekend = np.where(weekday[day] >= 5, pieces.weekend[piece], 1.0)
        found = season[day] * week[weekday[day]] * week_base[piece] * weekend
        paid = np.where(month_day[day] >= PAYDAY_FROM, payday[piece], 1.0)
        return np.asarray(found * pay_base[piece] * paid)

    return likely, week_peak * season.max() * pay_base * np.maximum(payday, 1.0)


def _month_day(dials: Dials, span_days: int) -> Ints:
    first = np.datetime64(dials.start.date(), "D")
    dates = first + np.arange(span_days)
    return np.asarray((dates - dates.astype("datetime64[M]")).astype(np.int64) + 1)


def _by_clock(
    rate: Floats, regularity: Floats, days: Floats, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """A renewal process with gamma gaps: piece, and days from its begin, of every visit."""
    mean = rate * days
    count = np.where(rate > 0, np.ceil(mean + 5 * np.sqrt(mean) + 3), 0).astype(np.int64)
    piece = np.repeat(np.arange(len(count)), count)
    shape = regularity[piece]
    gap = rng.standard_gamma(shape) / shape / rate[piece]
    first = np.cumsum(count) - count
    opening = first[count > 0]
    gap[opening] *= rng.random(len(opening))  # met in the middle of a gap
    total = np.cumsum(gap)
    moment = total - np.repeat((total - gap)[opening], count[count > 0])
    kept = moment < days[piece]
    return piece[kept], moment[kept]


def _forced(
    pieces: Customers, piece: Ints, rate: Floats, days: Floats, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Newcomers come on the day of their birth; the established at least once in the log."""
    person = np.cumsum(pieces.opening) - 1
    opening = np.flatnonzero(pieces.opening)
    seen = np.bincount(person[piece], minlength=len(opening)) > 0
    # The unseen come in the first stretch in which they are not away.
    awake = np.where((rate > 0) & (days > 0), np.arange(len(rate)), len(rate))
    stretch = np.minimum.reduceat(awake, opening) if len(opening) else opening
    stretch = np.where(stretch < len(rate), stretch, opening)
    newcomer = ~pieces.established[opening]
    forced = np.where(newcomer, opening, stretch)[newcomer | ~seen]
    length = np.where(pieces.established[forced], days[forced], 0.0)
    moment = pieces.birth_s[forced] / DAY_S + rng.random(len(forced)) * length
    return forced, moment.astype(np.int64)
