"""Rules in words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.random_rules import Chance

from shoal.segments.ruled import rule
from shoal.segments.ruled.document import of_document
from shoal.segments.ruled.language import Rule
from shoal.segments.ruled.words import LONGEST, words


@pytest.mark.parametrize(
    ("clause", "en", "zh"),
    [
        ((rule.feature("orders") >= 3) & (rule.feature("country") == "DE"),
         'orders is at least 3 and country is "DE"', 'orders 不少于 3 且 country 为 "DE"'),
        (rule.events("search").last_days(28) >= 2,
         "number of searches in the last 28 days is at least 2",
         "最近 28 天内搜索的次数 不少于 2"),
        (rule.events("value").where(rule.field("category").under("home")).sum("net") > 1000,
         'total net of buying events where category is "home" or below it is above 1,000',
         '购买行为（category 属于 "home"）的 net 合计 大于 1,000'),
        (rule.events("view").last_days(30).not_then(rule.events("purchase"), within_days=3,
                                                    same="item_id"),
         "view in the last 30 days, then no purchase within 3 days of the same item_id",
         "最近 30 天内浏览，3 天内没有购买（同一 item_id）"),
        (~(rule.trait("plan").unknown()) | rule.segment("s01"),
         "not (trait plan is unknown) or is in s01", "非（属性 plan 未知） 或 属于 s01"),
        (rule.days_in("r01", "rfm") >= 30, "days in rfm/r01 is at least 30",
         "停留天数：rfm/r01 不少于 30"),
    ],
)  # fmt: skip
def test_clauses_in_words(clause: Rule, en: str, zh: str) -> None:
    assert (words(clause).en, words(clause).zh) == (en, zh)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_rule_has_words_in_both_languages(seed: int) -> None:
    found = words(of_document(Chance(seed).clause(3)).segments[0].rule)
    for text in (found.en, found.zh):
        assert 0 < len(text) <= LONGEST
        assert "{}" not in text
    assert any("\u4e00" <= mark <= "\u9fff" for mark in found.zh)
