"""Laws of the behaviour model, held by every backbone: one step for training, batch and stream."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model import made

from shoal.domain.sequence import NUMBERS
from shoal.model.backbones import ALL
from shoal.model.backbones.recurrence import (
    _back_by_doubling,
    _back_by_steps,
    _by_doubling,
    _by_steps,
    scan,
)
from shoal.model.batch import collate

STREAMING = [name for name, backbone in ALL.items() if backbone.streams]
#: Windows are shorter than the histories, so that rings fill, turn over and are cut into blocks.
SHAPE = {"layers": 3, "window": 4, "context": 6}
LENGTH = 40
YEAR_US = 365 * made.DAY_US
few = settings(max_examples=12)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@lru_cache
def model(backbone, **config):
    """A model whose every parameter counts: some begin at zero and would hide what they do."""
    found = made.tiny_model(backbone, **(SHAPE | config))
    chance = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for values in found.parameters():
            values += 0.1 * torch.randn(values.shape, generator=chance)
    return found


def ends(sequences, later_us=0):
    """Moments `later_us` after each customer's last event."""
    found = np.full(len(sequences), made.START_US)
    some = sequences.lengths > 0
    found[some] = sequences.fields["us"][sequences.offsets[1:][some] - 1]
    return found + later_us


def whole(sequences, later_us=made.HOUR_US):
    return collate(sequences, np.arange(len(sequences)), now_us=ends(sequences, later_us))


def step(net, batch, carry=None):
    with torch.no_grad():
        return net.step(batch, carry)


def near(one, other, most=1e-5):
    assert one.shape == other.shape
    gap = (one.double() - other.double()).abs().max().item() if one.numel() else 0.0
    assert gap <= most, gap


@st.composite
def histories_and_cuts(draw):
    """Customers with 0 to `LENGTH` events each, and each one's own places to cut, many at once."""
    lengths = draw(st.lists(st.integers(0, LENGTH), min_size=1, max_size=5))
    sequences = made.sequences(lengths=lengths, seed=draw(st.integers(0, 99)))
    pieces = draw(st.integers(1, 5))
    cuts = [
        sorted(draw(st.lists(st.integers(0, n), min_size=pieces - 1, max_size=pieces - 1)))
        for n in lengths
    ]
    whole_cuts = [[0, *own, n] for own, n in zip(cuts, lengths, strict=True)]
    return sequences, np.array(whole_cuts, np.int64)


@pytest.mark.parametrize("backbone", STREAMING)
@given(case=histories_and_cuts())
@settings(max_examples=25)
def test_any_split_of_a_history_gives_the_same(backbone, case):
    sequences, cuts = case
    net, rows = model(backbone), np.arange(len(sequences))
    batch = whole(sequences)
    once, carry = step(net, batch), None
    for starts, stops in zip(cuts.T[:-1], cuts.T[1:], strict=True):
        portion = collate(sequences, rows, starts, stops, ends(sequences, made.HOUR_US))
        found = step(net, portion, carry)
        carry = found.carry
        for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            near(found.hidden[row, : stop - start], once.hidden[row, start:stop])
    near(found.embedding, once.embedding)
    assert set(carry) == set(once.carry)
    for name in carry:
        near(carry[name], once.carry[name])
    assert carry["count"].tolist() == sequences.lengths.tolist()


@pytest.mark.parametrize("backbone", STREAMING)
def test_one_event_at_a_time_gives_the_same(backbone):
    sequences = made.sequences(3, LENGTH, seed=2)
    net, batch, carry = model(backbone), whole(sequences), None
    for place in range(batch.us.shape[1]):
        found = step(net, batch.between(place, place + 1), carry)
        carry = found.carry
    near(found.embedding, step(net, batch).embedding)


@pytest.mark.parametrize("backbone", STREAMING)
def test_long_histories_do_not_drift(backbone):
    sequences = made.sequences(lengths=[3000], seed=4)
    net, batch, carry = model(backbone), whole(sequences), None
    for start in range(0, 3000, 700):
        found = step(net, batch.between(start, start + 700), carry)
        carry = found.carry
    near(found.embedding, step(net, batch).embedding)


@pytest.mark.parametrize("backbone", STREAMING)
def test_no_events_leave_the_state_as_it_is(backbone):
    batch = whole(made.sequences(4, 12, seed=3))
    net = model(backbone)
    carry = step(net, batch).carry
    for empty in (batch.between(0, 0), replace(batch, lengths=torch.zeros_like(batch.lengths))):
        after = step(net, empty, carry).carry
        assert all(torch.equal(after[name], carry[name]) for name in carry)


