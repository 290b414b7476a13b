"""One customer: why in this segment, why not in the next one, what would move them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from shoal.domain.segment import TIER_NEW
from shoal.domain.text import Text
from shoal.heads.next_period import ACTIVE, ORDERED, ORDERS, SPEND
from shoal.segments.base import column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.explain.move import Asked, change_told
from shoal.segments.explain.readable import columns_of
from shoal.segments.explain.reasons import OUTLOOK, Part, Reasons, reasons
from shoal.segments.explain.tree import Tree
from shoal.segments.explain.words import rule_in_words
from shoal.segments.inputs import EMBEDDING
from shoal.segments.wording import Described, amount, describe

#: Parts told of either side, at most, and the share of all parts below which one is not told.
_PARTS: Final = 5
_TELLING: Final = 0.01

#: What a next-period head foretells, in words.
FORETOLD: Final[Mapping[str, Described]] = {
    name: Described(name, OUTLOOK, unit, Text(en, zh))
    for name, unit, en, zh in (
        (ACTIVE, "share", "Chance to be active in the next period", "下一周期活跃的概率"),
        (ORDERED, "share", "Chance to order in the next period", "下一周期下单的概率"),
        (ORDERS, "orders", "Orders expected in the next period", "下一周期预期订单数"),
        (SPEND, "currency", "Spend expected in the next period", "下一周期预期消费额"),
    )
}

_LEARNED: Final = Text("Patterns that the behaviour model has learned", "行为模型学到的模式")
_TYPICALLY: Final = Text("typically", "通常")
_ON_AVERAGE: Final = Text("on average", "平均")


def about(asked: Asked) -> dict[str, Any]:
    """All that is told of the customer, as JSON (docs/concepts/explanation.md)."""
    return _Telling(asked).document()


@dataclass(frozen=True)
class _Typicals:
    """What is typical of a column in a customer's segment and in the next one."""

    here: float | None
    there: float | None
    how: Text


