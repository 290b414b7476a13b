"""Habits, cohorts and the funnel against the same counts made naively, in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from shoal.adapters.duckdb import DuckEngine
from shoal.features import cohorts, visits
from shoal.features.habits import HABITS_SCHEMA, habits
from shoal.features.queries import EVENTS_SCHEMA, Rules

START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
NOW = datetime(2024, 6, 1, tzinfo=UTC)
SINCE = datetime(2024, 5, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The shop's zone is two hours east all the time.
OFFSET_S = 7200
KINDS = ("view", "view", "view", "cart_add", "checkout", "purchase", "purchase", "refund", "search")

Row = dict[str, object]


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    return DuckEngine()


def rows(seed: int = 5, count: int = 900) -> list[Row]:
    """Events of guests and customers over half a year, some after NOW and some in noise."""
    chance = random.Random(seed)
    found: list[Row] = []
    for place in range(count):
        kind = chance.choice(KINDS)
        who = chance.randrange(40)
        priced = kind in ("purchase", "refund") and who != 7
        found.append(
            {
                "event_id": f"e{place}",
                "customer_id": f"c{who:02d}" if who else None,
                "kind": kind,
                "event_time": START + timedelta(minutes=chance.randrange(170 * 24 * 60)),
                "price": chance.randrange(1, 90) * 250_000 if priced else None,
                "quantity": chance.randrange(1, 4) if priced else None,
                "discount": 250_000 if priced and kind == "purchase" and who % 5 == 0 else None,
                "order_id": f"o{chance.randrange(60)}" if kind == "purchase" and who % 3 else None,
                "utc_offset_s": OFFSET_S,
                "noise": "test_order" if chance.random() < 0.05 else None,
                "source": "web",
            }
        )
    return found


def table(events: list[Row]) -> pa.Table:
    columns = {
        field.name: pa.array([row.get(field.name) for row in events], field.type)
        for field in EVENTS_SCHEMA
    }
    return pa.table(columns, schema=EVENTS_SCHEMA)


EVENTS = rows()
RULES = Rules(noise=("test_order",))


def own(events: list[Row]) -> list[Row]:
    """Customers' own events before NOW, with their local day and net amount."""
    found = []
    for row in events:
        time = row["event_time"]
        assert isinstance(time, datetime)
        if row["customer_id"] is None or row["noise"] or time >= NOW:
            continue
        local = time + timedelta(seconds=OFFSET_S)
        amount = (row["price"] or 0) * (row["quantity"] or 1)  # type: ignore[operator]
        reduction = row["discount"] or 0
        net = {"purchase": amount - reduction, "refund": -amount}.get(str(row["kind"]), 0)
        key = row["order_id"] or f"@{time}"
        found.append({**row, "day": (local - EPOCH).days, "net": net, "key": key})
    return found


OWN = own(EVENTS)


def by_customer() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in OWN:
        found[str(row["customer_id"])].append(row)
    return found


@pytest.mark.parametrize("money", [True, False])
def test_habits_are_what_a_loop_over_the_events_finds(engine: DuckEngine, money: bool) -> None:
    found = habits(engine, table(EVENTS), RULES, NOW, SINCE, money=money)
    assert found.schema == HABITS_SCHEMA
    year = NOW - timedelta(days=365)
    expected = []
    for customer, events in sorted(by_customer().items()):
        bought = [row for row in events if row["kind"] == "purchase"]
        days = {row["day"] for row in bought}
        # c07 never paid a price that counts: its money is nothing, whatever was refunded.
        known = not bought or any(row["price"] for row in bought)

        def worth(since: datetime, events: list[Row] = events, known: bool = known) -> int:
            late = [row for row in events if row["event_time"] >= since]  # type: ignore[operator]
            if money:
                return sum(row["net"] for row in late) if known else 0  # type: ignore[misc]
            return len({row["key"] for row in late if row["kind"] == "purchase"})

        expected.append(
            {
                "customer_id": customer,
                "order_days": len(days),
                "first_day": min(days, default=None),
                "last_day": max(days, default=None),
                "span_events": sum(row["event_time"] >= SINCE for row in events),  # type: ignore[operator]
                "span_worth": worth(SINCE),
                "year_worth": worth(year),
            }
        )
    assert found.to_pylist() == expected
    assert len(expected) == 39


