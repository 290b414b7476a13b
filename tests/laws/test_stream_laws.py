"""Stream equals batch: for every split of a history, any order within the tail, at any moment."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.made import DAY_US, sequences, tiny_model
from tests.unit.model.test_stream import now_of, part

from shoal.model.carry import CustomerCarry
from shoal.model.embedding import embed
from shoal.model.runtime import EagerStepper
from shoal.model.stream import advance, build

MODEL = tiny_model()
STEPPER = EagerStepper(MODEL, "m", "f")
TOLERANCE = 1e-5


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    tail=st.integers(1, 12),
    wait=st.integers(0, 400),
)
def test_any_split_gives_the_batch_answer(seed: int, cuts: list[int], tail: int, wait: int) -> None:
    torch.set_num_threads(1)
    histories = sequences(3, 40, seed=seed)
    now = now_of(histories) + wait * DAY_US
    place = np.arange(histories.events) - np.repeat(histories.offsets[:-1], histories.lengths)
    found: list[CustomerCarry | None] = [None] * 3
    edges = [0, *sorted(cuts), 40]
    for start, stop in pairwise(edges):
        events = part(histories, (place >= start) & (place < stop))
        result = advance(STEPPER, found, events, now, tail_events=tail)
        assert result.late_beyond_tail == 0
        found = [*result.carries]
    np.testing.assert_allclose(result.embeddings, embed(MODEL, histories, now), atol=TOLERANCE)
    for carry in result.carries:
        assert len(carry.tail) <= 2 * tail


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_any_order_within_the_tail_gives_the_batch_answer(seed: int, order: object) -> None:
    tail = 8
    histories = sequences(2, 30, seed=seed, lengths=[30, 12])
    us = histories.fields["us"]
    for first, last in zip(histories.offsets[:-1], histories.offsets[1:], strict=True):
        us[first:last] += np.arange(last - first)  # of one moment, the order would be the arrival's
    now = now_of(histories)
    place = np.arange(histories.events) - np.repeat(histories.offsets[:-1], histories.lengths)
    left = np.repeat(histories.lengths, histories.lengths) - place
    found = [*build(STEPPER, part(histories, left > tail), now, tail_events=tail).carries]
    shuffled = list(range(1, tail + 1))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for one in shuffled:
        result = advance(STEPPER, found, part(histories, left == one), now, tail_events=tail)
        assert result.late_beyond_tail == 0
        found = [*result.carries]
    np.testing.assert_allclose(result.embeddings, embed(MODEL, histories, now), atol=TOLERANCE)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), days=st.floats(0, 800), second=st.integers(0, 86_400))
def test_ageing_is_the_batch_answer_and_continuous(seed: int, days: float, second: int) -> None:
    histories = sequences(4, 20, seed=seed)
    asked = now_of(histories) + int(days * DAY_US) + second * 1_000_000
    carries = build(STEPPER, histories, now_of(histories)).carries
    nothing = part(histories, np.zeros(histories.events, bool))
    aged = advance(STEPPER, carries, nothing, asked).embeddings
    np.testing.assert_allclose(aged, embed(MODEL, histories, asked), atol=TOLERANCE)
    soon = advance(STEPPER, carries, nothing, asked + 1_000_000).embeddings
    assert np.abs(soon - aged).max() < 1e-3


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_long_histories_are_read_in_portions_to_the_same_answer(seed: int) -> None:
    histories = sequences(3, 1_300, seed=seed, lengths=[1_300, 5, 600])
    now = now_of(histories)
    place = np.arange(histories.events) - np.repeat(histories.offsets[:-1], histories.lengths)
    whole = embed(MODEL, histories, now)
    found: list[CustomerCarry | None] = [None] * 3
    for start in range(0, 1_300, 433):
        events = part(histories, (place >= start) & (place < start + 433))
        result = advance(STEPPER, found, events, now)
        found = [*result.carries]
    np.testing.assert_allclose(result.embeddings, whole, atol=TOLERANCE)
