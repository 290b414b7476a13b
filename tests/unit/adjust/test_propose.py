"""Splits, merges and births that are proposed: planted ones are found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.adjust.adjustment import MERGE, SPLIT
from shoal.adjust.birth import births
from shoal.adjust.modes import Windows, along, halves, together, two_modes
from shoal.adjust.policy import worth
from shoal.adjust.propose import merges, splits
from shoal.adjust.reshape import reshaped, split
from shoal.adjust.settings import AdjustSettings
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.judge import Future
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.mixture import Mixture

SETTINGS = AdjustSettings()
D = 8


def cloud(random, rows, at=(0.0,)):
    """A round cloud, its middle at some coordinates."""
    middle = np.zeros(D)
    middle[: len(at)] = at
    return middle + random.normal(size=(rows, D))


def known(*clouds, clusterer=None):
    """A segmenter with a segment a cloud, and its customers' places."""
    Z = np.vstack(clouds)
    segmenter = ClusterSegmenter([], len(clouds), clusterer=clusterer).cluster(Z)
    return segmenter, Z, segmenter.weights(Z).argmax(axis=1)


def four(random, rows=300):
    """Four clouds well apart."""
    return [cloud(random, rows, at) for at in ((9,), (-9,), (0, 9), (0, -9))]


def asked(what, found, seed=0, future=None, **more):
    segmenter, Z, places = found
    return what(segmenter, Z, places, future, settings=SETTINGS, seed=seed, **more)


# --- Two modes ------------------------------------------------------------------------------------

