"""Weights that mean what they say: temperature, its fit, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.soften import FEWEST, LEAST, fitted_temperature, softened, surprise


def weights(rows: int = 4_000, k: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=rows)


def drawn(chances: np.ndarray, seed: int = 1) -> np.ndarray:
    """(n,) places drawn with the chances of each row."""
    random = np.random.default_rng(seed).random((len(chances), 1))
    return (random > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("temperature", [1.0, 1.7, 12.0])
def test_rows_sum_to_one_and_keep_their_order(temperature):
    found = softened(weights(), temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found.argsort(axis=1), weights().argsort(axis=1))


def test_a_temperature_of_one_changes_no_bit():
    assert softened(weights(), 1.0) is not None
    np.testing.assert_array_equal(softened(weights(), 1.0), weights())


def test_certainty_stays_certainty():
    np.testing.assert_array_equal(softened(np.array([[1.0, 0.0]]), 9.0), [[1.0, 0.0]])


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_temperature_that_made_places_is_found(temperature):
    """Weights are sharper than the chances with which places were drawn."""
    sharp = weights()
    places = drawn(softened(sharp, temperature))
    found = fitted_temperature(sharp, places)
    assert found == pytest.approx(temperature, rel=0.12)
    assert surprise(sharp, places, found) <= surprise(sharp, places, temperature) + 1e-9


def test_weights_are_never_made_sharper():
    flat = softened(weights(), 6.0)
    assert fitted_temperature(flat, flat.argmax(axis=1)) == LEAST


def test_too_few_customers_or_one_segment_tell_nothing():
    few = weights(FEWEST - 1)
    assert fitted_temperature(few, few.argmax(axis=1)) is None
    one = np.ones((FEWEST, 1))
    assert fitted_temperature(one, np.zeros(FEWEST, int)) is None


def test_a_place_that_had_no_weight_is_no_endless_surprise():
    sure = np.tile([1.0, 0.0], (FEWEST, 1))
    assert np.isfinite(surprise(sure, np.ones(FEWEST, int), 1.0))
    assert fitted_temperature(sure, np.ones(FEWEST, int)) == LEAST


def segmenter() -> ClusterSegmenter:
    Z = np.random.default_rng(0).normal(size=(300, 3))
    return ClusterSegmenter([], clusterer=KMeansClusterer(3).fit(Z, seed=0)).rename(("a", "b", "c"))


def test_a_segmenter_softens_and_its_artefact_says_the_same():
    Z, made = np.random.default_rng(1).normal(size=(50, 3)), segmenter()
    plain = made.weights(Z)
    made.temperature = 2.5
    np.testing.assert_array_equal(made.weights(Z), softened(plain, 2.5))
    np.testing.assert_array_equal(made.weights(Z).argmax(axis=1), plain.argmax(axis=1))
    again = ClusterSegmenter.from_artefact(*made.to_artefact())
    np.testing.assert_array_equal(again.weights(Z), made.weights(Z))


def test_an_artefact_from_before_temperatures_has_weights_as_they_were():
    document, arrays = segmenter().to_artefact()
    del document["temperature"]
    Z = np.random.default_rng(1).normal(size=(50, 3))
    again = ClusterSegmenter.from_artefact(document, arrays)
    np.testing.assert_array_equal(again.weights(Z), segmenter().weights(Z))


def test_other_groups_leave_the_segmenter_they_came_of():
    made = segmenter()
    made.temperature = 2.0
    moved = made.clusterer.moved(made.centers + 1.0)
    other = made.with_clusterer(moved, ids=("a", "c", "d"), shares=np.array([0.2, 0.3, 0.5]))
    assert (other.ids, made.ids) == (("a", "c", "d"), ("a", "b", "c"))
    assert other.temperature == 2.0
    np.testing.assert_array_equal(other.centers, made.centers + 1.0)
    with pytest.raises(ValueError, match="different ids"):
        made.with_clusterer(moved, ids=("a", "b"))
