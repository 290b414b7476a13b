from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.evaluation.matching import match, scores

TRUTH = ["a", "a", "a", "b", "b", "c"]
FOUND = [7, 7, 9, 9, 9, 7]
pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=60)


def test_the_best_one_to_one_matching_of_a_hand_computed_table() -> None:
    # cells: (a,7)=2, (a,9)=1, (b,9)=2, (c,7)=1: 7 stands for a, 9 for b, c has no label
    assert match(TRUTH, FOUND) == {7: "a", 9: "b"}
    found = scores(TRUTH, FOUND)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.macro_recall == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.macro_f1 == pytest.approx((2 * 2 / (3 + 3) + 2 * 2 / (2 + 3) + 0) / 3)


def test_matching_gives_way_where_that_serves_the_whole() -> None:
    # greedy would take (a,1)=3 and leave (b,2)=0; together (a,2)+(b,1)=2+3 is more
    truth = ["a"] * 5 + ["b"] * 3
    assert match(truth, [1, 1, 1, 2, 2, 1, 1, 1]) == {1: "b", 2: "a"}


def test_a_label_more_than_there_are_segments_is_wrong() -> None:
    found = scores(["a"] * 6, [0, 0, 0, 1, 1, 2])
    assert found.accuracy == pytest.approx(3 / 6)


@given(pairs)
def test_scores_under_a_mapping_are_scikit_learns(cells: list[tuple[int, int]]) -> None:
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    truth, found = np.array([a for a, _ in cells]), np.array([b for _, b in cells])
    mapping = match(truth, found)
    called = np.array([mapping.get(int(one), -1) for one in found])
    told, names = scores(truth, found), np.unique(truth)
    assert told.accuracy == pytest.approx(accuracy_score(truth, called))
    more = {"labels": names, "average": "macro", "zero_division": 0}
    assert told.macro_recall == pytest.approx(recall_score(truth, called, **more))
    assert told.macro_f1 == pytest.approx(f1_score(truth, called, **more))


@given(pairs)
def test_no_other_mapping_agrees_more(cells: list[tuple[int, int]]) -> None:
    from itertools import permutations

    truth, found = [a for a, _ in cells], [b for _, b in cells]
    labels = sorted(set(found))
    best = max(
        sum(dict(zip(order, range(4), strict=False)).get(b) == a for a, b in cells)
        for order in permutations([*labels, *([None] * 4)], min(4, len(labels) + 4))
    )
    assert scores(truth, found).accuracy == pytest.approx(best / len(cells))


@given(pairs)
def test_names_of_labels_mean_nothing(cells: list[tuple[int, int]]) -> None:
    truth, found = [a for a, _ in cells], [b for _, b in cells]
    assert scores(truth, found).accuracy == scores(truth, [f"s{5 - one}" for one in found]).accuracy


def test_empty_and_unequal_labellings_are_refused() -> None:
    with pytest.raises(ValueError, match="labellings of 2 and 1 rows"):
        match(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="labellings of 0 and 0 rows"):
        scores([], [])
