"""The planted segments: groups of customers told apart by how they shop, not by how much.

Recency, frequency and spend overlap on purpose, so that an RFM grid cannot recover them; tastes,
hours, the funnel, discounts and returns can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

#: Top categories of the catalogue, in the order of every `tastes` tuple.
TOPS: Final = ("fashion", "electronics", "home", "grocery", "beauty", "kids", "media", "sports")
CHANNELS: Final = ("direct", "organic", "email", "social", "paid", "app")
DEVICES: Final = ("mobile", "desktop", "tablet")
PAYMENTS: Final = ("card", "wallet", "invoice", "bank_transfer")


@dataclass(frozen=True)
class Segment:
    """One planted segment: the centres around which its customers are drawn.

    Rates are means; probabilities lie in [0, 1]; `weekend` is how many times likelier a session is
    on a Saturday or Sunday than on another day; `hours` are peaks (centre hour, width in hours,
    weight); `tastes`, `channels`, `devices` and `payments` are weights over the tuples above.
    """

    name: str
    label_en: str
    label_zh: str
    share: float
    sessions_per_30_days: float
    lifetime_days: float
    views: float
    search: float
    click: float
    favourite: float
    abandoned: float
    conversion: float
    lines: float
    units: float
    price_level: float
    discount: float
    coupon: float
    refund: float
    review: float
    rating: float
    brand_loyalty: float
    weekend: float
    hours: tuple[tuple[float, float, float], ...]
    tastes: tuple[float, ...]
    channels: tuple[float, ...]
    devices: tuple[float, ...]
    payments: tuple[float, ...]
    #: shape of the gaps between visits: 1 as chance has it, more like clockwork
    regularity: float = 1.0
    #: how many visits follow a visit within days, as a multiple of the world's `gap_burst`
    burst: float = 1.0
    #: how many times likelier a visit is from the 25th of a month on
    payday: float = 1.0
    #: steps from one visit's category to the next one's, in the order of `TOPS`; 0 for none
    route: int = 0
    #: share of searching visits in which the search comes after the views
    late_search: float = 0.0
    #: which of two interleaved crescents (1 or 2) customers lie on in views and price; 0 for none
    crescent: int = 0
    #: how much a sale of the shop raises the odds of buying: odds x exp(4 x this x depth)
    price_sensitivity: float = 0.5
    #: mean days in the segment before a customer moves on; 0 for ever
    dwell_days: float = 0.0
    #: shape of that time: 1 forgets how long it has lasted, more does not
    dwell_shape: float = 3.0


#: What `blended` moves: means on a log scale, probabilities on that of log odds, weights as such.
_MEANS: Final = ("views", "abandoned", "units", "weekend")
_CHANCES: Final = (
    "search", "click", "favourite", "conversion", "price_level", "discount", "coupon", "refund",
    "review", "brand_loyalty",
)  # fmt: skip
_WEIGHTS: Final = ("tastes", "channels", "devices", "payments")


def blended(segments: tuple[Segment, ...], share: float) -> tuple[Segment, ...]:
    """The segments moved a share of the way to what all of them are on average."""
    if share <= 0 or len(segments) < 2:
        return segments

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    centre: dict[str, float] = {}
    for name in _MEANS:
        centre[name] = mean([math.log(getattr(one, name)) for one in segments])
    for name in _CHANCES:
        centre[name] = mean([_log_odds(getattr(one, name)) for one in segments])
    everyone = {
        name: [
            mean(list(place))
            for place in zip(*(_normed(getattr(one, name)) for one in segments), strict=True)
        ]
        for name in _WEIGHTS
    }
    peaks = tuple(
        (hour, width, weight * share / len(segments))
        for one in segments
        for hour, width, weight in one.hours
    )
    found = []
    for one in segments:
        moved: dict[str, Any] = {}
        for name in _MEANS:
            own = math.log(getattr(one, name))
            moved[name] = math.exp((1 - share) * own + share * centre[name])
        for name in _CHANCES:
            odds = math.exp((1 - share) * _log_odds(getattr(one, name)) + share * centre[name])
            moved[name] = odds / (1 + odds)
        for name in _WEIGHTS:
            pairs = zip(_normed(getattr(one, name)), everyone[name], strict=True)
            moved[name] = tuple((1 - share) * own + share * other for own, other in pairs)
        own_peaks = tuple((hour, width, weight * (1 - share)) for hour, width, weight in one.hours)
        found.append(replace(one, hours=own_peaks + peaks, **moved))
    return tuple(found)


def _log_odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


def _normed(weights: tuple[float, ...]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


STEADY: Final = (
    Segment(
        name="bargain_hunters", label_en="Bargain hunters", label_zh="淘便宜的人", share=0.18,
        sessions_per_30_days=4.2, lifetime_days=160, views=3.6, search=0.35, click=0.30,
        favourite=0.06, abandoned=0.5, conversion=0.27, lines=2.2, units=1.4, price_level=0.24,
        discount=0.80, coupon=0.60, refund=0.06, review=0.06, rating=3.6, brand_loyalty=0.05,
        weekend=1.1, hours=((20, 2.5, 0.7), (12, 2, 0.3)),
        tastes=(3, 1.2, 3, 1.2, 1.6, 1, 0.8, 0.8), channels=(1, 2, 4, 1, 3, 1),
        devices=(5, 4, 1), payments=(3, 5, 1, 1),
    ),
    Segment(
        name="weekend_browsers", label_en="Weekend browsers", label_zh="周末闲逛的人", share=0.16,
        sessions_per_30_days=3.4, lifetime_days=170, views=5.0, search=0.12, click=0.45,
        favourite=0.28, abandoned=0.9, conversion=0.20, lines=1.6, units=1.2, price_level=0.55,
        discount=0.15, coupon=0.20, refund=0.05, review=0.05, rating=4.2, brand_loyalty=0.15,
        weekend=7.0, hours=((11, 2.5, 0.5), (16, 2.5, 0.5)),
        tastes=(1, 0.5, 5, 0.5, 1, 0.6, 0.6, 2.2), channels=(2, 2, 1, 3, 1, 3),
        devices=(4, 1, 4), payments=(5, 3, 1, 1),
    ),
    Segment(
        name="tech_enthusiasts", label_en="Tech enthusiasts", label_zh="数码爱好者", share=0.13,
        sessions_per_30_days=3.4, lifetime_days=190, views=3.8, search=0.70, click=0.35,
        favourite=0.08, abandoned=0.5, conversion=0.22, lines=1.4, units=1.1, price_level=0.74,
        discount=0.18, coupon=0.10, refund=0.08, review=0.28, rating=3.9, brand_loyalty=0.40,
        weekend=1.2, hours=((21, 2.5, 0.7), (13, 2.5, 0.3)),
        tastes=(0.5, 8, 0.8, 0.3, 0.2, 0.4, 2.2, 0.9), channels=(3, 5, 1, 0.5, 1, 1),
        devices=(2, 7, 1), payments=(5, 3, 1, 2),
    ),
    Segment(
        name="young_families", label_en="Young families", label_zh="年轻家庭", share=0.16,
        sessions_per_30_days=3.3, lifetime_days=200, views=3.0, search=0.30, click=0.25,
        favourite=0.08, abandoned=0.4, conversion=0.30, lines=3.6, units=2.2, price_level=0.45,
        discount=0.35, coupon=0.35, refund=0.08, review=0.10, rating=4.3, brand_loyalty=0.20,
        weekend=0.8, hours=((10, 1.8, 0.7), (20.5, 1.2, 0.3)),
        tastes=(1, 0.3, 1.2, 2.5, 0.6, 7, 0.5, 0.4), channels=(3, 2, 2, 2, 1, 2),
        devices=(6, 2, 2), payments=(4, 3, 3, 1),
    ),
    Segment(
        name="fashion_returners", label_en="Fashion try-and-returners", label_zh="爱试爱退的时尚客",
        share=0.15, sessions_per_30_days=3.8, lifetime_days=150, views=4.6, search=0.15,
        click=0.40, favourite=0.16, abandoned=1.0, conversion=0.30, lines=3.0, units=1.1,
        price_level=0.62, discount=0.30, coupon=0.15, refund=0.50, review=0.08, rating=3.7,
        brand_loyalty=0.30, weekend=1.4, hours=((19, 2.5, 0.8), (13, 2, 0.2)),
        tastes=(9, 0.2, 0.7, 0.2, 3, 0.4, 0.3, 1.2), channels=(1, 1, 2, 6, 2, 4),
        devices=(9, 1, 0.5), payments=(2, 2, 6, 0.5),
    ),
    Segment(
        name="routine_restockers", label_en="Routine restockers", label_zh="按时补货的人",
        share=0.13, sessions_per_30_days=4.0, lifetime_days=240, views=0.7, search=0.45, click=0.10,
        favourite=0.02, abandoned=0.1, conversion=0.55, lines=3.0, units=2.4, price_level=0.42,
        discount=0.12, coupon=0.10, refund=0.02, review=0.03, rating=4.4, brand_loyalty=0.60,
        weekend=0.5, hours=((8, 1.5, 0.6), (12.5, 1, 0.4)),
        tastes=(0.2, 0.2, 1, 8, 4, 0.6, 0.3, 0.3), channels=(6, 1, 2, 0.3, 0.5, 3),
        devices=(4, 5, 1), payments=(7, 2, 1, 1),
    ),
    Segment(
        name="night_readers", label_en="Night-time readers and players", label_zh="深夜书迷与玩家",
        share=0.09, sessions_per_30_days=4.0, lifetime_days=180, views=3.2, search=0.45,
        click=0.30, favourite=0.14, abandoned=0.4, conversion=0.30, lines=2.0, units=1.1,
        price_level=0.40, discount=0.22, coupon=0.10, refund=0.03, review=0.22, rating=4.5,
        brand_loyalty=0.15, weekend=1.3, hours=((0.5, 2, 0.8), (22, 1.5, 0.2)),
        tastes=(0.4, 1.6, 0.4, 0.4, 0.4, 0.8, 8, 0.6), channels=(3, 3, 1, 1, 0.5, 3),
        devices=(5, 4, 2), payments=(3, 5, 0.5, 1),
    ),
)  # fmt: skip
