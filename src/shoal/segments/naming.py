"""Names for learned segments: short phrases over verified effects, unique in their segmentation.

A name never claims more than the effect says: a phrase belongs to a feature and a direction, and is
used only where the effect is at least `NAMED_EFFECT`. The names are labels for people; the identity
of a segment is its id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text

#: Cohen's "medium" effect.
NAMED_EFFECT: Final = 0.5

NEW_NAME: Final = Text("Too little known", "了解太少")

#: (theme, feature, direction): phrase. One phrase a theme is used in a name.
_PHRASES: Final[Mapping[tuple[str, str], tuple[str, Text]]] = {
    ("night_share", "higher"): ("hours", Text("night-time", "深夜")),
    ("morning_share", "higher"): ("hours", Text("morning", "早晨")),
    ("afternoon_share", "higher"): ("hours", Text("afternoon", "午后")),
    ("evening_share", "higher"): ("hours", Text("evening", "晚间")),
    ("weekend_share", "higher"): ("week", Text("weekend", "周末")),
    ("weekend_share", "lower"): ("week", Text("weekday", "工作日")),
    ("discounted_order_share", "higher"): ("discount", Text("discount-seeking", "爱折扣")),
    ("discount_share", "higher"): ("discount", Text("discount-seeking", "爱折扣")),
    ("coupon_share", "higher"): ("discount", Text("coupon-using", "用优惠券")),
    ("discounted_order_share", "lower"): ("discount", Text("full-price", "原价购买")),
    ("discount_share", "lower"): ("discount", Text("full-price", "原价购买")),
    ("refund_rate", "higher"): ("refund", Text("often-returning", "常退货")),
    ("refund_share", "higher"): ("refund", Text("often-returning", "常退货")),
    ("refunds", "higher"): ("refund", Text("often-returning", "常退货")),
    ("price_level", "higher"): ("price", Text("premium", "偏好高价")),
    ("price_level_bought", "higher"): ("price", Text("premium", "偏好高价")),
    ("unit_price_mean", "higher"): ("price", Text("premium", "偏好高价")),
    ("price_level", "lower"): ("price", Text("low-price", "偏好低价")),
    ("price_level_bought", "lower"): ("price", Text("low-price", "偏好低价")),
    ("unit_price_mean", "lower"): ("price", Text("low-price", "偏好低价")),
    ("basket_value_mean", "higher"): ("basket", Text("big-basket", "大额订单")),
    ("basket_units_mean", "higher"): ("basket", Text("big-basket", "大篮子")),
    ("basket_lines_mean", "higher"): ("basket", Text("big-basket", "大篮子")),
    ("basket_value_mean", "lower"): ("basket", Text("small-basket", "小额订单")),
    ("basket_units_mean", "lower"): ("basket", Text("small-basket", "小篮子")),
    ("basket_lines_mean", "lower"): ("basket", Text("small-basket", "小篮子")),
    ("search_share", "higher"): ("search", Text("searching", "善搜索")),
    ("searches", "higher"): ("search", Text("searching", "善搜索")),
    ("search_share", "lower"): ("search", Text("strolling", "随便逛")),
    ("favourite_share", "higher"): ("browse", Text("wish-listing", "爱收藏")),
    ("review_rate", "higher"): ("review", Text("reviewing", "爱评价")),
    ("reviews", "higher"): ("review", Text("reviewing", "爱评价")),
    ("repeat_line_share", "higher"): ("repeat", Text("restocking", "重复购买")),
    ("repeat_item_share", "higher"): ("repeat", Text("restocking", "重复购买")),
    ("purchase_per_view", "higher"): ("funnel", Text("straight-to-purchase", "直奔购买")),
    ("buying_session_share_90d", "higher"): ("funnel", Text("straight-to-purchase", "直奔购买")),
    ("purchase_per_view", "lower"): ("funnel", Text("browsing", "多看少买")),
    ("buying_session_share_90d", "lower"): ("funnel", Text("browsing", "多看少买")),
    ("orders", "higher"): ("volume", Text("frequent", "高频")),
    ("orders_per_month", "higher"): ("volume", Text("frequent", "高频")),
    ("events", "higher"): ("volume", Text("busy", "活跃")),
    ("orders", "lower"): ("volume", Text("occasional", "低频")),
    ("orders_per_month", "lower"): ("volume", Text("occasional", "低频")),
    ("events", "lower"): ("volume", Text("quiet", "安静")),
    ("spend", "higher"): ("value", Text("high-spending", "高消费")),
    ("spend", "lower"): ("value", Text("low-spending", "低消费")),
    ("recency_days", "higher"): ("recency", Text("lapsed", "久未到访")),
    ("order_recency_days", "higher"): ("recency", Text("lapsed", "久未下单")),
    ("recency_days", "lower"): ("recency", Text("recently active", "近期活跃")),
    ("order_recency_days", "lower"): ("recency", Text("recently active", "近期下单")),
    ("tenure_days", "lower"): ("tenure", Text("newcomer", "新近加入")),
    ("tenure_days", "higher"): ("tenure", Text("long-standing", "资深")),
    ("top_category_share", "lower"): ("breadth", Text("all-round", "兴趣广泛")),
    ("category_entropy", "higher"): ("breadth", Text("all-round", "兴趣广泛")),
    ("top_category_share", "higher"): ("breadth", Text("focused", "兴趣专一")),
    ("category_entropy", "lower"): ("breadth", Text("focused", "兴趣专一")),
}

_FALLBACK: Final = Text("average", "普通")
_MOST_PHRASES: Final = 4


def name_all(profiles: Sequence[Mapping[str, Any]]) -> list[Text]:
    """A name a profile, in their order: no two are the same.

    Each name starts with the strongest fact (and the category that sets the segment apart); facts
    are added until the name is unique, and a number only where no fact tells two segments apart.
    """
    facts = [_facts(profile) for profile in profiles]
    lengths = [2] * len(profiles)
    while True:
        names = [
            NEW_NAME
            if profile["segment_id"] == TIER_NEW
            else _assembled(own[:length], _category(profile))
            for profile, own, length in zip(profiles, facts, lengths, strict=True)
        ]
        english = [name.en for name in names]
        longer = [
            length + 1
            if english.count(name) > 1 and length < min(len(own), _MOST_PHRASES)
            else length
            for name, own, length in zip(english, facts, lengths, strict=True)
        ]
        if longer == lengths:
            return _numbered(names)
        lengths = longer


def _facts(profile: Mapping[str, Any]) -> list[Text]:
    """Phrases of the profile's effects, strongest first, one a theme."""
    found: dict[str, Text] = {}
    effects = sorted(profile["effects"], key=lambda one: -abs(one["effect"]))
    for effect in effects:
        theme, phrase = _PHRASES.get((effect["feature"], effect["direction"]), ("", _FALLBACK))
        if theme and theme not in found and abs(effect["effect"]) >= NAMED_EFFECT:
            found[theme] = phrase
    return list(found.values())