SHAPES = {
    "round": lambda random, rows: random.normal(size=(rows, D)),
    "flat": lambda random, rows: random.uniform(size=(rows, D)) * np.r_[2, np.ones(D - 1)],
    "skewed": lambda random, rows: np.exp(0.8 * random.normal(size=(rows, D))),
    "heavy": lambda random, rows: random.standard_t(2.5, size=(rows, D)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_one_mode_of_any_shape_is_hardly_ever_taken_for_two(shape):
    told, seeds = 0, 100 if shape == "round" else 40
    for seed in range(seeds):
        X = SHAPES[shape](np.random.default_rng([seed, 3]), 300)
        modes = two_modes(X, seed=seed)
        told += modes is not None and modes.p_value <= 0.05
    assert told <= 0.05 * seeds


def test_two_clouds_are_two_modes_and_their_means_are_told():
    random = np.random.default_rng(1)
    X = np.vstack([cloud(random, 300, (2.2, 1)), cloud(random, 200, (-2.2, 1))])
    modes = two_modes(X, seed=1)
    assert modes is not None and modes.p_value < 1e-3 and modes.agreement > 0.97
    np.testing.assert_allclose(modes.centers[:, :2], [[2.2, 1], [-2.2, 1]], atol=0.3)
    assert modes.share == pytest.approx(0.4, abs=0.03) and modes.depth > 0.5


def test_the_order_of_rows_changes_nothing():
    random = np.random.default_rng(2)
    X = np.vstack([cloud(random, 100, (2,)), cloud(random, 100, (-2,))])
    one, other = two_modes(X, seed=4), two_modes(X[random.permutation(200)], seed=4)
    assert one is not None and other is not None
    assert one.p_value == other.p_value
    np.testing.assert_allclose(one.centers, other.centers)


@pytest.mark.parametrize("X", [np.zeros((5, 2)), np.zeros((50, 2)), np.ones((50, 1))])
def test_few_rows_or_rows_that_are_all_the_same_have_no_two_modes(X):
    assert two_modes(X) is None


def test_windows_count_and_tell_the_chance_of_so_few_between():
    x = np.array([[-1.0], [-1.1], [-0.9], [1.0], [1.1], [0.9], [0.0]])
    windows = Windows(np.array([1.0]), (-1.0, 0.0, 1.0), 0.5)
    assert windows.counts(x) == (3, 1, 3)
    assert windows.p_value(x) == pytest.approx(5 / 16)  # one or none of four, both as likely
    assert windows.p_value(np.array([[9.0]])) == 1.0


def test_halves_are_as_many_and_p_values_add_up():
    X = np.random.default_rng(0).normal(size=(101, 3))
    one, other = halves(X, 0)
    assert sorted([*one, *other]) == list(range(101)) and len(one) - len(other) == 1
    assert together([0.05, 0.05]) < 0.02 and together([0.5, 0.5]) == pytest.approx(0.5)
    assert together([0.0, 1.0]) == pytest.approx(0.5, abs=1e-3)


def test_a_lump_in_a_tail_is_no_second_group():
    x = np.r_[np.random.default_rng(0).normal(size=500), np.full(10, 8.0)]
    assert along(x) is None or abs(along(x).places[2]) < 4


# --- Splits ---------------------------------------------------------------------------------------


def test_a_segment_that_became_two_is_split_and_others_are_not():
    random = np.random.default_rng(3)
    segmenter, Z, places = known(*four(random))
    own = places == 1
    step = np.where(random.random(own.sum()) < 0.6, 2.5, -2.5)
    Z[own, 4] += step
    (found,) = asked(splits, (segmenter, Z, places), seed=1)
    assert (found.action, found.segments) == (SPLIT, ("s02",))
    assert found.evidence["kind"] == "split" and found.evidence["p_value"] < 0.01
    assert found.moved == pytest.approx(0.1, abs=0.02)
    assert worth(found, SETTINGS.relabel_price) > 0 and found.gain_error > 0
    assert sum(found.evidence["shares"]) == pytest.approx(0.25, abs=0.01)
    made = reshaped(segmenter, found, ["s09"])
    again = made.weights(Z).argmax(axis=1)
    assert np.mean((again[own] == 1) == (step > 0)) > 0.95


def test_of_a_hundred_segments_of_one_cloud_no_more_than_five_are_split():
    proposed = 0
    for seed in range(25):
        random = np.random.default_rng([seed, 5])
        proposed += len(asked(splits, known(*four(random, 150)), seed=seed))
    assert proposed <= 5


def apart(Z, own, half, by):
    """Customers with one segment's halves so far from their middle."""
    moved = Z.copy()
    moved[own, 5] += np.where(half, by, -by)
    return moved


def period(X, came):
    return Future(X, 28, came, came.copy(), came * 20.0)


def test_a_split_tells_how_much_better_the_next_period_is_foretold():
    random = np.random.default_rng(6)
    segmenter, Z, places = known(*four(random))
    own = places == 0
    half = random.random(own.sum()) < 0.5
    before, now = apart(Z, own, half, 1.0), apart(Z, own, half, 2.5)
    active = np.full(len(Z), 0.5)
    active[own] = np.where(half, 0.9, 0.1)
    came = (random.random(len(Z)) < active).astype(np.float64)
    (found,) = asked(splits, (segmenter, now, places), future=period(before, came))
    assert found.evidence["foretold"] > 3 * found.evidence["foretold_error"] > 0
    assert found.evidence["news"] < 0.01


def test_a_valley_that_was_always_there_is_no_split():
    random = np.random.default_rng(6)
    segmenter, Z, places = known(*four(random))
    own = places == 0
    half = random.random(own.sum()) < 0.5
    now = apart(Z, own, half, 2.5)
    always = apart(Z + 0.1 * random.normal(size=Z.shape), own, half, 2.5)
    came = (random.random(len(Z)) < 0.5).astype(np.float64)
    assert len(asked(splits, (segmenter, now, places))) == 1
    assert asked(splits, (segmenter, now, places), future=period(always, came)) == []


def test_a_part_that_came_lately_was_born_and_takes_the_new_id():
    random = np.random.default_rng(7)
    segmenter, Z, places = known(*four(random))
    own = np.flatnonzero(places == 2)
    late = random.random(len(own)) < 0.6
    Z[own, 6] += np.where(late, 2.5, -2.5)
    settled = np.ones(len(Z), dtype=bool)
    settled[own[late]] = False
    (found,) = asked(splits, (segmenter, Z, places), settled=settled)
    assert found.evidence["kind"] == "birth" and found.segments == ("s03",)
    assert found.moved == pytest.approx(0.15, abs=0.02)  # the larger part is the new one
    assert found.evidence["centers"][1][6] > 0 > found.evidence["centers"][0][6]
    assert found.evidence["stayed"][0] > 0.9 > 0.1 > found.evidence["stayed"][1]


def test_parts_too_small_to_be_segments_are_left():
    random = np.random.default_rng(8)
    segmenter, Z, places = known(*four(random, 60))
    own = places == 0
    Z[own, 4] += np.where(np.arange(own.sum()) < 20, 6.0, 0.0)
    assert asked(splits, (segmenter, Z, places)) == []


def test_methods_whose_groups_hang_together_are_not_proposed_for():
    random = np.random.default_rng(9)
    clouds = four(random, 150)
    segmenter, Z, places = known(*clouds, clusterer=Hierarchy(4, (4,)))
    Z[places == 0, 4] += np.where(np.arange((places == 0).sum()) % 2 == 0, 3.0, -3.0)
    for what in (splits, merges, births):
        assert asked(what, (segmenter, Z, places)) == []


# --- Merges ---------------------------------------------------------------------------------------


def halved(random):
    """A cloud among others that is cut through its middle."""
    segmenter, Z, _ = known(*four(random))
    middle, step = segmenter.centers[0], np.zeros(D)
    step[5] = 0.8
    made = split(segmenter, 0, np.array([middle + step, middle - step]),
                 ("s01", "s02", "s03", "s04", "s05"))  # fmt: skip
    return made, Z, made.weights(Z).argmax(axis=1)


def test_two_halves_of_one_cloud_merge_and_clouds_do_not():
    for seed in range(10):
        found = halved(np.random.default_rng([seed, 10]))
        (merge,) = asked(merges, found, seed=seed)
        assert (merge.action, merge.segments) == (MERGE, ("s01", "s05"))
        assert worth(merge, SETTINGS.relabel_price) > 0
        assert merge.moved == pytest.approx(0.125, abs=0.02)
        made = reshaped(found[0], merge)
        assert made.ids == tuple(
            merge.evidence["heir"] if one == "s01" else one for one in ("s01", "s02", "s03", "s04")
        )


def test_clouds_that_overlap_but_are_two_do_not_merge():
    merged = 0
    for seed in range(20):
        random = np.random.default_rng([seed, 11])
        clouds = [cloud(random, 300, at) for at in ((1.5,), (-1.5,), (0, 9), (0, -9))]
        found = asked(merges, known(*clouds), seed=seed)
        merged += sum(worth(one, SETTINGS.relabel_price) > 0 for one in found)
    assert merged <= 1


def became_one(random):
    """Two clouds that became one, as known then and now; members are recorded as they were."""
    segmenter, Z, places = known(*four(random))
    now, both = Z.copy(), np.abs(Z[:, 0]) > 4.5
    now[both, 0] -= np.sign(Z[both, 0]) * 9
    return segmenter, Z, now, places


def test_segments_that_became_one_merge_where_they_foretell_the_same():
    random = np.random.default_rng(12)
    segmenter, before, now, places = became_one(random)
    came = (random.random(len(now)) < 0.5).astype(np.float64)
    (found,) = asked(merges, (segmenter, now, places), future=period(before, came))
    assert {*found.segments} == {f"s0{one + 1}" for one in places[np.abs(before[:, 0]) > 4.5]}
    assert found.evidence["news"] < 0.01
    assert abs(found.evidence["foretold"]) <= 1.645 * found.evidence["foretold_error"]
    active = np.select([before[:, 0] > 4, before[:, 0] < -4], [0.9, 0.1], 0.5)
    came = (random.random(len(now)) < active).astype(np.float64)
    assert asked(merges, (segmenter, now, places), future=period(before, came)) == []


def test_segments_that_always_were_one_are_left_to_a_refit():
    random = np.random.default_rng(23)
    segmenter, Z, places = halved(random)
    came = (random.random(len(Z)) < 0.5).astype(np.float64)
    before = Z + 0.1 * random.normal(size=Z.shape)
    assert asked(merges, (segmenter, Z, places), future=period(before, came)) == []


def test_segments_that_became_one_merge_though_members_are_recorded_as_they_were():
    random = np.random.default_rng(13)
    segmenter, Z, places = known(*four(random))
    both = np.isin(places, [0, 1])
    Z[both] = cloud(random, int(both.sum()))
    pairs = [one.segments for one in asked(merges, (segmenter, Z, places))]
    assert pairs == [("s01", "s02")]


def test_two_segments_are_left():
    random = np.random.default_rng(14)
    X = cloud(random, 400)
    assert asked(merges, known(X[X[:, 0] > 0], X[X[:, 0] <= 0])) == []


# --- Births ---------------------------------------------------------------------------------------


def strangers(random, share=0.06, scattered=0.02):
    """Customers of four segments, some far off in a group of their own, some anywhere."""
    segmenter, Z, _ = known(*four(random))
    group = random.random(len(Z)) < share
    Z[group] = cloud(random, int(group.sum()), (0, 0, 7, 0))
    odd = ~group & (random.random(len(Z)) < scattered)
    Z[odd] += 3 * random.standard_t(3, size=(int(odd.sum()), D))
    return segmenter, Z, segmenter.weights(Z).argmax(axis=1), group


def test_a_group_far_from_every_segment_is_born():
    for seed in range(8):
        segmenter, Z, places, group = strangers(np.random.default_rng([seed, 15]))
        (found,) = asked(births, (segmenter, Z, places), seed=seed)
        assert (found.action, found.segments) == (SPLIT, ())
        assert found.evidence["kind"] == "birth" and len(found.evidence["drawn_from"]) >= 2
        assert found.moved == pytest.approx(group.mean(), abs=0.012)
        assert worth(found, SETTINGS.relabel_price) > 0
        np.testing.assert_allclose(found.evidence["centers"][0][2], 7, atol=0.5)
        made = reshaped(segmenter, found, ["s05"])
        assert np.mean(made.weights(Z).argmax(axis=1)[group] == 4) > 0.95


def test_a_group_that_was_always_there_is_not_born_and_one_that_was_not_is():
    segmenter, Z, places, group = strangers(np.random.default_rng(24))
    came = (np.arange(len(Z)) % 2).astype(np.float64)
    assert asked(births, (segmenter, Z, places), future=period(Z + 0.01, came)) == []
    before = Z.copy()
    before[group] = cloud(np.random.default_rng(25), int(group.sum()), (9,))
    (found,) = asked(births, (segmenter, Z, places), future=period(before, came))
    assert found.evidence["news"] < 1e-6


def test_scattered_outliers_are_no_birth():
    for seed in range(20):
        segmenter, Z, places, _ = strangers(np.random.default_rng([seed, 16]), 0.0, 0.05)
        assert asked(births, (segmenter, Z, places), seed=seed) == []


# --- All ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [splits, merges, births])
def test_the_order_of_customers_changes_no_proposal(what):
    random = np.random.default_rng(17)
    segmenter, Z, places, _ = strangers(random)
    Z[places == 1, 4] += np.where(np.arange((places == 1).sum()) % 2 == 0, 3.0, -3.0)
    order = random.permutation(len(Z))
    one = asked(what, (segmenter, Z, places))
    other = asked(what, (segmenter, Z[order], places[order]))
    assert [each.segments for each in one] == [each.segments for each in other]
    for left, right in zip(one, other, strict=True):
        assert left.gain == pytest.approx(right.gain)
        assert left.evidence["p_value"] == pytest.approx(right.evidence["p_value"])


@pytest.mark.parametrize("what", [splits, merges, births])
def test_customers_without_a_place_or_numbers_do_not_count(what):
    segmenter, Z, places, _ = strangers(np.random.default_rng(18))
    more = np.vstack([Z, np.full((40, D), np.nan), np.full((40, D), 50.0)])
    wider = np.r_[places, np.zeros(40, np.int64), np.full(40, -1)]
    one, other = asked(what, (segmenter, Z, places)), asked(what, (segmenter, more, wider))
    assert [each.gain for each in one] == [each.gain for each in other]


@pytest.mark.parametrize("what", [splits, merges, births])
@pytest.mark.parametrize("rows", [0, 1, 6])
def test_of_hardly_anybody_nothing_is_proposed(what, rows):
    segmenter, Z, places = known(*four(np.random.default_rng(19), 20))
    assert asked(what, (segmenter, Z[:rows], places[:rows])) == []
    same = np.ones((80, D))
    assert asked(what, (segmenter, same, np.zeros(80, np.int64))) == []


@pytest.mark.parametrize("what", [splits, merges, births])
def test_shapes_that_do_not_fit_are_refused(what):
    segmenter, Z, places = known(*four(np.random.default_rng(20), 20))
    with pytest.raises(ValueError, match="do not fit"):
        asked(what, (segmenter, Z[:, :3], places))
    flat = Future(np.zeros((200, 3)), 28, *np.zeros((3, 200)))
    with pytest.raises(ValueError, match="the past has 3 columns"):
        asked(what, (segmenter, Z, places), future=flat)


def test_a_mixture_is_split_and_merged_as_k_means_is():
    random = np.random.default_rng(21)
    segmenter, Z, places = known(*four(random), clusterer=Mixture())
    Z[places == 0, 4] += np.where(random.random((places == 0).sum()) < 0.5, 2.5, -2.5)
    (found,) = asked(splits, (segmenter, Z, places))
    made = reshaped(segmenter, found, ["s05"])
    assert len(np.unique(made.weights(Z).argmax(axis=1))) == 5
    assert asked(merges, (segmenter, Z, places)) == []


def test_relabelling_at_every_look_is_dearer_the_more_often_looks_are():
    random = np.random.default_rng(22)
    found = halved(random)
    weekly = merges(*found, None, settings=SETTINGS)[0]
    monthly = merges(*found, None, settings=replace(SETTINGS, cadence_days=15.0))[0]
    assert weekly.gain > 1.5 * monthly.gain > 0
