"""K-means: scikit-learn's checks, determinism, awkward inputs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from shoal.segments.kmeans import KMeans, nearest


@parametrize_with_checks([KMeans()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def blobs(n=600, k=5, seed=0, spread=1.0):
    return make_blobs(n, n_features=4, centers=k, cluster_std=spread, random_state=seed)


def test_planted_clusters_are_found():
    X, truth = blobs()
    assert adjusted_rand_score(truth, KMeans(5).fit_predict(X)) > 0.95


def test_as_good_as_scikit_learn():
    from sklearn.cluster import KMeans as Peer

    X, _ = blobs(2000, 9, spread=4.0)
    ours = KMeans(9).fit(X).inertia_
    assert ours <= 1.01 * Peer(9, n_init=10, random_state=0).fit(X).inertia_


def test_a_start_on_a_sample_ends_as_good_as_a_start_on_everything():
    X, _ = blobs(5000, 6)
    whole, sampled = KMeans(6).fit(X), KMeans(6, sample_rows=400).fit(X)
    assert sampled.inertia_ <= 1.01 * whole.inertia_


def test_the_order_of_rows_changes_nothing():
    X, _ = blobs(spread=5.0)
    order = np.random.default_rng(0).permutation(len(X))
    one, other = KMeans(6).fit(X), KMeans(6).fit(X[order])
    np.testing.assert_array_equal(one.cluster_centers_, other.cluster_centers_)
    np.testing.assert_array_equal(one.labels_[order], other.labels_)


def test_clusters_are_numbered_by_size():
    X, _ = make_blobs([50, 300, 120], random_state=0, cluster_std=0.1)
    sizes = np.bincount(KMeans(3).fit(X).labels_)
    assert sizes.tolist() == [300, 120, 50]


def test_weights_sum_to_one_and_the_largest_is_the_nearest():
    X, _ = blobs(spread=4.0)
    model = KMeans(5).fit(X)
    weights = model.transform(X)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(weights.argmax(axis=1), model.predict(X))


def test_far_away_rows_still_have_weights():
    model = KMeans(2).fit([[0.0], [1.0], [10.0], [11.0]])
    assert np.isfinite(model.transform([[1e9], [-1e9]])).all()


def test_identical_rows_make_one_cluster():
    model = KMeans(4).fit(np.ones((30, 3)))
    assert model.n_clusters_ == 1
    assert model.transform(np.ones((2, 3))).tolist() == [[1.0], [1.0]]


def test_more_clusters_than_rows_is_an_error_that_says_both():
    with pytest.raises(ValueError, match=r"n_samples=3 must be at least n_clusters=8"):
        KMeans(8).fit(np.eye(3))


def test_memory_is_bounded_by_chunks_and_changes_nothing(monkeypatch):
    X, _ = blobs(1000, 5)
    expected = KMeans(5).fit(X)
    monkeypatch.setattr("shoal.segments.kmeans._CHUNK_ROWS", 64)
    found = KMeans(5).fit(X)
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    np.testing.assert_array_equal(nearest(X, found.cluster_centers_)[0], found.labels_)
