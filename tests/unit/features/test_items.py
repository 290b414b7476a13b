"""Facts of items over time, and events that take what they lack from them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.logs import to_table

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.event import Event
from shoal.domain.time import to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import FILLED, ITEMS_SCHEMA, NEVER_US
from shoal.features.items import (
    ATTRIBUTES,
    FACTS_SCHEMA,
    facts_at,
    facts_history,
    takes_any,
    tells_items,
    visitors_touched,
    with_item_facts,
)
from shoal.features.queries import unbound

START = datetime(2024, 3, 1, tzinfo=UTC)


@lru_cache
def engine() -> DuckEngine:
    return DuckEngine(threads=2)


def table(events: list[Event]) -> pa.Table:
    known = to_table(events, "UTC")
    return pa.table(
        [
            known[field.name]
            if field.name in known.column_names
            else pa.nulls(len(events), field.type)
            for field in TABLE_SCHEMA
        ],
        schema=TABLE_SCHEMA,
    )


def fact(number: int, day: float, item: str = "lamp", **told: Any) -> Event:
    return Event(
        event_id=f"f{number}", kind="item", event_time=START + timedelta(days=day), item_id=item,
        source="items", **told,
    )  # fmt: skip


def filled(events: list[Event], as_of: datetime | None = None) -> list[dict[str, Any]]:
    rows = table(events)
    facts = facts_history(engine(), rows, as_of, attributes=FILLED)
    bound = with_item_facts(unbound(TABLE_SCHEMA, "events"), unbound(ITEMS_SCHEMA, "item_facts"))
    query = engine().compile(bound.order_by("event_id"))
    return engine().run(query, {"events": rows, "item_facts": facts}).to_pylist()


def test_an_attribute_holds_until_another_is_told() -> None:
    events = [
        fact(1, 0, title="Lamp", category="home/lamp", price=10_000_000, currency="GBP"),
        fact(2, 2, price=12_000_000, currency="EUR"),
        fact(3, 4, title="Red lamp", properties='{"image": "a.jpg", "weight": 2}'),
    ]
    got = facts_history(engine(), table(events))
    assert got.schema == FACTS_SCHEMA
    rows = got.to_pylist()
    assert [row["title"] for row in rows] == ["Lamp", "Lamp", "Red lamp"]
    assert [row["price"] for row in rows] == [10_000_000, 12_000_000, 12_000_000]
    assert [row["currency"] for row in rows] == ["GBP", "EUR", "EUR"]
    assert [row["image"] for row in rows] == [None, None, "a.jpg"]
    assert {row["category"] for row in rows} == {"home/lamp"}
    days = [to_us(START + timedelta(days=day)) for day in (0, 2, 4)]
    assert [row["valid_from_us"] for row in rows] == days
    assert [row["valid_to_us"] for row in rows] == [*days[1:], NEVER_US]


def test_what_is_known_at_a_moment_is_what_was_dated_before_it() -> None:
    events = [fact(1, 0, title="Lamp"), fact(2, 2, title="Red lamp"), fact(3, 1, "tin", brand="x")]
    at = START + timedelta(days=2)
    before = {row["item_id"]: row for row in facts_at(engine(), table(events), at).to_pylist()}
    assert {name: row["title"] for name, row in before.items()} == {"lamp": "Lamp", "tin": None}
    after = facts_at(engine(), table(events), at + timedelta(microseconds=1)).to_pylist()
    assert [row["title"] for row in after] == ["Red lamp", None]


def test_a_history_of_some_attributes_has_a_row_only_where_they_change() -> None:
    prices = [fact(n, n, price=n * 1_000_000, currency="GBP") for n in range(1, 20)]
    events = [fact(0, 0, category="a", brand="acme"), *prices, fact(30, 30, brand="zeta")]
    rows = facts_history(engine(), table(events), attributes=FILLED).to_pylist()
    assert [(row["category"], row["brand"]) for row in rows] == [("a", "acme"), ("a", "zeta")]
    assert rows[0]["valid_to_us"] == rows[1]["valid_from_us"]


def test_two_facts_of_one_moment_are_one_row_and_the_later_told_counts() -> None:
    events = [
        fact(1, 0, title="Lamp", price=1, sequence=1),
        fact(2, 0, title="Red lamp", sequence=2),
    ]
    [row] = facts_history(engine(), table(events)).to_pylist()
    assert (row["title"], row["price"]) == ("Red lamp", 1)


def test_events_take_what_they_lack_as_it_was_at_their_time() -> None:
    def view(number: int, day: float, **told: Any) -> Event:
        return Event(
            event_id=f"v{number}", kind="view", event_time=START + timedelta(days=day),
            customer_id="ann", item_id="lamp", source="web", **told,
        )  # fmt: skip

    events = [
        fact(1, 1, title="Lamp", category="home", brand="acme", price=9_000_000),
        fact(2, 3, category="garden"),
        view(1, 0), view(2, 1), view(3, 2, category="own"), view(4, 3), view(5, 9),
        Event(event_id="v6", kind="view", event_time=START, customer_id="ann", source="web"),
    ]  # fmt: skip
    rows = {row["event_id"]: row for row in filled(events)}
    got = {name: (row["category"], row["brand"]) for name, row in rows.items()}
    assert got == {
        "f1": ("home", "acme"),
        "f2": ("garden", None),  # facts themselves stay as they were told
        "v1": (None, None),
        "v2": ("home", "acme"),
        "v3": ("own", "acme"),
        "v4": ("garden", "acme"),
        "v5": ("garden", "acme"),
        "v6": (None, None),
    }
    assert all(row["price"] is None for name, row in rows.items() if name.startswith("v"))


@pytest.mark.parametrize("columns", [("category",), ("category", "brand")])
def test_only_the_columns_that_are_there_are_filled(columns: tuple[str, ...]) -> None:
    kept = ("event_id", "kind", "item_id", "event_time", *columns)
    rows = table([fact(1, 0, category="home", brand="acme")]).select(kept)
    schema = pa.schema([TABLE_SCHEMA.field(name) for name in kept])
    bound = with_item_facts(unbound(schema, "events"), unbound(ITEMS_SCHEMA, "f"))
    query = engine().compile(bound)
    got = engine().run(query, {"events": rows, "f": ITEMS_SCHEMA.empty_table()})
    assert got.column_names == list(kept)


def naive_known(events: list[Event], item: str, moment: datetime, name: str) -> Any:
    told = sorted(
        (e for e in events if e.kind == "item" and e.item_id == item and e.event_time <= moment),
        key=lambda e: (e.event_time, e.sequence, e.event_id),
    )
    if name == "currency":
        return next((e.currency for e in reversed(told) if e.price is not None), None)
    return next((v for e in reversed(told) if (v := getattr(e, name)) is not None), None)


def random_events(seed: int, size: int) -> list[Event]:
    chance = random.Random(seed)

    def maybe(*values: Any) -> Any:
        return chance.choice([None, *values])

    return [
        Event(
            event_id=f"e{n}", kind=chance.choice(["item", "view"]), sequence=chance.randrange(2),
            event_time=START + timedelta(hours=chance.randrange(8)), customer_id="ann",
            item_id=maybe("a", "b"), title=maybe("t", "u"), category=maybe("c", "d"),
            brand=maybe("x", "y"), price=maybe(1, 2), currency=maybe("GBP", "EUR"),
            text=maybe("long"), source="s",
        )
        for n in range(size)
    ]  # fmt: skip


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 60), hour=st.integers(0, 9))
def test_facts_and_fills_are_those_of_plain_python(seed: int, size: int, hour: int) -> None:
    events = random_events(seed, size)
    moment = START + timedelta(hours=hour)
    for row in facts_at(engine(), table(events), moment).to_pylist():
        last = moment - timedelta(microseconds=1)
        for name in ATTRIBUTES[:6]:
            assert row[name] == naive_known(events, row["item_id"], last, name), name
    rows = {row["event_id"]: row for row in filled(events)}
    assert len(rows) == len(events)
    for event in events:
        for name in FILLED:
            wanted = getattr(event, name)
            if event.kind != "item" and event.item_id is not None and wanted is None:
                wanted = naive_known(events, event.item_id, event.event_time, name)
            assert rows[event.event_id][name] == wanted


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), hour=st.integers(0, 9))
def test_a_later_fact_changes_no_earlier_event(seed: int, hour: int) -> None:
    events, moment = random_events(seed, 60), START + timedelta(hours=hour)
    known = [event for event in events if event.event_time < moment]
    everything = {row["event_id"]: row for row in filled(events)}
    assert all(everything[row["event_id"]] == row for row in filled(known))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 40), cut=st.integers(0, 40))
def test_who_is_touched_by_newer_facts(seed: int, size: int, cut: int) -> None:
    chance = random.Random(seed)
    events = [
        replace(
            event,
            customer_id=chance.choice([None, "ann", "bob"]),
            anonymous_id=chance.choice([None, "phone"]),
        )
        for event in random_events(seed, size)
    ]
    old = [event for n, event in enumerate(events) if event.kind != "item" or n < cut]
    then, now = (facts_history(engine(), table(some), attributes=FILLED) for some in (old, events))
    got = visitors_touched(engine(), table(events), then, now).to_pylist()
    was = {row["event_id"]: row for row in filled(old)}
    moved = {
        row["customer_id"] or row["anonymous_id"]
        for row in filled(events)
        if row["kind"] != "item" and row != was[row["event_id"]]
    }
    assert got == sorted(moved - {None})


def test_unchanged_facts_touch_nobody() -> None:
    facts = facts_history(engine(), table([fact(1, 0, brand="x")]), attributes=FILLED)
    assert len(visitors_touched(engine(), table([]), facts, facts)) == 0


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 12))
def test_whether_any_event_takes_anything(seed: int, size: int) -> None:
    events = random_events(seed, size)
    rows = table(events)
    facts = facts_history(engine(), rows, attributes=FILLED)
    told = {event.event_id: event for event in events}
    taken = any(
        row[name] != getattr(told[row["event_id"]], name)
        for row in filled(events)
        for name in FILLED
    )
    assert takes_any(engine(), rows, facts) == taken
    assert tells_items(engine(), rows) == any(event.kind == "item" for event in events)
