"""The section on the segments as rules, and what the explanation adds to each segment's part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.document import Segment
from shoal.report.document_reasons import Explained, Explanation, RulePath, TreeTold
from shoal.report.names import clean, clipped
from shoal.report.story_wording import Teller
from shoal.report.views import Table

#: Below this the cost of an explanation is none worth telling.
_COST: Final = 0.005
#: Weights and losses below this share are not told.
_LOST: Final = 0.005


@dataclass(frozen=True)
class RulesView:
    """What the template shows; `verdict` says how far the rules can be trusted."""

    lead: str
    verdict: str = ""
    sentences: Sequence[str] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Told:
    """What is told of one segment beside its profile."""

    persona: str = ""
    expected: str = ""
    rule_title: str = ""
    rules: Sequence[str] = ()
    rule_notes: Sequence[str] = ()
    borderline: Table | None = None


def rules(teller: Teller, found: Explanation | None) -> RulesView | None:
    """The section; None for segments without an explanation."""
    if found is None:
        return None
    texts, numbers = teller.wording.texts, teller.wording.numbers
    tree = found.tree
    if tree is None:
        return RulesView(texts("rules.none"))
    features = texts.counted("feature", tree.features, numbers.count(tree.features))
    lead = texts("rules.lead", leaves=numbers.count(tree.leaves), features=features)
    verdict = texts(
        "rules.true" if tree.reached else "rules.untrue",
        found=numbers.share(tree.balanced),
        goal=numbers.share(tree.goal),
    )
    return RulesView(lead, verdict, _sentences(teller, tree), _table(teller, found))


def _sentences(teller: Teller, tree: TreeTold) -> list[str]:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    said = [texts("rules.majority", majority=numbers.share(tree.majority))]
    if tree.cost is not None and tree.cost - 1 >= _COST:
        said.append(texts("rules.cost", more=numbers.share(tree.cost - 1)))
    if tree.left_out and tree.lost >= _LOST:
        features = texts.counted("feature", tree.left_out, numbers.count(tree.left_out))
        said.append(texts("rules.left_out", features=features, lost=numbers.share(tree.lost)))
    if tree.previous and tree.agreement is not None:
        said.append(
            texts(
                "rules.steady",
                asked=texts.counted("question", tree.asked, numbers.count(tree.asked)),
                kept=numbers.count(tree.kept),
                previous=clean(tree.previous, 40),
                agreement=numbers.share(tree.agreement),
            )
        )
    said.append(texts("rules.looked", customers=teller.customers(tree.looked_at)))
    return said


def _table(teller: Teller, found: Explanation) -> Table:
    """How much of each segment its rules find."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows, links = [], []
    for segment in teller.wording.document.segments:
        one = found.segments.get(segment.segment_id, Explained())
        rows.append(
            [clipped(segment.name), numbers.share(one.recall), numbers.count(len(one.paths))]
        )
        links.append(teller.segments[segment.segment_id][1])
    columns = [texts("col.segment"), texts("rules.found"), texts("rules.ways")]
    return Table(columns, rows, links=links)


# --- One segment ----------------------------------------------------------------------------------


def told(teller: Teller, segment: Segment) -> Told:
    """What the explanation tells of a segment; of one made by rules, its rule."""
    found, texts = teller.wording.document.explanation, teller.wording.texts
    one = found.segments.get(segment.segment_id) if found else None
    if found is None or one is None:
        if not segment.rule:
            return Told()
        return Told(rule_title=texts("profile.rule_own"), rules=[clean(segment.rule, 2000)])
    return Told(
        persona=clean(one.persona, 1500) if one.persona else "",
        expected=_expected(teller, one, found.horizon_days),
        rule_title=texts("profile.rule") if found.tree else "",
        rules=[_path(teller, path) for path in one.paths] if found.tree else (),
        rule_notes=_notes(teller, one, found.tree) if found.tree else (),
        borderline=_borderline(teller, one) if one.borderline else None,
    )


def _path(teller: Teller, path: RulePath) -> str:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    words = clean(path.words, 900)
    if path.right is None:
        return texts("profile.path_nobody", words=words)
    return texts(
        "profile.path",
        words=words,
        share=numbers.share(path.share),
        right=numbers.share(path.right),
    )


def _notes(teller: Teller, one: Explained, tree: TreeTold) -> list[str]:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    said = [] if one.paths else [texts("profile.rule_nobody")]
    if one.recall is not None and one.paths:
        low = one.recall < tree.goal
        key = "profile.recall_low" if low else "profile.recall"
        said.append(texts(key, recall=numbers.share(one.recall)))
    return said


def _expected(teller: Teller, one: Explained, horizon_days: int | None) -> str:
    """What the next period is expected to bring from the segment's members."""
    texts, numbers = teller.wording.texts, teller.wording.numbers
    found = one.expected
    if found is None:
        return ""
    parts = []
    if found.active is not None:
        parts.append(texts("profile.expected_active", share=numbers.share(found.active)))
    if found.orders is not None:
        parts.append(texts("profile.expected_orders", n=_whole(teller, found.orders)))
    if found.spend is not None and teller.wording.document.has_money:
        parts.append(texts("profile.expected_spend", money=numbers.short_money(found.spend)))
    if not parts:
        return ""
    days = teller.days(horizon_days) if horizon_days else texts("profile.expected_period")
    return texts("profile.expected", days=days, what=texts.listed(parts))


def _whole(teller: Teller, orders: float) -> str:
    numbers = teller.wording.numbers
    return numbers.count(orders) if orders >= 10 else numbers.plain(round(orders, 1))


def _borderline(teller: Teller, one: Explained) -> Table:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    rows = [
        [
            clipped(each.customer_id, 40), clipped(teller.name(each.next_id)),
            numbers.share(each.weight), numbers.share(each.next_weight),
        ]
        for each in one.borderline
    ]  # fmt: skip
    columns = [
        texts("col.customer"), texts("profile.next"), texts("profile.weight"),
        texts("profile.next_weight"),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({0, 1}))
