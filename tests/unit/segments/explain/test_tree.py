"""A tree asks plain questions, within its leaves, and does not claim what it cannot keep."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.segments.explain.fidelity import (
    answered,
    cost_ratio,
    fidelity_of,
    folds,
    out_of_fold,
)
from shoal.segments.explain.growing import balanced, grow, short_between
from shoal.segments.explain.stability import stability
from shoal.segments.explain.tree import Bounds, Node, Tree

NAMES = ("a", "b", "c")


def squares(n: int = 600, seed: int = 0):
    """Four segments at the corners of two columns, and a column that tells nothing."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 4, n)
    X = np.column_stack([places % 2, places // 2, np.zeros(n)]) + rng.normal(0, 0.1, (n, 3))
    return X, places


def test_corners_are_told_apart_exactly():
    X, places = squares()
    tree = grow(X, NAMES, places, leaves=8)
    assert set(tree.features) == {"a", "b"}
    assert tree.leaves == 4
    assert (answered(tree, X, NAMES) == places).all()


def test_a_tree_has_no_more_leaves_than_allowed():
    rng = np.random.default_rng(1)
    X, places = rng.normal(size=(400, 3)), rng.integers(0, 5, 400)
    for leaves in (2, 3, 7):
        assert grow(X, NAMES, places, leaves=leaves).leaves <= leaves


def test_every_segment_counts_the_same_whatever_its_size():
    rng = np.random.default_rng(2)
    places = (np.arange(1000) < 20).astype(np.int64)  # 2 % of customers
    X = (places + rng.normal(0, 0.35, 1000))[:, None]
    tree = grow(X, ("a",), places, leaves=2)
    assert (answered(tree, X, ("a",))[places == 1] == 1).mean() > 0.85
    assert balanced(places)[places == 1].sum() == pytest.approx(500)


def test_an_undefined_value_goes_to_the_side_of_those_like_it():
    rng = np.random.default_rng(3)
    places = rng.integers(0, 2, 400)
    X = np.where(places == 1, np.nan, rng.normal(size=400))[:, None]
    tree = grow(X, ("a",), places, leaves=2)
    assert (answered(tree, X, ("a",)) == places).all()
    assert (answered(tree, np.array([[np.nan], [0.0]]), ("a",)) == [1, 0]).all()


def test_one_segment_needs_no_question():
    tree = grow(np.zeros((10, 1)), ("a",), np.full(10, 2), leaves=4)
    assert tree.nodes == (Node(place=2),)
    assert list(tree.paths()) == [(0, 2, ())]
    assert (answered(tree, np.zeros((3, 1)), ("a",)) == 2).all()


def test_the_same_customers_give_the_same_tree():
    X, places = squares(seed=4)
    X += np.random.default_rng(0).normal(0, 0.4, X.shape)
    assert grow(X, NAMES, places, leaves=8) == grow(X, NAMES, places, leaves=8)


def test_a_tree_is_read_back_from_its_document():
    X, places = squares()
    tree = grow(X, NAMES, places, leaves=8)
    ids = ("s01", "s02", "s03", "s04")
    assert Tree.from_document(tree.to_document(ids), ids) == tree
    with pytest.raises(ValueError, match="'s04', which is no segment here"):
        Tree.from_document(tree.to_document(ids), ids[:3])


def test_paths_say_what_their_customers_have_in_common():
    nodes = (
        Node("a", 5.0, True, 1, 4),
        Node("a", 2.0, False, 2, 3),
        Node(place=0),
        Node(place=1),
        Node(place=2),
    )
    paths = {number: path for number, _, path in Tree(nodes).paths()}
    assert paths[2] == (Bounds("a", None, 2.0, False),)
    assert paths[3] == (Bounds("a", 2.0, 5.0, True),)
    assert paths[4] == (Bounds("a", 5.0, None, False),)
    values = np.array([1.0, 2.0, 3.0, 5.0, 5.1, np.nan])
    assert Tree(nodes).apply({"a": values}).tolist() == [2, 2, 3, 3, 4, 3]


def test_labels_by_chance_have_no_fidelity_out_of_fold():
    rng = np.random.default_rng(5)
    X, places = rng.normal(size=(600, 8)), rng.integers(0, 4, 600)
    names = tuple("abcdefgh")
    inside = fidelity_of(answered(grow(X, names, places, leaves=8), X, names), places, 4)
    outside = fidelity_of(out_of_fold(X, names, places, leaves=8), places, 4)
    assert inside.balanced > 0.3
    assert 0.15 < outside.balanced < 0.3  # chance is 0.25: what was learned is not asked


def test_fidelity_is_balanced_and_stands_beside_the_majoritys():
    places = np.array([0] * 8 + [1] * 2)
    found = fidelity_of(np.zeros(10, dtype=np.int64), places, 3)
    assert (found.balanced, found.accuracy) == (0.5, 0.8)
    assert (found.majority_balanced, found.majority) == (0.5, 0.8)
    document = found.as_document(("s01", "s02", "new"))
    assert document["by_segment"] == {"s01": 1.0, "s02": 0.0}
    assert document["reached"] is False


def test_folds_spread_every_segment():
    places = np.repeat([0, 1], [100, 7])
    parts = folds(places, 0)
    assert np.bincount(parts[places == 0]).tolist() == [20] * 5
    assert np.bincount(parts[places == 1]).min() == 1


def test_a_perfect_explanation_costs_nothing_and_a_wrong_one_something():
    rng = np.random.default_rng(6)
    places = np.repeat([0, 1], 50)
    Z = places[:, None] * 10 + rng.normal(size=(100, 2))
    assert cost_ratio(Z, places, places) == 1.0
    wrong = places.copy()
    wrong[:10] = 1
    assert cost_ratio(Z, wrong, places) > 2
    assert cost_ratio(np.zeros((100, 2)), wrong, places) is None


def test_a_threshold_is_as_short_as_it_can_be():
    assert short_between(np.array([0.361]), np.array([0.4219])) == 0.4
    assert short_between(np.array([-5.0, -3.2]), np.array([-1.1])) == -2.0
    assert short_between(np.array([2.0]), np.array([3.0])) == 2.0
    assert short_between(np.array([]), np.array([7.0])) < 7.0
    assert short_between(np.array([7.0]), np.array([])) == 7.0
    near = short_between(np.array([0.1]), np.array([np.nextafter(0.1, 1)]))
    assert near == 0.1
    # one of a thousand may be on the other side for the sake of a short number
    left = np.append(np.linspace(0, 0.119, 1000), 0.1204)
    assert short_between(left, np.array([0.1207])) == 0.12


def test_stability_counts_questions_that_stay_and_customers_that_agree():
    def tree(feature, threshold):
        return Tree((Node(feature, threshold, True, 1, 2), Node(place=0), Node(place=1)))

    columns = {"a": np.arange(100.0), "b": np.arange(100.0)[::-1].copy()}
    same = stability(tree("a", 50.0), ("x", "y"), tree("a", 51.0), ("x", "y"), columns)
    assert same["thresholds"] == {"kept": 1, "of": 1}
    assert same["agreement"] == 0.99
    far = stability(tree("a", 50.0), ("x", "y"), tree("a", 80.0), ("x", "y"), columns)
    assert far["thresholds"] == {"kept": 0, "of": 1}
    other = stability(tree("b", 50.0), ("x", "y"), tree("a", 50.0), ("x", "y"), columns)
    assert other["features"] == {"shared": 0, "of": 2}
    gone = stability(tree("c", 1.0), ("x", "y"), tree("a", 50.0), ("x", "y"), columns)
    assert gone["agreement"] is None
