"""Laws of online statistics: batches, order and moments of adding change nothing; no decay is a
batch fit; decay is a weighted one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from shoal.adjust.online import Statistics, begun
from shoal.adjust.steps import stepped
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.kmeans import lloyd
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture

START = datetime(2024, 3, 1, tzinfo=UTC)
IDS = ("s01", "s02", "s03")


def seen(rows: int = 60, seed: int = 0):
    """Rows, weights and days after START of customers that were seen one after the other."""
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.ones(3), size=rows)
    return random.normal(2.0, 1.5, size=(rows, 4)), weights, random.uniform(0, 50, size=rows)


def added(statistics, Z, weights, days):
    for row in range(len(Z)):
        moment = START + timedelta(days=float(days[row]))
        statistics = statistics.added(Z[row : row + 1], weights[row : row + 1], moment)
    return statistics


def same(one: Statistics, other: Statistics) -> None:
    assert one.moment == other.moment
    for name in ("mass", "sums", "scatter"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)), st.sampled_from([False, True]), st.floats(1.0, 200.0))
def test_any_order_of_rows_and_moments_gives_the_same(order, full, half_life):
    Z, weights, days = seen(12)
    nothing = Statistics.nothing(IDS, 4, START, half_life_days=half_life, full=full)
    forward = added(nothing, *(one[np.argsort(days)] for one in (Z, weights, days)))
    mixed = added(nothing, *(one[np.array(order)] for one in (Z, weights, days)))
    same(forward, mixed)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 59), max_size=6), st.sampled_from([False, True]))
def test_any_batches_of_rows_give_the_same(bounds, full):
    Z, weights, _ = seen()
    nothing = Statistics.nothing(IDS, 4, START, half_life_days=30.0, full=full)
    whole, parts = nothing.added(Z, weights, START), nothing
    edges = [0, *sorted(set(bounds)), 60]
    for low, high in pairwise(edges):
        parts = parts.added(Z[low:high], weights[low:high], START)
    same(whole, parts)


@pytest.mark.parametrize("full", [False, True])
def test_decay_is_a_batch_weighted_by_age(full):
    Z, weights, days = seen()
    nothing = Statistics.nothing(IDS, 4, START, half_life_days=14.0, full=full)
    found = added(nothing, Z, weights, days).at(START + timedelta(days=60))
    aged = weights * 0.5 ** ((60 - days) / 14.0)[:, None]
    np.testing.assert_allclose(found.mass, aged.sum(axis=0))
    for place in range(3):
        own = aged[:, place]
        mean = np.average(Z, axis=0, weights=own)
        spread = np.cov(Z, rowvar=False, aweights=own, ddof=0)
        np.testing.assert_allclose(found.means[place], mean)
        told = found.covariances[place]
        np.testing.assert_allclose(told, spread if full else np.diag(spread), atol=1e-10)


def test_decaying_in_two_steps_is_decaying_once():
    Z, weights, _ = seen()
    one = Statistics.of(IDS, Z, weights, START, half_life_days=20.0)
    later = START + timedelta(days=33)
    same(one.at(START + timedelta(days=7)).at(later), one.at(later))


def test_statistics_of_parts_add_up_whatever_their_moments():
    Z, weights, _ = seen()
    late = START + timedelta(days=9)
    one = Statistics.of(IDS, Z[:20], weights[:20], START, half_life_days=20.0)
    other = Statistics.of(IDS, Z[20:], weights[20:], late, half_life_days=20.0)
    together = one.added(Z[20:], weights[20:], late)
    same(one.plus(other), together)
    same(other.plus(one), together)


def test_without_decay_k_means_takes_the_step_of_lloyd_on_everybody():
    Z, _, _ = seen(300)
    clusterer = KMeansClusterer(3)
    clusterer.centers = Z[:3].copy()
    segmenter = ClusterSegmenter([], clusterer=clusterer).rename(IDS)
    statistics = begun(segmenter, START, half_life_days=float("inf"))
    for day, rows in enumerate(np.array_split(Z, 7)):
        statistics = statistics.learned(clusterer, rows, START + timedelta(days=day))
    found = stepped(clusterer, statistics, 1.0, np.zeros(3, bool))
    centers, labels, _, _ = lloyd(Z, Z[:3].copy(), 1)
    np.testing.assert_allclose(found.centers, centers)
    before = ((Z[:, None] - Z[None, :3]) ** 2).sum(axis=2).argmin(axis=1)
    within = np.square(Z - centers[before]).mean()
    assert found.variance == pytest.approx(within)
    assert len(np.unique(labels)) == 3


@pytest.mark.parametrize("shape", ["diag", "full"])
def test_without_decay_a_mixture_takes_the_step_of_a_batch_fit(shape):
    Z, _, _ = seen(400)
    Z[:150] += 3.0
    begin = GaussianMixture(3, covariance_type=shape, random_state=1, max_iter=3, tol=0)
    with pytest.warns(match="converge"):
        begin.fit(Z)
    clusterer = Mixture(3)
    clusterer.centers, clusterer.mass = begin.means_, begin.weights_
    clusterer.roots = begin.precisions_cholesky_
    segmenter = ClusterSegmenter([], clusterer=clusterer).rename(IDS)
    statistics = begun(segmenter, START, half_life_days=float("inf"))
    for day, rows in enumerate(np.array_split(Z, 5)):
        statistics = statistics.learned(clusterer, rows, START + timedelta(days=day))
    found = stepped(clusterer, statistics, 1.0, np.zeros(3, bool))
    # the step of expectation-maximisation, written out
    R = clusterer.weights(Z)
    mass = R.sum(axis=0)
    means = R.T @ Z / mass[:, None]
    np.testing.assert_allclose(found.mass, mass / len(Z))
    np.testing.assert_allclose(found.centers, means)
    spreads = [(R[:, [j]] * (Z - means[j])).T @ (Z - means[j]) / mass[j] for j in range(3)]
    within = np.average([np.trace(one) / 4 for one in spreads], weights=mass)
    wanted = np.array([one + 0.01 * within * np.eye(4) for one in spreads])
    told = found.covariances
    np.testing.assert_allclose(
        told, wanted if shape == "full" else np.einsum("kdd->kd", wanted), rtol=1e-8, atol=1e-9
    )
