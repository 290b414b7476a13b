"""Plain sentences about features, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shoal.domain.text import Text
from shoal.features.algebra import Feature
from shoal.features.tastes import Vocabulary

#: Facets of tastes in words: share of the customer's events.
_FACETS: Final = {
    "category": Text("Share of events in category {}", "品类“{}”的事件占比"),
    "brand": Text("Share of events with brand {}", "品牌“{}”的事件占比"),
    "channel": Text("Share of events through channel {}", "渠道“{}”的事件占比"),
    "device": Text("Share of events on device {}", "设备“{}”的事件占比"),
    "payment": Text("Share of purchases paid by {}", "以“{}”支付的购买占比"),
}

TASTE_GROUP: Final = "tastes"

THE_REST: Final = Text("for the rest", "其余客户")


@dataclass(frozen=True)
class Described:
    """What a column says, in words, and in which unit."""

    name: str
    group: str
    unit: str
    text: Text


def describe(catalog: Iterable[Feature], vocabulary: Vocabulary) -> dict[str, Described]:
    """Every feature of the catalog that tells of customers, and every taste column, by name.

    What is so now (the weather where somebody was seen last) tells of the day.
    """
    found = {
        one.name: Described(
            one.name,
            one.group,
            one.unit,
            Text(one.sentence.en.rstrip("."), one.sentence.zh.rstrip("。")),
        )
        for one in catalog
        if one.window != "now"
    }
    for column, (facet, value) in zip(vocabulary.columns, vocabulary.names, strict=True):
        words = _FACETS[facet]
        text = Text(words.en.format(value), words.zh.format(value))
        found[column] = Described(column, TASTE_GROUP, "share", text)
    return found


def amount(value: float, unit: str) -> str:
    """A value as a person writes it.

    >>> amount(0.123, "share"), amount(1234.5, "currency"), amount(3.0, "orders"), amount(0.5, "")
    ('12%', '1,234', '3', '0.5')
    """
    if unit == "share":
        return f"{value:.0%}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 1 and unit else f"{value:.1f}"


def hides(unit: str, effect: float, inside: float, outside: float) -> bool:
    """Whether medians do not show an effect: they read the same, or the other way round."""
    return amount(inside, unit) == amount(outside, unit) or (inside - outside) * effect < 0


def sentence(
    described: Described,
    effect: float,
    inside: float,
    outside: float,
    mean: float,
    rest_mean: float,
    others: Text = THE_REST,
) -> Text:
    """How a segment differs in a feature: medians, or means where the medians hide it.

    Args:
        others: whom it is compared with, as "for the rest".

    >>> orders = Described("orders", "behaviour", "orders", Text("Orders placed", "下单次数"))
    >>> print(sentence(orders, 1.2, 7.0, 2.0, 8.1, 2.5).en)
    Orders placed: typically 7, against 2 for the rest (much more).
    """
    hidden = hides(described.unit, effect, inside, outside)
    mine, rest = (mean, rest_mean) if hidden else (inside, outside)
    a, b = amount(mine, described.unit), amount(rest, described.unit)
    much = abs(effect) >= 0.8
    if mine > rest:
        en, zh = ("much more" if much else "more"), ("明显更高" if much else "更高")
    else:
        en, zh = ("much less" if much else "less"), ("明显更低" if much else "更低")
    how_en, how_zh = ("on average", "平均") if hidden else ("typically", "通常")
    return Text(
        f"{described.text.en}: {how_en} {a}, against {b} {others.en} ({en}).",
        f"{described.text.zh}：{how_zh}为 {a}，{others.zh}为 {b}（{zh}）。",
    )
