"""The parts from features to a matrix: scikit-learn's checks, and what each promises."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from shoal.features.prepare import (
    GroupBalance,
    MissingFiller,
    NearDuplicateFilter,
    SkewScaler,
    VariancePCA,
    dump,
    load,
)
from shoal.features.row_order import canonical_order, sample_rows

PARTS = [
    MissingFiller(),
    SkewScaler(),
    SkewScaler(method="yeo-johnson"),
    NearDuplicateFilter(),
    GroupBalance(),
    VariancePCA(),
]


@parametrize_with_checks(PARTS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def rows(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack(
        [rng.normal(5, 2, n), np.exp(rng.normal(3, 1.5, n)), rng.poisson(0.3, n), rng.random(n)]
    )


def test_missing_values_are_filled_as_stated():
    X = [[1.0, 1.0, 1.0], [3.0, 3.0, 2.0], [np.nan, np.nan, np.nan], [8.0, 8.0, 9.0]]
    filled = MissingFiller(["zero", "largest", "median"]).fit_transform(X)
    assert filled[2].tolist() == [0.0, 8.0, 2.0]


def test_a_feature_of_all_nulls_becomes_a_constant_and_is_dropped_with_the_reason():
    X = np.column_stack([np.arange(5.0), np.full(5, np.nan)])
    filled = MissingFiller().fit_transform(X)
    kept = NearDuplicateFilter(names=["orders", "rating"]).fit(filled)
    assert kept.dropped_ == [("rating", "near constant: one value holds 100.0% of customers")]


def test_an_unknown_missing_policy_is_named():
    with pytest.raises(ValueError, match=r"unknown policies \['mean'\]; allowed: zero, largest"):
        MissingFiller(["mean"]).fit([[1.0], [2.0]])


@pytest.mark.parametrize("method", ["signed_log", "yeo-johnson"])
def test_skewed_features_are_bent_and_the_others_are_not(method):
    scaler = SkewScaler(method=method).fit(rows())
    assert scaler.bent_.tolist() == [False, True, True, False]
    scaled = scaler.transform(rows())
    assert np.abs(np.median(scaled, axis=0)).max() < 1e-9
    assert abs(np.mean(scaled[:, 1] ** 3)) < 2.5  # log-normal before: beyond 60


def test_one_outlier_is_clipped_and_does_not_move_the_others():
    X = rows()
    usual = SkewScaler().fit(X).transform(X)
    X[0, 0] = 1e12
    scaled = SkewScaler().fit(X).transform(X)
    assert np.abs(scaled).max() <= 4.0
    assert np.isfinite(scaled).all()
    assert usual.shape == scaled.shape


def test_signed_log_keeps_sign_order_and_scale_of_money():
    X = np.array([[-500.0], [-1.0], [0.0], [2.0], [3.0], [9.0], [80000.0]])
    scaler = SkewScaler(skew_limit=0.5)
    in_euros, in_cents = scaler.fit_transform(X), SkewScaler(skew_limit=0.5).fit_transform(X * 100)
    assert (np.diff(in_euros[:, 0]) >= 0).all()
    np.testing.assert_allclose(in_euros, in_cents)


def test_near_duplicates_are_dropped_with_a_reason_that_names_the_one_kept():
    x = np.arange(1.0, 101.0)
    noise = np.random.default_rng(0).permutation(x)
    X = pd.DataFrame({"orders": x, "orders_squared": x**2, "other": noise, "always": x * 0})
    part = NearDuplicateFilter().fit(X)
    assert part.dropped_ == [
        ("always", "near constant: one value holds 100.0% of customers"),
        ("orders_squared", "says the same as orders (rank correlation 1.00)"),
    ]
    assert part.get_feature_names_out().tolist() == ["orders", "other"]


def test_groups_have_the_same_say_whatever_their_number_of_columns():
    rng = np.random.default_rng(1)
    one, many = rng.normal(size=(500, 1)), rng.normal(size=(500, 1)) + rng.normal(size=(500, 6)) / 9
    X = np.hstack([one, many])
    balanced = GroupBalance(["a"] + ["b"] * 6).fit_transform(X)
    first = [np.linalg.svd(b - b.mean(0))[1][0] for b in (balanced[:, :1], balanced[:, 1:])]
    assert first[0] == pytest.approx(first[1])
    twice = GroupBalance(["a"] + ["b"] * 6, {"a": 2.0}).fit_transform(X)
    np.testing.assert_allclose(twice[:, 0], 2 * balanced[:, 0])


def test_pca_keeps_the_stated_share_and_its_signs():
    X = rows() @ np.diag([1, 0.01, 3, 2])
    part = VariancePCA(variance_share=0.95).fit(X)
    assert part.explained_share_.sum() >= 0.95
    assert part.explained_share_[:-1].sum() < 0.95
    largest = np.abs(part.components_).argmax(axis=1)
    assert (part.components_[np.arange(part.n_components_), largest] > 0).all()


def test_frames_and_arrays_and_any_order_of_rows_give_the_same_numbers():
    X = rows()
    frame = pd.DataFrame(X, columns=list("abcd"))
    chain = make_pipeline(MissingFiller(), SkewScaler(), NearDuplicateFilter(), VariancePCA())
    expected = chain.fit_transform(X)
    np.testing.assert_array_equal(chain.fit_transform(frame), expected)
    order = np.random.default_rng(5).permutation(len(X))
    np.testing.assert_array_equal(chain.fit(X[order]).transform(X), expected)


def test_a_chain_survives_json_and_arrays_bit_for_bit():
    X = rows()
    parts, Z = (
        [MissingFiller(), SkewScaler(), NearDuplicateFilter(), GroupBalance(), VariancePCA()],
        X,
    )
    for part in parts:
        Z = part.fit(Z).transform(Z)
    documents, arrays = dump(parts)
    again, A = load(json.loads(json.dumps(documents)), arrays), X
    for part in again:
        A = part.transform(A)
    np.testing.assert_array_equal(A, Z)


def test_the_canonical_order_and_samples_depend_on_values_only():
    X = np.vstack([rows(50), rows(50)])
    order = np.random.default_rng(3).permutation(len(X))
    np.testing.assert_array_equal(X[canonical_order(X)], X[order][canonical_order(X[order])])
    sampled, again = X[sample_rows(X, 20, 1)], X[order][sample_rows(X[order], 20, 1)]
    np.testing.assert_array_equal(sampled, again)
