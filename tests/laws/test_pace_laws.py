"""Pace flags: as a person would compute them, whatever the split and order, and point in time."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts import event_rows
from tests.laws.logs import TURNS, ZONES
from tests.shops import engine

from shoal.adapters.memory import MemoryWarehouse
from shoal.adapters.memory_store import MemoryStateStore
from shoal.config import NoiseConfig
from shoal.domain.time import DAY_US, Zone, from_us, to_us
from shoal.events.noise import BROWSING
from shoal.events.schema import BUCKET, UTC_OFFSET
from shoal.features.pace import HOUR_US, Pace
from shoal.workflows import noise

QUICK = NoiseConfig(rate_events=7, run_events=4, think_seconds=1.0)
SECOND = 1_000_000

Flag = tuple[str, int, int, str, int]


def log(seed: int, size: int, zone: str) -> list[dict[str, Any]]:
    """Visitors who browse slowly, in bursts and at single instants, around midnights."""
    chance = random.Random(seed)
    us = {name: to_us(chance.choice(TURNS)) for name in "abc"}
    rows = []
    for number in range(size):
        name = chance.choice("aabc")
        us[name] += chance.choice((0, 0, 1, 300_000, 500_000, SECOND, SECOND, 1_000_001,
                                   20 * SECOND, 400 * SECOND, 4000 * SECOND))  # fmt: skip
        known = name != "c"
        rows.append(
            event_rows.row(
                number,
                customer_id=name if known else None,
                anonymous_id=None if known else name,
                kind=chance.choice(("view", "view", "click", "cart_add", "search", "purchase")),
                event_time=from_us(us[name]),
                utc_offset_s=Zone(zone).offset_s(from_us(us[name])),
            )
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    made = event_rows.events(rows)
    offsets = pa.array([row["utc_offset_s"] for row in rows], pa.int32())
    place = made.schema.get_field_index(UTC_OFFSET)
    made = made.set_column(place, made.schema.field(place), offsets)
    buckets = pa.array([ord(row["customer_id"] or row["anonymous_id"]) % 4 for row in rows])
    place = made.schema.get_field_index(BUCKET)
    return made.set_column(place, made.schema.field(place), buckets.cast(pa.int32()))


def naive(rows: Sequence[dict[str, Any]], pace: Pace) -> set[Flag]:
    """The rules in plain Python, event by event in order of time."""
    flags: dict[tuple[str, str, int], Flag] = {}
    by_visitor = defaultdict(list)
    for row in rows:
        if row["kind"] in BROWSING:
            moment = (to_us(row["event_time"]), row["utc_offset_s"] * SECOND)
            by_visitor[row["customer_id"] or row["anonymous_id"]].append(moment)
    for visitor, moments in by_visitor.items():
        ticks: list[tuple[int, int]] = []
        seconds: list[tuple[int, int]] = []
        before: int | None = None
        for us, offset in sorted(moments):
            if before is None or us - before > pace.think_us:
                ticks = []
            if not ticks or us // pace.tick_us != ticks[-1][0] // pace.tick_us:
                ticks.append((us, offset))
                if len(ticks) >= pace.run_events:
                    _tell(flags, visitor, "no_think_time", ticks[-pace.run_events], us, offset)
            if not seconds or us // HOUR_US != seconds[-1][0] // HOUR_US:
                seconds = []
            if not seconds or us // SECOND != seconds[-1][0] // SECOND:
                seconds.append((us, offset))
                if len(seconds) > pace.rate_events:
                    _tell(flags, visitor, "rate", seconds[-pace.rate_events - 1], us, offset)
            before = us
    return set(flags.values())


def _tell(
    flags: dict[tuple[str, str, int], Flag],
    visitor: str,
    rule: str,
    begun: tuple[int, int],
    us: int,
    offset: int,
) -> None:
    day = (us + offset) // DAY_US
    since = (begun[0] + begun[1]) // DAY_US * DAY_US - begun[1]
    flag = (visitor, since, (day + 1) * DAY_US - offset, rule, us)
    flags.setdefault((visitor, rule, day), flag)


def kept(store: MemoryStateStore) -> set[Flag]:
    rows = store.flags.flags().to_pylist()
    return {tuple(row.values()) for row in rows}


def shop() -> tuple[MemoryWarehouse, MemoryStateStore]:
    return MemoryWarehouse(engine()), MemoryStateStore()


def bring(
    warehouse: MemoryWarehouse, store: MemoryStateStore, unit: str, rows: Sequence[dict[str, Any]]
) -> set[str]:
    """Ingest rows as one unit and let the flags follow; the visitors whose flags changed."""
    before = warehouse.version()
    event_rows.ingest(warehouse, unit, table(rows))
    (added,) = (found.added for found in warehouse.since(before))
    return set(noise.update_flags(warehouse, store, added, warehouse.version(), QUICK).to_pylist())


PACE = Pace(QUICK.rate_events, QUICK.run_events, QUICK.think_seconds)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 120), st.integers(1, 4), st.sampled_from(ZONES))
def test_flags_do_not_depend_on_split_or_order(seed: int, size: int, parts: int, zone: str) -> None:
    rows = log(seed, size, zone)
    expected = naive(rows, PACE)
    chance = random.Random(seed)
    shuffled = [(chance.randrange(parts), row) for row in rows]
    warehouse, store = shop()
    told: set[str] = set()
    for part in range(parts):
        before = kept(store)
        chosen = [row for number, row in shuffled if number == part]
        if chosen:
            changed = bring(warehouse, store, f"unit-{part}", chosen)
            assert changed == {flag[0] for flag in before ^ kept(store)}
            told |= changed
    assert kept(store) == expected
    assert not noise.rebuild(warehouse, store, warehouse.version(), QUICK).to_pylist()
    assert kept(store) == expected
    assert told >= {flag[0] for flag in expected}


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 120), st.sampled_from(ZONES))
def test_flags_told_before_t_are_those_of_the_events_before_t(
    seed: int, size: int, zone: str
) -> None:
    rows = log(seed, size, zone)
    moment = random.Random(seed).choice(rows)["event_time"]
    all_known, before = shop(), shop()
    bring(*all_known, "all", rows)
    past = [row for row in rows if row["event_time"] < moment]
    if past:
        bring(*before, "past", past)
    flags = all_known[1].flags.flags()
    early = flags.filter(pc.less(flags["told_us"], to_us(moment)))
    assert {tuple(row.values()) for row in early.to_pylist()} == kept(before[1])


def test_the_logs_hold_flags_of_both_rules() -> None:
    rules = [flag[3] for seed in range(20) for flag in naive(log(seed, 120, "UTC"), PACE)]
    assert rules.count("rate") > 5
    assert rules.count("no_think_time") > 5


@pytest.mark.parametrize("apart_s", [0, 60, 86_400])
def test_coarse_clocks_are_no_evidence(apart_s: int) -> None:
    """Many events of one instant, of whole minutes, or of days dated to midnight."""
    start = to_us(datetime.fromisoformat("2024-06-01T00:00+00:00"))
    rows = [
        event_rows.row(n, customer_id="a", kind="view", utc_offset_s=0,
                       event_time=from_us(start + n // 50 * apart_s * SECOND))
        for n in range(2_000)
    ]  # fmt: skip
    warehouse, store = shop()
    event_rows.ingest(warehouse, "unit", table(rows))
    noise.rebuild(warehouse, store, warehouse.version(), NoiseConfig())
    assert kept(store) == set()


def test_withdrawn_events_take_their_flags_with_them() -> None:
    warehouse, store = shop()
    start = TURNS[-1]
    rows = [
        event_rows.row(n, customer_id="a", kind="view", utc_offset_s=0,
                       event_time=from_us(to_us(start) + n * SECOND))
        for n in range(10)
    ]  # fmt: skip
    bring(warehouse, store, "unit", rows)
    assert kept(store)
    emptied = MemoryWarehouse(engine())
    event_rows.ingest(emptied, "unit", table(rows[:2]))
    changed = noise.update_flags(
        emptied, store, emptied.events(), emptied.version(), QUICK, rewritten=["a"]
    )
    assert changed.to_pylist() == ["a"]
    assert kept(store) == set()
