"""The log of a shop's events: what counts, in local time, wholly or of some customers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.unit.features.test_activity import EVENTS, at, table

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.time import to_us
from shoal.features.behaviour_log import behaviour_log, currencies_of
from shoal.features.queries import Rules


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    return DuckEngine()


def test_rows_are_customers_events_with_what_was_paid(engine: DuckEngine) -> None:
    found = behaviour_log(engine, EVENTS, Rules(currency="GBP"))
    assert (found.customers, found.events, found.read) == (3, 6, 3)
    rows = found.log.sort_by([("local_us", "ascending"), ("paid", "ascending")]).to_pylist()
    assert [row["customer"] for row in rows] == ["a", "a", "a", "b", "a", "c"]
    assert [row["paid"] for row in rows] == [None, 0.75, 10.0, 3.0, 1.0, None]
    assert rows[1]["order"] == "1"
    refund, late = rows[4], rows[5]
    assert refund["local_us"] == to_us(at(10, 0, 30))
    assert late["local_us"] - to_us(at(31, 23)) == 7200 * 1_000_000


def test_amounts_of_another_currency_are_not_told(engine: DuckEngine) -> None:
    log = behaviour_log(engine, EVENTS, Rules(currency="EUR")).log
    assert log["paid"].null_count == len(log)


def test_a_log_that_is_too_large_is_read_of_some_customers_wholly(engine: DuckEngine) -> None:
    many = table(
        *({"customer_id": f"c{n % 50:02d}", "kind": "view", "event_time": at(1 + n % 9),
           "sequence": n} for n in range(500))
    )  # fmt: skip
    few = behaviour_log(engine, many, Rules(), most_customers=12)
    assert (few.customers, few.events, few.read) == (50, 500, 12)
    counts = pc.value_counts(few.log["customer"]).field("counts").to_pylist()
    assert counts == [10] * 12
    assert behaviour_log(engine, many, Rules(), most_events=95).read == 9
    again = behaviour_log(engine, many, Rules(), most_customers=12)
    names = [set(one.log["customer"].unique().to_pylist()) for one in (few, again)]
    assert names[0] == names[1]


def test_currencies_are_those_of_purchases_the_most_frequent_first(engine: DuckEngine) -> None:
    sold = [
        {"customer_id": "a", "kind": "purchase", "event_time": at(1), "price": 1, "currency": code}
        for code in ("SEK", "EUR", "EUR", None)
    ]
    seen = {"customer_id": "a", "kind": "view", "event_time": at(1), "price": 1, "currency": "USD"}
    assert currencies_of(engine, table(*sold, seen), Rules()) == ["EUR", "", "SEK"]
    none = pa.table(table(seen).slice(0, 0))
    assert currencies_of(engine, none, Rules()) == []
