"""Targets found by search against targets found event by event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model import made

from shoal.domain.kinds import KINDS, PURCHASE
from shoal.domain.sequence import KIND_CODES
from shoal.domain.time import DAY_US
from shoal.model.config import HORIZON_DAYS, TrainConfig
from shoal.model.sampler import Sampler
from shoal.model.targets import first_at

PURCHASE_CODE = 1 + KINDS.index(PURCHASE)


@given(
    moments=st.lists(st.integers(0, 9), max_size=12), at=st.integers(-1, 10), cut=st.integers(0, 12)
)
@settings(max_examples=200)
def test_first_at_is_the_first_place_in_its_range_that_is_not_before(moments, at, cut):
    us = np.sort(np.array(moments, np.int64))
    low, high = min(cut, len(us)), len(us)
    found = first_at(us, np.array([low]), np.array([high]), at)[0]
    assert found == next((i for i in range(low, high) if us[i] >= at), high)


@pytest.fixture(scope="module")
def whole():
    sequences = made.sequences(customers=40, length=60, seed=3)
    until_us = int(np.quantile(sequences.fields["us"], 0.8))
    config = TrainConfig(batch_customers=20, slice_min=2, slice_max=12)
    sampler = Sampler(
        sequences, config, made.sizes(), until_us=until_us, value_kind=PURCHASE_CODE, seed=5
    )
    return sequences, until_us, [sampler.batch(step) for step in range(3)]


def test_future_counts_every_event_after_the_moment_within_the_horizon(whole):
    sequences, until_us, batches = whole
    seen = 0
    for batch in batches:
        for row, customer in enumerate(batch.customer.tolist()):
            events = slice(*sequences.offsets[customer : customer + 2])
            one = {name: values[events] for name, values in sequences.fields.items()}
            now = int(batch.events.now_us[row])
            # a fresh slice is asked about at its last event's moment, which is in the slice
            last = int(batch.events.us[row, batch.events.lengths[row] - 1])
            after = (one["us"] > last) & (one["us"] >= now) & (one["us"] < until_us)
            for place, days in enumerate(HORIZON_DAYS):
                chosen = after & (one["us"] < now + days * DAY_US)
                seen += int(chosen.sum())
                kinds = np.bincount(one["kind"][chosen], minlength=KIND_CODES)
                np.testing.assert_array_equal(batch.future["kinds"][row, place], kinds)
                categories = np.bincount(one["category1"][chosen], minlength=made.CATEGORIES + 3)
                categories[0] = 0
                np.testing.assert_array_equal(batch.future["categories"][row, place], categories)
                active = len(np.unique((one["us"][chosen] - now) // DAY_US))
                assert batch.future["days"][row, place] == active
                bought = chosen & (one["kind"] == PURCHASE_CODE)
                spend = (np.expm1(one["price"][bought]) * np.expm1(one["quantity"][bought])).sum()
                assert float(batch.future["spend"][row, place]) == pytest.approx(
                    np.log1p(spend), abs=1e-5
                )
                assert bool(batch.known[row, place]) == (now + days * DAY_US <= until_us)
    assert seen > 100


def test_next_is_the_event_that_follows_in_the_log_before_the_cut_off(whole):
    sequences, until_us, batches = whole
    ends = 0
    for batch in batches:
        for row, customer in enumerate(batch.customer.tolist()):
            events = slice(*sequences.offsets[customer : customer + 2])
            one = {name: values[events] for name, values in sequences.fields.items()}
            length = int(batch.events.lengths[row])
            last = int(batch.events.us[row, length - 1])
            stop = int((one["us"] <= last).sum())
            for place in range(batch.events.us.shape[1]):
                later = stop - length + place + 1
                known = place < length and later < len(one["us"]) and one["us"][later] < until_us
                for name in ("kind", "item", "category1", "price_bucket"):
                    expected = one[name][later] if known else 0
                    assert batch.next[name][row, place] == expected
                gap = (one["us"][later] - one["us"][later - 1]) / 1e6 if known else 0.0
                assert float(batch.next["gap_s"][row, place]) == pytest.approx(gap, rel=1e-6)
                ends += place == length - 1 and not known
    assert ends > 0


def test_a_moment_lies_between_the_last_event_and_the_one_that_follows(whole):
    sequences, until_us, batches = whole
    ages = []
    for batch in batches:
        for row, customer in enumerate(batch.customer.tolist()):
            us = sequences.fields["us"][slice(*sequences.offsets[customer : customer + 2])]
            last = int(batch.events.us[row, batch.events.lengths[row] - 1])
            now = int(batch.events.now_us[row])
            later = us[us > last]
            assert last <= now <= until_us
            assert not len(later) or now <= later[0]
            ages.append(now - last)
    assert 0.35 < np.mean(np.array(ages) == 0) < 0.65  # half of the slices are fresh


def test_a_purchase_without_quantity_is_one_unit_and_without_price_nothing():
    sequences = made.sequences(lengths=[4])
    us = np.array([0, 1, 2, 3], np.int64) * DAY_US
    sequences.fields["us"][:] = us
    sequences.fields["kind"][:] = PURCHASE_CODE
    sequences.fields["price"][:] = np.log1p(np.array([1.0, 2.0, np.nan, 3.0]))
    sequences.fields["quantity"][:] = np.log1p(np.array([1.0, np.nan, 5.0, 2.0]))
    config = TrainConfig(slices=1, slice_min=1, slice_max=1, fresh_share=1.0)
    found = set()
    for seed in range(20):
        sampler = Sampler(
            sequences, config, made.sizes(), until_us=40 * DAY_US, value_kind=PURCHASE_CODE,
            seed=seed,
        )  # fmt: skip
        batch = sampler.batch(0)
        found.add(
            (int(batch.events.us[0, 0]) // DAY_US, round(float(batch.future["spend"][0, 0]), 4))
        )
    assert found == {(0, round(np.log1p(8.0), 4)), (1, round(np.log1p(6.0), 4)),
                     (2, round(np.log1p(6.0), 4)), (3, 0.0)}  # fmt: skip
