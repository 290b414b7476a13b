"""Counts of the log a day, source and kind, against counts by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from shoal.adapters.duckdb import DuckEngine
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.rhythm import RHYTHM_SCHEMA, rhythm

DAY = 19_723  # 2024-01-01


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2024, 1, day, hour, tzinfo=UTC)


def table(*rows: dict[str, object]) -> pa.Table:
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type)
        for field in TABLE_SCHEMA
    }
    return pa.table(columns, schema=TABLE_SCHEMA)


def event(day: int, hour: int = 12, **more: object) -> dict[str, object]:
    return {"kind": "view", "source": "web", "event_time": at(day, hour), "utc_offset_s": 0, **more}


EVENTS = table(
    event(1, customer_id="a", item_id="i", category="c"),
    event(1, hour=3, customer_id="a", item_id="i"),
    event(1, anonymous_id="x"),
    event(1, kind="purchase", customer_id="a", item_id="i", price=2_000_000),
    event(1, kind="purchase", customer_id="b", item_id="i", price=8_000_000),
    event(1, kind="item", item_id="i", price=5_000_000),
    event(2, customer_id="a", source="app"),
    event(2, hour=23, customer_id="a", source="app", utc_offset_s=7_200),
    event(3, customer_id="b"),
    event(4, hour=10, customer_id="b"),
)


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    return DuckEngine()


def test_counts_by_hand(engine):
    found = rhythm(engine, EVENTS, at(4))
    assert found.schema == RHYTHM_SCHEMA
    rows = {(row["day"] - DAY, row["source"], row["kind"]): row for row in found.to_pylist()}
    assert list(rows) == [
        (0, "web", "purchase"), (0, "web", "view"), (1, "app", "view"), (2, "app", "view"),
        (2, "web", "view"),
    ]  # fmt: skip
    views = rows[0, "web", "view"]
    assert (views["events"], views["visitors"], views["largest"]) == (3, 2, 2)
    assert (views["with_customer_id"], views["with_item_id"], views["with_category"]) == (2, 2, 1)
    assert (views["with_night"], views["with_price"], views["mean_price"]) == (1, 0, None)
    bought = rows[0, "web", "purchase"]
    assert bought["mean_price"] == pytest.approx(math.log(4))


def test_the_day_that_has_only_begun_is_left_out_and_old_days_too(engine):
    found = rhythm(engine, EVENTS, at(4, 18), days=2)
    assert set(found["day"].to_pylist()) == {DAY + 1, DAY + 2}


def test_days_are_over_by_the_shop_s_own_clock(engine):
    late = table(event(4, hour=2, customer_id="a", utc_offset_s=-5 * 3600))
    assert rhythm(engine, late, at(4, 3)).num_rows == 0
    over = rhythm(engine, late, at(4, 5))
    assert over["day"].to_pylist() == [DAY + 2]
    assert over.schema.metadata == {b"until": str(DAY + 3).encode()}


def test_no_events(engine):
    assert rhythm(engine, EVENTS.slice(0, 0), at(4)).num_rows == 0
