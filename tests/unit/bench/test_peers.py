"""The peers: rules by hand, matching, transitions, and one face for all of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.peers import SPECS, Inputs, make
from bench.peers.base import RFM, Prepared, style_names
from bench.peers.monic import named, transitions
from bench.peers.refit import Refit, matched
from bench.peers.river_ import RiverError, _Worker
from bench.peers.rules import NeverSwitches, RfmGrid

HERE = [name for name, spec in SPECS.items() if not spec.environment and not spec.needs_shop]
COLUMNS = (*RFM, "events", "discount_share", "night_share", "taste:category:home")


def _inputs(seed: int = 0, n: int = 120) -> Inputs:
    """Three clear groups, some values undefined."""
    random = np.random.default_rng(seed)
    centre = random.integers(3, size=n)
    values = random.normal(size=(n, len(COLUMNS))) + 6.0 * centre[:, None]
    values[:, 1] = np.maximum(np.round(values[:, 1]), 0)
    values[::7, 4] = np.nan
    customers = np.array([f"c{place:03d}" for place in range(n)], dtype=object)
    return Inputs(customers, COLUMNS, ("median",) * len(COLUMNS), values)


def _of(X: Inputs, name: str) -> Inputs:
    return X.select(RFM) if SPECS[name].inputs == "rfm" else X


@pytest.mark.parametrize("name", HERE)
def test_every_peer_labels_every_customer_the_same_twice(name: str) -> None:
    if name == "lightgbm-bins":
        pytest.importorskip("lightgbm")
    X, later = _of(_inputs(), name), _of(_inputs(1), name)
    y = X.column("orders")

    def labels() -> list[Any]:
        peer = make(name).fit(X, 3, 5, y=y)
        found = [peer.predict(X)]
        for _ in range(4):
            peer.update(later)
            found.append(peer.predict(later))
        weights = peer.weights(later)
        if weights is not None:
            assert (weights.argmax(axis=1) == found[-1]).mean() > 0.99
        return [one.tolist() for one in found]

    first = labels()
    assert first == labels()
    assert all(len(one) == 120 for one in first)
    assert len(set(first[0])) >= 2


@pytest.mark.parametrize("name", ["lightgbm-bins", "cart-leaves"])
def test_supervised_peers_refuse_to_guess_an_outcome(name: str) -> None:
    if name == "lightgbm-bins":
        pytest.importorskip("lightgbm")
    with pytest.raises(ValueError, match="needs the outcome of an earlier period"):
        make(name).fit(_inputs(), 3, 0)


@pytest.mark.parametrize("name", ["kmeans", "gmm", "minibatch", "birch", "kmeans-matched"])
def test_clear_groups_are_found(name: str) -> None:
    from sklearn.metrics import adjusted_rand_score

    X = _inputs()
    truth = np.random.default_rng(0).integers(3, size=120)
    assert adjusted_rand_score(truth, make(name).fit(X, 3, 0).predict(X)) > 0.9


def test_the_rfm_grid_orders_customers_and_sets_non_buyers_apart() -> None:
    n = 50
    rank = np.arange(n, dtype=np.float64)
    values = np.column_stack([100 - rank, rank + 1, 10 * rank])
    values[0] = (np.nan, 0, np.nan)
    X = Inputs(np.arange(n).astype(str).astype(object), RFM, ("largest", "zero", "zero"), values)
    labels = RfmGrid().fit(X, 6, 0).predict(X)
    assert labels[0] == 0
    assert (np.diff(labels[1:]) >= 0).all()
    assert set(labels.tolist()) == {0, 1, 2, 3, 4, 5}


def test_who_never_switches_keeps_the_first_label() -> None:
    X = _inputs()
    peer = NeverSwitches().fit(X, 3, 0)
    first = peer.predict(X)
    moved = Inputs(X.customers, X.names, X.missing, X.values[::-1].copy())
    assert peer.predict(moved).tolist() == first.tolist()
    stranger = Inputs(np.array(["new"], dtype=object), X.names, X.missing, X.values[:1])
    assert peer.predict(stranger)[0] == first[0]


def test_labels_are_carried_over_by_common_customers() -> None:
    before = np.array([0, 0, 0, 1, 1, 2])
    after = np.array([2, 2, 1, 0, 0, 1])
    # overlaps: old 0 with new 2 twice, old 1 with new 0 twice, old 2 with new 1
    assert matched(before, after, 3).tolist() == [1, 2, 0]


class _Renumbering:
    """A clusterer that finds the same two groups and numbers them anew at every fit."""

    fits = 0

    def __init__(self) -> None:
        self.inputs = "features"

    def fit(self, X: Inputs, k: int, seed: int) -> Any:
        type(self).fits += 1
        self.flip = type(self).fits % 2
        return self

    def predict(self, X: Inputs) -> np.ndarray:
        return ((X.values[:, 0] > 0).astype(np.int64) + self.flip) % 2

    def weights(self, X: Inputs) -> np.ndarray:
        return np.eye(2)[self.predict(X)]


@pytest.mark.parametrize("match", [False, True])
def test_a_refit_renumbers_unless_it_is_matched(match: bool) -> None:
    X = Inputs(np.array(list("abcd"), dtype=object), ("x",), ("zero",),
               np.array([[-1.0], [-2.0], [1.0], [2.0]]))  # fmt: skip
    _Renumbering.fits = 0
    peer = Refit(_Renumbering, match=match).fit(X, 2, 0)  # type: ignore[arg-type]
    first = peer.predict(X).tolist()
    for _ in range(3):
        peer.update(X)
        assert peer.predict(X).tolist() == first
    peer.update(X)
    assert (peer.predict(X).tolist() == first) is match
    weights = peer.weights(X)
    assert weights is not None
    assert weights.argmax(axis=1).tolist() == peer.predict(X).tolist()


def _changes(before: str, after: str) -> list[tuple[str, str, str]]:
    """Transitions of customers whose old and new label are letters."""
    found = transitions(np.array([ord(one) for one in before]), np.array([*map(ord, after)]))
    return sorted(
        (one.change, "".join(sorted(map(chr, one.parents))),
         "".join(sorted(map(chr, one.children))))
        for one in found
    )  # fmt: skip


def test_transitions_of_hand_made_clusterings() -> None:
    assert _changes("aaaabbbb", "xxxxyyyy") == [("survive", "a", "x"), ("survive", "b", "y")]
    assert _changes("aaaabbbb", "xxxxxxxx") == [("merge", "ab", "x")]
    assert _changes("aaaabbbb", "xxyyzzzz") == [("split", "a", "xy"), ("survive", "b", "z")]


def test_small_parts_are_no_children_and_scattered_customers_no_heirs() -> None:
    # x holds 8 of 10, y 2 of 10: y is nobody's heir
    assert _changes("a" * 10, "xxxxxxxxyy") == [("birth", "", "y"), ("survive", "a", "x")]
    # fifths are neither a half nor quarters
    assert ("death", "a", "") in _changes("a" * 10, "vvwwxxyyzz")


def test_a_found_segment_is_named_by_most_of_its_members() -> None:
    told = named(np.array([4, 4, 4, 7]), np.array(["a", "b", "b", "a"]))
    assert dict(told) == {4: "b", 7: "a"}


def test_style_leaves_out_how_much_somebody_buys() -> None:
    assert style_names(COLUMNS) == ("discount_share", "night_share", "taste:category:home")
    assert style_names(RFM) == RFM


def test_preparation_is_that_of_the_customers_it_was_fitted_on() -> None:
    X = _inputs()
    part = Prepared().fit(X)
    alone = part.transform(X.rows(np.arange(3)))
    assert np.allclose(alone, part.transform(X)[:3])
    assert not np.isnan(part.transform(X)).any()


def test_a_worker_without_its_package_says_so() -> None:
    worker = _Worker(Path(sys.executable))
    try:
        with pytest.raises(RiverError, match="river"):
            worker.ask(do="make", algorithm="KMeans", settings={})
    finally:
        worker.close()
