"""Totals, periods and hours of the week against counts by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.time import Zone
from shoal.features import activity
from shoal.features.queries import EVENTS_SCHEMA, Rules

LATER = datetime(2024, 2, 1, tzinfo=UTC)
JAN_1 = Zone().local_day(datetime(2024, 1, 1, tzinfo=UTC))


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2024, 1, day, hour, minute, tzinfo=UTC)


def table(*rows: dict[str, object]) -> pa.Table:
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type)
        for field in EVENTS_SCHEMA
    }
    return pa.table(columns, schema=EVENTS_SCHEMA)


EVENTS = table(
    {"customer_id": "a", "kind": "view", "event_time": at(1, 9), "utc_offset_s": 0},
    {"customer_id": "a", "kind": "purchase", "event_time": at(1, 10), "order_id": "1",
     "price": 5_000_000, "quantity": 2, "currency": "GBP", "utc_offset_s": 0},
    {"customer_id": "a", "kind": "purchase", "event_time": at(1, 10), "order_id": "1",
     "price": 1_000_000, "quantity": 1, "discount": 250_000, "currency": "GBP", "utc_offset_s": 0},
    {"customer_id": "b", "kind": "purchase", "event_time": at(8), "order_id": "1",
     "price": 3_000_000, "currency": "GBP", "utc_offset_s": 0},
    {"customer_id": "a", "kind": "refund", "event_time": at(9, 23, 30), "price": 1_000_000,
     "quantity": 1, "currency": "GBP", "utc_offset_s": 3600},
    {"customer_id": None, "kind": "view", "event_time": at(3), "utc_offset_s": 0},
    {"customer_id": None, "kind": "item", "event_time": at(3), "price": 1, "utc_offset_s": 0},
    {"customer_id": "c", "kind": "view", "event_time": at(31, 23), "utc_offset_s": 7200},
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    return DuckEngine()


def test_totals_count_guests_apart_and_use_local_days(engine: DuckEngine) -> None:
    found = activity.totals(engine, EVENTS, LATER)
    assert found == {
        "events": 8,
        "guests": 1,
        "customers": 3,
        "first_day": JAN_1,
        "last_day": JAN_1 + 31,
        "currencies": {"GBP": 4},
    }


def test_totals_before_a_moment_and_of_nothing(engine: DuckEngine) -> None:
    assert activity.totals(engine, EVENTS, at(2))["events"] == 3
    empty = activity.totals(engine, EVENTS.slice(0, 0), LATER)
    assert (empty["events"], empty["customers"], empty["first_day"]) == (0, 0, None)


def test_periods_count_customers_and_orders_once_and_net_of_discounts_and_refunds(
    engine: DuckEngine,
) -> None:
    members = pa.table({"customer_id": ["a", "b"], "segment_id": ["s01", "s02"]})
    found = activity.periods(engine, EVENTS, Rules(), LATER, members, origin=JAN_1 + 7, width=7)
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        # segment, period, customers, events, orders, net; c is a member of none
        ("", 3, 1, 1, 0, 0),
        ("s01", -1, 1, 3, 1, 10_750_000),
        ("s01", 0, 1, 1, 0, -1_000_000),
        ("s02", 0, 1, 1, 1, 3_000_000),
    ]


def test_hours_of_week_are_local_and_by_segment(engine: DuckEngine) -> None:
    members = pa.table({"customer_id": ["a", "b"], "segment_id": ["s01", "s02"]})
    found = activity.hours_of_week(engine, EVENTS, Rules(), LATER, members).to_pylist()
    # 1 January 2024 was a Monday; the refund of the 9th at 23:30 UTC is on the 10th at 00:30 there.
    shown = ("segment_id", "weekday", "hour", "n", "midnight")
    assert [tuple(row[name] for name in shown) for row in found] == [
        ("s01", 0, 9, 1, 0), ("s01", 0, 10, 2, 0), ("s01", 2, 0, 1, 0), ("s02", 0, 0, 1, 1),
    ]  # fmt: skip
