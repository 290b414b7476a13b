"""One contract for every method: weights, order, seeds, artefacts, warm starts, awkward rows."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from shoal.domain.errors import InputError
from shoal.features.matrix import Column
from shoal.segments.artefact import class_of
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.base import Clusterer
from shoal.segments.methods.consensus import Consensus
from shoal.segments.methods.deep import Deep
from shoal.segments.methods.density import Density
from shoal.segments.methods.hierarchy import Hierarchy
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.registry import CLUSTERERS
from shoal.segments.methods.seeded import Anchors, Seeded
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.rules import Rfm

ROWS, K = 360, 4


def blobs(rows: int = ROWS, spread: float = 1.0, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    X, truth = make_blobs(rows, 5, centers=K, cluster_std=spread, random_state=seed)
    return X, truth


def anchors(Z: np.ndarray, k: int = K) -> Anchors:
    """Two named segments: some of the rows that lie lowest and highest in the first column."""
    order = np.argsort(Z[:, 0], kind="stable")
    few = max(min(8, len(Z) // 3), 1)
    rows = np.concatenate([order[:few], order[-few:]])
    return Anchors(("low", "high"), Z[rows], np.repeat([0, 1], few))


MAKERS: dict[str, Callable[[np.ndarray, int], Clusterer]] = {
    "kmeans": lambda Z, k: KMeansClusterer(k),
    "mixture": lambda Z, k: Mixture(k),
    "hierarchy": lambda Z, k: Hierarchy(k, levels=(2, 12)),
    "density": lambda Z, k: Density(),
    "dbscan": lambda Z, k: Density("dbscan"),
    "deep": lambda Z, k: Deep(k, epochs=4, joint_epochs=3),
    "seeded": lambda Z, k: Seeded(k, anchors(Z)),
    "consensus": lambda Z, k: Consensus(k),
}
every_method = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted() -> dict[str, Clusterer]:
    Z, _ = blobs()
    return {name: made(Z, K).fit(Z, seed=1) for name, made in MAKERS.items()}


def close(name: str) -> float:
    """What rounding may change: networks count in single precision."""
    return 1e-4 if name == "deep" else 1e-9


def test_every_clusterer_is_held_to_the_contract():
    assert {one.method for one in (make(blobs()[0], K) for make in MAKERS.values())} == set(
        CLUSTERERS
    )


@every_method
def test_weights_sum_to_one_and_are_never_negative(name, fitted):
    Z = np.vstack([blobs(seed=9)[0], np.full((1, 5), 1e6), np.zeros((1, 5))])
    weights = fitted[name].weights(Z)
    assert weights.shape == (len(Z), len(fitted[name].centers))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)


@every_method
def test_planted_groups_are_found(name, fitted):
    Z, truth = blobs()
    assert adjusted_rand_score(truth, fitted[name].weights(Z).argmax(axis=1)) > 0.9


@every_method
def test_groups_are_numbered_by_size(name, fitted):
    sizes = np.bincount(fitted[name].weights(blobs()[0]).argmax(axis=1))
    assert (np.diff(sizes) <= 0).all()


@every_method
def test_the_order_of_rows_changes_nothing(name, fitted):
    Z, _ = blobs()
    order = np.random.default_rng(0).permutation(len(Z))
    other = MAKERS[name](Z, K).fit(Z[order], seed=1)
    np.testing.assert_allclose(
        other.weights(Z[order]), fitted[name].weights(Z)[order], atol=close(name)
    )


@every_method
def test_the_same_seed_gives_the_same_bits(name, fitted):
    Z, _ = blobs()
    other = MAKERS[name](Z, K).fit(Z.copy(), seed=1)
    np.testing.assert_array_equal(other.weights(Z), fitted[name].weights(Z))


@every_method
def test_a_row_does_not_depend_on_its_companions(name, fitted):
    Z, _ = blobs(seed=5)
    alone = np.vstack([fitted[name].weights(Z[row : row + 1]) for row in range(10)])
    np.testing.assert_allclose(alone, fitted[name].weights(Z)[:10], atol=close(name))
    central = [fitted[name].centrality(Z[row : row + 1])[0] for row in range(10)]
    np.testing.assert_allclose(central, fitted[name].centrality(Z)[:10], rtol=1e-3, atol=1e-4)


@every_method
def test_the_artefact_is_json_and_arrays_and_says_the_same(name, fitted):
    Z, _ = blobs(seed=5)
    document, arrays = fitted[name].to_artefact()
    assert all(isinstance(one, np.ndarray) for one in arrays.values())
    again = type(fitted[name]).from_artefact(json.loads(json.dumps(document)), arrays)
    np.testing.assert_array_equal(again.weights(Z), fitted[name].weights(Z))
    np.testing.assert_array_equal(again.centrality(Z), fitted[name].centrality(Z))
    np.testing.assert_array_equal(again.centers, fitted[name].centers)
    assert (again.k, again.notes, again.names, again.facts) == (
        fitted[name].k, fitted[name].notes, fitted[name].names, fitted[name].facts,
    )  # fmt: skip


@every_method
def test_a_warm_start_is_never_worse_than_a_cold_one(name):
    Z, truth = blobs(spread=4.0)
    for warm in (truth, np.zeros(len(Z), np.int64), np.full(len(Z), -1), truth % 2):
        cold, other = (MAKERS[name](Z, K).fit(Z, seed=2, warm=one) for one in (None, warm))
        if cold.loss is None:
            np.testing.assert_array_equal(cold.weights(Z), other.weights(Z))
        else:
            # k-means keeps an earlier version that is as good as far as so few rows can tell
            slack = 0.01 if name == "kmeans" else 0.0
            assert other.loss is not None and other.loss <= cold.loss + slack * abs(cold.loss)


@every_method
def test_more_groups_than_rows_are_refused_or_fewer_made(name):
    Z, _ = blobs(3)
    try:
        made = MAKERS[name](Z, 8).fit(Z, seed=0)
    except InputError as error:
        assert error.code == "too_little_data"
        assert "8 segments were asked for" in error.message and "3" in error.message
    else:
        assert 1 <= len(made.centers) <= 3


@every_method
def test_three_rows(name):
    Z = np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0]])
    made = MAKERS[name](Z, 2).fit(Z, seed=0)
    weights = made.weights(Z)
    assert weights.shape == (3, len(made.centers)) and 1 <= len(made.centers) <= 2
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


@every_method
def test_identical_rows_make_one_group(name):
    Z = np.ones((60, 3))
    made = MAKERS[name](Z, K).fit(Z, seed=0)
    places = made.weights(Z).argmax(axis=1)
    assert len(set(places.tolist())) == 1
    assert np.isfinite(made.centrality(Z)).all()


@every_method
def test_a_huge_outlier_leaves_the_others_their_groups(name):
    Z, truth = blobs()
    far = np.vstack([Z, np.full((1, 5), 1e4)])
    made = MAKERS[name](far, K + 1).fit(far, seed=1)
    weights = made.weights(far)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)
    if name != "deep":  # it sees everything else as one point; customers are clipped before
        assert adjusted_rand_score(truth, weights[:-1].argmax(axis=1)) > 0.6


@every_method
def test_collinear_and_constant_columns(name):
    Z, truth = blobs()
    again = np.column_stack([Z, Z[:, 0], 2 * Z[:, 1] - Z[:, 2], np.zeros(len(Z))])
    made = MAKERS[name](again, K).fit(again, seed=1)
    weights = made.weights(again)
    assert np.isfinite(weights).all()
    assert adjusted_rand_score(truth, weights.argmax(axis=1)) > 0.85


# --- the same through a segmenter, from a table of features ---------------------------------------

COLUMNS = [
    Column("orders", "volume", "zero"),
    Column("twice", "volume", "zero"),
    Column("spend", "money", "median"),
    Column("night_share", "hours", "median"),
    Column("nothing", "empty", "median"),
]


def customers(rows: int = 150, seed: int = 0) -> pa.Table:
    """Customers with a feature of nulls, a collinear one and one huge spender."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=rows)
    orders = rng.poisson(1 + 6 * kind)
    spend = np.exp(rng.normal(kind, 0.5, rows))
    spend[0] = 1e12
    return pa.table(
        {
            "customer_id": [f"c{number}" for number in range(rows)],
            "events": rng.integers(0, 12, rows),
            "orders": orders,
            "twice": 2 * orders,
            "spend": spend,
            "night_share": rng.beta(1 + 5 * kind, 4),
            "nothing": pa.nulls(rows, pa.float64()),
        }
    )


