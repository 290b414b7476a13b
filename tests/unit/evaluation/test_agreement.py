from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.evaluation.agreement import agreement

labels = st.integers(0, 4)


@given(st.lists(st.tuples(labels, labels), min_size=2, max_size=60))
def test_the_adjusted_rand_index_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import adjusted_rand_score

    truth, found = [a for a, _ in pairs], [b for _, b in pairs]
    assert agreement(truth, found).ari == pytest.approx(adjusted_rand_score(truth, found), abs=1e-9)


def test_a_hand_computed_case() -> None:
    # cells: (a,1)=2, (b,1)=1, (b,2)=1; pairs together 1, rows 2, columns 3, of 6
    score = agreement(["a", "a", "b", "b"], [1, 1, 1, 2])
    assert score.ari == pytest.approx((1 - 1) / (2.5 - 1))
    assert score.purity == pytest.approx(3 / 4)


def test_labellings_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="labellings of 2 and 1 customers"):
        agreement(["a", "b"], ["a"])