def _category(profile: Mapping[str, Any]) -> str | None:
    """The category whose share is told apart most, if any."""
    for effect in sorted(profile["effects"], key=lambda one: -one["effect"]):
        if effect["feature"].startswith("category:") and effect["effect"] >= NAMED_EFFECT:
            name = str(effect["feature"].partition(":")[2])
            return f"category-{name}" if name.isdigit() else name
    return None


def _assembled(facts: Sequence[Text], category: str | None) -> Text:
    words = list(facts) or ([] if category else [_FALLBACK])
    en, zh = ", ".join(word.en for word in words), "、".join(word.zh for word in words)
    if category is None:
        return Text(f"{en} customers"[:1].upper() + f"{en} customers"[1:], f"{zh}的客户")
    en = f"{en} {category} shoppers".strip()
    return Text(en[:1].upper() + en[1:], f"{zh}的 {category} 客户" if zh else f"{category} 客户")


def _numbered(names: Sequence[Text]) -> list[Text]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name.en] = seen.get(name.en, 0) + 1
        count = seen[name.en]
        found.append(name if count == 1 else Text(f"{name.en} {count}", f"{name.zh} {count}"))
    return found


def summary(profile: Mapping[str, Any], minimum_events: int) -> Text:
    """One or two plain sentences about a segment, from its profile."""
    size, share = profile["size"], profile["share"]
    en = f"{size:,} customers, {share:.0%} of all"
    zh = f"{size:,} 位客户，占全部的 {share:.0%}"
    if profile["revenue_share"] is not None:
        en += f", with {profile['revenue_share']:.0%} of net revenue"
        zh += f"，贡献净收入的 {profile['revenue_share']:.0%}"
    en, zh = en + ".", zh + "。"
    if profile["segment_id"] == TIER_NEW:
        return Text(
            f"{en} Fewer than {minimum_events} events each: too little known to place them.",
            f"{zh}每人事件数不足 {minimum_events} 个，了解太少，暂不归入分群。",
        )
    told = [effect["sentence"] for effect in profile["effects"][:2]]
    return Text(
        " ".join([en, *(one["en"] for one in told)]), "".join([zh, *(one["zh"] for one in told)])
    )
