"""Customers of a simulated shop: each drawn around the centre of the segment they are in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import World
from shoal.events.worlds.drifts import NEWCOMERS
from shoal.events.worlds.segments import TOPS
from shoal.events.worlds.spells import (
    STAGE_RATE,
    Lives,
    Pieces,
    choose,
    chosen_by,
    shares_on,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DAY_S = 86_400
#: Region codes per country; the first country is home to most customers.
REGIONS = (
    ("DE", "Bavaria"), ("DE", "Berlin"), ("DE", "Hamburg"), ("DE", "Saxony"),
    ("AT", "Vienna"), ("NL", "Utrecht"), ("FR", "Brittany"), ("CN", "Zhejiang"),
)  # fmt: skip
_REGION_WEIGHTS = (0.28, 0.2, 0.12, 0.08, 0.12, 0.08, 0.07, 0.05)
AGE_GROUPS = ("18-24", "25-34", "35-44", "45-54", "55+")

#: Personal dials: spread around the segment's centre, of the logarithm (means) or of the log odds
#: (probabilities). The rate's is a dial of the world.
MEANS: Final = {
    "sessions_per_30_days": 0.0, "views": 0.25, "abandoned": 0.3, "lines": 0.2, "units": 0.12,
    "weekend": 0.15,
}  # fmt: skip
CHANCES: Final = {
    "search": 0.35, "click": 0.35, "favourite": 0.35, "conversion": 0.35, "price_level": 0.3,
    "discount": 0.35, "coupon": 0.35, "refund": 0.35, "review": 0.35, "brand_loyalty": 0.35,
}  # fmt: skip
_PERSONAL: Final = (*MEANS, *CHANCES, "rating")
_SCALES: Final = {
    "sessions_per_30_days": "rate_scale", "views": "views_scale", "conversion": "conversion_scale",
    "units": "units_scale", "refund": "refund_scale", "abandoned": "cart_scale",
    "favourite": "favourite_scale",
}  # fmt: skip


@dataclass(frozen=True)
class Customers:
    """A block of customers or of their pieces, one entry each. Times in seconds since the start.

    Of pieces, `number` repeats and `birth_s`, `end_s` bound the piece; `opening` marks a customer's
    first one. Rates are means a session unless named otherwise; the rest are probabilities.
    """

    number: Ints
    segment: Ints
    opening: Bools
    one_off: Bools
    one_order: Bools
    established: Bools
    birth_s: Floats
    end_s: Floats
    sessions_per_30_days: Floats
    views: Floats
    search: Floats
    click: Floats
    favourite: Floats
    abandoned: Floats
    conversion: Floats
    lines: Floats
    units: Floats
    price_level: Floats
    discount: Floats
    coupon: Floats
    refund: Floats
    review: Floats
    rating: Floats
    brand_loyalty: Floats
    weekend: Floats
    tastes: Floats  # (customers, top categories), rows sum to 1
    region: Ints
    device: Ints
    payment: Ints
    age_group: Ints
    newsletter: Bools

    def take(self, index: Ints | Bools) -> Customers:
        """The customers at those places."""
        return Customers(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Persons:
    """What stays with a customer whatever segment they are in, one entry each.

    `segment` is their first one. `noise` has a standard normal a personal dial; quantiles place a
    customer among the devices and payments of any segment. `end_s` may lie after the log's end.
    """

    number: Ints
    segment: Ints
    one_off: Bools
    one_order: Bools
    established: Bools
    birth_s: Floats
    end_s: Floats
    noise: Floats
    region: Ints
    device_quantile: Floats
    payment_quantile: Floats
    age_group: Ints
    newsletter: Bools

    def lives(self, span_days: int) -> Lives:
        """Their lives in days, within the log."""
        first = np.minimum((self.birth_s // DAY_S).astype(np.int64), span_days - 1)
        end = np.ceil(np.minimum(self.end_s, span_days * DAY_S) / DAY_S).astype(np.int64)
        return Lives(
            segment=self.segment, first=first, end=np.maximum(end, first + 1), one_off=self.one_off,
            established=self.established, leaves=self.end_s < span_days * DAY_S,
        )  # fmt: skip


def draw_persons(world: World, number: Ints, span_days: int, rng: np.random.Generator) -> Persons:
    """Customers with those numbers, for a log of `span_days` days."""
    dials, n = world.dials, len(number)
    span_s = float(span_days * DAY_S)
    one_off = rng.random(n) < dials.one_off
    birth = _births(world, span_days, rng.random(n))
    came = choose(shares_on(world, (birth // DAY_S).astype(np.int64), span_days), rng)
    there = choose(shares_on(world, np.zeros(n, np.int64), span_days), rng)
    # As many come as go: the number alive stays level (Little's law) whatever the log's length.
    lifetime = np.array([one.lifetime_days for one in world.segments]) * dials.lifetime_scale
    stays = lifetime[there]
    there_before = stays / (stays + span_days) if dials.established < 0 else dials.established
    established = ~one_off & (rng.random(n) < there_before)
    segment = np.where(established, there, came)
    birth = np.where(established, 0.0, birth)
    life = rng.exponential(1.0, n) * lifetime[segment] * DAY_S
    midnight = (birth // DAY_S + 1) * DAY_S
    return Persons(
        number=number, segment=segment, one_off=one_off,
        one_order=rng.random(n) < dials.one_time_buyers,
        established=established, birth_s=np.minimum(birth, span_s - 1),
        end_s=np.where(one_off, midnight, birth + life),
        noise=rng.standard_normal((n, len(_PERSONAL))),
        region=choose(np.tile(_REGION_WEIGHTS, (n, 1)), rng),
        device_quantile=rng.random(n), payment_quantile=rng.random(n),
        age_group=rng.binomial(len(AGE_GROUPS) - 1, 0.4, n), newsletter=rng.random(n) < 0.5,
    )  # fmt: skip


def _births(world: World, span_days: int, quantile: Floats) -> Floats:
    """Seconds at which newcomers come: evenly, but where a dial or a drift says how many."""
    weight = np.ones(span_days)
    if world.dials.arrivals:
        parts = np.asarray(world.dials.arrivals, np.float64)
        weight = parts[np.arange(span_days) * len(parts) // span_days] + 1e-12
    for drift in world.drifts:
        if drift.dial == NEWCOMERS:
            weight = weight * drift.factor(np.arange(span_days), span_days)
    edges = np.concatenate(([0.0], np.cumsum(weight))) / weight.sum()
    return np.asarray(np.interp(quantile, edges, np.arange(span_days + 1)) * DAY_S)


def settle(
    world: World, persons: Persons, pieces: Pieces, span_days: int, rng: np.random.Generator
) -> Customers:
    """What customers are like in each of their pieces."""
    who, segment = pieces.person, pieces.segment
    segments = world.segments
    middle = (pieces.since + pieces.until) / 2
    first = np.append(True, who[1:] != who[:-1])
    last = np.append(first[1:], True)
    values = {
        name: _personal(world, name, place, persons, pieces, middle, span_days)
        for place, name in enumerate((*MEANS, *CHANCES))
    }
    _on_crescents(world, persons, pieces, values)
    values["sessions_per_30_days"] *= STAGE_RATE[pieces.stage]
    rating = np.array([one.rating for one in segments])[segment]
    devices = np.array([one.devices for one in segments])[segment]
    payments = np.array([one.payments for one in segments])[segment]
    return Customers(
        number=persons.number[who], segment=segment, opening=first,
        one_off=persons.one_off[who], one_order=persons.one_order[who],
        established=persons.established[who],
        birth_s=np.where(first, persons.birth_s[who], pieces.since * DAY_S),
        end_s=np.where(last, persons.end_s[who], pieces.until * DAY_S),
        rating=rating + 0.3 * persons.noise[who, -1],
        tastes=_tastes(world, pieces, middle, span_days, rng),
        region=persons.region[who], device=chosen_by(persons.device_quantile[who], devices),
        payment=chosen_by(persons.payment_quantile[who], payments),
        age_group=persons.age_group[who], newsletter=persons.newsletter[who], **values,
    )  # fmt: skip


def _personal(
    world: World, name: str, place: int, persons: Persons, pieces: Pieces, middle: Floats,
    span_days: int,
) -> Floats:  # fmt: skip
    """A personal dial in every piece: the segment's centre, the drifts, and the customer's own."""
    centre = np.array([getattr(one, name) for one in world.segments])[pieces.segment]
    scale = getattr(world.dials, _SCALES[name]) if name in _SCALES else 1.0
    factor = scale * _drifted(world, name, pieces.segment, middle, span_days)
    sigma = world.dials.rate_sigma if name == "sessions_per_30_days" else MEANS.get(name, 0.0)
    noise = persons.noise[pieces.person, place]
    if name in CHANCES:
        width = world.effective_spread * CHANCES[name]
        logit = np.log(centre / (1 - centre) * factor) + width * noise
        found = 1 / (1 + np.exp(-logit))
        return np.asarray(np.clip(found, 0.03, 0.97) if name == "price_level" else found)
    if name == "lines":
        centre = 1 + (centre - 1) * world.dials.lines_scale
    width = world.effective_spread * sigma
    if name == "sessions_per_30_days":
        width = world.dials.spread * sigma  # difficulty is about what tells segments apart
    return np.asarray(centre * factor * np.exp(width * noise - width**2 / 2))


def _drifted(world: World, dial: str, segment: Ints, day: Floats, span_days: int) -> Floats:
    """The factor that drifts put on a dial."""
    factor = np.ones(len(segment))
    for drift in world.drifts:
        if drift.dial != dial:
            continue
        here = drift.factor(day, span_days)
        if drift.segment:
            here = np.where(segment == world.place(drift.segment), here, 1.0)
        factor *= here
    return factor


def _on_crescents(
    world: World, persons: Persons, pieces: Pieces, values: dict[str, Floats]
) -> None:
    """Put customers of crescent segments on two interleaved half circles in views and price.

    The classic two moons: centres and convex regions cannot part them, neighbours can.
    """
    side = np.array([one.crescent for one in world.segments])[pieces.segment]
    on = side > 0
    if not on.any():
        return
    noise = persons.noise[pieces.person][on]
    angle = np.pi / (1 + np.exp(-1.7 * noise[:, 0]))  # nearly even on the half circle
    width = 0.12 * world.effective_spread
    x = np.where(side[on] == 1, np.cos(angle), 1 - np.cos(angle)) + width * noise[:, 1]
    y = np.where(side[on] == 1, np.sin(angle), 0.5 - np.sin(angle)) + width * noise[:, 2]
    values["views"][on] = np.exp(np.log(3.5) + 0.55 * (x - 0.5)) * world.dials.views_scale
    values["price_level"][on] = np.clip(0.5 + 0.3 * (y - 0.25), 0.03, 0.97)


def _tastes(
    world: World, pieces: Pieces, middle: Floats, span_days: int, rng: np.random.Generator
) -> Floats:
    """(pieces, top categories) tastes: one draw a stay in a segment, turned by drifts."""
    centre = np.array([one.tastes for one in world.segments])
    centre = centre / centre.sum(axis=1, keepdims=True)
    stays = int(pieces.stay.max()) + 1 if len(pieces.stay) else 0
    segment_of = np.zeros(stays, np.int64)
    segment_of[pieces.stay] = pieces.segment
    tightness = world.dials.taste_concentration / world.effective_spread
    own = np.maximum(rng.standard_gamma(tightness * centre[segment_of]), 1e-9)
    found = own[pieces.stay]
    for place, top in enumerate(TOPS):
        found[:, place] *= _drifted(world, f"taste_{top}", pieces.segment, middle, span_days)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def drift_factor(world: World, dial: str, place: int, day: int, span_days: int) -> float:
    """The factor on a segment's dial on a day: drifts, and the scale that the world's dials set."""
    scale = getattr(world.dials, _SCALES[dial]) if dial in _SCALES else 1.0
    segment, when = np.array([place]), np.array([float(day)])
    return float(scale * _drifted(world, dial, segment, when, span_days)[0])


def drifted_tastes(world: World, place: int, day: int, span_days: int) -> Floats:
    """(top categories,) a segment's tastes on a day; they sum to 1."""
    found = np.array(world.segments[place].tastes, np.float64)
    for top, name in enumerate(TOPS):
        found[top] *= drift_factor(world, f"taste_{name}", place, day, span_days)
    return np.asarray(found / found.sum())
