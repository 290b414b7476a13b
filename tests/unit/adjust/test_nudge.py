"""Steps that pay: what drifted is followed, what did not is left, ids mean what they meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shoal.adjust.adjustment import NUDGE
from shoal.adjust.nudge import nudge
from shoal.adjust.online import begun
from shoal.adjust.settings import AdjustSettings
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.density import Density
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.staged import Staged

NOW = datetime(2024, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
CENTERS = np.array([[0.0, 0, 0, 0], [5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 5, 0]])


def cloud(seed, shift=None, rows=800, centers=CENTERS, share=None):
    random = np.random.default_rng(seed)
    groups = random.choice(len(centers), size=rows, p=share)
    moved = centers if shift is None else centers + shift
    return moved[groups] + random.normal(size=(rows, centers.shape[1])), groups


def fitted(make=KMeansClusterer, seed=1, k=4):
    Z, _ = cloud(seed)
    segmenter = ClusterSegmenter([], clusterer=make(k).fit(Z, seed=0))
    segmenter.rename([f"s{place + 4:02d}" for place in range(len(segmenter.centers))])
    memory = begun(segmenter, NOW, half_life_days=30.0).learned(segmenter.clusterer, Z, NOW)
    return segmenter, memory.at(NOW + WEEK)


def tried(segmenter, memory, Z, *, recorded=None, budget=0.1, margin=0.1, price=0.1, seed=0):
    if recorded is None:
        recorded = segmenter.weights(Z).argmax(axis=1)
    found = nudge(segmenter, Z, recorded, memory, margin=margin, budget=budget, seed=seed,
                  settings=AdjustSettings(relabel_price=price))  # fmt: skip
    assert found is not None
    return found


@pytest.mark.parametrize("make", [KMeansClusterer, Mixture])
def test_centres_follow_customers_that_drifted(make):
    segmenter, memory = fitted(make)
    shift = np.array([0.0, 0, 0, 0.8])
    Z, groups = cloud(2, shift)
    found = tried(segmenter, memory, Z)
    assert found.proposal.action == NUDGE
    assert found.proposal.gain > 5 * found.proposal.gain_error > 0
    assert found.segmenter.ids == segmenter.ids
    places = segmenter.weights(Z).argmax(axis=1)
    for place in range(4):
        own = CENTERS[np.bincount(groups[places == place]).argmax()] + shift
        before, after = (
            np.linalg.norm(one.centers[place] - own) for one in (segmenter, found.segmenter)
        )
        assert after < 0.5 * before


@pytest.mark.parametrize("make", [KMeansClusterer, Mixture])
def test_the_gain_comes_true_on_customers_that_were_never_seen(make):
    segmenter, memory = fitted(make)
    shift = np.array([0.6, 0.4, 0, 0.5])
    found = tried(segmenter, memory, cloud(3, shift)[0])
    fresh, _ = cloud(99, shift, rows=20_000)
    if make is Mixture:
        falls = [one.clusterer.log_likelihood(fresh).mean() for one in (segmenter, found.segmenter)]
        came = 1 - np.exp(-2 * (falls[1] - falls[0]) / 4)
    else:
        near = [np.square(fresh[:, None] - one.centers).sum(axis=2).min(axis=1).mean()
                for one in (segmenter, found.segmenter)]  # fmt: skip
        came = 1 - near[1] / near[0]
    assert found.proposal.gain == pytest.approx(came, abs=4 * found.proposal.gain_error)


def test_without_drift_little_is_gained_and_what_pays_is_really_better():
    paid, better = 0, 0
    fresh, _ = cloud(99, rows=20_000)
    for seed in range(20):
        segmenter, memory = fitted(seed=100 + seed)
        found = tried(segmenter, memory, cloud(seed)[0])
        told = found.proposal
        assert told.gain < 0.01
        if told.gain - 0.1 * told.moved > told.gain_error:
            losses = [np.square(fresh[:, None] - one.centers).sum(axis=2).min(axis=1).mean()
                      for one in (segmenter, found.segmenter)]  # fmt: skip
            paid += 1
            better += losses[1] < losses[0]
    assert better >= 0.9 * paid


def test_a_price_beyond_the_gain_leaves_everything_as_it_is():
    segmenter, memory = fitted()
    Z, _ = cloud(2, np.array([1.2, 0, 0, 0]))
    assert tried(segmenter, memory, Z, margin=0.0).proposal.moved > 0
    dear = tried(segmenter, memory, Z, margin=0.0, price=1_000.0)
    assert dear.proposal.moved == 0


@pytest.mark.parametrize("budget", [0.0, 0.005, 0.02])
def test_no_more_move_than_the_budget_has(budget):
    segmenter, memory = fitted()
    Z, _ = cloud(2, np.array([1.5, 0, 0, 0]))
    before = segmenter.weights(Z).argmax(axis=1)
    found = tried(segmenter, memory, Z, budget=budget, margin=0.0, recorded=before)
    after = found.segmenter.weights(Z).argmax(axis=1)
    assert found.proposal.moved == pytest.approx((before != after).mean())
    assert found.proposal.moved <= budget


def test_the_margin_counts_for_who_is_moved():
    segmenter, memory = fitted()
    Z, _ = cloud(2, np.array([1.5, 0, 0, 0]))
    before = segmenter.weights(Z).argmax(axis=1)
    moves = [
        tried(segmenter, memory, Z, budget=1.0, margin=margin, recorded=before).proposal.moved
        for margin in (0.0, 0.6)
    ]
    assert moves[1] < moves[0]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_place_that_would_change_half_of_its_members_stays_and_is_told(elsewhere):
    """Most of the first segment lies nearer to where the second one would go."""
    random = np.random.default_rng(0)
    clumps = [(4.5, 90), (-8.0, 30), (5.5, 300), (20.0, 20), (100.0, 200)]
    Z = np.concatenate([random.normal([at, 0], 0.05, size=(rows, 2)) for at, rows in clumps])
    clusterer = KMeansClusterer(3)
    clusterer.centers = np.array([[0.0, 0], [10, 0], [100, 0.3 if elsewhere else 0]])
    segmenter = ClusterSegmenter([], clusterer=clusterer).rename(("s01", "s02", "s03"))
    memory = begun(segmenter, NOW, half_life_days=30.0)
    before = segmenter.weights(Z).argmax(axis=1)
    found = tried(segmenter, memory, Z, budget=1.0, margin=0.0)
    after = found.segmenter.weights(Z).argmax(axis=1)
    assert found.segmenter.ids == segmenter.ids
    for place in range(3):
        own, then = before == place, after == place
        assert (own & then).sum() >= 0.5 * max(own.sum(), then.sum())
    if elsewhere:
        assert found.proposal.evidence["refused"] == ["s01", "s02"]
        np.testing.assert_array_equal(found.segmenter.centers[:2], segmenter.centers[:2])
        assert abs(found.segmenter.centers[2, 1]) < 0.02


def test_an_empty_segment_is_told_and_not_given_to_somebody_else():
    segmenter, memory = fitted()
    Z, _ = cloud(2, np.array([0, 0, 0, 0.6]))
    places = segmenter.weights(Z).argmax(axis=1)
    rows = places != 2
    found = tried(segmenter, memory, Z[rows])
    assert found.proposal.evidence["emptied"] == [segmenter.ids[2]]
    np.testing.assert_array_equal(found.segmenter.centers[2], segmenter.centers[2])
    assert found.segmenter.shares[2] == 0
    assert found.proposal.gain > 0


def test_today_takes_over_from_memory_after_a_jump():
    segmenter, memory = fitted()
    jump = tried(segmenter, memory.times(20.0), cloud(2, np.array([0, 0, 0, 2.5]))[0])
    assert jump.proposal.evidence["target"] == "today"
    assert jump.proposal.evidence["step"] == 1.0


def test_statistics_hold_the_customers_of_the_look_whether_it_pays_or_not():
    segmenter, memory = fitted()
    Z, _ = cloud(2)
    for price in (0.1, 1_000.0):
        found = tried(segmenter, memory, Z, price=price)
        wanted = memory.learned(segmenter.clusterer, Z, memory.moment)
        np.testing.assert_allclose(found.statistics.sums, wanted.sums)
        assert found.statistics.moment == memory.moment


def test_the_order_of_customers_changes_nothing():
    segmenter, memory = fitted()
    Z, _ = cloud(2, np.array([0.7, 0, 0, 0.3]))
    order = np.random.default_rng(0).permutation(len(Z))
    one, other = tried(segmenter, memory, Z), tried(segmenter, memory, Z[order])
    assert one.proposal.moved == other.proposal.moved
    assert one.proposal.gain == pytest.approx(other.proposal.gain, rel=1e-9)
    np.testing.assert_allclose(one.segmenter.centers, other.segmenter.centers)


def test_the_segmenter_that_was_given_stays_as_it_was():
    segmenter, memory = fitted()
    centers, variance = segmenter.centers.copy(), segmenter.clusterer.variance
    found = tried(segmenter, memory, cloud(2, np.array([0, 0, 0, 1.0]))[0])
    assert found.segmenter is not segmenter
    np.testing.assert_array_equal(segmenter.centers, centers)
    assert segmenter.clusterer.variance == variance
    document, arrays = found.segmenter.to_artefact()
    again = ClusterSegmenter.from_artefact(document, arrays)
    Z, _ = cloud(5)
    np.testing.assert_array_equal(again.weights(Z), found.segmenter.weights(Z))


def test_rows_that_are_not_finite_do_not_count():
    segmenter, memory = fitted()
    Z, _ = cloud(2, np.array([0, 0, 0, 0.6]))
    holes = np.vstack([Z, np.full((5, 4), np.nan)])
    recorded = segmenter.weights(Z).argmax(axis=1)
    found = tried(segmenter, memory, holes, recorded=np.append(recorded, [0] * 5))
    assert found.proposal.evidence["customers"] == len(Z)
    assert found.proposal.gain == tried(segmenter, memory, Z).proposal.gain


def staged(base):
    """Two styles along the first two columns, two stages of each along the last two."""
    Z, _ = cloud(1)
    segmenter = ClusterSegmenter([], clusterer=Staged(base, 4, 2).fit(Z, seed=0))
    segmenter.rename([f"s{place:02d}" for place in range(4)])
    memory = begun(segmenter, NOW, half_life_days=30.0).learned(segmenter.clusterer, Z, NOW)
    return segmenter, memory.at(NOW + WEEK)


def test_styles_and_stages_follow_customers_that_drifted():
    segmenter, memory = staged(KMeansClusterer(2))
    Z, _ = cloud(2, np.array([0.7, 0, 0, 0.8]))
    found = tried(segmenter, memory, Z)
    assert found.proposal.gain > 5 * found.proposal.gain_error > 0
    style, stages = (found.segmenter.centers - segmenter.centers)[:, [0, 3]].mean(axis=0)
    assert 0.3 < style < 1.0
    assert 0.4 < stages < 1.1
    assert found.segmenter.clusterer.base.centers[:, 0].mean() > 0.2 + (
        segmenter.clusterer.base.centers[:, 0].mean()
    )


def test_stages_of_styles_that_cannot_move_have_no_step():
    segmenter, memory = staged(Hierarchy(2))
    Z, _ = cloud(2)
    assert nudge(segmenter, Z, np.zeros(len(Z), int), memory, margin=0.1, budget=0.1,
                 settings=AdjustSettings()) is None  # fmt: skip


def test_a_method_without_centres_has_no_step():
    Z, _ = cloud(1)
    segmenter = ClusterSegmenter([], clusterer=Density().fit(Z, seed=0))
    segmenter.rename([f"s{place:02d}" for place in range(len(segmenter.centers))])
    memory = begun(segmenter, NOW, half_life_days=9.0)
    places = segmenter.weights(Z).argmax(axis=1)
    assert nudge(segmenter, Z, places, memory, margin=0.1, settings=AdjustSettings(),
                 budget=0.1) is None  # fmt: skip


def test_too_few_customers_have_no_step():
    segmenter, memory = fitted()
    Z, _ = cloud(1, rows=7)
    assert nudge(segmenter, Z, np.zeros(7, int), memory, margin=0.1, settings=AdjustSettings(),
                 budget=0.1) is None  # fmt: skip
