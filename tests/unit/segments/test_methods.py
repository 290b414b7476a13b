"""What is particular to each method: shapes, trees, noise, names, votes, collapse, many rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score, recall_score

from shoal.domain.errors import InputError, UsageError
from shoal.domain.text import Text
from shoal.segments import kmeans
from shoal.segments.kmeans import KMeans
from shoal.segments.methods.base import warm_centers
from shoal.segments.methods.consensus import Consensus
from shoal.segments.methods.deep import Deep
from shoal.segments.methods.density import Density
from shoal.segments.methods.hierarchy import Hierarchy, cut, ward
from shoal.segments.methods.kmeans import KMeansClusterer
from shoal.segments.methods.micro import micro_clusters
from shoal.segments.methods.mixture import Mixture
from shoal.segments.methods.registry import Options, make
from shoal.segments.methods.seeded import Anchors, Seeded, figures


def blobs(rows=400, k=5, seed=1, spread=1.0, columns=4):
    return make_blobs(rows, columns, centers=k, cluster_std=spread, random_state=seed)


# --- k-means --------------------------------------------------------------------------------------


@pytest.fixture
def many(monkeypatch):
    """Rows count as many from 200 on."""
    monkeypatch.setattr(kmeans, "_MANY_ROWS", 200)
    monkeypatch.setattr(kmeans, "_CHUNK_ROWS", 64)


def test_many_rows_end_as_good_as_few(many):
    X, _ = blobs(1_500, 9, spread=5.0)
    found = KMeans(9, sample_rows=300).fit(X)
    kmeans._MANY_ROWS = 10_000
    exact = KMeans(9, n_starts=20).fit(X)
    assert found.inertia_ <= 1.01 * exact.inertia_
    np.testing.assert_array_equal(found.predict(X), found.labels_)
    closest = ((X[:, None] - found.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
    assert found.inertia_ == pytest.approx(closest.sum(), rel=1e-9)


def test_the_order_of_many_rows_and_the_number_of_cores_change_nothing(many, monkeypatch):
    X, _ = blobs(600, 6, spread=4.0)
    order = np.random.default_rng(0).permutation(len(X))
    one, other = KMeans(6, sample_rows=100).fit(X), KMeans(6, sample_rows=100).fit(X[order])
    np.testing.assert_array_equal(one.cluster_centers_, other.cluster_centers_)
    for cores in (1, 3):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        alone = KMeans(6, sample_rows=100).fit(X)
        np.testing.assert_array_equal(one.cluster_centers_, alone.cluster_centers_)


def test_many_identical_rows_make_one_cluster(many):
    assert KMeans(4, sample_rows=100).fit(np.full((500, 3), 7.5)).n_clusters_ == 1


def test_a_warm_start_finds_what_a_bad_cold_one_misses():
    X, truth = blobs(900, 40, spread=0.4, columns=2)
    colds = [KMeansClusterer(40, starts=1).fit(X, seed=seed).loss for seed in range(6)]
    seed = int(np.argmax(colds))
    warm = KMeansClusterer(40, starts=1).fit(X, seed=seed, warm=truth)
    assert warm.loss is not None and warm.loss < 0.98 * max(colds)


def test_warm_centres_are_filled_up_or_the_largest():
    Z, truth = blobs(300, 3)
    assert warm_centers(Z, np.full(300, -1), 3, 0) is None
    assert warm_centers(Z, truth, 5, 0).shape == (5, 4)
    two = warm_centers(Z[:250], np.repeat([0, 1, 2], [150, 60, 40]), 2, 0)
    np.testing.assert_allclose(two, [Z[:150].mean(axis=0), Z[150:210].mean(axis=0)])


# --- mixture --------------------------------------------------------------------------------------


def test_a_mixture_finds_long_groups_that_k_means_cuts_across():
    rng = np.random.default_rng(0)
    long = rng.normal(size=(900, 2)) * [8.0, 0.5]
    truth = np.repeat([0, 1, 2], 300)
    long[:, 1] += 3.0 * truth
    tilted = long @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    mixture = Mixture(3).fit(tilted, seed=0)
    assert mixture.facts["shape"] == "full"
    assert adjusted_rand_score(truth, mixture.weights(tilted).argmax(axis=1)) > 0.95
    means = KMeansClusterer(3).fit(tilted, seed=0)
    assert adjusted_rand_score(truth, means.weights(tilted).argmax(axis=1)) < 0.5


def test_round_groups_need_no_tilt():
    Z, _ = blobs(200, 4, columns=6)
    assert Mixture(4).fit(Z, seed=0).facts["shape"] == "diag"


def test_weights_are_the_posterior_that_scikit_learn_gives():
    from sklearn.mixture import GaussianMixture

    Z, _ = blobs(500, 3, spread=3.0)
    made = Mixture(3).fit(Z, seed=0)
    peer = GaussianMixture(3, covariance_type=made.facts["shape"])
    peer.means_, peer.weights_, peer.precisions_cholesky_ = made.centers, made.mass, made.roots
    np.testing.assert_allclose(made.weights(Z), peer.predict_proba(Z), atol=1e-12)


# --- hierarchy ------------------------------------------------------------------------------------


def test_the_tree_is_wards():
    Z, _ = blobs(80, 6, spread=3.0)
    peer = fcluster(linkage(Z, "ward"), 7, "maxclust")
    assert adjusted_rand_score(peer, cut(ward(Z, np.ones(80)), 80, 7)) == 1.0


def test_weighted_rows_are_as_good_as_repeated_ones():
    Z, _ = blobs(40, 5, spread=3.0)
    sizes = np.random.default_rng(0).integers(1, 6, 40)
    repeated = fcluster(linkage(np.repeat(Z, sizes, axis=0), "ward"), 6, "maxclust")
    once = cut(ward(Z, sizes.astype(float)), 40, 6)
    assert adjusted_rand_score(repeated, np.repeat(once, sizes)) == 1.0


def test_fine_groups_lie_within_broad_ones():
    Z, _ = blobs(1_500, 9, spread=3.0)
    made = Hierarchy(8, (3, 20)).fit(Z, seed=0)
    other = np.random.default_rng(1).normal(size=(500, 4)) * 8
    levels = {one["k"]: one for one in made.facts["levels"]}
    assert list(levels) == [3, 8, 20]
    for rows in (Z, other):
        for broad, fine in ((3, 8), (8, 20)):
            parents = np.array(levels[fine]["parents"])
            np.testing.assert_array_equal(parents[made.level(rows, fine)], made.level(rows, broad))
    assert all(sum(one["customers"]) == 1_500 for one in levels.values())
    np.testing.assert_array_equal(made.level(Z, 8), made.weights(Z).argmax(axis=1))


def test_micro_clusters_hold_everybody_and_few_rows_stand_for_themselves():
    Z, _ = blobs(2_000, 5)
    micro = micro_clusters(Z, 0, 100)
    assert len(micro.centers) <= 100 and micro.sizes.sum() == 2_000
    np.testing.assert_allclose(micro.centers[3], Z[micro.labels == 3].mean(axis=0))
    few = micro_clusters(np.repeat(Z[:30], 2, axis=0), 0, 100)
    assert len(few.centers) == 30 and (few.sizes == 2).all()


# --- density --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hdbscan", "dbscan"])
def test_density_finds_crescents_and_tells_the_noise(kind):
    X, truth = make_moons(700, noise=0.05, random_state=0)
    rng = np.random.default_rng(0)
    noise = rng.uniform([-6, -5], [7, 6], size=(60, 2))
    noise = noise[(np.abs(noise - [0.5, 0.25]) > [2.5, 1.75]).any(axis=1)]
    made = Density(kind).fit(np.vstack([X, noise]), seed=0)
    assert len(made.centers) == 2
    assert adjusted_rand_score(truth, made.weights(X).argmax(axis=1)) > 0.95
    assert made.noise(noise).mean() > 0.9 and made.noise(X).mean() < 0.1
    assert made.facts["noise_share"] == pytest.approx(
        made.noise(np.vstack([X, noise])).mean(), abs=1e-9
    )
    assert "lie between the groups" in made.notes[0].en
    np.testing.assert_allclose(made.weights(noise).sum(axis=1), 1.0)


def test_one_cloud_is_one_group_and_it_is_said():
    made = Density().fit(np.random.default_rng(0).normal(size=(400, 3)), seed=0)
    assert len(made.centers) == 1
    assert "one cloud" in made.notes[0].en and "整体" in made.notes[0].zh


# --- deep -----------------------------------------------------------------------------------------


def test_a_collapse_falls_back_and_it_is_said(monkeypatch):
    from shoal.model.prototypes import Prototypes

    def collapsed(self, X, *, seed=0, epochs=20):
        return Prototypes(self.autoencoder, np.repeat(self.places[:1], 4, axis=0), self.unit, 0.0)

    monkeypatch.setattr(Prototypes, "trained", collapsed)
    Z, truth = blobs(300, 4)
    made = Deep(4, epochs=10).fit(Z, seed=0)
    assert made.facts["collapsed"] and len(made.centers) == 4
    assert "k-means on the codes" in made.notes[0].en
    assert adjusted_rand_score(truth, made.weights(Z).argmax(axis=1)) > 0.9


# --- seeded ---------------------------------------------------------------------------------------


def taught(Z, truth, each, names=("a", "b", "c")):
    rows = np.concatenate([np.flatnonzero(truth == tag)[:each] for tag in range(len(names))])
    return Anchors(names, Z[rows], truth[rows])


def test_known_customers_name_segments_that_behaviour_alone_does_not_find():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 300)
    loud = rng.normal(size=(900, 2)) * 5  # varies most and tells nothing
    Z = np.column_stack([loud, rng.normal(3.0 * truth, 0.6)])
    made = Seeded(3, taught(Z, truth, 25)).fit(Z, seed=0)
    places = {made.names[place].en: place for place in made.names}
    found = made.weights(Z).argmax(axis=1)
    expected = np.array([places[name] for name in "abc"])[truth]
    assert recall_score(expected, found, average="macro") > 0.95
    held = made.facts["held_out"]
    assert held["customers"] == 75 and held["folds"] == 5
    assert held["accuracy"] > 0.9 and held["macro_recall"] > 0.9 and held["macro_f1"] > 0.9
    blind = KMeansClusterer(3).fit(Z, seed=0).weights(Z).argmax(axis=1)
    assert adjusted_rand_score(truth, blind) < 0.5


def test_further_segments_are_found_beside_the_named_ones():
    Z, truth = blobs(600, 5, seed=2)
    made = Seeded(5, taught(Z, truth, 10, ("north", "south"))).fit(Z, seed=0)
    found = made.weights(Z).argmax(axis=1)
    assert adjusted_rand_score(truth, found) > 0.95
    assert sorted(name.en for name in made.names.values()) == ["north", "south"]
    for place, name in made.names.items():
        assert (truth[found == place] == ("north", "south").index(name.en)).mean() > 0.95


def test_labels_that_behaviour_does_not_follow_are_told():
    Z, _ = blobs(400, 3)
    random = np.random.default_rng(0).integers(0, 2, 80)
    made = Seeded(3, Anchors(("x", "y"), Z[:80], random)).fit(Z, seed=0)
    assert made.facts["held_out"]["accuracy"] < 0.6
    assert "follow behaviour little" in made.notes[-1].en


def test_a_name_with_one_known_customer_has_no_figures():
    Z, truth = blobs(200, 3)
    made = Seeded(3, taught(Z, truth, 1)).fit(Z, seed=0)
    assert made.facts["held_out"] is None
    assert set(made.names.values()) == {Text(name, name) for name in "abc"}


def test_fewer_segments_than_names_and_nobody_known_are_refused():
    Z, truth = blobs(200, 3)
    with pytest.raises(UsageError, match="2 segments were asked for, but the labels name 3: a, b"):
        Seeded(2, taught(Z, truth, 4)).fit(Z, seed=0)
    with pytest.raises(InputError, match="no known customer"):
        Seeded(2, Anchors((), np.empty((0, 4)), np.empty(0, np.int64))).fit(Z, seed=0)


def test_figures_are_those_of_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 3, 200), rng.integers(0, 4, 200)
    told = figures(("a", "b", "c"), truth, found)
    options = {"average": "macro", "labels": [0, 1, 2]}
    assert told["macro_recall"] == pytest.approx(recall_score(truth, found, **options))
    assert told["macro_f1"] == pytest.approx(f1_score(truth, found, **options))
    assert told["accuracy"] == pytest.approx((truth == found).mean())


# --- consensus ------------------------------------------------------------------------------------


def test_a_consensus_tells_how_far_its_members_agree():
    Z, truth = blobs(500, 4)
    made = Consensus(4, ("kmeans", "hierarchy", "kmeans")).fit(Z, seed=0)
    assert adjusted_rand_score(truth, made.weights(Z).argmax(axis=1)) > 0.95
    told = made.facts["members"]
    assert [one["method"] for one in told] == ["kmeans", "hierarchy", "kmeans"]
    assert all(one["agreement"] > 0.9 for one in told) and made.notes == ()


def test_members_that_disagree_are_told():
    Z = np.random.default_rng(0).normal(size=(500, 6))
    made = Consensus(8).fit(Z, seed=0)
    assert "agree little" in made.notes[-1].en


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"levels": (3, 1)}, "levels 3, 1"),
        ({"density": "optics"}, "no density method 'optics'"),
        ({"of": ("kmeans", "rfm")}, "a consensus cannot be made of 'rfm'"),
    ],
)
def test_options_that_no_method_has_are_refused(told, message):
    with pytest.raises(UsageError, match=message):
        Options(**told)


def test_options_reach_their_methods():
    options = Options((2, 4), "dbscan", ("kmeans", "mixture"))
    assert make("hierarchy", 4, options).levels == (2, 4)
    assert make("density", 0, options).kind == "dbscan"
    assert make("consensus", 3, options).of == ("kmeans", "mixture")
