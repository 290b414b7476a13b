"""Segments split, merged and born one by one: nothing else changes, and it can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from shoal.adjust.adjustment import MERGE, NUDGE, SPLIT, Proposal
from shoal.adjust.reshape import born, can, merge, reshaped, split
from shoal.domain.errors import UsageError
from shoal.domain.text import Text
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.staged import Staged

Z, _ = make_blobs(900, 4, centers=5, cluster_std=1.5, random_state=3)
IDS = ("s01", "s02", "s03", "s04", "s07")
METHODS = {"kmeans": KMeansClusterer, "mixture": Mixture}


def fitted(method="kmeans"):
    segmenter = ClusterSegmenter([], 5, clusterer=METHODS[method]()).cluster(Z)
    return segmenter.rename(IDS)


def round_trip(segmenter):
    document, arrays = segmenter.to_artefact()
    return ClusterSegmenter.from_artefact(document, arrays)


def halves_of(segmenter, place):
    step = np.zeros(4)
    step[0] = 1.0
    return np.array([segmenter.centers[place] - step, segmenter.centers[place] + step])


@pytest.mark.parametrize("method", METHODS)
def test_a_split_gives_one_more_segment_in_the_same_place_and_last(method):
    live = fitted(method)
    before = live.weights(Z)
    centers = halves_of(live, 1)
    made = split(live, 1, centers, (*IDS, "s08"), [0.15, 0.05])
    assert made.segment_ids == (*IDS, "s08", "new") and made.k == 6
    np.testing.assert_allclose(made.centers[[1, 5]], centers)
    np.testing.assert_array_equal(made.centers[[0, 2, 3, 4]], live.centers[[0, 2, 3, 4]])
    assert made.shares[[1, 5]].tolist() == [0.15, 0.05]
    np.testing.assert_allclose(made.weights(Z).sum(axis=1), 1)
    # the one that was there is as it was
    np.testing.assert_array_equal(live.weights(Z), before)
    assert live.segment_ids == (*IDS, "new") and live.clusterer.loss is not None
    assert made.clusterer.loss is None


@pytest.mark.parametrize("method", METHODS)
def test_splitting_and_merging_undo_each_other(method):
    live = fitted(method)
    share = float(live.shares[2])
    made = split(live, 2, halves_of(live, 2), (*IDS, "s08"), [share / 2, share / 2])
    again = merge(made, [2, 5], IDS)
    assert again.segment_ids == live.segment_ids and again.k == 5
    np.testing.assert_allclose(again.centers, live.centers)
    np.testing.assert_allclose(again.shares, live.shares)
    np.testing.assert_allclose(again.weights(Z), live.weights(Z), atol=1e-8)


def test_parts_of_a_mixture_make_together_what_it_was():
    live = fitted("mixture")
    place = 0
    wide = np.linalg.eigh(np.atleast_2d(np.cov(Z[live.weights(Z).argmax(axis=1) == 0].T)))
    step = 0.5 * np.sqrt(wide[0][-1]) * wide[1][:, -1]
    mean = live.centers[place]
    made = split(live, place, np.array([mean - step, mean + 3 * step]), (*IDS, "s08")).clusterer
    parts = made.mass[[0, 5]]
    assert parts.sum() == pytest.approx(live.clusterer.mass[0])
    np.testing.assert_allclose(parts / parts.sum(), [0.75, 0.25])
    np.testing.assert_allclose(made.mass.sum(), 1)
    assert (np.linalg.eigvalsh(_full(made.covariances[0])) > 0).all()


def _full(covariance):
    return np.diag(covariance) if covariance.ndim == 1 else covariance


@pytest.mark.parametrize("method", METHODS)
def test_a_merge_keeps_the_lower_place_and_moves_the_later_ones_down(method):
    live = fitted(method)
    made = merge(live, [3, 1], ("s01", "s04", "s03", "s07"))
    assert made.segment_ids == ("s01", "s04", "s03", "s07", "new")
    np.testing.assert_array_equal(made.centers[[0, 2, 3]], live.centers[[0, 2, 4]])
    low, high = live.centers[[1, 3]]
    between = (made.centers[1] - low) @ (high - low) / ((high - low) @ (high - low))
    assert 0 < between < 1
    assert made.shares[1] == pytest.approx(live.shares[[1, 3]].sum())
    assert live.centers.shape == (5, 4)


def test_the_centre_of_a_merged_segment_is_that_of_its_customers():
    live = fitted()
    places = live.weights(Z).argmax(axis=1)
    made = merge(live, [0, 4], ("s01", "s02", "s03", "s04"))
    np.testing.assert_allclose(made.centers[0], Z[np.isin(places, [0, 4])].mean(axis=0), atol=1e-2)


def test_names_that_somebody_gave_go_on_with_their_segments():
    live = fitted()
    live.clusterer.names = {0: Text("a", "a"), 2: Text("c", "c"), 4: Text("e", "e")}
    made = merge(live, [1, 2], ("s01", "s02", "s04", "s07"))
    assert made.names == {"s01": Text("a", "a"), "s07": Text("e", "e")}
    assert live.clusterer.names[2] == Text("c", "c")


@pytest.mark.parametrize("method", METHODS)
def test_a_segment_that_is_born_takes_customers_near_it_only(method):
    live = fitted(method)
    far = Z.max(axis=0) + 12
    made = born(live, far, (*IDS, "s08"), 0.1)
    assert made.segment_ids[-2:] == ("s08", "new")
    places = made.weights(np.vstack([Z, far[None]])).argmax(axis=1)
    np.testing.assert_array_equal(places[:-1], live.weights(Z).argmax(axis=1))
    assert places[-1] == 5
    assert made.shares.sum() == pytest.approx(1) and made.shares[5] == pytest.approx(0.1)
    if method == "mixture":
        assert made.clusterer.mass[5] == pytest.approx(0.1)
        assert made.clusterer.mass.sum() == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_reshaped_is_written_and_read_back(method):
    live = fitted(method)
    live.parts = []
    for made in (
        split(live, 0, halves_of(live, 0), (*IDS, "s08")),
        merge(live, [0, 1], IDS[:4]),
        born(live, Z.max(axis=0), (*IDS, "s08"), 0.1),
    ):
        again = round_trip(made)
        assert again.segment_ids == made.segment_ids and again.k == made.k
        np.testing.assert_array_equal(again.weights(Z), made.weights(Z))
        np.testing.assert_array_equal(again.shares, made.shares)


def test_proposals_are_carried_out_with_permanent_ids():
    live = fitted()
    centers = halves_of(live, 1).tolist()
    made = reshaped(live, Proposal(SPLIT, ("s02",), evidence={
        "kind": "split", "centers": centers, "shares": [0.12, 0.08]}), ["s09"])  # fmt: skip
    assert made.ids == (*IDS, "s09")
    np.testing.assert_allclose(made.centers[[1, 5]], centers)
    made = reshaped(live, Proposal(MERGE, ("s02", "s07"), evidence={"heir": "s07"}))
    assert made.ids == ("s01", "s07", "s03", "s04")
    made = reshaped(live, Proposal(SPLIT, (), evidence={
        "kind": "birth", "centers": [[9.0, 9, 9, 9]], "shares": [0.05]}), ["s09"])  # fmt: skip
    assert made.ids == (*IDS, "s09") and made.centers[5].tolist() == [9.0] * 4


def test_what_changes_no_segments_is_refused():
    live = fitted()
    with pytest.raises(ValueError, match="nudge with the new ids"):
        reshaped(live, Proposal(NUDGE), ["s09"])
    with pytest.raises(ValueError, match="split with the new ids"):
        reshaped(live, Proposal(SPLIT, ("s01",), evidence={"centers": [], "shares": []}))
    with pytest.raises(ValueError, match="two different places"):
        merge(live, [1, 1], IDS)
    with pytest.raises(ValueError, match="2 centres of 4 finite numbers"):
        split(live, 0, np.full((2, 4), np.nan), (*IDS, "s08"))
    with pytest.raises(ValueError, match="different ids"):
        split(live, 0, halves_of(live, 0), IDS)


def test_methods_whose_groups_hang_together_refuse():
    live = ClusterSegmenter([], 4, clusterer=Hierarchy(4, (4,))).cluster(Z)
    assert not can(live, "split", 0, np.zeros((2, 4)))
    with pytest.raises(UsageError, match="hierarchy") as caught:
        split(live, 0, np.zeros((2, 4)), ("a", "b", "c", "d", "e"))
    assert caught.value.code == "unknown_method" and "shoal segment" in caught.value.hint


def test_stages_of_a_style_are_reshaped_too():
    random = np.random.default_rng(0)
    style = random.normal(size=(900, 4)) + 8 * np.eye(4)[random.integers(3, size=900)]
    outlook = 3.0 * random.integers(2, size=(900, 1)) + 0.5 * random.normal(size=(900, 2))
    rows = np.hstack([style, outlook])
    live = ClusterSegmenter([], 6, clusterer=Staged(KMeansClusterer(3), 6, 4)).cluster(rows)
    owner = live.clusterer.owner
    low, high = np.flatnonzero(owner == owner[0])
    made = merge(live, [high, low], [one for place, one in enumerate(live.ids) if place != high])
    assert made.k == 5 and made.shares[low] == pytest.approx(live.shares[[low, high]].sum())
    np.testing.assert_allclose(made.weights(rows).sum(axis=1), 1)
    centers = live.centers[[0, 0]]
    centers[:, 4:] += [[-0.7], [0.7]]
    assert split(live, 0, centers, (*live.ids, "s07")).clusterer.owner[-1] == owner[0]
    assert len(born(live, rows.max(axis=0), (*live.ids, "s07"), 0.1).ids) == 7
