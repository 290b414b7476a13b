from __future__ import annotations

import math

import pytest

from shoal.evaluation.lineage import Counts, Event, compare, over_worlds

SPLIT = Event(30.0, "split", frozenset("a"), frozenset("bc"))
MERGE = Event(60.0, "merge", frozenset("de"), frozenset("f"))


def test_a_found_event_counts_once() -> None:
    found = [Event(35.0, "split", frozenset("a"), frozenset("bc"))] * 2
    told = compare(found, [SPLIT, MERGE], tolerance_days=14)
    assert told == Counts(right=1, found=2, planted=2)
    assert (told.precision, told.recall, told.f1) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (Event(44.0, "split", frozenset("a"), frozenset("bc")), 1),
        (Event(44.1, "split", frozenset("a"), frozenset("bc")), 0),
        (Event(29.0, "split", frozenset("a"), frozenset("bc")), 0),
        (Event(40.0, "merge", frozenset("a"), frozenset("bc")), 0),
        (Event(40.0, "split", frozenset("a"), frozenset("bd")), 0),
        (Event(40.0, "split", frozenset("x"), frozenset("bc")), 0),
    ],
)
def test_change_date_and_members_must_agree(found: Event, right: int) -> None:
    assert compare([found], [SPLIT], tolerance_days=14).right == right


def test_members_may_be_left_out_and_dates_may_come_early() -> None:
    found = [Event(28.0, "split")]
    told = compare(found, [SPLIT], tolerance_days=14, early_days=2, members=False)
    assert told.right == 1


def test_the_best_pairing_counts() -> None:
    # the first found event fits both planted ones; pairing it with the first would cost one
    planted = [Event(0.0, "birth"), Event(10.0, "birth")]
    found = [Event(11.0, "birth"), Event(5.0, "birth")]
    assert compare(found, planted, tolerance_days=12).right == 2


def test_nothing_found_has_no_precision() -> None:
    told = compare([], [SPLIT], tolerance_days=14)
    assert math.isnan(told.precision)
    assert (told.recall, told.f1) == (0.0, 0.0)
    assert math.isnan(compare([], [], tolerance_days=14).f1)


def test_worlds_are_summed_and_their_interval_holds_the_sum() -> None:
    worlds = [Counts(2, 3, 4), Counts(0, 1, 2), Counts(3, 3, 3)]
    told = over_worlds(worlds, bootstraps=500, seed=1)
    assert told["precision"].value == pytest.approx(5 / 7)
    assert told["recall"].value == pytest.approx(5 / 9)
    assert told["f1"].value == pytest.approx(10 / 16)
    assert told["f1"].low < told["f1"].value < told["f1"].high
    assert told["f1"].low >= 0.0 and told["f1"].high <= 1.0


def test_equal_worlds_have_no_spread() -> None:
    told = over_worlds([Counts(1, 2, 2)] * 5, bootstraps=50)
    assert (told["f1"].low, told["f1"].value, told["f1"].high) == (0.5, 0.5, 0.5)


def test_no_world_is_refused() -> None:
    with pytest.raises(ValueError, match="no world"):
        over_worlds([])
