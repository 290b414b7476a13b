"""Two segmentations beside each other, and which foretells more."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from shoal.evaluation.backtest import Outcome, backtest
from shoal.evaluation.crosswalk import crosswalk
from shoal.evaluation.deviance import mix_deviance, poisson_deviance


def test_agreement_is_that_of_the_reference_on_random_labels():
    random = np.random.default_rng(0)
    for _ in range(20):
        left = random.integers(random.integers(1, 5), size=60).astype(str)
        right = np.where(random.random(60) < 0.5, left, random.integers(3, size=60).astype(str))
        found = crosswalk(left, right)
        assert found.ari == pytest.approx(adjusted_rand_score(left, right))
        reference = normalized_mutual_info_score(left, right, average_method="geometric")
        if len(set(left)) > 1 and len(set(right)) > 1:
            assert found.nmi == pytest.approx(reference, abs=1e-9)


def test_best_matches_with_counts_shares_and_overlaps():
    found = crosswalk(["vip"] * 4 + ["rest"] * 6, ["s02"] * 3 + ["s01"] * 7)
    rest, vip = found.rows
    assert (vip.segment, vip.best, vip.customers, vip.common, vip.share) == (
        "vip",
        "s02",
        4,
        3,
        0.75,
    )
    assert vip.overlap == pytest.approx(3 / 4)
    assert (rest.best, rest.share) == ("s01", 1.0)
    assert found.counts.sum() == 10


def test_single_segments_on_both_sides_agree_and_on_one_side_tell_nothing():
    assert crosswalk(["a", "a"], ["b", "b"]).nmi == 1.0
    assert crosswalk(["a", "a"], ["b", "c"]).nmi == 0.0


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="0 and 0"):
        crosswalk([], [])


def outcomes(n: int, seed: int) -> tuple[np.ndarray, list[Outcome]]:
    random = np.random.default_rng(seed)
    kind = random.integers(3, size=n)
    orders = random.poisson(np.array([0.2, 1.0, 4.0])[kind])[:, None].astype(float)
    everybody = np.ones(n, dtype=bool)
    came = (orders[:, 0] > 0).astype(float)
    return kind, [
        Outcome("active", np.column_stack([came, 1 - came]), everybody, mix_deviance),
        Outcome("orders", orders, everybody, poisson_deviance),
    ]


def test_the_segments_that_tell_win_and_random_ones_do_not():
    kind, asked = outcomes(600, 1)
    noise = np.random.default_rng(2).integers(3, size=600)
    for one in backtest(asked, {"shoal": kind, "incumbent": noise}):
        assert one.winner == "shoal"
        assert one.shares["shoal"].figure > 0.1
        assert one.shares["incumbent"].figure < 0.02
        assert one.difference.low <= one.difference.figure <= one.difference.high


def test_equal_segments_have_no_winner():
    kind, asked = outcomes(300, 3)
    for one in backtest(asked, {"shoal": kind, "incumbent": kind + 7}):
        assert one.winner == ""
        assert one.difference.figure == 0
        assert one.as_document()["winner"] is None


def test_outcomes_that_do_not_vary_are_not_asked():
    _, asked = outcomes(100, 4)
    constant = Outcome("same", np.ones((100, 1)), np.ones(100, dtype=bool), poisson_deviance)
    few = Outcome("few", asked[1].values, np.arange(100) < 5, poisson_deviance)
    found = backtest([constant, few], {"a": np.zeros(100, int), "b": np.zeros(100, int)})
    assert found == []


def test_two_segmentations_are_compared():
    with pytest.raises(ValueError, match="1 segmentations"):
        backtest([], {"a": np.zeros(3, int)})
