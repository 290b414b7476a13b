"""Prototypes learned with an autoencoder: leaning, determinism, arrays, what must not be given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from shoal.model.autoencoder import Autoencoder
from shoal.model.prototypes import Prototypes


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made():
    X, truth = make_blobs(240, 6, centers=3, random_state=0)
    plain = Autoencoder.fit(X, width=3, hidden=(16,), epochs=10)
    codes = plain.encode(X)
    places = np.array([codes[truth == group].mean(axis=0) for group in range(3)])
    unit = float(np.square(codes - places[truth]).sum(axis=1).mean())
    return X, truth, Prototypes(plain, places, unit)


def test_training_draws_rows_to_their_prototype_and_changes_no_start(made):
    X, truth, start = made
    before = start.to_arrays()
    after = start.trained(X, epochs=10)
    for name, array in start.to_arrays().items():
        np.testing.assert_array_equal(array, before[name])
    own = np.arange(len(X)), truth
    assert after.leaning(X)[own].mean() > start.leaning(X)[own].mean()
    np.testing.assert_allclose(after.leaning(X).sum(axis=1), 1.0)
    assert np.isnan(start.loss) and after.loss > 0


def test_the_same_seed_gives_the_same_bits_and_global_state_stays(made):
    X, _, start = made
    state = torch.get_rng_state()
    one, other = (start.trained(X, seed=3, epochs=3) for _ in range(2))
    np.testing.assert_array_equal(one.leaning(X), other.leaning(X))
    assert torch.equal(state, torch.get_rng_state())


def test_arrays_say_the_same(made):
    X, _, start = made
    found = start.trained(X, epochs=2)
    again = Prototypes.from_arrays(found.to_arrays())
    np.testing.assert_array_equal(again.leaning(X), found.leaning(X))
    assert again.loss == found.loss


def test_other_columns_and_other_arrays_are_refused(made):
    X, _, start = made
    with pytest.raises(ValueError, match="5 columns, learned from 6"):
        start.trained(X[:, :5])
    with pytest.raises(ValueError, match="no arrays of prototypes: mean"):
        Prototypes.from_arrays({"mean": np.zeros(2)})
