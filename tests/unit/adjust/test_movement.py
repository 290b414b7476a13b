"""Movement between two versions: whose behaviour changed, and what the model changed."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.adjust.movement import KINDS, movement


def arrays(*rows: tuple[str, str, str]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_every_kind_of_move_is_told_apart():
    found = movement(
        *arrays(
            ("a", "a", "a"), ("a", "b", "b"), ("a", "a", "b"), ("a", "b", "c"), ("a", "b", "a"),
            ("", "a", "b"), ("c", "", ""),
        )
    )  # fmt: skip
    assert [found.kinds[kind] for kind in KINDS] == [1, 1, 1, 1, 1]
    assert (found.common, found.arrived, found.gone) == (5, 1, 1)
    assert (found.by_behaviour, found.by_model) == (3, 3)


def test_parts_add_up_for_every_segment_of_random_movements():
    random = np.random.default_rng(3)
    for _ in range(50):
        n = int(random.integers(1, 200))
        then, between, now = (random.choice(["a", "b", "c", "new"], n) for _ in range(3))
        then[random.random(n) < 0.2] = ""
        gone = (random.random(n) < 0.1) & (then != "")
        between[gone], now[gone] = "", ""
        found = movement(then, between, now)
        assert sum(found.kinds.values()) == found.common
        assert found.common + found.arrived + found.gone == n
        assert sum(found.flows.values()) == n
        for one in found.segments:
            assert one.then + one.arrived - one.gone + one.behaviour + one.model == one.now
            assert one.then == (then == one.segment_id).sum()
            assert one.now == (now == one.segment_id).sum()
        assert sum(one.behaviour for one in found.segments) == 0
        assert sum(one.model for one in found.segments) == 0


def test_the_same_model_moves_nobody_by_the_model():
    then, between = np.array(["a", "b", ""]), np.array(["b", "b", "a"])
    found = movement(then, between, between)
    assert found.by_model == 0
    assert all(one.model == 0 for one in found.segments)


def test_the_document_has_nulls_for_who_was_not_known():
    document = movement(*arrays(("", "a", "a"))).as_document()
    assert document["flows"] == [{"then": None, "between": "a", "now": "a", "customers": 1}]
    assert document["customers"] == {"common": 0, "arrived": 1, "gone": 0}


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="1, 2 and 1 rows"):
        movement(np.array(["a"]), np.array(["a", "b"]), np.array(["a"]))
    with pytest.raises(ValueError, match="one version only"):
        movement(np.array(["a"]), np.array([""]), np.array(["a"]))
