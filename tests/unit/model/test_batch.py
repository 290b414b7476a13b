"""Batches: right slices, padding that is told, distinct texts, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.domain.sequence import CODES, NUMBERS
from shoal.model.batch import collate


def rows(*numbers):
    return np.array(numbers, np.int64)


def test_a_batch_holds_the_slices_asked_for_and_padding():
    sequences = made.sequences(lengths=[5, 0, 9, 3])
    starts, stops = rows(2, 0, 1), rows(9, 0, 3)
    batch = collate(sequences, rows(2, 1, 3), starts, stops)
    assert batch.us.shape == (3, 7)
    assert batch.lengths.tolist() == [7, 0, 2]
    assert batch.valid.sum(dim=1).tolist() == [7, 0, 2]
    for place, (who, start, stop) in enumerate(zip((2, 1, 3), starts, stops, strict=True)):
        first = sequences.offsets[who]
        own = slice(int(first + start), int(first + stop))
        for name in ("us", *CODES, *NUMBERS):
            found = (batch.us if name == "us" else batch.fields[name])[place, : stop - start]
            if name == "text":
                np.testing.assert_array_equal(
                    batch.texts[found].numpy(), sequences.texts[sequences.fields["text"][own]]
                )
            else:
                np.testing.assert_array_equal(found.numpy(), sequences.fields[name][own])
    padding = ~batch.valid
    assert all(bool((batch.fields[name][padding] == 0).all()) for name in CODES)
    assert all(bool(batch.fields[name][padding].isnan().all()) for name in NUMBERS)


def test_now_is_the_last_event_or_the_moment_given():
    sequences = made.sequences(lengths=[5, 2, 0])
    everyone = rows(0, 1, 2)
    last = [sequences.fields["us"][4], sequences.fields["us"][6], 0]
    assert collate(sequences, everyone).now_us.tolist() == last
    asked = rows(7, 8, 9)
    batch = collate(sequences, everyone, now_us=asked)
    asked[0] = 0
    assert batch.now_us.tolist() == [7, 8, 9]


def test_padding_repeats_the_last_moment():
    batch = collate(made.sequences(lengths=[5, 2]), rows(0, 1))
    assert (batch.us[1, 2:] == batch.us[1, 1]).all()


def test_texts_are_the_distinct_ones_with_none_first():
    sequences = made.sequences(1, 24)
    batch = collate(sequences, rows(0, 0))
    told = np.unique(sequences.fields["text"])
    assert len(batch.texts) == len(np.union1d(told, [0]))
    assert not batch.texts[0].any()


def test_a_batch_does_not_write_into_the_sequences():
    sequences = made.sequences(3, 8)
    before = {name: values.copy() for name, values in sequences.fields.items()}
    batch = collate(sequences, rows(0, 1, 2))
    batch.us.zero_()
    batch.lengths.zero_()
    batch.texts.fill_(9)
    for values in batch.fields.values():
        values.zero_()
    for name, values in before.items():
        np.testing.assert_array_equal(sequences.fields[name], values)
    assert not sequences.texts[0].any()


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 6)])
def test_a_slice_outside_its_customer_is_refused(start, stop):
    with pytest.raises(ValueError, match="not within its customer's events"):
        collate(made.sequences(lengths=[5, 9]), rows(0), rows(start), rows(stop))


@pytest.mark.parametrize("lengths", [[0], [0, 0, 0]])
def test_nobody_did_anything(lengths):
    batch = collate(made.sequences(lengths=lengths), np.arange(len(lengths)))
    assert batch.lengths.tolist() == lengths
    assert batch.us.shape == (len(lengths), 1)
    embedding = made.tiny_model().step(batch).embedding
    assert embedding.isfinite().all()


def test_portions_of_a_batch_are_the_slices():
    sequences = made.sequences(lengths=[9, 4, 0])
    everyone = rows(0, 1, 2)
    portion = collate(sequences, everyone).between(3, 7)
    assert portion.lengths.tolist() == [4, 1, 0]
    cut = collate(sequences, everyone, rows(3, 3, 0), rows(7, 4, 0))
    for name, values in cut.fields.items():
        if name != "text":
            mine = portion.fields[name][portion.valid]
            assert torch.equal(mine.nan_to_num(-1), values[cut.valid].nan_to_num(-1)), name
    assert torch.equal(portion.us[portion.valid], cut.us[cut.valid])


def test_some_rows_of_a_batch_are_those_rows():
    batch = collate(made.sequences(4, 8), rows(0, 1, 2, 3))
    some = batch.rows(torch.tensor([2, 0]))
    assert len(some) == 2
    assert torch.equal(some.us, batch.us[[2, 0]])
    assert torch.equal(some.fields["item"], batch.fields["item"][[2, 0]])
    assert torch.equal(some.now_us, batch.now_us[[2, 0]])
