"""The switching rule: margins, the tier of the too little known, and what cannot be asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shoal.segments.assign import NOWHERE, assign, margins_of, places_of

IDS = ("s01", "s02", "s03", "new")


def test_a_customer_stays_until_another_segment_weighs_more_by_more_than_the_margin() -> None:
    W = np.array([[0.45, 0.55, 0.0], [0.44, 0.56, 0.0], [0.2, 0.45, 0.35], [0.9, 0.1, 0.0]])
    found = assign(W, np.zeros(4, int), margin=0.11)
    assert found.places.tolist() == [0, 1, 1, 0]
    assert found.moved.tolist() == [False, True, True, False]
    np.testing.assert_allclose(found.weights, [0.45, 0.56, 0.45, 0.9])
    np.testing.assert_allclose(found.margins, [-0.1, 0.12, 0.1, 0.8])


def test_a_tie_or_a_gain_of_just_the_margin_moves_nobody() -> None:
    W = np.array([[0.5, 0.5], [0.375, 0.625]])
    assert not assign(W, np.array([1, 0]), margin=0.25).moved.any()
    assert not assign(W[:1], np.array([1]), margin=0.0).moved.any()


def test_without_a_record_the_heaviest_segment_is_taken_whatever_the_margin() -> None:
    W = np.array([[0.34, 0.33, 0.33, 0.0], [0.0, 0.0, 0.0, 1.0]])
    found = assign(W, np.array([NOWHERE, NOWHERE]), margin=0.9, segment_ids=IDS)
    assert found.places.tolist() == [0, 3]
    assert found.moved.all()


def test_the_too_little_known_leave_their_tier_at_once_and_never_come_back() -> None:
    W = np.array([[0.36, 0.34, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    found = assign(W, np.array([3, 3, 1]), margin=0.5, segment_ids=IDS)
    assert found.places.tolist() == [0, 3, 1]
    assert found.moved.tolist() == [True, False, False]
    assert found.margins.tolist() == pytest.approx([0.02, 1.0, -1.0])


def test_a_row_is_decided_alone() -> None:
    rng = np.random.default_rng(3)
    W = rng.dirichlet(np.ones(4), 50)
    before = rng.integers(-1, 4, 50)
    whole = assign(W, before, margin=0.2, segment_ids=IDS)
    order = rng.permutation(50)
    shuffled = assign(W[order], before[order], margin=0.2, segment_ids=IDS)
    np.testing.assert_array_equal(whole.places[order], shuffled.places)
    for row in range(50):
        one = assign(W[[row]], before[[row]], margin=0.2, segment_ids=IDS)
        assert one.places[0] == whole.places[row]
        assert one.margins[0] == whole.margins[row]


def test_one_segment_and_nobody() -> None:
    assert assign(np.ones((2, 1)), np.array([0, -1]), margin=0.1).margins.tolist() == [1.0, 1.0]
    nobody = assign(np.empty((0, 3)), np.empty(0, int), margin=0.1)
    assert nobody.places.shape == nobody.moved.shape == (0,)


def test_margins_are_the_heaviest_weight_less_the_next() -> None:
    W = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    assert margins_of(W).tolist() == pytest.approx([0.2, 1.0])


def test_places_of_unknown_ids_are_nowhere() -> None:
    ids = pa.chunked_array([["s02", "gone"], [None, "s01"]])
    assert places_of(ids, IDS).tolist() == [1, NOWHERE, NOWHERE, 0]


@pytest.mark.parametrize("margin", [-0.1, 1.0, 7])
def test_a_margin_that_means_nothing_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="0 <= margin < 1"):
        assign(np.ones((1, 2)) / 2, np.array([0]), margin=margin)


def test_weights_and_records_of_other_customers_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        assign(np.ones((2, 2)) / 2, np.array([0]), margin=0.1)