def test_the_worth_of_a_year_leaves_out_what_is_older(engine: DuckEngine) -> None:
    old = {**EVENTS[0], "kind": "purchase", "customer_id": "c01", "price": 1_000_000,
           "quantity": 1, "discount": None, "order_id": "old", "noise": None}  # fmt: skip
    times = (NOW - timedelta(days=365, microseconds=1), NOW - timedelta(days=365))
    events = [{**old, "event_time": time, "event_id": str(time)} for time in times]
    (row,) = habits(engine, table(events), RULES, NOW, SINCE, money=True).to_pylist()
    assert (row["year_worth"], row["span_worth"]) == (1_000_000, 0)


@pytest.mark.parametrize("unit", ["week", "month", "quarter"])
@pytest.mark.parametrize("orders", [True, False])
def test_cohorts_are_what_sets_of_customers_say(
    engine: DuckEngine, unit: cohorts.Unit, orders: bool
) -> None:
    def period(day: object) -> int:
        assert isinstance(day, int)
        date = (EPOCH + timedelta(days=day)).date()
        if unit == "week":
            return (day + 3) // 7
        month = date.year * 12 + date.month - 1
        return month // 3 if unit == "quarter" else month

    active: dict[str, set[int]] = defaultdict(set)
    for row in OWN:
        if row["kind"] == "purchase" or not orders:
            active[str(row["customer_id"])].add(period(row["day"]))
    expected: dict[tuple[int, int], int] = defaultdict(int)
    for periods in active.values():
        for one in periods:
            expected[min(periods), one] += 1
    found = cohorts.cohorts(engine, table(EVENTS), RULES, NOW, unit, orders=orders)
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (*pair, n) for pair, n in sorted(expected.items())
    ]


def test_a_week_begins_on_monday_of_the_shops_zone(engine: DuckEngine) -> None:
    # Sunday 23:00 UTC is Monday 01:00 in the shop.
    late = datetime(2024, 1, 7, 23, tzinfo=UTC)
    events = [{**EVENTS[0], "kind": "view", "customer_id": "c01", "noise": None,
               "event_time": late - timedelta(hours=hours), "event_id": str(hours)}
              for hours in (0, 12)]  # fmt: skip
    found = cohorts.cohorts(engine, table(events), RULES, NOW, "week", orders=False).to_pylist()
    assert [row["period"] - row["first"] for row in found] == [0, 1]


def test_the_funnel_counts_days_of_customers(engine: DuckEngine) -> None:
    members = pa.table(
        {
            "customer_id": [f"c{who:02d}" for who in range(1, 30)],
            "segment_id": ["s01" if who % 2 else "s02" for who in range(1, 30)],
        }
    )
    segment = dict(zip(*(members[name].to_pylist() for name in members.column_names), strict=True))
    steps = {"view": "view", "cart_add": "cart_add", "checkout": "checkout", "value": "purchase"}
    kinds: dict[tuple[str, object], set[object]] = defaultdict(set)
    for row in OWN:
        kinds[str(row["customer_id"]), row["day"]].add(row["kind"])
    for row in visits.funnel(engine, table(EVENTS), RULES, NOW, members).to_pylist():
        own_days = {
            pair: done for pair, done in kinds.items() if segment.get(pair[0]) == row["segment_id"]
        }
        assert row["days"] == len(own_days)
        assert row["customers"] == len({customer for customer, _ in own_days})
        for step, kind in steps.items():
            reached = [pair for pair, done in own_days.items() if kind in done]
            assert row[f"{step}_days"] == len(reached)
            assert row[f"{step}_customers"] == len({customer for customer, _ in reached})
        both = [done for done in own_days.values() if {"view", "purchase"} <= done]
        assert row["bought_days"] == len(both) > 0