def segmenter(name: str, table: pa.Table, k: int = 3) -> ClusterSegmenter:
    made = ClusterSegmenter(COLUMNS, k, seed=1)
    Z = made.prepare(table)
    made.clusterer = MAKERS[name](Z, k)
    return made.cluster(Z)


@every_method
def test_a_segmenter_survives_its_artefact_with_its_ids(name):
    table = customers()
    one = segmenter(name, table)
    count = len(one.segment_ids) - 1
    ids = tuple(f"s{place + 7:02d}" for place in range(count))
    assert one.rename(ids).segment_ids == (*ids, "new")
    document, arrays = one.to_artefact()
    again = ClusterSegmenter.from_artefact(json.loads(json.dumps(document)), arrays)
    assert (again.method, again.segment_ids) == (one.method, (*ids, "new"))
    np.testing.assert_array_equal(again.transform(table), one.transform(table))
    np.testing.assert_array_equal(again.prior(table), one.prior(table))
    assert "nothing" not in one.used and ("orders" in one.used) != ("twice" in one.used)


@every_method
def test_thin_evidence_is_shrunk_to_the_shares_of_segments(name):
    table = customers()
    one = segmenter(name, table)
    prior = one.prior(table)
    np.testing.assert_allclose(prior.sum(axis=1), 1.0)
    events = np.asarray(table["events"])
    np.testing.assert_allclose(prior[events == 0], np.tile(one.shares, (sum(events == 0), 1)))
    placed = one.clusterer.weights(one.embed(table))
    away = np.abs(prior - placed).sum(axis=1)
    assert away[events >= 9].mean() <= away[events <= 2].mean()


def test_ids_have_to_be_as_many_as_segments_and_different():
    one = segmenter("kmeans", customers())
    for ids in (("s01",), ("s01", "s01", "s02"), ("s01", "s02", "new")):
        with pytest.raises(ValueError, match="ids"):
            one.rename(ids)


def test_an_artefact_of_the_first_version_is_still_read():
    table = customers()
    one = segmenter("kmeans", table)
    document, arrays = one.to_artefact()
    first = {name: value for name, value in document.items()
             if name not in ("ids", "shares", "clusterer")}  # fmt: skip
    first["variance"] = one.clusterer.variance
    arrays["centers"] = arrays.pop("method.centers")
    again = ClusterSegmenter.from_artefact(first, arrays)
    assert again.segment_ids == ("s01", "s02", "s03", "new")
    np.testing.assert_array_equal(again.transform(table), one.transform(table))
    np.testing.assert_allclose(again.prior(table).sum(axis=1), 1.0)


def test_every_method_is_read_by_its_class_and_no_other_is_known():
    assert {class_of(name) for name in CLUSTERERS} == {ClusterSegmenter}
    assert (class_of("rfm"), class_of("rules")) == (Rfm, RuleSegmenter)
    with pytest.raises(KeyError):
        class_of("of_nobody")
