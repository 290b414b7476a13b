"""Nothing at or after T changes a snapshot at T."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.logs import AS_OFS, ZONES, logs, to_table
from tests.laws.test_fold_laws import fold_of

from shoal.domain.event import Event
from shoal.domain.time import Zone
from shoal.features import reference


@settings(max_examples=8)
@given(
    events=logs(100),
    later=logs(50),
    as_of=st.sampled_from(AS_OFS),
    zone=st.sampled_from(ZONES),
)
def test_nothing_after_t_changes_a_snapshot_at_t(
    events: list[Event], later: list[Event], as_of: datetime, zone: str
) -> None:
    fold = fold_of()
    future = [
        replace(event, event_id=f"later-{n}", event_time=max(event.event_time, as_of))
        for n, event in enumerate(later)
    ]
    past = [event for event in events if event.event_time < as_of]
    known = to_table(past, zone)
    everything = to_table([*future, *events], zone)
    items = reference.build(fold.engine, known, as_of)
    assert reference.build(fold.engine, everything, as_of).equals(items)
    then = fold.features(known, as_of, Zone(zone), items)
    now = fold.features(everything, as_of, Zone(zone), items)
    assert now.to_pylist() == then.to_pylist()


def test_an_event_at_t_does_not_count_and_a_microsecond_before_does() -> None:
    moment = datetime(2024, 6, 1, 12, tzinfo=UTC)
    event = Event(event_id="e", kind="view", event_time=moment, customer_id="a")
    fold, zone = fold_of(), Zone("UTC")
    table = to_table([event], "UTC")
    assert fold.features(table, moment, zone).num_rows == 0
    after = fold.features(table, moment + timedelta(microseconds=1), zone)
    assert after.column("events").to_pylist() == [1]


def test_the_window_of_a_midnight_ends_with_the_day_before() -> None:
    midnight = datetime(2024, 6, 8, tzinfo=UTC)
    days = [midnight - timedelta(days=n, microseconds=1) for n in range(9)]
    events = [
        Event(event_id=f"e{n}", kind="view", event_time=day, customer_id="a")
        for n, day in enumerate(days)
    ]
    got = fold_of().features(to_table(events, "UTC"), midnight, Zone("UTC"))
    assert got.column("views_7d").to_pylist() == [7]
