"""Styles and stages: leaves, divisions, and the clusterer that is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.staged import STAGES, Staged
from shoal.segments.staging import LEAST_SHARE, Space, divisions, leaves_of

WIDTH = 3


def planted(n=900, seed=0):
    """Three styles; the first has two stages, the second three, the third one."""
    rng = np.random.default_rng(seed)
    style = np.arange(n) % 3
    stage = rng.integers(np.array([2, 3, 1])[style])
    X = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]])[style] + rng.normal(size=(n, WIDTH))
    outlook = 8.0 * stage[:, None] + rng.normal(size=(n, 1))
    return X, outlook, style, stage


def fitted(k=6, styles=3, base=KMeansClusterer, **more):
    X, outlook, *_ = planted(**more)
    Z = np.hstack([X, outlook])
    return Staged(base(styles), k, WIDTH).fit(Z, seed=0), Z


def same_groups(one, other):
    table = {}
    return all(table.setdefault(a, b) == b for a, b in zip(one, other, strict=True)) and len(
        set(table.values())
    ) == len(table)


def test_stages_go_where_the_outlook_varies():
    _, outlook, style, stage = planted()
    found = leaves_of(outlook, style, 3, (3, 6), seed=0)
    assert found[3].owner.tolist() == [0, 1, 2]
    assert np.bincount(found[6].owner).tolist() == [2, 3, 1]
    assert same_groups(found[6].labels(style, outlook), 3 * style + stage)


def test_no_stage_is_smaller_than_its_least_share():
    _, outlook, style, _ = planted(n=300)
    many = leaves_of(outlook, style, 3, (60,), seed=0)[60]
    sizes = np.bincount(many.labels(style, outlook), minlength=len(many.owner))
    assert len(many.owner) < 60
    # Lloyd's iterations after a cut may move some customers on.
    assert sizes.min() >= LEAST_SHARE * 300 / 2


def test_divisions_are_those_of_style_where_there_is_no_outlook():
    X, outlook, style, _ = planted()
    plain = divisions(Space(X), (3,), None, seed=0, starts=4)[3]
    assert plain.leaves is None
    assert same_groups(plain.labels, style)
    staged = divisions(Space(X, outlook), (3, 6), 3, seed=0, starts=4)
    assert (staged[3].k, staged[6].k) == (3, 6)
    assert staged[6].inertia < staged[3].inertia
    assert np.array_equal(staged[6].of(Space(X, outlook)), staged[6].labels)


@pytest.mark.parametrize("base", [KMeansClusterer, Mixture])
def test_planted_styles_and_stages_are_found(base):
    model, Z = fitted(base=base)
    _, _, style, stage = planted()
    weights = model.weights(Z)
    assert weights.shape == (900, 6)
    assert np.allclose(weights.sum(axis=1), 1)
    assert same_groups(weights.argmax(axis=1), 3 * style + stage)
    assert model.method == base.method
    assert sorted(model.facts[STAGES]) == [1, 2, 3]


def test_rows_are_independent_and_their_order_changes_nothing():
    model, Z = fitted()
    order = np.random.default_rng(1).permutation(len(Z))
    other = Staged(KMeansClusterer(3), 6, WIDTH).fit(Z[order], seed=0)
    assert np.allclose(other.weights(Z), model.weights(Z))
    assert np.allclose(model.weights(Z[:5]), model.weights(Z)[:5])


def test_what_was_written_says_the_same():
    model, Z = fitted()
    again = Staged.from_artefact(*model.to_artefact())
    assert np.array_equal(again.weights(Z), model.weights(Z))
    assert np.array_equal(again.centrality(Z), model.centrality(Z))
    assert again.facts == model.facts


def test_a_warm_start_goes_on_from_the_styles_before():
    model, Z = fitted()
    places = model.weights(Z).argmax(axis=1)
    warm = Staged(KMeansClusterer(3), 6, WIDTH, before=model.owner.tolist())
    warm.fit(Z, seed=5, warm=places)
    assert same_groups(warm.weights(Z).argmax(axis=1), places)


def test_leaves_before_stay_where_others_are_no_better():
    X, *_ = planted()
    angle = np.random.default_rng(3).uniform(0, 2 * np.pi, len(X))
    ring = np.column_stack([np.cos(angle), np.sin(angle)])  # wherever it is cut in three is as good
    Z = np.hstack([X, ring])
    first = Staged(KMeansClusterer(1), 3, WIDTH).fit(Z, seed=0)
    mine = first.weights(Z).argmax(axis=1)
    start = np.angle(np.exp(1j * angle[mine == 0]).mean())
    warm = (((angle - start) % (2 * np.pi)) // (2 * np.pi / 3)).astype(np.int64)
    again = Staged(KMeansClusterer(1), 3, WIDTH, before=[0, 0, 0]).fit(Z, seed=0, warm=warm)
    stayed = adjusted_rand_score(again.weights(Z).argmax(axis=1), warm)
    assert stayed > adjusted_rand_score(mine, warm) + 0.2
    # Those that hold the outlook worse are left.
    far = (angle > 0.1).astype(np.int64) + (angle > 0.2)
    blobs = np.hstack([X, 9.0 * np.eye(3)[np.arange(len(X)) % 3][:, :2] + ring])
    left = Staged(KMeansClusterer(1), 3, WIDTH, before=[0, 0, 0]).fit(blobs, seed=0, warm=far)
    assert same_groups(left.weights(blobs).argmax(axis=1), np.arange(len(X)) % 3)


def test_moved_leaves_keep_their_styles_together():
    model, Z = fitted()
    other = model.moved(model.centers + 0.5, mass=np.ones(6))
    assert np.allclose(other.stages, model.centers[:, WIDTH:] + 0.5)
    assert np.allclose(other.centers, model.centers + 0.5)
    styles = [model.centers[model.owner == one, :WIDTH].mean(axis=0) + 0.5 for one in range(3)]
    assert np.allclose(other.base.centers, styles)
    assert np.array_equal(model.weights(Z), fitted()[0].weights(Z))


def test_a_stage_is_split_inside_its_style_and_stages_of_one_style_merge():
    model, Z = fitted()
    place = int(np.argmax(model.owner == np.argmin(model.facts[STAGES])))
    halves = np.vstack([model.centers[place]] * 2)
    halves[1, WIDTH] += 3.0
    cut = model.split(place, halves)
    assert len(cut.owner) == 7
    assert cut.owner[place] == cut.owner[-1]
    assert cut.merged(place, 6).owner.tolist() == model.owner.tolist()
    assert np.allclose(cut.weights(Z).sum(axis=1), 1)


def test_what_lies_across_styles_is_not_done():
    model, _ = fitted()
    first = int(np.flatnonzero(model.owner == np.argmax(model.facts[STAGES]))[0])
    by_style = np.vstack([model.centers[first]] * 2)
    by_style[1, 0] += 5.0
    assert model.split(first, by_style) is None
    other = int(np.flatnonzero(model.owner != model.owner[first])[0])
    assert model.merged(first, other) is None
