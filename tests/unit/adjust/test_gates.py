"""What has to hold before other segments go live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.adjust.gates import Side, asks, effective_rank, gates, shut, stability_index
from shoal.adjust.settings import AdjustSettings

SETTINGS = AdjustSettings()
IDS = ("s01", "s02", "s03", "new")


def side(sizes=(40, 35, 25), ids=IDS, tier=0, **more):
    """Customers of some segments in a row, then those of the tier."""
    places = np.repeat([*range(len(sizes)), ids.index("new")], [*sizes, tier])
    return Side(ids, np.eye(len(ids))[places], places, **more)


def gate(found, code):
    return {one.code: one for one in found}[code]


def test_what_changes_nothing_passes_every_gate():
    random = np.random.default_rng(0)
    one = side(embeddings=random.normal(size=(100, 8)), error=random.random(100))
    found = gates(one, one, SETTINGS)
    assert [each.code for each in found] == [
        "finite", "assigned", "largest", "rank", "psi", "moved", "foretold",
    ]  # fmt: skip
    assert all(each.passed for each in found)
    assert shut(found) == asks(found) == ()


def test_weights_that_are_no_numbers_shut_the_first_gate_and_no_other_is_asked():
    one = side()
    weights = one.weights.copy()
    weights[3, 0] = np.nan
    found = gates(one, replace(one, weights=weights), SETTINGS)
    assert [(each.code, each.value, each.passed, each.approval) for each in found] == [
        ("finite", 1.0, False, False)
    ]
    assert "no numbers: 1;" in found[0].text.en and "1" in found[0].text.zh
    assert shut(gates(None, replace(one, weights=weights), SETTINGS)) == ("finite",)


def test_an_embedding_that_is_no_number_shuts_it_too():
    rows = np.ones((100, 4))
    rows[7, 1] = np.inf
    assert shut(gates(side(), side(embeddings=rows), SETTINGS)) == ("finite",)


def test_active_customers_without_a_segment_shut_a_gate_and_the_unknown_do_not_count():
    live = side((400, 350, 250), tier=50)
    places = live.places.copy()
    places[:2] = -1
    found = gate(gates(live, replace(live, places=places), SETTINGS), "assigned")
    assert not found.passed and not found.approval
    assert found.value == pytest.approx(0.998) and found.limit == 0.999
    places[:1000] = live.places[:1000]
    places[0] = -1
    assert gate(gates(live, replace(live, places=places), SETTINGS), "assigned").passed
    asleep = np.ones(1050, dtype=bool)
    asleep[:2] = False
    places[:2] = -1
    other = replace(live, places=places, active=asleep)
    assert gate(gates(live, other, SETTINGS), "assigned").value == 1.0


def test_who_had_a_segment_and_is_unknown_now_is_not_assigned():
    live = side()
    places = live.places.copy()
    places[:5] = IDS.index("new")
    found = gate(gates(live, replace(live, places=places), SETTINGS), "assigned")
    assert found.value == pytest.approx(0.95) and not found.passed


def test_a_segment_of_most_customers_shuts_a_gate_unless_the_live_one_was_as_large():
    found = gate(gates(side(), side((61, 20, 19)), SETTINGS), "largest")
    assert (found.value, found.limit, found.passed) == (pytest.approx(0.61), 0.6, False)
    assert gate(gates(side((55, 25, 20)), side((64, 20, 16)), SETTINGS), "largest").passed
    assert gate(gates(side((70, 20, 10)), side((79, 11, 10)), SETTINGS), "largest").passed
    assert not gate(gates(side((70, 20, 10)), side((81, 9, 10)), SETTINGS), "largest").passed


def test_the_tier_of_the_unknown_may_be_as_large_as_it_is():
    one = side((20, 10, 10), tier=200)
    found = gate(gates(one, one, SETTINGS), "largest")
    assert found.value == pytest.approx(0.5) and found.passed


def test_an_embedding_that_fell_into_few_directions_shuts_a_gate():
    random = np.random.default_rng(1)
    flat = random.normal(size=(100, 1)) * np.ones(16) + 1e-6 * random.normal(size=(100, 16))
    found = gate(gates(side(), side(embeddings=flat), SETTINGS), "rank")
    assert not found.passed and not found.approval
    assert found.value == pytest.approx(1.0, abs=0.01) and found.limit == 4.0
    full = random.normal(size=(100, 16))
    assert gate(gates(side(), side(embeddings=full), SETTINGS), "rank").value > 14


def test_the_effective_rank_of_rows_that_are_all_the_same_is_nothing():
    assert effective_rank(np.ones((10, 4))) == 0.0


def test_sizes_that_shift_ask_a_person():
    found = gates(side((40, 35, 25)), side((20, 25, 55)), SETTINGS)
    assert not gate(found, "psi").passed and gate(found, "psi").approval
    assert "psi" in asks(found) and shut(found) == ()
    assert gate(found, "psi").value == pytest.approx(
        stability_index(np.array([0.4, 0.35, 0.25]), np.array([0.2, 0.25, 0.55]))
    )


def test_a_split_a_merge_and_other_ids_are_no_shift_of_sizes():
    live = side((40, 35, 25))
    split = side((20, 35, 25, 20), ids=("s01", "s02", "s03", "s04", "new"))
    split = replace(split, places=np.repeat([0, 3, 1, 2], [20, 20, 35, 25]))
    assert gate(gates(live, split, SETTINGS), "psi").value == pytest.approx(0.0)
    merged = Side(("s01", "s02", "new"), np.eye(3)[[0]], np.repeat([0, 1], [40, 60]))
    merged = replace(merged, weights=np.eye(3)[merged.places])
    assert gate(gates(live, merged, SETTINGS), "psi").value == pytest.approx(0.0)
    renamed = replace(live, segment_ids=("s11", "s12", "s13", "new"))
    found = gates(live, renamed, SETTINGS)
    assert gate(found, "psi").value == pytest.approx(0.0)
    assert gate(found, "moved").value == 1.0


def test_moving_many_customers_asks_a_person():
    live = side((40, 35, 25))
    places = live.places.copy()
    places[:31] = 1
    found = gate(gates(live, replace(live, places=places), SETTINGS), "moved")
    assert (found.value, found.passed, found.approval) == (pytest.approx(0.31), False, True)
    places[0] = 0
    assert gate(gates(live, replace(live, places=places), SETTINGS), "moved").passed


def test_foretelling_worse_than_chance_explains_shuts_a_gate():
    random = np.random.default_rng(2)
    live = side((400, 350, 250), error=random.random(1_000))
    worse = replace(live, error=live.error + 0.1 + 0.2 * random.normal(size=1_000))
    found = gate(gates(live, worse, SETTINGS), "foretold")
    assert not found.passed and not found.approval
    assert found.value == pytest.approx(0.1, abs=0.02) and 0 < found.limit < 0.02
    as_good = replace(live, error=live.error + 0.2 * random.normal(size=1_000))
    assert gate(gates(live, as_good, SETTINGS), "foretold").passed
    better = replace(live, error=live.error - 0.1)
    assert gate(gates(live, better, SETTINGS), "foretold").passed


def test_customers_of_whom_nothing_is_foretold_do_not_count():
    live = side(error=np.full(100, 0.5))
    error = np.full(100, 0.5)
    error[:50] = np.nan
    assert gate(gates(live, replace(live, error=error), SETTINGS), "foretold").value == 0.0


def test_a_first_promotion_is_warned_of_what_is_odd():
    found = gates(None, side((80, 10, 10), embeddings=np.ones((100, 8))), SETTINGS)
    assert [one.code for one in found] == ["finite", "assigned", "largest", "rank"]
    assert all(one.passed and not one.approval for one in found)
    assert [one.code for one in found if one.warning] == ["largest", "rank"]


def test_other_customers_cannot_be_compared():
    with pytest.raises(ValueError, match="100 customers before and 90 now"):
        gates(side(), side((30, 35, 25)), SETTINGS)


def test_a_shop_without_anybody_placed_can_be_asked():
    nobody = Side(IDS, np.empty((0, 4)), np.empty(0, dtype=np.int64), error=np.empty(0))
    assert all(one.passed for one in gates(nobody, nobody, SETTINGS))


def test_a_gate_as_a_document_says_all_of_it():
    document = gates(side(), side((20, 25, 55)), SETTINGS)[-1].as_document()
    assert document["code"] == "moved" and document["approval"] is True
    assert set(document) == {
        "code", "value", "limit", "passed", "approval", "warning", "en", "zh",
    }  # fmt: skip
