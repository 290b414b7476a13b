"""The autoencoder of features: learns curved structure, by seed, and is the same read back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from shoal.model.autoencoder import Autoencoder


def curved(n=1200, seed=0):
    """Two hidden numbers told by twelve features, none of them linearly."""
    rng = np.random.default_rng(seed)
    hidden = rng.uniform(-1, 1, (n, 2))
    angles = hidden @ rng.normal(0, 1.5, (2, 12)) + rng.uniform(0, 6, 12)
    return np.sin(angles) * rng.uniform(0.1, 100, 12), hidden


def unexplained(X, back):
    return float((((X - back) / X.std(axis=0)) ** 2).mean())


def test_a_curved_surface_is_learned_better_than_by_any_plane():
    X, new = np.split(curved()[0], [800])
    fitted = Autoencoder.fit(X, width=2, epochs=60)
    standard = (new - X.mean(axis=0)) / X.std(axis=0)
    pca = PCA(2).fit((X - X.mean(axis=0)) / X.std(axis=0))
    plane = float(((standard - pca.inverse_transform(pca.transform(standard))) ** 2).mean())
    assert unexplained(new, fitted.reconstruct(new)) < 0.5 * plane
    assert fitted.losses[-1] < 0.5 * fitted.losses[0]


def test_planted_groups_are_apart_in_the_codes():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 800)
    X = rng.normal(0, 3, (4, 20))[truth] + rng.normal(0, 1, (800, 20))
    codes = Autoencoder.fit(X, width=4, epochs=20).encode(X)
    assert adjusted_rand_score(truth, KMeans(4, random_state=0).fit_predict(codes)) > 0.9


def test_the_same_seed_gives_the_same_and_leaves_torch_alone():
    X, _ = curved(300)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, other, third = (Autoencoder.fit(X, seed=seed, epochs=3) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one.encode(X), other.encode(X))
    assert one.losses == other.losses
    assert not np.allclose(one.encode(X), third.encode(X))


def test_read_back_it_gives_the_same():
    X, _ = curved(300)
    fitted = Autoencoder.fit(X, width=5, hidden=(32, 16, 8), epochs=2)
    again = Autoencoder.from_arrays(load(save(fitted.to_arrays())))
    np.testing.assert_array_equal(again.encode(X), fitted.encode(X))
    np.testing.assert_array_equal(again.reconstruct(X), fitted.reconstruct(X))
    assert again.losses == fitted.losses
    assert again.encode(X).shape == (300, 5)


def test_units_do_not_matter_and_a_constant_column_does_no_harm():
    X, _ = curved(300)
    X[:, 3] = 7.0
    other = X * np.geomspace(1e-6, 1e9, 12)
    one, two = (Autoencoder.fit(values, epochs=3) for values in (X, other))
    np.testing.assert_allclose(one.encode(X), two.encode(other), atol=1e-3)
    np.testing.assert_allclose(one.reconstruct(X)[:, 3], 7.0, atol=1.0)


def test_a_row_has_its_code_alone_and_among_others():
    X, _ = curved(300)
    fitted = Autoencoder.fit(X, epochs=2)
    np.testing.assert_allclose(fitted.encode(X[5:6])[0], fitted.encode(X)[5], atol=1e-5)


def test_fewer_rows_than_a_batch_are_enough():
    X, _ = curved(3)
    assert np.isfinite(Autoencoder.fit(X, epochs=2).encode(X)).all()


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.array([[1.0, np.nan]]), "column 1 holds a value that is not finite"),
        (np.zeros((0, 3)), "not an array of shape (0, 3)"),
        (np.zeros(3), "not an array of shape (3,)"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(X, said):
    with pytest.raises(ValueError) as error:
        Autoencoder.fit(X)
    assert said in str(error.value)


def test_other_columns_and_other_arrays_are_refused():
    fitted = Autoencoder.fit(curved(20)[0], epochs=1)
    with pytest.raises(ValueError, match="11 columns, learned from 12"):
        fitted.encode(np.zeros((2, 11)))
    with pytest.raises(ValueError, match="no arrays of an autoencoder"):
        Autoencoder.from_arrays({"centres": np.zeros((2, 2))})
    broken = fitted.to_arrays() | {"mean": np.zeros(5)}
    with pytest.raises(ValueError, match="do not fit together"):
        Autoencoder.from_arrays(broken)


def test_without_standardising_columns_that_vary_more_count_more():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)) * [10.0, 0.1, 0.1, 0.1]
    made = Autoencoder.fit(X, width=1, hidden=(16,), epochs=300, standardised=False)
    error = np.square(made.reconstruct(X) - X).mean(axis=0)
    assert len(set(made.scale)) == 1
    assert error[0] < 0.05 * X[:, 0].var()
