"""Carries of customers: as bytes, with late events, with another model, at a bounded size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model.made import DAY_US, TEXT, sequences, tiny_model

from shoal.domain.errors import OperationError
from shoal.domain.kinds import KINDS, SEARCH
from shoal.domain.sequence import TIME, EventSequences
from shoal.model.carry import EVENT, CustomerCarry, events_of, tails_of
from shoal.model.runtime import EagerStepper
from shoal.model.stream import advance, build

TAIL = 6
ANY_BACKBONE = ("recurrence", "transformer", "bidirectional", "gru", "lstm", "cnn")


@pytest.fixture(scope="module")
def stepper() -> EagerStepper:
    torch.set_num_threads(1)
    return EagerStepper(tiny_model(), "behaviour-0001", "f" * 16)


def part(events: EventSequences, chosen: np.ndarray) -> EventSequences:
    """Some events (by a mask) of every customer."""
    offsets = np.concatenate([[0], np.cumsum(chosen)])[events.offsets]
    fields = {name: values[chosen] for name, values in events.fields.items()}
    return EventSequences(events.customers, offsets, fields, events.texts)


def now_of(events: EventSequences) -> int:
    return int(events.fields[TIME].max()) + DAY_US


def test_bytes_come_back_as_they_were(stepper: EagerStepper) -> None:
    histories = sequences(5, 30)
    carries = build(stepper, histories, now_of(histories), tail_events=TAIL).carries
    stored = [carry.to_bytes() for carry in carries]
    assert [CustomerCarry.from_bytes(data) for data in stored] == carries
    assert [len(data) for data in stored] == [carry.nbytes for carry in carries]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda data: data[:-1], "cut or changed"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "cut or changed"),
        (lambda data: b"", "begins otherwise"),
        (lambda data: b"PICK" + data[4:], "begins otherwise"),
    ],
)
def test_harmed_bytes_are_refused(stepper: EagerStepper, harm: object, told: str) -> None:
    histories = sequences(1, 10)
    (carry,) = build(stepper, histories, now_of(histories)).carries
    with pytest.raises(OperationError, match=told) as caught:
        CustomerCarry.from_bytes(harm(carry.to_bytes()))  # type: ignore[operator]
    assert caught.value.code == "shop_damaged"


def test_bytes_of_a_newer_version_are_refused(stepper: EagerStepper) -> None:
    histories = sequences(1, 10)
    data = bytearray(build(stepper, histories, now_of(histories)).carries[0].to_bytes())
    data[4] = 99
    with pytest.raises(OperationError, match="version 99") as caught:
        CustomerCarry.from_bytes(bytes(data))
    assert caught.value.code == "shop_newer"


@pytest.mark.parametrize("other", [{"model_id": "behaviour-0002"}, {"fingerprint": "0" * 16}])
def test_a_carry_of_another_model_is_refused(stepper: EagerStepper, other: dict) -> None:
    histories = sequences(2, 10)
    first, second = build(stepper, histories, now_of(histories)).carries
    with pytest.raises(OperationError, match="behaviour-0001") as caught:
        advance(stepper, [first, replace(second, **other)], histories, now_of(histories))
    assert caught.value.code == "model_mismatch"
    assert "current" in caught.value.hint


def test_tails_keep_titles_once_and_other_texts_as_they_are(stepper: EagerStepper) -> None:
    events = sequences(4, 30)
    searched = events.fields["kind"] == 1 + KINDS.index(SEARCH)
    assert searched.sum() > 3
    texts = np.concatenate([events.texts, TEXT.encode(["red lamp", "灯"])])
    events.fields["text"][searched] = len(events.texts) + np.arange(searched.sum()) % 2
    events = replace(events, texts=texts)
    tails = tails_of(events, stepper.about)
    width = TEXT.width * 4
    for n, tail in enumerate(tails):
        mine = slice(events.offsets[n], events.offsets[n + 1])
        distinct = np.unique(events.fields["text"][mine][searched[mine]])
        assert len(tail.texts) == len(distinct) * width
    back = events_of(tails, stepper.about)
    assert (back.offsets == events.offsets).all()
    for name, values in events.fields.items():
        if name != "text":
            np.testing.assert_array_equal(back.fields[name], values)
    np.testing.assert_array_equal(
        back.texts[back.fields["text"]], events.texts[events.fields["text"]]
    )


def test_events_older_than_the_tail_are_counted_and_change_nothing(stepper: EagerStepper) -> None:
    histories = sequences(2, 30, lengths=[30, 30])
    now = now_of(histories)
    before = build(stepper, histories, now, tail_events=TAIL)
    old = sequences(2, 1, seed=9, lengths=[1, 1])
    old.fields[TIME][:] = [histories.fields[TIME][3], histories.fields[TIME][57] + 5]
    after = advance(stepper, before.carries, old, now, tail_events=TAIL)
    assert after.late_beyond_tail == 1
    assert after.carries[0] == before.carries[0]
    np.testing.assert_allclose(after.embeddings[0], before.embeddings[0], atol=1e-6)
    assert len(after.carries[1].tail) == TAIL + 1
    assert np.abs(after.embeddings[1] - before.embeddings[1]).max() > 1e-4


def test_nothing_is_too_late_for_a_tail_that_holds_all(stepper: EagerStepper) -> None:
    histories = sequences(1, TAIL, lengths=[TAIL])
    histories.fields[TIME][:] += np.arange(TAIL)  # no two at one moment
    now = now_of(histories)
    first = np.arange(TAIL) == 0
    late = part(histories, first)
    carries = build(stepper, part(histories, ~first), now, tail_events=TAIL).carries
    after = advance(stepper, carries, late, now, tail_events=TAIL)
    assert after.late_beyond_tail == 0
    whole = build(stepper, histories, now, tail_events=TAIL)
    np.testing.assert_allclose(after.embeddings, whole.embeddings, atol=1e-5)


def test_a_carry_does_not_grow_with_history(stepper: EagerStepper) -> None:
    histories = sequences(2, 2_000, lengths=[20, 2_000])
    carries = build(stepper, histories, now_of(histories), tail_events=TAIL).carries
    assert abs(carries[0].nbytes - carries[1].nbytes) <= TAIL * TEXT.width * 4
    found: list[CustomerCarry | None] = [carries[1]]
    sizes = []
    for n in range(40):
        one = sequences(1, 1, seed=n, lengths=[1])
        one.fields[TIME][:] += 10**15 + n * DAY_US
        found = [*advance(stepper, found, one, now_of(one), tail_events=TAIL).carries]
        sizes.append(found[0].nbytes)
        assert TAIL <= len(found[0].tail) <= 2 * TAIL
    assert max(sizes) - carries[1].nbytes <= TAIL * (EVENT.itemsize + TEXT.width * 4)


@pytest.mark.parametrize("backbone", ANY_BACKBONE)
def test_every_backbone_streams_as_it_reads(backbone: str) -> None:
    made = EagerStepper(tiny_model(backbone, context=8), "m", "f")
    histories = sequences(3, 25, lengths=[25, 3, 11])
    now = now_of(histories)
    found: list[CustomerCarry | None] = [None, None, None]
    place = np.arange(histories.events) - np.repeat(histories.offsets[:-1], histories.lengths)
    for n in range(25):
        result = advance(made, found, part(histories, place == n), now, tail_events=TAIL)
        found = [*result.carries]
    whole = build(made, histories, now, tail_events=TAIL)
    np.testing.assert_allclose(result.embeddings, whole.embeddings, atol=1e-5)


def test_states_of_customers_without_an_event_and_silence(stepper: EagerStepper) -> None:
    histories = sequences(3, 12)
    now = now_of(histories)
    carries = build(stepper, histories, now).carries
    nothing = part(histories, np.zeros(histories.events, bool))
    later = advance(stepper, carries, nothing, now + 90 * DAY_US)
    assert [carry.head for carry in later.carries] == [carry.head for carry in carries]
    whole = build(stepper, histories, now + 90 * DAY_US)
    np.testing.assert_allclose(later.embeddings, whole.embeddings, atol=1e-5)
    assert np.isfinite(advance(stepper, [None] * 3, nothing, now).embeddings).all()
