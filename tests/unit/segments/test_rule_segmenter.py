"""The segmenter of rules: weights, precedence, its artefact, and features alone."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.domain.errors import InputError
from shoal.segments.ruled.document import of_document
from shoal.segments.ruled.segmenter import PROVIDED, RuleSegmenter

ORDERS = {"feature": "orders", "op": ">=", "value": 3}
SPEND = {"feature": "spend", "op": ">", "value": 50}


def segmenter(*rules: dict[str, object], overlap: bool = False) -> RuleSegmenter:
    segments = [{"id": f"r{n}", "rule": rule} for n, rule in enumerate(rules)]
    return RuleSegmenter(of_document({"segments": segments, "overlap": overlap}))


def customers(count: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    spend = random.exponential(60, count)
    return pa.table(
        {
            "customer_id": [f"c{n}" for n in range(count)],
            "orders": random.integers(0, 6, count),
            "spend": pa.array(spend, mask=random.random(count) < 0.2),
        }
    )


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(0, 1000), overlap=st.booleans())
def test_weights_sum_to_one_and_rows_are_independent(count: int, seed: int, overlap: bool) -> None:
    made = segmenter(ORDERS, SPEND, overlap=overlap).fit(customers(5, 0))
    table = customers(count, seed)
    weights = made.transform(table)
    assert weights.shape == (count, 3)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_array_equal(made.predict(table), weights.argmax(axis=1))
    order = np.random.default_rng(seed).permutation(count)
    moved = made.transform(table.take(pa.array(order, pa.int64())))
    np.testing.assert_array_equal(moved, weights[order])


def test_the_first_rule_that_holds_counts_or_all_of_them() -> None:
    table = pa.table(
        {"customer_id": list("abcd"), "orders": [5, 5, 0, 0], "spend": [99.0, None, 99.0, 1.0]}
    )
    assert segmenter(ORDERS, SPEND).predict(table).tolist() == [0, 0, 1, 2]
    audiences = segmenter(ORDERS, SPEND, overlap=True).transform(table)
    assert audiences.tolist() == [[0.5, 0.5, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_its_artefact_is_the_same_segmenter() -> None:
    made = segmenter(ORDERS, {"except": ["r0", {"events": "view"}]})
    document, arrays = made.to_artefact()
    assert arrays == {}
    again = RuleSegmenter.from_artefact(json.loads(json.dumps(document)), {})
    assert again.rules == made.rules
    assert again.segment_ids == ("r0", "r1", "rest")
    assert again.rename(["s01"]).segment_ids == again.segment_ids


def test_a_column_told_before_is_taken_for_the_rule() -> None:
    made = segmenter({"events": "view"}, ORDERS)
    assert made.asks_more
    table = customers(4, 1).append_column(f"{PROVIDED}r0", pa.array([True, None, False, True]))
    assert (made.predict(table) == 0).tolist() == [True, False, False, True]
    assert not segmenter(ORDERS).asks_more


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"feature": "tenure_days", "op": ">", "value": 3}, "a rule asks for tenure_days"),
        ({"events": "view"}, "a rule asks for events or memberships"),
        ({"segment": "s01"}, "a rule asks for events or memberships"),
    ],
)
def test_what_a_table_of_features_does_not_tell_is_said(
    rule: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        segmenter(rule).transform(customers(3, 1))


def test_what_comes_before_is_told_in_words() -> None:
    made = segmenter(ORDERS, SPEND)
    assert made.in_words("r0").en == "orders is at least 3."
    assert made.in_words("r1").en == "spend is above 50; and not in r0."
    assert made.in_words("rest").en == "None of the rules holds."
    assert segmenter(ORDERS, SPEND, overlap=True).in_words("r1").zh == "spend 大于 50。"
