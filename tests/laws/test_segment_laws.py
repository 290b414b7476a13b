"""Laws of segments: weights sum to one, order and seed, and SQL that gives the same customers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import InputError
from shoal.domain.time import Zone
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.features.matrix import Column
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.rules import NAMES, Rfm
from shoal.segments.rules_sql import segment_sql

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=90)

ODD_IDS = ["a", "O'Brien", 'say "hi"', "; DROP TABLE events; --", "客户", "%s {x}", " pad ", "\\n"]
COLUMNS = [
    Column("orders", "volume", "zero"),
    Column("spend", "volume", "median"),
    Column("night_share", "hours", "median"),
    Column("recency_days", "time", "largest"),
]


def customers(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    return pa.table(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "events": rng.integers(0, 12, n),
            "orders": rng.poisson(1 + 4 * kind),
            "spend": np.where(rng.random(n) < 0.1, np.nan, np.exp(rng.normal(kind, 1, n))),
            "night_share": rng.beta(1 + 5 * kind, 4),
            "recency_days": rng.exponential(20, n),
        }
    )


@given(n=st.integers(20, 120), k=st.integers(2, 6), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_weights_sum_to_one_for_known_and_unknown_customers(n, k, seed):
    model = ClusterSegmenter(COLUMNS, k, seed=seed).fit(customers(120, seed))
    table = customers(n, seed + 1)
    weights = model.transform(table)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    assert (weights >= 0).all()
    few = np.asarray(table["events"]) < 3
    assert (weights[few, -1] == 1).all()
    assert (weights[~few, -1] == 0).all()


@given(k=st.integers(2, 6), seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_permuted_customers_get_the_same_segments(k, seed):
    table = customers(150, seed)
    order = np.random.default_rng(seed).permutation(150)
    moved = table.take(pa.array(order))
    one = ClusterSegmenter(COLUMNS, k, seed=seed).fit(table)
    other = ClusterSegmenter(COLUMNS, k, seed=seed).fit(moved)
    np.testing.assert_array_equal(one.predict(table)[order], other.predict(moved))


@given(k=st.integers(2, 6), seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_the_same_seed_gives_the_same_bits_and_survives_its_artefact(k, seed):
    table = customers(100, seed)
    one = ClusterSegmenter(COLUMNS, k, seed=seed).fit(table)
    other = ClusterSegmenter(COLUMNS, k, seed=seed).fit(table)
    again = ClusterSegmenter.from_artefact(*one.to_artefact())
    np.testing.assert_array_equal(one.transform(table), other.transform(table))
    np.testing.assert_array_equal(one.transform(table), again.transform(table))


def test_a_customer_does_not_depend_on_who_else_is_asked_about():
    table = customers(100, 0)
    model = ClusterSegmenter(COLUMNS, 4).fit(table)
    alone = np.vstack([model.transform(table.slice(i, 1)) for i in range(20)])
    np.testing.assert_allclose(alone, model.transform(table)[:20], atol=1e-12)


def event_rows():
    return st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from([*ODD_IDS, None]),
            "kind": st.sampled_from(["view", "purchase", "purchase", "purchase", "refund", "item"]),
            "minutes": st.integers(0, 60 * 24 * 100),
            "order_id": st.sampled_from([None, "o1", "o2", "it's"]),
            "price": st.sampled_from([None, 0, 1, 19_990_000, 5_000_000, -3_000_000]),
            "quantity": st.sampled_from([None, 1, 2, 7]),
            "discount": st.sampled_from([None, 0, 1_500_000]),
            "currency": st.sampled_from([None, "EUR", "EUR", "USD"]),
        }
    )


def events_of(rows: list[dict]) -> pa.Table:
    full = [
        {
            **{key: value for key, value in row.items() if key != "minutes"},
            "event_id": str(place),
            "event_time": START + timedelta(minutes=row["minutes"]),
            "source": "law" if place % 3 else "till",
            "sequence": place,
            "utc_offset_s": 0,
        }
        for place, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, schema=TABLE_SCHEMA)


@lru_cache
def fold(currency: str | None, order_sources: tuple[str, ...] = ()) -> Fold:
    return Fold(CATALOG, DuckEngine(), currency=currency, order_sources=order_sources)


@given(
    rows=st.lists(event_rows(), min_size=25, max_size=80),
    currency=st.sampled_from([None, "EUR"]),
    order_sources=st.sampled_from([(), ("law",)]),
)
@settings(max_examples=15)
def test_rfm_sql_gives_exactly_the_customers_of_the_rules(rows, currency, order_sources):
    events, folding = events_of(rows), fold(currency, order_sources)
    features = folding.features(events, NOW, Zone("UTC"))
    try:
        model = Rfm().fit(features)
    except InputError as error:
        assert error.code == "too_little_data"
        return
    places = model.predict(features)
    found = 0
    for place, segment_id in enumerate(NAMES):
        members = features["customer_id"].filter(pa.array(places == place)).to_pylist()
        sql = segment_sql(segment_id, model.thresholds, NOW, folding.rules)
        selected = folding.engine.run(sql, {"events": events})["customer_id"].to_pylist()
        assert selected == sorted(members, key=lambda text: text.encode()), segment_id
        found += len(selected)
    assert found == features.num_rows


def test_the_value_event_and_currency_cannot_break_out_of_the_sql():
    from shoal.features.queries import Rules

    thresholds = Rfm.from_artefact(
        {"recency_us": [1, 2, 3, 4], "orders": [1, 1, 2, 3], "revenue_micros": None}, {}
    ).thresholds
    sql = segment_sql("r01", thresholds, NOW, Rules(value_event="o'clock", currency="E'R"))
    assert "kind = 'o''clock'" in sql
    assert "currency = 'E''R'" in sql


def test_an_untested_dialect_is_refused():
    from shoal.domain.errors import UsageError
    from shoal.features.queries import Rules

    with pytest.raises(UsageError, match="no SQL in the dialect 'oracle'"):
        segment_sql("r00", None, NOW, Rules(), "oracle")
