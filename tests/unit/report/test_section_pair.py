"""The comparison of two segments: the largest two to begin with, all of them for the script."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.unit.report.documents import document, hostile

from shoal.report.document import ReportDocument
from shoal.report.document_story import Story
from shoal.report.numbers import Numbers
from shoal.report.section_pair import PairView, pair
from shoal.report.texts import CATALOGUE, Texts
from shoal.report.wording import Wording


def view(shop: ReportDocument, lang: str = "en") -> PairView:
    return pair(Wording(shop, Texts(lang), Numbers(lang, shop.currency)))


def test_the_two_largest_are_compared_first() -> None:
    shop = document(5)
    turned = replace(shop, segments=shop.segments[::-1])
    shown = view(turned)
    assert (shown.first, shown.second) == (4, 3)
    assert shown.rows[0].label == "Customers"
    assert shown.rows[0].shown == ("2,460", "1,260")


def test_features_come_widest_apart_first_and_the_least_are_hidden() -> None:
    shop = document(5)
    features = shop.story.features
    first, second = (one.segment_id for one in shop.segments[:2])
    gaps = {one.label: abs(one.sizes[first] - one.sizes[second]) for one in features}
    many = tuple(replace(one, label=f"{one.label} {copy}") for copy in range(2) for one in features)
    shown = view(replace(shop, story=replace(shop.story, features=many)))
    labels = [row.label for row in shown.rows[-16:]]
    found = [gaps[label.rsplit(" ", 1)[0]] for label in labels]
    assert found == sorted((*gaps.values(), *gaps.values()), reverse=True)
    assert [row.hidden for row in shown.rows[-16:]] == [False] * 12 + [True] * 4
    assert labels[0] in shown.widest


def test_the_data_hold_every_segment_in_the_order_of_the_choice() -> None:
    shop = document(5)
    shown = view(shop)
    data = json.loads(shown.data)
    assert data["names"] == [f"“{one.name}”" for one in shop.segments]
    assert len(data["rows"]) == len(shown.rows)
    for row, stored in zip(shown.rows, data["rows"], strict=True):
        assert len(stored["shown"]) == 5
        assert row.shown == (stored["shown"][0], stored["shown"][1])
    customers = data["rows"][0]
    assert customers["shown"] == [f"{one.customers:,}" for one in shop.segments]
    assert customers["at"][0] == 100
    assert customers["at"][-1] == 0


def test_no_text_of_the_data_can_end_the_script_element() -> None:
    shown = view(hostile())
    assert "<" not in shown.data
    assert ">" not in shown.data
    assert "</script>" in json.loads(shown.data)["names"][0]


@pytest.mark.parametrize("lang", CATALOGUE)
def test_without_money_orders_are_compared(lang: str) -> None:
    shown = view(document(3, money=False, categories=False), lang)
    assert not any("GBP" in text for row in shown.rows for text in row.shown)
    orders = shown.rows[3]
    assert orders.shown == ("2", "3")


def test_without_features_the_totals_stand_alone() -> None:
    shown = view(replace(document(3), story=Story()))
    assert shown.widest == ""
    assert len(shown.rows) == 6
    assert not any(row.hidden for row in shown.rows)
