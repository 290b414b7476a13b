"""Statistics of segments: shapes, refusals, artefacts, other places."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shoal.adjust.online import Statistics, begun
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


def one(full: bool = False, half_life: float = 30.0) -> Statistics:
    Z = np.arange(12.0).reshape(6, 2)
    return Statistics.of(("s01", "s02"), Z, np.array([0, 0, 1, 1, 1, -1]), NOW,
                         half_life_days=half_life, full=full)  # fmt: skip


def test_places_count_whole_and_nobody_counts_nowhere():
    np.testing.assert_array_equal(one().mass, [2, 3])
    np.testing.assert_array_equal(one().means, [[1, 2], [6, 7]])


def test_half_a_life_later_everything_weighs_half():
    later = one().at(NOW + timedelta(days=30))
    np.testing.assert_allclose(later.mass, [1, 1.5])
    np.testing.assert_allclose(later.means, one().means)
    np.testing.assert_allclose(later.covariances, one().covariances)


def test_an_earlier_moment_takes_nothing_back():
    assert one().at(NOW - timedelta(days=30)) is not None
    np.testing.assert_array_equal(one().at(NOW - timedelta(days=30)).mass, one().mass)


def test_who_was_seen_earlier_counts_as_old_as_that_is():
    late = one().added(np.zeros((1, 2)), np.array([0]), NOW - timedelta(days=60))
    assert late.mass[0] == pytest.approx(2.25)
    assert late.moment == NOW


def test_mean_squares_about_centres_are_those_of_the_rows():
    Z, centers = np.arange(12.0).reshape(6, 2), np.array([[0.5, 3.0], [7.0, 1.0]])
    wanted = [np.square(Z[:2] - centers[0]).mean(axis=0), np.square(Z[2:5] - centers[1]).mean(0)]
    for full in (False, True):
        np.testing.assert_allclose(one(full).about(centers), wanted)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("half_life", [30.0, float("inf")])
def test_an_artefact_says_the_same(full, half_life):
    document, arrays = one(full, half_life).to_artefact()
    again = Statistics.from_artefact(json.loads(json.dumps(document)), arrays)
    assert (again.ids, again.moment, again.half_life_days) == (("s01", "s02"), NOW, half_life)
    for name in ("mass", "sums", "scatter"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one(full, half_life), name))


def test_segments_that_saw_nobody_have_no_mean():
    nothing = Statistics.nothing(("s01", "s02"), 3, NOW, half_life_days=9.0)
    assert not nothing.there.any()
    assert np.isnan(nothing.means).all()


def test_other_places_keep_what_ids_have_and_joined_ones_add_up():
    other = one().for_ids(("s07", "s02"), joined={"s01": "s02"})
    np.testing.assert_array_equal(other.mass, [0, 5])
    np.testing.assert_allclose(other.sums[1], one().sums.sum(axis=0))
    kept = one().for_ids(("s02", "s03", "s01"))
    np.testing.assert_array_equal(kept.mass, [3, 0, 2])


def test_statistics_of_other_segments_do_not_add_up():
    with pytest.raises(ValueError, match="s02"):
        one().plus(one().for_ids(("s02", "s01")))


@pytest.mark.parametrize("rows", [np.full((1, 2), np.nan), np.full((1, 2), np.inf)])
def test_what_is_not_finite_is_refused(rows):
    with pytest.raises(ValueError, match="not finite"):
        one().added(rows, np.array([0]), NOW)


@pytest.mark.parametrize(
    ("rows", "weights"),
    [(np.zeros((2, 3)), np.zeros(2, int)), (np.zeros((2, 2)), np.zeros(3, int)),
     (np.zeros((2, 2)), np.zeros((2, 3)))],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(rows, weights):
    with pytest.raises(ValueError, match="do not fit"):
        one().added(rows, weights, NOW)


def test_a_half_life_of_nothing_is_refused():
    with pytest.raises(ValueError, match="half_life_days is 0"):
        Statistics.nothing(("s01",), 2, NOW, half_life_days=0)


def test_statistics_begin_in_the_shape_that_a_method_learns_from():
    Z = np.random.default_rng(0).normal(size=(400, 3)) @ np.array([[3, 2, 0], [0, 1, 0], [0, 0, 1]])
    Z[:200] += 9.0
    shapes = {}
    for clusterer in (KMeansClusterer(2), Mixture(2), Hierarchy(2)):
        segmenter = ClusterSegmenter([], clusterer=clusterer.fit(Z, seed=0)).rename(("a", "b"))
        found = begun(segmenter, NOW, half_life_days=9.0).learned(segmenter.clusterer, Z, NOW)
        assert found.mass.sum() == pytest.approx(400)
        shapes[clusterer.method] = found.scatter.shape
    assert shapes == {"kmeans": (2, 3), "mixture": (2, 3, 3), "hierarchy": (2, 3)}