@pytest.mark.parametrize("backbone", ALL)
@given(lengths=st.lists(st.integers(0, LENGTH), min_size=2, max_size=6), seed=st.integers(0, 99))
@few
def test_mates_and_order_and_padding_change_nothing(backbone, lengths, seed):
    sequences = made.sequences(lengths=lengths, seed=seed)
    net, batch = model(backbone), whole(sequences)
    together = step(net, batch)
    order = np.random.default_rng(seed).permutation(len(lengths))
    mixed = step(net, collate(sequences, order, now_us=ends(sequences, made.HOUR_US)[order]))
    near(mixed.embedding, together.embedding[order])
    for row, length in enumerate(lengths):
        own = np.array([row])
        alone = step(net, collate(sequences, own, now_us=ends(sequences, made.HOUR_US)[own]))
        near(alone.embedding[0], together.embedding[row])
        near(alone.hidden[0, :length], together.hidden[row, :length])
        for name in alone.carry:
            near(alone.carry[name][0], together.carry[name][row])


@pytest.mark.parametrize("backbone", ALL)
def test_what_stands_in_padding_is_not_read(backbone):
    batch = whole(made.sequences(lengths=[0, 3, LENGTH - 1, LENGTH, 9]))
    net = model(backbone)
    beyond = torch.arange(batch.us.shape[1]) > batch.lengths[:, None]
    fields = {
        name: torch.where(beyond, torch.full_like(values, 0.9 if name in NUMBERS else 2), values)
        for name, values in batch.fields.items()
    }
    us = torch.where(beyond, batch.us + YEAR_US, batch.us)
    clean, dirty = step(net, batch), step(net, replace(batch, us=us, fields=fields))
    near(dirty.embedding, clean.embedding)
    near(dirty.hidden[batch.valid], clean.hidden[batch.valid])
    for name in clean.carry:
        near(dirty.carry[name], clean.carry[name])


@pytest.mark.parametrize("backbone", STREAMING)
@given(place=st.integers(1, LENGTH - 1), seed=st.integers(0, 99))
@few
def test_what_comes_later_changes_nothing_before(backbone, place, seed):
    """Events from a place on are others: hidden states before it and the embedding there stay."""
    both = whole(made.sequences(lengths=[LENGTH] * 4, seed=seed))
    net, batch, later = model(backbone), both.rows(torch.arange(2)), both.rows(torch.arange(2, 4))
    before = torch.arange(LENGTH) < place
    shift = batch.us[:, -1:] - later.us[:, :1] + made.DAY_US
    fields = {
        name: torch.where(before, values, later.fields[name])
        for name, values in batch.fields.items()
    }
    changed = replace(batch, us=torch.where(before, batch.us, later.us + shift), fields=fields)
    changed = replace(changed, now_us=changed.us[:, -1])
    near(step(net, changed).hidden[:, :place], step(net, batch).hidden[:, :place])
    assert (step(net, changed).hidden[:, place] - step(net, batch).hidden[:, place]).abs().max() > 0
    asked = batch.us[:, place - 1] + 1
    at_place = [
        step(net, replace(b.between(0, place), now_us=asked)).embedding for b in (batch, changed)
    ]
    near(*at_place)


@pytest.mark.parametrize("backbone", STREAMING)
@given(later_us=st.integers(0, 2 * YEAR_US))
@few
def test_silence_ages_as_in_a_batch_and_leaves_no_trace(backbone, later_us):
    sequences = made.sequences(4, 12, seed=5)
    net, soon, late = model(backbone), whole(sequences, 0), whole(sequences, later_us)
    now, then = step(net, soon), step(net, late)
    aged = step(net, replace(late.between(0, 0), us=late.us[:, :0]), now.carry)
    near(aged.embedding, then.embedding)
    assert all(torch.equal(now.carry[name], then.carry[name]) for name in now.carry)


@pytest.mark.parametrize("backbone", ALL)
@given(age_us=st.sampled_from([0, 1, 90_000_000, made.DAY_US, 40 * made.DAY_US, 3 * YEAR_US]))
@few
def test_ageing_is_continuous(backbone, age_us):
    """The less time passes, the less an embedding moves; from the very moment of the last event."""
    sequences, net = made.sequences(4, 12, seed=6), model(backbone)
    here = step(net, whole(sequences, age_us)).embedding
    moved = [
        (step(net, whole(sequences, age_us + more)).embedding - here).abs().max().item()
        for more in (1, 1_000, 100_000)
    ]
    assert moved[0] <= 1e-5
    assert moved[1] <= 1e-3
    assert moved[2] <= 0.1


@pytest.mark.parametrize("backbone", ALL)
def test_silence_changes_an_embedding(backbone):
    sequences, net = made.sequences(4, 12, seed=6), model(backbone)
    ages = (0, made.DAY_US, 30 * made.DAY_US, YEAR_US)
    found = [step(net, whole(sequences, age)).embedding for age in ages]
    for one, other in pairwise(found):
        assert (one - other).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("backbone", ALL)
