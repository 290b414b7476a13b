"""Effects are what they say, and their intervals hold them."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.segments.explain.effects import LARGEST, effects


def two(n: int, shift: float, seed: int):
    rng = np.random.default_rng(seed)
    places = np.repeat([0, 1], n)
    return places, rng.normal(size=2 * n) + shift * (places == 0)


def test_a_shift_of_one_deviation_is_an_effect_of_one_and_in_its_interval():
    places, values = two(4000, 1.0, 0)
    found = effects([("x", values)], places, [0, 1])
    (here,), (there,) = found[0], found[1]
    assert here.effect == pytest.approx(1.0, abs=0.05)
    assert here.low < 1.0 < here.high
    assert here.high - here.low < 0.15
    assert there.effect == pytest.approx(-here.effect)
    assert here.mean - here.rest_mean == pytest.approx(1.0, abs=0.06)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for seed in range(40):
        places, values = two(150, 0.5, seed)
        one = effects([("x", values)], places, [0])[0][0]
        covered += one.low <= 0.5 <= one.high
    assert covered >= 34  # of 40; 38 on average, 34 or fewer once in 300 runs


def test_fewer_customers_make_wider_intervals():
    widths = []
    for n in (50, 5000):
        places, values = two(n, 0.5, 1)
        one = effects([("x", values)], places, [0])[0][0]
        widths.append(one.high - one.low)
    assert widths[0] > 4 * widths[1]


def test_no_effect_has_zero_inside():
    places, values = two(500, 0.0, 2)
    one = effects([("x", values)], places, [0])[0][0]
    assert one.low < 0 < one.high


def test_groups_that_do_not_overlap_are_told_as_the_largest_effect():
    places = np.repeat([0, 1], 20)
    one = effects([("x", places.astype(float))], places, [1])[1][0]
    assert (one.effect, one.low, one.high) == (LARGEST, LARGEST, LARGEST)
    assert one.rank_effect == 1.0


def test_undefined_values_and_constants_are_left_out():
    places, values = two(100, 1.0, 3)
    holes = np.where(np.arange(200) % 2, np.nan, values)
    columns = [("holes", holes), ("one", np.ones(200)), ("none", np.full(200, np.nan))]
    (found,) = effects(columns, places, [0])[0]
    assert found.feature == "holes"
    assert found.mean == pytest.approx(np.nanmean(holes[:100]))


def test_a_group_of_few_is_not_compared():
    places = np.append(np.zeros(100, dtype=np.int64), [1, 1, 1])
    values = np.random.default_rng(0).normal(size=103)
    assert effects([("x", values)], places, [0, 1]) == {0: [], 1: []}


def test_the_order_of_features_is_that_of_their_size():
    places, weak = two(300, 0.3, 4)
    _, strong = two(300, 2.0, 5)
    found = effects([("weak", weak), ("strong", strong)], places, [0])[0]
    assert [one.feature for one in found] == ["strong", "weak"]


def test_the_same_customers_give_the_same_intervals():
    places, values = two(200, 1.0, 6)
    assert effects([("x", values)], places, [0]) == effects([("x", values)], places, [0])
