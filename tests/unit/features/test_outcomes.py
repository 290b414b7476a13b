"""Outcomes of a window: what lies in it counts, what lies at its ends is on the right side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.money import MICROS
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.outcomes import categories, outcomes
from shoal.features.queries import Rules

SINCE = datetime(2024, 3, 1, tzinfo=UTC)
UNTIL = datetime(2024, 3, 29, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def table(rows: Sequence[dict]) -> pa.Table:
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type)
        for field in TABLE_SCHEMA
    }
    return pa.table(columns, schema=TABLE_SCHEMA)


def event(customer: str | None, when: datetime, kind: str = "view", **more: object) -> dict:
    return {
        "event_id": f"{customer}-{when.isoformat()}-{more.get('order_id', '')}-{len(more)}",
        "customer_id": customer, "kind": kind, "event_time": when, "source": "test",
        "sequence": 0, **more,
    }  # fmt: skip


def bought(customer: str, when: datetime, order: str, price: float, **more: object) -> dict:
    money = {"price": int(price * MICROS), "quantity": 1, "currency": "EUR"}
    return event(customer, when, "purchase", order_id=order, **{**money, **more})


def test_orders_events_and_net_are_those_of_the_window() -> None:
    found = outcomes(
        DuckEngine(),
        table(
            [
                bought("a", SINCE - TICK, "1", 100),
                bought("a", SINCE, "2", 10), bought("a", SINCE, "2", 5, quantity=2),
                bought("a", UNTIL - TICK, "3", 7, discount=MICROS),
                bought("a", UNTIL, "4", 100),
                event("a", SINCE + TICK, "refund", price=2 * MICROS, quantity=1, order_id="2"),
                event("b", SINCE - TICK), event("c", UNTIL), event(None, SINCE),
                event("d", SINCE, "item", item_id="i"),
            ]
        ),
        Rules(), SINCE, UNTIL,
    )  # fmt: skip
    assert found.to_pylist() == [
        {"customer_id": "a", "events": 4, "orders": 2, "net": 24 * MICROS},
        {"customer_id": "b", "events": 0, "orders": 0, "net": 0},
    ]


def test_a_shops_own_value_event_is_what_counts_as_an_order() -> None:
    rows = table([event("a", SINCE, "review"), bought("a", SINCE, "1", 3)])
    found = outcomes(DuckEngine(), rows, Rules(value_event="review"), SINCE, UNTIL)
    assert found["orders"].to_pylist() == [1]


def test_the_commonest_first_level_is_the_category_and_ties_go_by_name() -> None:
    rows = [
        event("a", SINCE - TICK, category="garden"),
        event("a", SINCE - 2 * TICK, category="garden"),
        event("a", SINCE, category="home/kitchen"), event("a", SINCE + TICK, category="home/bath"),
        event("a", SINCE + 2 * TICK, category="toys"), event("a", UNTIL, category="toys"),
        event("b", SINCE, category="toys"), event("b", SINCE + TICK, category="home"),
        event("c", SINCE),
    ]  # fmt: skip
    found = categories(DuckEngine(), table(rows), Rules(), SINCE, UNTIL)
    assert found.to_pylist() == [
        {"customer_id": "a", "category": "home"}, {"customer_id": "b", "category": "home"},
    ]  # fmt: skip


def test_an_empty_window_has_customers_and_no_categories() -> None:
    rows = table([event("a", SINCE - TICK, category="toys")])
    assert outcomes(DuckEngine(), rows, Rules(), SINCE, UNTIL)["events"].to_pylist() == [0]
    assert categories(DuckEngine(), rows, Rules(), SINCE, UNTIL).num_rows == 0