class _Telling:
    """The parts of what is told."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.found, self.row = asked, asked.found, asked.row
        self.weights = self.found.segmenter.transform(self.row)[0]
        self.ids = self.found.segmenter.segment_ids
        self.here = int(self.weights.argmax())
        if asked.segment_id:
            self.here = self.ids.index(asked.segment_id)
        self.words = describe(asked.catalog, self.found.vocabulary)

    def document(self) -> dict[str, Any]:
        """All that is told of the customer."""
        segment_id = self.ids[self.here]
        head = {
            "segment_id": segment_id,
            "name": self._name(segment_id),
            "weight": float(self.weights[self.here]),
        }
        there = self._next()
        if segment_id == TIER_NEW or there is None:
            return {**head, "next": None, "decided_by": None, **self._too_little(segment_id)}
        why = reasons(
            self.found.segmenter, self.row, self.here, there, self._typical(self.ids[there])
        )
        for_here = [one for one in why.parts if one.size > 0]
        for_next = [one for one in why.parts if one.size < 0]
        next_id = self.ids[there]
        return {
            **head,
            "next": {
                "segment_id": next_id,
                "name": self._name(next_id),
                "weight": float(self.weights[there]),
            },
            "decided_by": why.how,
            "total": why.total,
            "held_by_margin": bool(self.weights[there] > self.weights[self.here]),
            "why_here": self._parts(for_here, why, next_id),
            "why_not_next": {
                "sentence": self._why_not(for_here, for_next, next_id).as_document(),
                "speaks_for_it": self._parts(for_next, why, next_id),
            },
            "themes": _themes(why.parts),
            "rule": self._rule(),
            "change": change_told(self.asked, self.here, self._described, self._name),
        }

    def _too_little(self, segment_id: str) -> dict[str, Any]:
        least = self.found.document["minimum_events"]
        text = Text(
            f"Fewer than {least} events are known of this customer: too little to place them.",
            f"该客户的事件少于 {least} 个，了解太少，暂不归入分群。",
        )
        if segment_id != TIER_NEW:
            text = Text("There is no other segment.", "没有其他分群。")
        nothing = {"sentence": text.as_document(), "speaks_for_it": []}
        return {
            "total": None, "held_by_margin": False, "why_here": [], "why_not_next": nothing,
            "themes": {}, "rule": None,
            "change": {"found": False, "sentence": text.as_document()},
        }  # fmt: skip

    # -- segments ----------------------------------------------------------------------------------

    def _next(self) -> int | None:
        """The place of the segment that weighs most after the customer's own."""
        others = [
            place for place, name in enumerate(self.ids) if place != self.here and name != TIER_NEW
        ]
        return max(others, key=lambda place: (self.weights[place], -place), default=None)

    def _name(self, segment_id: str) -> dict[str, str]:
        for one in self.found.document["segments"]:
            if one["segment_id"] == segment_id:
                return dict(one["name"])
        return {"en": segment_id, "zh": segment_id}

    def _typical(self, segment_id: str) -> dict[str, float]:
        """The typical value of each column in a segment: medians of features, means of tastes."""
        profile = self._profile(segment_id)
        medians = profile.get("medians", {}).items()
        return {
            **profile.get("means", {}),
            **{name: value for name, value in medians if value is not None},
        }

    def _profile(self, segment_id: str) -> Mapping[str, Any]:
        """The profile of a segment; empty where nobody was in it when it was made."""
        known = self.found.profiles["segments"]
        return next((one for one in known if one["segment_id"] == segment_id), {})

    # -- reasons -----------------------------------------------------------------------------------

    def _parts(self, parts: Sequence[Part], why: Reasons, next_id: str) -> list[dict[str, Any]]:
        """The largest parts in words."""
        whole = sum(abs(one.size) for one in why.parts) or 1.0
        found = []
        for one in parts[:_PARTS]:
            if abs(one.size) < _TELLING * whole:
                continue
            told = {
                "feature": one.feature, "theme": one.theme, "size": one.size,
                "share": abs(one.size) / whole,
            }  # fmt: skip
            if one.feature == EMBEDDING:
                found.append({**told, "sentence": _LEARNED.as_document()})
                continue
            value = self._value(one.feature)
            typical = self._typicals(one.feature, self.ids[self.here], next_id)
            found.append(
                {
                    **told,
                    "value": None if np.isnan(value) else value,
                    "typical_here": typical.here,
                    "typical_next": typical.there,
                    "sentence": self._sentence(one.feature, value, typical, next_id).as_document(),
                }
            )
        return found

    def _value(self, name: str) -> float:
        """The customer's value in a column, or what is expected of them."""
        if name in FORETOLD:
            return self._expected()[name]
        return float(column(self.row, name)[0])

    def _expected(self) -> dict[str, float]:
        segmenter = self.found.segmenter
        if not isinstance(segmenter, ClusterSegmenter) or segmenter.outlook is None:
            return {}
        told = segmenter.outlook.head.predict(self.row)
        return {name: float(values[0]) for name, values in told.items()}

    def _typicals(self, name: str, here: str, there: str) -> _Typicals:
        """A column in two segments: medians, or means where the medians read the same."""
        unit = self._described(name).unit
        if name in FORETOLD:
            return _Typicals(
                self._on_average(name, here), self._on_average(name, there), _ON_AVERAGE
            )
        a, b = (self._typical(one).get(name) for one in (here, there))
        c, d = (self._profile(one).get("means", {}).get(name) for one in (here, there))
        alike = a is None or b is None or amount(a, unit) == amount(b, unit)
        if alike and c is not None and d is not None:
            return _Typicals(c, d, _ON_AVERAGE)
        return _Typicals(a, b, _TYPICALLY)

    def _on_average(self, name: str, segment_id: str) -> float | None:
        """What is expected of a member of a segment on average."""
        told = (one for one in self.asked.told["segments"] if one["segment_id"] == segment_id)
        expected = (next(told, None) or {"value": {"next": None}})["value"]["next"]
        return None if expected is None else expected["means"].get(name)

    def _sentence(self, name: str, value: float, typical: _Typicals, next_id: str) -> Text:
        described = self._described(name)
        mine, own, other = (
            "–" if one is None or np.isnan(one) else amount(one, described.unit)
            for one in (value, typical.here, typical.there)
        )
        en, zh = ("unknown", "未知") if np.isnan(value) else (mine, mine)
        return Text(
            f"{described.text.en}: {en}; {typical.how.en} {own} here, {other} in {next_id}.",
            f"{described.text.zh}：{zh}；本群{typical.how.zh}为 {own}，{next_id} 为 {other}。",
        )

    def _described(self, name: str) -> Described:
        if name in FORETOLD:
            return FORETOLD[name]
        return self.words.get(name) or Described(name, "", "", Text(name, name))

    def _why_not(self, for_here: Sequence[Part], for_next: Sequence[Part], next_id: str) -> Text:
        """In a sentence what holds against the next segment, and how little speaks for it."""
        against, speaks = (sum(abs(one.size) for one in side) for side in (for_here, for_next))
        first = self._label(for_here[0]) if for_here else Text("nothing", "无")
        if not for_next:
            return Text(
                f"Nothing speaks for {next_id}; most against it: {first.en}.",
                f"没有因素支持 {next_id}；主要反对因素：{first.zh}。",
            )
        share = speaks / ((speaks + against) or 1.0)
        second = self._label(for_next[0])
        en = (
            f"{share:.0%} of the evidence speaks for {next_id} (most: {second.en}), "
            f"{1 - share:.0%} against it (most: {first.en})."
        )
        zh = (
            f"{share:.0%} 的依据支持 {next_id}（主要：{second.zh}），"
            f"{1 - share:.0%} 反对（主要：{first.zh}）。"
        )
        if against < speaks:  # they were here before, and stay until the margin is overcome
            en += f" Not by more than the margin of {self.asked.margin:g} yet, so they stay."
            zh += f"尚未超过 {self.asked.margin:g} 的切换幅度，故保留在原群。"
        return Text(en, zh)

    def _label(self, part: Part) -> Text:
        return _LEARNED if part.feature == EMBEDDING else self._described(part.feature).text

    # -- rule and change ---------------------------------------------------------------------------

    def _rule(self) -> dict[str, Any] | None:
        """The customer's path through the tree, and whether it ends in their segment."""
        told = self.asked.told["tree"]
        if told is None:
            return None
        tree = Tree.from_document(told["nodes"], self.ids)
        asked, vocabulary = self.asked, self.found.vocabulary
        values = columns_of(asked.features, asked.counts, asked.catalog, vocabulary)
        leaf = int(tree.apply(values)[0]) if tree.features else 0
        path, place = next((path, place) for number, place, path in tree.paths() if number == leaf)
        return {
            "segment_id": self.ids[place],
            "agrees": place == self.here,
            "words": rule_in_words([path], self.words, told["undefined"]).as_document(),
        }


def _themes(parts: Sequence[Part]) -> dict[str, float]:
    """Sum of the parts of each theme, largest first."""
    sums: dict[str, float] = {}
    for one in parts:
        sums[one.theme] = sums.get(one.theme, 0.0) + one.size
    return dict(sorted(sums.items(), key=lambda pair: (-abs(pair[1]), pair[0])))
