"""Laws of identity: names of the fit, order of rows and seeds of ids change nothing; it adds up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.adjust.align import Noise, align, noise_of
from shoal.adjust.lineage import adds_up, lineage
from shoal.features.matrix import Column
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows.segment_identity import compared

COLUMNS = [
    Column("orders", "volume", "zero"),
    Column("spend", "volume", "median"),
    Column("night_share", "hours", "median"),
]


def labellings(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, old segments and new places that agree more or less."""
    random = np.random.default_rng(seed)
    old, new = int(random.integers(1, 7)), int(random.integers(1, 7))
    before = random.integers(old, size=n)
    after = np.where(random.random(n) < random.random(), before % new, random.integers(new, size=n))
    customers = np.array([f"c{one:04d}" for one in random.permutation(n)])
    return customers, np.array([f"s{one + 1:02d}" for one in before]), after.astype(np.int64)


def said(customers: np.ndarray, after: np.ndarray, ids: tuple[str, ...]) -> dict[str, str]:
    return {one: ids[place] for one, place in zip(customers.tolist(), after.tolist(), strict=True)}


def noise(after: np.ndarray, seed: int) -> Noise:
    random = np.random.default_rng([seed, 1])
    places = int(after.max()) + 1
    refits = [
        np.where(random.random(len(after)) < 0.8, after, random.integers(places, size=len(after)))
        for _ in range(3)
    ]
    return noise_of(after, refits, places, np.arange(len(after)))


@given(seed=st.integers(0, 5000), n=st.integers(1, 200), shift=st.integers(0, 1000))
@settings(max_examples=60)
def test_numbers_of_the_fit_change_nothing(seed, n, shift):
    customers, before, after = labellings(seed, n)
    places = int(after.max()) + 1
    names = np.random.default_rng(shift).permutation(places)
    level = noise(after, seed)
    moved = Noise(level.floor[np.argsort(names)], level.stability[np.argsort(names)], level.rows,
                  names[level.labels])  # fmt: skip
    one = align(customers, before, after, places, highest=9, noise=level)
    other = align(customers, before, names[after], places, highest=9, noise=moved)
    assert said(customers, after, one.ids) == said(customers, names[after], other.ids)
    assert (one.changes, one.flows, one.same) == (other.changes, other.flows, other.same)


@given(seed=st.integers(0, 5000), n=st.integers(1, 200), shift=st.integers(0, 1000))
@settings(max_examples=60)
def test_the_order_of_customers_changes_nothing(seed, n, shift):
    customers, before, after = labellings(seed, n)
    places = int(after.max()) + 1
    order = np.random.default_rng(shift).permutation(n)
    level = noise(after, seed)
    moved = Noise(level.floor, level.stability, level.rows, level.labels[:, order])
    one = align(customers, before, after, places, noise=level)
    other = align(customers[order], before[order], after[order], places, noise=moved)
    assert one == other


@given(seed=st.integers(0, 5000), n=st.integers(0, 200))
@settings(max_examples=60)
def test_lineage_adds_up_to_the_number_of_customers(seed, n):
    customers, before, after = labellings(seed, n)
    places = int(after.max(initial=0)) + 1
    found = align(customers, before, after, places)
    tiers = {("new", "new"): 7, ("new", found.ids[0]): 2, ("s01", "new"): 1}
    document = lineage(found, None, previous_id="kmeans-0001", why=[], date="d", tiers=tiers)
    assert adds_up(document)
    assert document["customers"]["total"] == n + 10
    assert document["customers"]["compared"] == sum(found.flows.values()) == n
    old = {name for change in found.changes for name in change.parents}
    new = {name for change in found.changes for name in change.children}
    assert old == set(before.tolist())
    assert new == {found.ids[place] for place in after.tolist()}
    assert len(set(found.ids)) == places


def customers_table(n: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    kind = random.integers(3, size=n)
    return pa.table(
        {
            "customer_id": [f"c{place:04d}" for place in range(n)],
            "events": random.integers(1, 12, n),
            "orders": random.poisson(1 + 6 * kind),
            "spend": np.exp(random.normal(2 * kind, 0.4, n)),
            "night_share": random.beta(1 + 8 * (kind == 1), 6, n),
        }
    )


def fitted(table: pa.Table, k: int, seed: int) -> ClusterSegmenter:
    return ClusterSegmenter(COLUMNS, k, seed=seed).fit(table)


@pytest.mark.parametrize("seed", range(4))
def test_a_refit_of_the_same_customers_by_another_seed_keeps_every_id(seed):
    table = customers_table(240, seed)
    before = fitted(table, 3, 0).rename(["s04", "s02", "s09"])
    after = fitted(table, 3, seed + 10)
    found, level, _ = compared(before, table, after, table, highest=9, seed=seed)
    assert set(found.ids) == {"s02", "s04", "s09"}
    assert found.altered == ()
    assert level is not None
    assert (level.stability > 0.8).all()
    ids = np.array((*found.ids, "new"))[after.predict(table)]
    assert (ids == np.array(before.segment_ids)[before.predict(table)]).mean() > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_resampled_customers_keep_ids_and_new_numbers_are_never_used_ones(seed):
    table = customers_table(240, seed)
    drawn = table.take(pa.array(np.sort(np.random.default_rng(seed).integers(240, size=240))))
    before, after = fitted(table, 3, 0), fitted(drawn, 4, 1)
    found, _, tiers = compared(before, table, after, table, highest=20, seed=seed)
    assert {"s01", "s02", "s03"} & set(found.ids)
    assert all(int(name[1:]) > 20 for name in found.ids if name not in ("s01", "s02", "s03"))
    assert found.customers + sum(tiers.values()) == 240
    again, _, _ = compared(before, table, after, table, highest=20, seed=seed)
    assert again == found
