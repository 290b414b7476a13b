"""Which segments of a refit are which: continue, split, merge, birth, death, and their ids."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.adjust.align import Noise, align, noise_of, number_of, numbered
from shoal.adjust.transitions import crossed, jaccard, pairs, transitions


def told(counts: list[list[int]], **how) -> list[tuple]:
    return [
        (one.change, one.parents, one.children, one.customers)
        for one in transitions(np.array(counts), **how)
    ]


def customers(counts: list[list[int]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Customers who make up a table of (old, new) counts."""
    before, after = [], []
    for x, row in enumerate(counts):
        for y, count in enumerate(row):
            before += [f"s{x + 1:02d}"] * count
            after += [y] * count
    names = [f"c{place:05d}" for place in range(len(after))]
    return names, np.array(before), np.array(after)


def test_segments_that_hardly_change_go_on():
    assert told([[90, 10], [5, 95]]) == [("continue", (0,), (0,), 90), ("continue", (1,), (1,), 95)]


def test_a_segment_of_two_parts_has_split():
    assert told([[50, 50, 0], [0, 0, 80]])[0] == ("split", (0,), (0, 1), 100)


def test_the_larger_part_of_a_split_is_among_its_children_and_keeps_the_id():
    found = transitions(np.array([[70, 30]]))
    assert [(one.change, one.of, one.heir) for one in found] == [("split", 0, 0)]


def test_two_segments_that_became_one_have_merged():
    assert told([[50, 0], [45, 0], [0, 60]])[0] == ("merge", (0, 1), (0,), 95)


def test_members_who_scatter_over_segments_that_live_on_make_a_death_and_no_split():
    counts = [[100, 0, 0], [0, 110, 0], [30, 28, 2], [0, 0, 90]]
    assert told(counts)[0] == ("death", (2,), (), 60)


def test_members_who_come_from_everywhere_make_a_birth_and_no_split():
    counts = [[88, 0, 0, 12], [0, 90, 0, 15], [0, 0, 70, 25]]
    assert told(counts)[0] == ("birth", (), (3,), 52)


def test_who_dies_into_a_much_larger_segment_has_not_merged_with_it():
    assert told([[200, 0], [30, 4], [0, 90]])[0] == ("death", (1,), (), 34)


def test_an_overlap_that_refits_lose_as_well_is_no_change():
    counts = [[45, 55], [30, 70]]
    assert {one[0] for one in told(counts)} == {"birth", "merge"}
    found = told(counts, floor=np.array([0.3, 0.3]))
    assert [one[0] for one in found] == ["continue", "continue"]


def test_noise_never_asks_for_more_than_the_rule():
    assert told([[60, 40], [0, 100]], floor=np.array([0.99, 0.99]))[0][0] == "continue"


def test_every_segment_stands_somewhere_in_random_tables():
    random = np.random.default_rng(0)
    for _ in range(300):
        shape = random.integers(1, 7, size=2)
        counts = random.poisson(random.choice([0.3, 3, 40], size=shape))
        found = transitions(counts)
        old = {x for one in found for x in one.parents}
        new = {y for one in found for y in one.children}
        assert old == set(np.flatnonzero(counts.sum(axis=1)).tolist())
        assert new == set(np.flatnonzero(counts.sum(axis=0)).tolist())
        kept = {(one.of, one.heir) for one in found if one.heir >= 0}
        assert len({x for x, _ in kept}) == len({y for _, y in kept}) == len(kept)


def test_pairs_without_a_common_customer_are_none():
    assert pairs(np.array([[5, 0], [0, 0]])) == [(0, 0)]
    assert pairs(np.zeros((0, 3), dtype=np.int64)) == []


def test_jaccard_of_disjoint_and_equal_segments():
    np.testing.assert_allclose(jaccard(np.array([[4, 0], [0, 6]])), np.eye(2))


def test_ids_go_on_and_newborns_take_numbers_never_used():
    names, before, after = customers([[0, 90, 0], [80, 0, 20], [0, 10, 60]])
    found = align(names, before, after, 3, highest=9)
    assert found.ids == ("s02", "s01", "s03")
    assert found.highest == 9
    names, before, after = customers([[90, 0, 30], [0, 80, 30], [0, 0, 0]])
    found = align(names, before, after, 4, highest=9)
    assert found.ids == ("s01", "s02", "s10", "s11")
    assert [(one.change, one.children) for one in found.altered] == [("birth", ("s10",))]


def test_the_larger_newborn_takes_the_smaller_number():
    names, before, after = customers([[10, 12, 30, 11]])
    found = align(names, before, after, 4, highest=1)
    assert found.ids[2] == "s02"
    assert sorted(found.ids) == ["s02", "s03", "s04", "s05"]


def test_flows_and_changes_say_how_many():
    names, before, after = customers([[70, 30], [0, 0]])
    found = align(names, before, after, 2)
    assert found.flows == {("s01", "s01"): 70, ("s01", "s02"): 30}
    [split] = found.altered
    assert (split.change, split.parents, split.children) == ("split", ("s01",), ("s01", "s02"))
    assert (split.customers, split.share) == (100, 1.0)


def test_nobody_in_common_gives_new_ids_to_all():
    found = align([], np.array([], dtype=str), np.array([], dtype=np.int64), 2, highest=4)
    assert found.ids == ("s05", "s06")
    assert found.customers == 0
    assert found.changes == ()


def test_noise_of_refits_that_agree_and_that_do_not():
    labels = np.repeat([0, 1, 2], 40)
    swapped = np.array([2, 0, 1])[labels]
    random = np.random.default_rng(1)
    mixed = np.where(labels == 2, 2, random.integers(2, size=120))
    rows = np.arange(120)
    same = noise_of(labels, [swapped, labels], 3, rows)
    np.testing.assert_allclose(same.floor, 1.0)
    np.testing.assert_allclose(same.stability, 1.0)
    loose = noise_of(labels, [mixed, labels, random.permutation(mixed)], 3, rows)
    assert loose.floor[2] < 0.5
    assert (loose.floor[:2] < 0.5).all()
    assert loose.stability[2] > loose.stability[0]


def test_a_segment_without_a_counterpart_overlaps_by_nothing():
    labels = np.repeat([0, 1], 10)
    assert noise_of(labels, [np.zeros(20, dtype=np.int64)], 2, np.arange(20)).floor[1] == 0


def test_confidence_is_the_share_of_refits_that_tell_the_change_too():
    names, before, after = customers([[50, 50], [0, 0]])
    rows = np.arange(100)
    once = np.zeros(100, dtype=np.int64)
    noise = Noise(np.full(2, np.inf), np.ones(2), rows, np.stack([after, 1 - after, once, after]))
    [split] = align(names, before, after, 2, noise=noise).altered
    assert split.confidence == pytest.approx(0.75)
    [split] = align(names, before, after, 2).altered
    assert np.isnan(split.confidence)


def test_numbers_of_ids():
    assert [numbered(one) for one in (1, 12, 100)] == ["s01", "s12", "s100"]
    assert [number_of(one) for one in ("s01", "s100", "new", "r07", "s", "sx1", "vip")] == [
        1, 100, 0, 0, 0, 0, 0,
    ]  # fmt: skip


def test_crossed_counts_everybody_once():
    counts = crossed(np.array([0, 1, 1]), np.array([2, 0, 0]), 2, 3)
    assert counts.tolist() == [[0, 0, 1], [2, 0, 0]]
