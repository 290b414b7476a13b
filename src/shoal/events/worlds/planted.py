"""Segments of the other worlds: those of `steady` on the move, children, awkward ones, one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from shoal.events.worlds.segments import STEADY, Segment

_OF: Final = {segment.name: segment for segment in STEADY}


def moving(dwell_days: float) -> tuple[Segment, ...]:
    """The segments of `steady`, in each of which customers stay so many days on average."""
    return tuple(replace(segment, dwell_days=dwell_days) for segment in STEADY)


#: Children of changes have no share of their own: `spells.shares_on` gives them their parents'.
LINEAGE: Final = (
    *STEADY,
    replace(
        _OF["fashion_returners"], name="trend_followers", label_en="Trend followers",
        label_zh="追潮流的人", share=0.0, views=7.0, click=0.55, favourite=0.35, refund=0.12,
        price_level=0.82, discount=0.08, coupon=0.05, weekend=3.0,
        hours=((22, 2, 0.9), (13, 2, 0.1)),
        channels=(1, 1, 1, 9, 1, 5),
    ),
    replace(
        _OF["fashion_returners"], name="wardrobe_refreshers", label_en="Wardrobe refreshers",
        label_zh="换季添衣的人", share=0.0, views=3.2, favourite=0.05, refund=0.45,
        price_level=0.38,
        discount=0.65, coupon=0.45, lines=4.2, hours=((11, 2, 0.8), (16, 2, 0.2)),
        channels=(2, 3, 5, 1, 2, 1), devices=(2, 6, 1),
    ),
    replace(
        _OF["young_families"], name="family_suppliers", label_en="Family suppliers",
        label_zh="全家采购的人", share=0.0, views=1.8, search=0.4, conversion=0.42, lines=3.8,
        units=2.3, brand_loyalty=0.45, hours=((9, 2, 0.7), (13, 2, 0.3)),
        tastes=(0.6, 0.2, 1, 6, 2, 5, 0.4, 0.3),
    ),
    replace(
        _OF["weekend_browsers"], name="sporty_socials", label_en="Sporty socials",
        label_zh="运动社交客", share=0.0, views=3.0, favourite=0.18, conversion=0.28, review=0.32,
        price_level=0.68, weekend=1.5, hours=((18, 1.5, 0.8), (7, 1, 0.2)),
        tastes=(1.2, 0.6, 0.5, 0.6, 0.6, 0.3, 0.4, 9), channels=(1, 1, 0.5, 7, 0.5, 5),
    ),
)  # fmt: skip

_PLAIN: Final = Segment(
    name="by_chance", label_en="By chance", label_zh="随缘来的人", share=1 / 9,
    sessions_per_30_days=4.0, lifetime_days=400, views=3.5, search=0.5, click=0.3, favourite=0.1,
    abandoned=0.5, conversion=0.28, lines=2.2, units=1.4, price_level=0.5, discount=0.25,
    coupon=0.25, refund=0.08, review=0.1, rating=4.1, brand_loyalty=0.2, weekend=1.0,
    hours=((13, 4, 0.5), (20, 3, 0.5)), tastes=(1, 1, 1, 1, 1, 1, 1, 1),
    channels=(2, 2, 2, 2, 1, 2), devices=(5, 4, 1), payments=(4, 3, 2, 1),
)  # fmt: skip

#: The same means of everything; what differs is when events come, and in which order. The two
#: crescents alone differ in amounts: jointly in views and price, each not separable by a plane.
AWKWARD: Final = (
    _PLAIN,
    replace(_PLAIN, name="clockwork", label_en="Like clockwork", label_zh="按点来的人",
            regularity=14.0, burst=0.0),
    replace(_PLAIN, name="in_bursts", label_en="In bursts", label_zh="扎堆来的人", burst=8.0),
    replace(_PLAIN, name="after_payday", label_en="After payday", label_zh="发薪后来的人",
            payday=8.0),
    replace(_PLAIN, name="round_the_shop", label_en="Round the shop", label_zh="顺着逛的人",
            route=1),
    replace(_PLAIN, name="the_other_way_round", label_en="The other way round",
            label_zh="倒着逛的人", route=-1),
    replace(_PLAIN, name="search_last", label_en="Search last", label_zh="先逛后搜的人",
            late_search=0.95),
    replace(_PLAIN, name="upper_crescent", label_en="Upper crescent", label_zh="上弯月",
            crescent=1),
    replace(_PLAIN, name="lower_crescent", label_en="Lower crescent", label_zh="下弯月",
            crescent=2),
)  # fmt: skip

NOISE: Final = (
    replace(_PLAIN, name="everyone", label_en="Everyone", label_zh="所有人", share=1.0,
            lifetime_days=180, tastes=(2, 1.5, 2, 1.5, 1, 1, 1, 1)),
)  # fmt: skip
