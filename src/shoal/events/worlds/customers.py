"""Customers of a simulated shop: each drawn around the centre of a planted segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.base import World
from shoal.events.worlds.segments import Segment

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


@dataclass(frozen=True)
class Customers:
    """A block of customers, one entry each. Times in seconds since the world's start.

    Rates are means a session unless named otherwise; the rest are probabilities.
    """

    number: Ints
    segment: Ints
    one_off: Bools
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

    def take(self, index: Ints) -> Customers:
        """The customers at those places."""
        return Customers(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def draw_customers(
    world: World, number: Ints, span_days: int, rng: np.random.Generator
) -> Customers:
    """Customers with those numbers, for a log of `span_days` days."""
    dials, n = world.dials, len(number)
    segments = world.segments
    segment = _choose(np.tile([s.share for s in segments], (n, 1)), rng)
    span_s = float(span_days * DAY_S)
    one_off = rng.random(n) < dials.one_off
    # As many come as go: the number alive stays level (Little's law) whatever the log's length.
    lifetime = _centre(segments, "lifetime_days")[segment]
    established = ~one_off & (rng.random(n) < lifetime / (lifetime + span_days))
    birth = np.where(established, 0.0, rng.random(n) * span_s)
    life = rng.exponential(1.0, n) * lifetime * DAY_S

    def rate(name: str, sigma: float) -> Floats:
        width = dials.spread * sigma
        noise = np.exp(width * rng.standard_normal(n) - width**2 / 2)
        return _centre(segments, name)[segment] * noise

    def chance(name: str, sigma: float = 0.35) -> Floats:
        centre = _centre(segments, name)
        logit = np.log(centre / (1 - centre))[segment]
        return 1 / (1 + np.exp(-(logit + dials.spread * sigma * rng.standard_normal(n))))

    tastes = np.array([s.tastes for s in segments])
    tastes = tastes / tastes.sum(axis=1, keepdims=True)
    personal = rng.standard_gamma(dials.taste_concentration / dials.spread * tastes[segment])
    personal = np.maximum(personal, 1e-9)
    return Customers(
        number=number, segment=segment, one_off=one_off, established=established, birth_s=birth,
        end_s=birth + life,
        sessions_per_30_days=rate("sessions_per_30_days", dials.rate_sigma),
        views=rate("views", 0.25), search=chance("search"), click=chance("click"),
        favourite=chance("favourite"), abandoned=rate("abandoned", 0.3),
        conversion=chance("conversion"), lines=rate("lines", 0.2), units=rate("units", 0.12),
        price_level=np.clip(chance("price_level", 0.3), 0.03, 0.97), discount=chance("discount"),
        coupon=chance("coupon"), refund=chance("refund"), review=chance("review"),
        rating=_centre(segments, "rating")[segment] + 0.3 * rng.standard_normal(n),
        brand_loyalty=chance("brand_loyalty"), weekend=rate("weekend", 0.15),
        tastes=personal / personal.sum(axis=1, keepdims=True),
        region=_choose(np.tile(_REGION_WEIGHTS, (n, 1)), rng),
        device=_choose(np.array([s.devices for s in segments])[segment], rng),
        payment=_choose(np.array([s.payments for s in segments])[segment], rng),
        age_group=rng.binomial(len(AGE_GROUPS) - 1, 0.4, n),
        newsletter=rng.random(n) < 0.5,
    )  # fmt: skip


def _centre(segments: Sequence[Segment], name: str) -> Floats:
    return np.array([getattr(segment, name) for segment in segments], dtype=np.float64)


def _choose(weights: Floats | Sequence[Sequence[float]], rng: np.random.Generator) -> Ints:
    """One column index a row, drawn in proportion to the row's weights."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64), axis=1)
    edges /= edges[:, -1:]
    return np.asarray((rng.random(len(edges))[:, None] >= edges).sum(axis=1), dtype=np.int64)
