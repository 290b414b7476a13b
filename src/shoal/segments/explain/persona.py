"""A segment as one paragraph, of facts of its profile only.

Every number in the text is a fact with its place in the profile, so that a reader (or a test, or
whoever rewrites the paragraph) can look it up: `unsupported` names the numbers of any text that no
fact carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.segments.base import NET_REVENUE, ORDERS, SINCE_LAST_ORDER
from shoal.segments.wording import Described, amount, hides

#: Differences told in a paragraph; and the shares of a name's worth telling.
_EFFECTS: Final = 3
_TELLING_SHARE: Final = 0.1
_NUMBER: Final = re.compile(r"(?<![\d.,])-?\d[\d,]*(?:\.\d+)?%?")


@dataclass(frozen=True)
class Fact:
    """A number of a text: where it stands in the profile, and how it is shown."""

    path: tuple[str | int, ...]
    shown: str
    unit: str

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {"path": list(self.path), "shown": self.shown, "unit": self.unit}


@dataclass
class _Story:
    """A text under way, with the facts it has used and the words that may hold digits."""

    profile: Mapping[str, Any]
    facts: list[Fact] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    en: list[str] = field(default_factory=list)
    zh: list[str] = field(default_factory=list)

    def number(self, unit: str, *path: str | int) -> str:
        """The number at a place of the profile as a person writes it; remembered as a fact."""
        shown = shown_at(self.profile, path, unit)
        self.facts.append(Fact(path, shown, unit))
        return shown

    def label(self, text: Text) -> Text:
        """Words of somebody else, such as a feature's: digits in them are no facts."""
        self.labels |= {text.en, text.zh}
        return text

    def say(self, en: str, zh: str) -> None:
        self.en.append(en)
        self.zh.append(zh)


def shown_at(profile: Mapping[str, Any], path: Iterable[str | int], unit: str) -> str:
    """The number at a place of a profile as a person writes it."""
    value: Any = profile
    for step in path:
        value = value[step]
    return amount(float(value), unit)


def persona(
    profile: Mapping[str, Any], catalog: Mapping[str, Described], currency: str | None
) -> dict[str, Any]:
    """A paragraph about a segment and the facts behind it, as JSON.

    Args:
        profile: of `profiles.json`, with its name.
        currency: of amounts; None where the shop has none.

    Returns:
        `en`, `zh`, `facts` (`path` in the profile, `shown`, `unit`) and `labels`: words of the text
        whose digits are no facts.
    """
    story = _Story(profile)
    _who(story)
    if profile["segment_id"] != TIER_NEW:
        _differences(story, catalog)
        _typical(story, currency)
        _interest(story)
    return {
        "en": " ".join(story.en),
        "zh": "".join(story.zh),
        "facts": [one.as_document() for one in story.facts],
        "labels": sorted(story.labels),
    }


def _who(story: _Story) -> None:
    name = story.label(Text(**story.profile["name"]))
    size, share = story.number("customers", "size"), story.number("share", "share")
    en = f"{name.en}: {size} customers, {share} of all"
    zh = f"{name.zh}：{size} 位客户，占全部的 {share}"
    if story.profile["revenue_share"] is not None:
        part = story.number("share", "revenue_share")
        en, zh = f"{en}, with {part} of net revenue", f"{zh}，贡献净收入的 {part}"
    story.say(f"{en}.", f"{zh}。")


def _differences(story: _Story, catalog: Mapping[str, Described]) -> None:
    english, chinese = [], []
    for place, effect in enumerate(story.profile["effects"][:_EFFECTS]):
        described = catalog.get(effect["feature"])
        if described is None:
            continue
        text, unit = story.label(described.text), effect["unit"]
        hidden = hides(unit, effect["effect"], effect["median"], effect["rest_median"])
        mine, rest = ("mean", "rest_mean") if hidden else ("median", "rest_median")
        a = story.number(unit, "effects", place, mine)
        b = story.number(unit, "effects", place, rest)
        how = Text("on average", "平均") if hidden else Text("typically", "通常")
        english.append(f"{_lowered(text.en)} {how.en} {a}, against {b} for the rest")
        chinese.append(f"{text.zh}{how.zh}为 {a}（其余客户 {b}）")
        story.labels.add(_lowered(text.en))
    if english:
        story.say(f"What sets them apart: {'; '.join(english)}.", f"特点：{'；'.join(chinese)}。")


def _typical(story: _Story, currency: str | None) -> None:
    """Orders, days since the last one and money of the middle customer, where they order."""
    medians = story.profile["medians"]
    if not medians.get(ORDERS) or medians.get(SINCE_LAST_ORDER) is None:
        return
    orders = story.number("orders", "medians", ORDERS)
    since = story.number("days", "medians", SINCE_LAST_ORDER)
    counted = "order" if orders == "1" else "orders"
    en = (
        f"Half of them have placed {orders} {counted} or more; of those who ordered, half did so "
        f"within {since} days"
    )
    zh = f"半数客户下单 {orders} 次及以上；有订单者中，半数在 {since} 天以内下过单"
    if medians.get(NET_REVENUE):
        spent = story.number("currency", "medians", NET_REVENUE)
        money = f"{currency} {spent}" if currency else spent
        en, zh = f"{en}; half spent {money} or more", f"{zh}，半数净消费 {money} 及以上"
    story.say(f"{en}.", f"{zh}。")


def _interest(story: _Story) -> None:
    """The category that they turn to most, where it says something."""
    categories = story.profile.get("categories") or []
    if not categories or categories[0]["share"] < _TELLING_SHARE:
        return
    name = story.label(Text(categories[0]["name"], categories[0]["name"]))
    share = story.number("share", "categories", 0, "share")
    rest = story.number("share", "categories", 0, "rest_share")
    story.say(
        f"They turn most to {name.en}: {share} of their events, {rest} for the rest.",
        f"最关注 {name.zh}：占其事件的 {share}，其余客户为 {rest}。",
    )


def _lowered(text: str) -> str:
    """A sentence's beginning within another one.

    >>> _lowered("Orders placed"), _lowered("RFM score")
    ('orders placed', 'RFM score')
    """
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def unsupported(text: str, facts: Iterable[Mapping[str, Any]], labels: Iterable[str]) -> list[str]:
    """The numbers of a text that no fact shows; empty if every one is a fact.

    Args:
        labels: words whose digits are no claims, such as "in the last 90 days".

    >>> facts = [{"shown": "7"}, {"shown": "12%"}]
    >>> unsupported("7 orders in 90 days, 12% of all, 13 more", facts, ["in 90 days"])
    ['13']
    """
    for label in sorted(labels, key=len, reverse=True):
        text = text.replace(label, " ")
    shown = {one["shown"] for one in facts}
    return [number for number in _NUMBER.findall(text) if number.rstrip(",") not in shown]
