"""Batches of slices: which customers, which events, the same for the same seed and step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.model import made

from shoal.domain.errors import InputError, UsageError
from shoal.domain.kinds import KINDS, PURCHASE
from shoal.domain.sequence import MASK
from shoal.domain.time import DAY_US
from shoal.model.config import TrainConfig
from shoal.model.sampler import Alternating, Sampler, enough
from shoal.model.validation import valid_from_us, validation_batches

PURCHASE_CODE = 1 + KINDS.index(PURCHASE)
CONFIG = TrainConfig(batch_customers=8, slices=4, slice_min=4, slice_max=16)


def sampler(sequences, config=CONFIG, *, seed=0, until_us=None, **more):
    until_us = until_us or int(sequences.fields["us"].max()) + 1
    return Sampler(
        sequences, config, made.sizes(), until_us=until_us, value_kind=PURCHASE_CODE, seed=seed,
        **more,
    )  # fmt: skip


def tensors(batch):
    found = {"customer": batch.customer, "masked": batch.masked, "known": batch.known}
    found |= {f"events.{n}": v for n, v in vars(batch.events).items() if torch.is_tensor(v)}
    for group in ("next", "own", "future"):
        found |= {f"{group}.{n}": v for n, v in getattr(batch, group).items()}
    return found | {f"fields.{n}": v for n, v in batch.events.fields.items()}


def same(one, other):
    a, b = tensors(one), tensors(other)
    return all(torch.equal(torch.nan_to_num(a[n]), torch.nan_to_num(b[n])) for n in a)


def test_a_batch_follows_from_seed_and_step_alone():
    sequences = made.sequences(customers=50, length=40)
    config = replace(CONFIG, weights={"masked": 1.0}, augment={"crop": 0.3, "time_warp": 0.2})
    first, again = sampler(sequences, config), sampler(sequences, config)
    assert same(again.batch(7), first.batch(7))
    assert all(same(again.batch(step), first.batch(step)) for step in (0, 7, 30))
    assert not same(first.batch(7), first.batch(8))
    assert not same(first.batch(7), sampler(sequences, config, seed=1).batch(7))


def test_an_epoch_visits_every_customer_once_in_an_order_of_its_own():
    sequences = made.sequences(customers=70, length=30)
    s = sampler(sequences)
    assert s.steps_an_epoch > 3
    epochs = [
        [
            s.batch(epoch * s.steps_an_epoch + step).customer.unique()
            for step in range(s.steps_an_epoch)
        ]
        for epoch in range(2)
    ]
    for steps in epochs:
        assert sorted(torch.cat(steps).tolist()) == list(range(70))
    assert [one.tolist() for one in epochs[0]] != [one.tolist() for one in epochs[1]]


def test_customers_with_few_events_give_fewer_slices_and_more_of_them_fill_a_step():
    few = sampler(made.sequences(lengths=[1] * 400))
    rows = [len(few.batch(step).customer) for step in range(few.steps_an_epoch)]
    assert min(rows) >= 30 and sum(rows) == 400  # about 8 customers x 4 slices, one slice each
    mixed = sampler(made.sequences(lengths=[1, 2, 3, 30]))
    taken = torch.bincount(mixed.batch(0).customer)
    assert taken.tolist() == [1, 2, 3, 4]


def test_slices_are_as_long_as_told_and_of_short_histories_from_half_to_all():
    sequences = made.sequences(lengths=[100] * 10 + [5] * 10)
    lengths = {0: set(), 1: set()}
    s = sampler(sequences)
    for step in range(60):
        batch = s.batch(step)
        for customer, length in zip(batch.customer, batch.events.lengths, strict=True):
            lengths[int(customer) // 10].add(int(length))
    assert lengths[0] == set(range(4, 17))
    assert lengths[1] == {2, 3, 4, 5}


def test_a_slice_never_ends_between_events_of_one_moment():
    sequences = made.sequences(lengths=[30] * 8)
    sequences.fields["us"][:] = np.tile(np.arange(30) // 3 * DAY_US, 8)
    s = sampler(sequences)
    for step in range(10):
        batch = s.batch(step)
        last = batch.events.us[:, -1]
        follows = batch.next["gap_s"].gather(1, (batch.events.lengths - 1)[:, None])[:, 0]
        known = batch.next["kind"].gather(1, (batch.events.lengths - 1)[:, None])[:, 0] > 0
        assert (follows[known] > 0).all() and known.any() and (last % DAY_US == 0).all()


def test_nothing_at_or_after_the_cut_off_is_seen():
    sequences = made.sequences(customers=40, length=60)
    until_us = int(np.median(sequences.fields["us"]))
    changed = made.sequences(customers=40, length=60)
    late = changed.fields["us"] >= until_us
    assert late.any()
    for name, values in changed.fields.items():
        values[late] = 1 if name == "kind" else (values[late] + 3 if name == "us" else 0)
    one, other = sampler(sequences, until_us=until_us), sampler(changed, until_us=until_us)
    assert all(same(one.batch(step), other.batch(step)) for step in range(5))
    assert all((one.batch(step).events.us < until_us).all() for step in range(5))


def test_moments_of_a_new_period_lie_in_it_and_only_its_customers_are_visited():
    sequences = made.sequences(customers=60, length=40)
    us = sequences.fields["us"]
    from_us = int(np.quantile(us, 0.9))
    s = sampler(sequences, from_us=from_us)
    active = {
        row for row in range(60)
        if us[sequences.offsets[row + 1] - 1] >= from_us
    }  # fmt: skip
    assert set(s.customers.tolist()) == active and len(active) < 60
    for step in range(6):
        batch = s.batch(step)
        assert (batch.events.now_us >= from_us).all()
    assert (batch.events.us[:, 0] < from_us).any()  # the history before is in the slices


def test_replay_takes_its_share_of_the_steps():
    sequences = made.sequences(customers=60, length=40)
    from_us = int(np.quantile(sequences.fields["us"], 0.6))
    new, old = sampler(sequences, from_us=from_us), sampler(sequences, until_us=from_us)
    both = Alternating(new, old, 0.25)
    replayed = [bool((both.batch(step).events.us < from_us).all()) for step in range(40)]
    assert replayed == [step % 4 == 3 for step in range(40)]
    assert same(both.batch(3), old.batch(0)) and same(both.batch(4), new.batch(3))
    assert both.names(3) == old.names(0)


def test_hidden_events_are_told_beside_as_they_were():
    sequences = made.sequences(customers=40, length=30)
    batch = sampler(sequences, replace(CONFIG, weights={"masked": 1.0})).batch(0)
    hidden = batch.masked
    assert 0.05 < hidden[batch.events.valid].float().mean() < 0.3
    assert (batch.events.fields["kind"][hidden] == MASK).all()
    assert (batch.own["kind"][hidden] > 0).all() and (batch.own["kind"][hidden] < MASK).all()


def test_names_are_those_of_the_customers_in_the_batch():
    sequences = made.sequences(customers=40, length=30)
    s = sampler(sequences)
    rows = s.batch(3).customer.unique().numpy()
    assert s.names(3) == sequences.customers[rows].tolist()


def test_validation_asks_about_moments_in_its_window_alone():
    sequences = made.sequences(customers=80, length=60)
    until_us = int(sequences.fields["us"].max()) + 1
    config = replace(CONFIG, validation_days=10, validation_customers=50)
    from_us = valid_from_us(sequences, config, until_us)
    assert until_us - from_us == 10 * DAY_US
    made_twice = [
        validation_batches(
            sequences, config, made.sizes(), from_us=from_us, until_us=until_us,
            value_kind=PURCHASE_CODE, seed=0,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert all(same(a, b) for a, b in zip(*made_twice, strict=True))
    customers = set()
    inside = 0
    for batch in made_twice[0]:
        customers |= set(batch.customer.tolist())
        now = batch.events.now_us
        assert ((now >= from_us) & (now <= until_us)).all()
        history = now == from_us
        assert (batch.events.us[history] < from_us).all()
        assert (batch.events.us[~history] >= from_us).all()  # events that no training saw
        inside += int((~history).sum())
    assert len(customers) == 50 and inside > 0


def test_nobody_before_the_window_leaves_no_validation():
    sequences = made.sequences(customers=10, length=5)
    first = int(sequences.fields["us"].min())
    assert not validation_batches(
        sequences, CONFIG, made.sizes(), from_us=first, until_us=first + 90 * DAY_US,
        value_kind=PURCHASE_CODE, seed=0,
    )  # fmt: skip


def test_a_history_of_100_000_events_among_short_ones():
    sequences = made.sequences(lengths=[100_000] + [2] * 30)
    s = sampler(sequences)
    sizes = [tuple(s.batch(step).events.us.shape) for step in range(5)]
    assert max(width for _, width in sizes) <= CONFIG.slice_max
    starts = {int(one) for step in range(5) for one in s._slices(step)[1][:4]}
    assert len(starts) > 5


def test_a_period_without_events_is_told():
    sequences = made.sequences(customers=5, length=5)
    with pytest.raises(InputError, match="no customer has an event before 1970-01-01"):
        sampler(sequences, until_us=1)
    late = int(sequences.fields["us"].max()) + 1
    with pytest.raises(InputError, match="from 2"):
        sampler(sequences, until_us=late + 1, from_us=late)


def test_too_little_says_what_is_needed_and_what_is_there():
    config = TrainConfig(batch_customers=8, slices=2, slice_min=4)
    assert enough(made.sequences(lengths=[4] * 16), config) is None
    few = enough(made.sequences(lengths=[4] * 10 + [1] * 50), config)
    assert few is not None and "16 customers with at least 2 events" in few
    assert "there are 10 such customers and 90 events" in few
    short = enough(made.sequences(lengths=[2] * 20), config)
    assert short is not None and "64 events in all" in short
    assert enough(made.sequences(lengths=[]), config) is not None
    sequences = made.sequences(lengths=[4] * 16)
    first = int(sequences.fields["us"].min())
    assert enough(sequences, config, until_us=first) is not None


@pytest.mark.parametrize(
    ("setting", "value"),
    [("batch_customers", 1), ("slice_min", 0), ("replay_share", 1.5), ("learning_rate", -1.0),
     ("learning_rate", float("nan")), ("seed", -1)],
)  # fmt: skip
def test_a_setting_out_of_bounds_is_refused_by_name(setting, value):
    with pytest.raises(UsageError, match=f"{setting} is {value}"):
        TrainConfig(**{setting: value})


def test_slices_at_most_as_short_as_at_least_are_refused():
    with pytest.raises(UsageError, match="slice_max is 3, below slice_min 4"):
        TrainConfig(slice_min=4, slice_max=3)
