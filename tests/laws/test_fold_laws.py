"""Any split and order of events gives the same states; the fold agrees with plain Python."""

from __future__ import annotations

import itertools
import math
import random
from datetime import datetime
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws import naive_features as naive
from tests.laws.logs import AS_OFS, ZONES, logs, to_table

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.event import Event
from shoal.domain.time import Zone
from shoal.features import reference
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.features.state import decode, encode

_FAST = settings(max_examples=8)


@lru_cache
def fold_of(value_event: str = "purchase", currency: str | None = "GBP", tail: int = 5) -> Fold:
    return Fold(
        CATALOG,
        DuckEngine(threads=2),
        value_event=value_event,
        currency=currency,
        traits=("plan", "age"),
        tail=tail,
    )


def same(got: object, expected: object) -> bool:
    if isinstance(got, float) and isinstance(expected, (float, int)):
        return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9)
    return got == expected


def check_against_naive(
    events: list[Event], as_of: datetime, zone: str, value_event: str, currency: str | None
) -> None:
    fold = fold_of(value_event, currency)
    table = to_table(events, zone)
    items = reference.build(fold.engine, table, as_of)
    got = fold.features(table, as_of, Zone(zone), items)
    shop = naive.Shop(zone, value_event, currency, ("plan", "age"))
    expected = naive.features(events, as_of, shop)
    assert got.column("customer_id").to_pylist() == sorted(expected)
    assert set(got.column_names) == {"customer_id", *fold.catalog.names}
    for row in got.to_pylist():
        wanted = expected[row["customer_id"]]
        assert set(wanted) == set(fold.catalog.names)
        wrong = {
            name: (row[name], wanted[name]) for name in wanted if not same(row[name], wanted[name])
        }
        assert not wrong, f"(fold, naive) of {row['customer_id']}: {wrong}"


@settings(max_examples=16)
@given(
    events=logs(300),
    as_of=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
    value_event=st.sampled_from(("purchase", "purchase", "review")),
    currency=st.sampled_from(("GBP", None)),
)
def test_every_feature_is_what_plain_python_says(
    events: list[Event], as_of: datetime, zone: str, value_event: str, currency: str | None
) -> None:
    check_against_naive(events, as_of, zone, value_event, currency)


@_FAST
@given(
    events=logs(80),
    seed=st.integers(0, 2**16),
    cuts=st.lists(st.integers(0, 80), max_size=2),
)
def test_any_split_and_order_gives_the_same_bytes(
    events: list[Event], seed: int, cuts: list[int]
) -> None:
    fold = fold_of()
    whole = encode(fold.partials(to_table(events, "Europe/London")))
    shuffled = list(events)
    random.Random(seed).shuffle(shuffled)
    bounds = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    state = fold.partials(to_table([], "Europe/London"))
    for start, stop in itertools.pairwise(bounds):
        new = fold.partials(to_table(shuffled[start:stop], "Europe/London"))
        state = fold.merge(decode(encode(state)), new)
    assert encode(state).equals(whole)


@_FAST
@given(events=logs(80), seed=st.integers(0, 2**16))
def test_merge_is_associative_and_commutative(events: list[Event], seed: int) -> None:
    fold = fold_of()
    parts: list[list[Event]] = [[], [], []]
    chance = random.Random(seed)
    for event in events:
        parts[chance.randrange(3)].append(event)
    a, b, c = (fold.partials(to_table(part, "America/New_York")) for part in parts)
    left = encode(fold.merge(fold.merge(a, b), c))
    assert left.equals(encode(fold.merge(a, fold.merge(b, c))))
    assert left.equals(encode(fold.merge(c, fold.merge(b, a))))


@_FAST
@given(events=logs(80), as_of=st.sampled_from(AS_OFS), zone=st.sampled_from(ZONES))
def test_stream_and_batch_say_the_same(events: list[Event], as_of: datetime, zone: str) -> None:
    fold = fold_of()
    past = [event for event in events if event.event_time < as_of]
    half = len(past) // 2
    stored = fold.partials(to_table(past[:half], zone))
    state = fold.merge(stored, fold.partials(to_table(past[half:], zone)))
    items = reference.build(fold.engine, to_table(events, zone), as_of)
    stream = fold.finish(state, as_of, Zone(zone), items)
    batch = fold.features(to_table(events, zone), as_of, Zone(zone), items)
    assert stream.column_names == batch.column_names
    for one, other in zip(stream.to_pylist(), batch.to_pylist(), strict=True):
        assert all(same(one[name], other[name]) for name in one), (one, other)


@_FAST
@given(events=logs(80))
def test_states_are_read_back_as_they_were(events: list[Event]) -> None:
    fold = fold_of()
    partials = fold.partials(to_table(events, "UTC"))
    back = decode(encode(partials))
    assert {name: table.to_pylist() for name, table in back.items()} == {
        name: table.to_pylist() for name, table in partials.items()
    }


def test_the_tail_holds_the_last_events_in_order() -> None:
    moment = AS_OFS[0]
    events = [
        Event(event_id=f"e{n}", kind="view", event_time=moment, customer_id="a", sequence=n % 3)
        for n in range(9)
    ]
    tail = fold_of().partials(to_table(events, "UTC"))["tail"]
    expected = sorted(events, key=lambda e: (e.event_time, e.sequence, e.event_id))[-5:]
    assert tail.column("event_id").to_pylist() == [e.event_id for e in expected]


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York"])
def test_days_are_local_days_over_a_change_of_the_clock(zone: str) -> None:
    turn = AS_OFS[3]
    events = [
        Event(event_id="a", kind="view", event_time=turn, customer_id="a"),
        Event(event_id="b", kind="view", event_time=turn.replace(hour=23), customer_id="a"),
    ]
    check_against_naive(events, AS_OFS[0], zone, "purchase", None)