def test_only_differences_of_times_matter(backbone):
    batch, net = whole(made.sequences(5, LENGTH, seed=8)), model(backbone)
    by = 1_234 * made.DAY_US + 567_891
    shifted = replace(batch, us=batch.us + by, now_us=batch.now_us + by)
    one, other = step(net, batch), step(net, shifted)
    near(one.embedding, other.embedding, 1e-6)
    near(one.hidden[batch.valid], other.hidden[batch.valid], 1e-6)


@pytest.mark.parametrize("backbone", ALL)
def test_times_between_events_matter(backbone):
    batch, net = whole(made.sequences(lengths=[12] * 3, seed=8)), model(backbone)
    slow = replace(batch, us=batch.us + torch.arange(12) * 10 * made.DAY_US)
    slow = replace(slow, now_us=slow.us[:, -1] + made.HOUR_US)
    moved = step(net, slow).embedding - step(net, batch).embedding
    assert moved.abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("backbone", ALL)
def test_gaps_of_decades_and_ties_give_finite_values_and_gradients(backbone):
    net = made.tiny_model(backbone, **SHAPE).train()
    batch = whole(made.sequences(lengths=[LENGTH, 1, 0, 20], seed=9), 50 * YEAR_US)
    places = torch.arange(LENGTH)
    us = torch.where(places < 9, batch.us[:, :1], batch.us + places // 10 * 20 * YEAR_US)
    us = torch.where(batch.valid, us, us.amax(dim=1, keepdim=True))
    found = net.step(replace(batch, us=us, now_us=us[:, -1] + 50 * YEAR_US))
    assert found.hidden.isfinite().all() and found.embedding.isfinite().all()
    assert found.embedding.dtype == torch.float32
    (found.hidden[batch.valid].square().mean() + found.embedding[:, 0].sum()).backward()
    for name, values in net.named_parameters():
        assert values.grad is not None and values.grad.isfinite().all(), name


@pytest.mark.parametrize("backbone", ALL)
def test_everything_is_learned(backbone):
    net = made.tiny_model(backbone, **SHAPE).train()
    batch = whole(made.sequences(8, LENGTH, seed=9))
    found = net.step(batch)
    aim = torch.randn(found.hidden.shape, generator=torch.Generator().manual_seed(1))
    loss = (found.hidden - aim)[batch.valid].square().mean() + found.embedding[:, :3].sum()
    loss.backward()
    still = [name for name, one in net.backbone.named_parameters() if not one.grad.abs().max() > 0]
    assert still == []


@pytest.mark.parametrize("backbone", ALL)
def test_the_same_seed_gives_the_same_weights_and_answers(backbone):
    one, other, third = (made.tiny_model(backbone, seed=seed, **SHAPE) for seed in (1, 1, 2))
    state = other.state_dict()
    assert all(torch.equal(values, state[name]) for name, values in one.state_dict().items())
    batch = whole(made.sequences(4, 12))
    answers = [step(net, batch).embedding for net in (one, other, third)]
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])


@given(
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 33), st.integers(1, 4)),
)
@few
def test_the_scan_is_the_loop(seed, shape):
    chance = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(shape, generator=chance, dtype=torch.float64) for _ in range(2))
    before = torch.randn(shape[0], shape[2], generator=chance, dtype=torch.float64)
    h, states = before, []
    for place in range(shape[1]):
        h = a[:, place] * h + b[:, place]
        states.append(h)
    loop = torch.stack(states, dim=1)
    for found in (scan(a, b, before), _by_steps(a, b, before), _by_doubling(a, b, before)):
        near(found, loop, 1e-12)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_gradient_of_the_scan_is_that_of_the_loop(length):
    chance = torch.Generator().manual_seed(length)
    given_values = [
        torch.rand(shape, generator=chance, dtype=torch.float64, requires_grad=True)
        for shape in ((2, length, 3), (2, length, 3), (2, 3))
    ]
    assert torch.autograd.gradcheck(scan, given_values)
    weights = torch.rand(2, length, 3, generator=chance, dtype=torch.float64)
    gradients = [
        torch.autograd.grad((way(*given_values) * weights).sum(), given_values)
        for way in (scan, _by_steps, _by_doubling)
    ]
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            near(one, two, 1e-12)


@given(seed=st.integers(0, 999), length=st.integers(1, 33))
@few
def test_backwards_doubling_equals_steps(seed, length):
    chance = torch.Generator().manual_seed(seed)
    a, grad = (torch.rand(2, length, 3, generator=chance, dtype=torch.float64) for _ in range(2))
    near(_back_by_doubling(a, grad), _back_by_steps(a, grad), 1e-12)
