"""Who is in a canary, and what becomes of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shoal.adjust.canary import (
    ASKS,
    DROPPED,
    GOES_ON,
    PROMOTED,
    REASONS,
    drawn,
    flicker,
    foretold,
    key_of,
    returns,
    verdict,
)
from shoal.adjust.gates import Gate
from shoal.adjust.settings import AdjustSettings
from shoal.config import AdjustConfig
from shoal.domain.errors import ShoalError
from shoal.domain.text import Text

BEGAN = datetime(2024, 5, 1, tzinfo=UTC)
NAMES = [f"customer {number}" for number in range(20_000)]


# -- who -------------------------------------------------------------------------------------------


def test_a_canary_holds_its_share_whatever_the_order_and_whoever_comes() -> None:
    key = key_of("kmeans-0002", BEGAN)
    chosen = dict(zip(NAMES, drawn(NAMES, 0.1, key), strict=True))
    assert abs(sum(chosen.values()) / len(NAMES) - 0.1) < 0.01
    shuffled = [*random.Random(1).sample(NAMES, 500), "somebody new"]
    again = dict(zip(shuffled, drawn(pa.array(shuffled), 0.1, key), strict=True))
    again.pop("somebody new")
    assert again == {name: chosen[name] for name in again}


def test_a_greater_share_holds_the_smaller_one() -> None:
    key = key_of("kmeans-0002", BEGAN)
    assert not (drawn(NAMES, 0.1, key) & ~drawn(NAMES, 0.3, key)).any()
    assert not drawn(NAMES, 0.0, key).any()
    assert drawn(["\ud800"], 1.0, key).all()


def test_each_canary_has_other_customers_and_the_same_one_always_the_same() -> None:
    keys = [
        key_of("kmeans-0002", BEGAN), key_of("kmeans-0003", BEGAN),
        key_of("kmeans-0002", BEGAN + timedelta(days=1)),
    ]  # fmt: skip
    assert key_of("kmeans-0002", BEGAN) == keys[0]
    one, *others = (drawn(NAMES, 0.2, key) for key in keys)
    for other in others:
        assert abs((one & other).mean() - 0.04) < 0.01


@pytest.mark.parametrize("wrong", [{"canary_share": 0.6}, {"canary_share": -0.1},
                                   {"canary_days": 0.0}])  # fmt: skip
def test_dials_beyond_what_is_allowed_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ShoalError) as caught:
        AdjustConfig(**wrong)
    assert next(iter(wrong)) in f"{caught.value.message} {caught.value.where}"
    assert AdjustSettings().canary_share == 0.0


# -- what is counted -------------------------------------------------------------------------------


def log(*rows: tuple[str, str, int]) -> pa.Table:
    """Customer, segment, day of May."""
    told = [
        {"customer_id": who, "segment_id": where, "since": BEGAN + timedelta(days=day - 1)}
        for who, where, day in rows
    ]
    return pa.Table.from_pylist(told)


def test_coming_back_at_once_is_a_return_and_going_on_is_none() -> None:
    history = log(
        ("a", "s1", 1), ("a", "s2", 2), ("a", "s2", 3), ("a", "s1", 4), ("a", "s2", 5),
        ("b", "s1", 1), ("b", "s2", 2), ("b", "s3", 3), ("b", "s1", 4),
        ("else", "s1", 2), ("else", "s2", 3), ("else", "s1", 4),
    )  # fmt: skip
    assert returns(history, ["a", "b", "nobody"], BEGAN).tolist() == [2, 0, 0]


def test_what_came_back_before_the_canary_is_none_of_its_returns() -> None:
    history = log(("a", "s1", 1), ("a", "s2", 2), ("a", "s1", 3), ("a", "s2", 9))
    assert returns(history, ["a"], BEGAN + timedelta(days=3)).tolist() == [1]
    assert returns(history, ["a"], BEGAN + timedelta(days=8)).tolist() == [0]


def test_a_customer_in_a_hundred_may_come_back_and_one_in_five_may_not() -> None:
    live = np.zeros(400, np.int64)
    few, many = live.copy(), live.copy()
    few[:4], many[:80] = 1, 1
    assert flicker(live, few).passed
    assert not flicker(live, many).passed
    assert not flicker(live, many).approval
    assert flicker(many, many).passed
    assert flicker(live[:0], live[:0]).passed


def test_a_loss_within_chance_passes_and_before_the_end_more_is_asked_for_stopping() -> None:
    assert foretold(-0.01, 0.01, over=True).passed
    assert not foretold(-0.02, 0.01, over=True).passed
    assert foretold(-0.02, 0.01, over=False).passed
    assert not foretold(-0.04, 0.01, over=False).passed
    assert foretold(0.3, 0.01, over=True).passed
    assert foretold(0.0, 0.0, over=True).passed


# -- what becomes of it ----------------------------------------------------------------------------


def gate(*, passed: bool, approval: bool = False) -> Gate:
    return Gate("moved", 0.4, 0.3, passed, approval, Text("Moved.", "移动。"))


OPEN, ASKING, SHUT = gate(passed=True), gate(passed=False, approval=True), gate(passed=False)


@pytest.mark.parametrize(
    ("found", "over", "blocked", "approved", "outcome", "reason"),
    [
        ((OPEN,), False, False, False, GOES_ON, "not_due"),
        ((OPEN,), True, False, False, PROMOTED, "passed"),
        ((OPEN, SHUT), False, False, False, DROPPED, "gates"),
        ((OPEN, SHUT), True, False, True, DROPPED, "gates"),
        ((OPEN, ASKING), False, False, False, GOES_ON, "not_due"),
        ((OPEN, ASKING), True, False, False, ASKS, "person"),
        ((OPEN, ASKING), True, False, True, PROMOTED, "passed"),
        ((OPEN,), True, True, True, GOES_ON, "blocked"),
        ((SHUT,), True, True, False, GOES_ON, "blocked"),
    ],
)
def test_what_becomes_of_a_canary(
    found: tuple[Gate, ...], over: bool, blocked: bool, approved: bool, outcome: str, reason: str
) -> None:
    told = verdict(found, over=over, blocked=blocked, approved=approved)
    assert (told.outcome, told.reason) == (outcome, reason)
    document = told.as_document()
    assert document["words"]["en"] == REASONS[reason].en
    assert len(document["gates"]) == len(found)
