"""Rules of a tree in plain words, English and Chinese."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shoal.domain.text import Text
from shoal.segments.explain.tree import Bounds
from shoal.segments.wording import Described


def rule_in_words(
    paths: Sequence[Sequence[Bounds]],
    catalog: Mapping[str, Described],
    undefined: Collection[str] = (),
) -> Text:
    """What the paths to a segment ask; a customer of any of them belongs there.

    Args:
        undefined: features that some customers have no value of.
    """
    if not paths:
        return Text("No customer is put here by the tree.", "决策树未将任何客户归入此群。")
    told = [path_in_words(one, catalog, undefined) for one in paths]
    if len(told) == 1:
        return Text(f"{told[0].en}.", f"{told[0].zh}。")
    english, chinese = (one.en for one in told), (one.zh for one in told)
    return Text(f"Either {'; or '.join(english)}.", f"满足其一：{'；或'.join(chinese)}。")


def path_in_words(
    path: Sequence[Bounds], catalog: Mapping[str, Described], undefined: Collection[str] = ()
) -> Text:
    """What one path asks."""
    told = [condition(one, catalog, one.feature in undefined) for one in path]
    if not told:
        return Text("Every customer", "所有客户")
    return Text(" and ".join(one.en for one in told), "，且".join(one.zh for one in told))


def condition(one: Bounds, catalog: Mapping[str, Described], undefined: bool) -> Text:
    """Bounds of one feature in words.

    >>> orders = Described("orders", "behaviour", "orders", Text("Orders placed", "下单次数"))
    >>> print(condition(Bounds("orders", 2.0, 5.0, False), {"orders": orders}, False).en)
    [Orders placed] more than 2 and at most 5
    """
    described = catalog[one.feature]
    english, chinese = [], []
    if one.low is not None:
        english.append(f"more than {exactly(one.low, described.unit)}")
        chinese.append(f"大于 {exactly(one.low, described.unit)}")
    if one.high is not None:
        english.append(f"at most {exactly(one.high, described.unit)}")
        chinese.append(f"不超过 {exactly(one.high, described.unit)}")
    en, zh = " and ".join(english), "且".join(chinese)
    if undefined and one.unknown:
        en, zh = f"{en} or unknown", f"{zh}或未知"
    return Text(f"[{described.text.en}] {en}", f"[{described.text.zh}]{zh}")


def exactly(value: float, unit: str) -> str:
    """A threshold to its last digit, as a person writes it.

    >>> exactly(0.125, "share"), exactly(12345.5, "currency"), exactly(3.0, "orders")
    ('12.5%', '12,345.5', '3')
    """
    if unit == "share":
        return f"{float(f'{value * 100:.12g}'):,.12g}%"
    return f"{value:,.12g}"


def bounds_document(one: Bounds) -> dict[str, Any]:
    """Bounds as JSON."""
    return {"feature": one.feature, "above": one.low, "up_to": one.high, "unknown": one.unknown}
