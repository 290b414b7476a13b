"""Features and trees as SQL over a table of canonical events say what the fold and the tree say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from tests.laws.logs import AS_OFS, random_log, to_table

from shoal.adapters.duckdb import DuckEngine
from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, to_us
from shoal.features.catalog import CATALOG
from shoal.features.fold import Fold
from shoal.features.portable import (
    COLUMNS,
    DIALECTS,
    Moment,
    Portable,
    column_names,
    portable,
    statement,
)
from shoal.features.tastes import Vocabulary, counts_at
from shoal.segments.explain.growing import grow
from shoal.segments.explain.readable import columns_of, readable
from shoal.segments.explain.tree_sql import tree_sql

IDS = ("s01", "s02", "s03", "new")


@lru_cache
def fold(order_sources: tuple[str, ...] = ()) -> Fold:
    return Fold(CATALOG, DuckEngine(threads=1), currency="GBP", order_sources=order_sources)


@lru_cache
def log(zone: str) -> pa.Table:
    return to_table(random_log(seed=11, size=500), zone)


def vocabulary(table: pa.Table, as_of: datetime) -> Vocabulary:
    return Vocabulary.of(counts_at(fold(), table, as_of))


def canonical(table: pa.Table) -> pa.Table:
    """What a user's own table has."""
    return table.select([name for name in COLUMNS if name in table.column_names])


def moment(table: pa.Table, as_of: datetime, zone: str) -> Moment:
    return Moment(as_of, Zone(zone), min(table["event_time"].to_pylist()))


@pytest.mark.parametrize(
    ("zone", "as_of", "order_sources"),
    [
        ("Europe/London", AS_OFS[0], ()),
        ("America/New_York", AS_OFS[2], ("test",)),
        ("Asia/Kolkata", AS_OFS[4], ("till",)),
    ],
)
def test_every_portable_feature_is_the_folds_to_the_last_bit(zone, as_of, order_sources):
    table, folding = log(zone), fold(order_sources)
    forms = portable(CATALOG.features, CATALOG.summaries, Vocabulary((), ()))
    tree = statement(forms, folding.rules, moment(table, as_of, zone))
    sql = tree.order_by("customer_id").sql("duckdb")
    got = folding.engine.run(sql, {"events": canonical(table)})
    expected = folding.features(table, as_of, Zone(zone))
    assert got["customer_id"].to_pylist() == expected["customer_id"].to_pylist()
    assert got.num_rows > 3
    for name in forms.names:
        assert got[name].to_pylist() == expected[name].to_pylist(), name


def test_shares_of_tastes_are_what_is_counted():
    table, as_of = log("UTC"), AS_OFS[0]
    words = vocabulary(table, as_of)
    forms = portable((), (), words)
    sql = statement(forms, fold().rules, moment(table, as_of, "UTC")).order_by("customer_id")
    got = fold().engine.run(sql.sql("duckdb"), {"events": canonical(table)})
    counts = counts_at(fold(), table, as_of)
    expected = words.observed(got["customer_id"], counts)
    assert len(words.columns) > 5
    for place, name in enumerate(words.columns):
        values = got[column_names(words.columns)[name]].to_numpy()
        np.testing.assert_array_equal(values, expected[:, place], err_msg=name)


def test_what_cannot_be_said_in_sql_is_told_with_a_reason():
    forms = portable(CATALOG.features, CATALOG.summaries, Vocabulary((), ()))
    assert set(forms.left_out) | set(forms.names) == set(CATALOG.names)
    assert forms.left_out["price_level"].en == "needs the shop's table of items"
    assert forms.left_out["order_gap_cv"].en == "needs decimals of 38 digits"
    assert forms.left_out["country"].en == "holds a text"
    assert "spend" in forms


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_can_read_its_own_form_of_every_feature(dialect):
    words = vocabulary(log("UTC"), AS_OFS[0])
    forms = portable(CATALOG.features, CATALOG.summaries, words)
    sql = statement(forms, fold().rules, moment(log("UTC"), AS_OFS[0], "Europe/London"), dialect)
    text = sql.sql(dialect, pretty=True)
    read = sqlglot.parse_one(text, read=dialect)
    wanted = {"customer_id", *column_names(forms.names).values()}
    (features,) = (one for one in read.ctes if one.alias == "features")
    assert set(features.this.named_selects) == wanted
    assert ("epoch_us" in text.lower()) is (dialect == "duckdb")


def test_an_unknown_dialect_is_refused():
    forms = portable(CATALOG.features, CATALOG.summaries, Vocabulary((), ()))
    with pytest.raises(UsageError, match="no SQL dialect 'oracle'"):
        statement(forms, fold().rules, moment(log("UTC"), AS_OFS[0], "UTC"), "oracle")


def test_clock_changes_are_written_down_to_the_second():
    start = datetime(2024, 1, 1, tzinfo=UTC)
    found = Moment(datetime(2024, 12, 1, tzinfo=UTC), Zone("Europe/London"), start).offsets()
    assert found[:2] == [
        (to_us(datetime(2024, 3, 31, 1, tzinfo=UTC)), 0),
        (to_us(datetime(2024, 10, 27, 1, tzinfo=UTC)), 3600),
    ]
    assert found[-1][1] == 0


# --- Trees ----------------------------------------------------------------------------------------


@lru_cache
def crowd() -> pa.Table:
    """Many customers of three kinds, with values that are undefined for some."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(150):
        kind = number % 3
        for place in range(int(rng.integers(1, 12))):
            at = datetime(2024, 9, 1, tzinfo=UTC) + timedelta(
                days=float(rng.integers(60)), hours=(2, 10, 20)[kind], microseconds=number
            )
            bought = rng.random() < (0.2, 0.5, 0.8)[kind]
            rows.append(
                {
                    "event_id": f"{number}-{place}", "customer_id": f"c{number:03d}",
                    "kind": "purchase" if bought else "view", "event_time": at, "sequence": place,
                    "category": ("books", "garden/tools", None)[kind],
                    "item_id": f"i{rng.integers(9)}", "order_id": f"o{number}-{place // 2}",
                    "price": int(rng.integers(1, 90)) * 1_000_000, "quantity": 1,
                    "currency": "GBP", "source": "test", "utc_offset_s": 0,
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=log("UTC").schema)


@pytest.mark.parametrize(
    "as_of", [datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 9, 20, 5, 30, tzinfo=UTC)]
)
def test_a_trees_sql_puts_every_customer_where_the_tree_does(as_of):
    table, now = crowd(), datetime(2024, 11, 1, tzinfo=UTC)
    words = vocabulary(table, now)
    features, counts = fold().features(table, now, Zone("UTC")), counts_at(fold(), table, now)
    asked = readable(features, counts, CATALOG, words)
    kinds = np.array([int(name[1:]) % 3 for name in features["customer_id"].to_pylist()])
    plain = asked.only(asked.expressible)
    # labels that no one column tells, so that the tree asks several
    noise = np.random.default_rng(0).integers(0, 3, len(kinds))
    tree = grow(plain.values, plain.names, np.where(noise == 0, noise, kinds), leaves=8)
    assert len(tree.features) >= 3

    then = fold().features(table, as_of, Zone("UTC"))
    columns = columns_of(then, counts_at(fold(), table, as_of), CATALOG, words)
    expected = np.array(IDS)[tree.predict(columns)]
    expected[then["events"].to_numpy() < 3] = "new"
    forms = portable(CATALOG.features, CATALOG.summaries, words)
    told = {"rules": fold().rules, "moment": moment(table, as_of, "UTC"), "minimum_events": 3}
    got = fold().engine.run(tree_sql(tree, IDS, forms, **told), {"events": canonical(table)})
    assert got["customer_id"].to_pylist() == then["customer_id"].to_pylist()
    assert got["segment_id"].to_pylist() == expected.tolist()
    assert len(set(expected)) >= 3
    for name in IDS:
        sql = tree_sql(tree, IDS, forms, segment_id=name, **told)
        members = fold().engine.run(sql, {"events": canonical(table)})["customer_id"].to_pylist()
        assert members == then["customer_id"].filter(pa.array(expected == name)).to_pylist(), name


def test_only_the_columns_of_a_trees_features_are_worked_out():
    forms = portable(CATALOG.features, CATALOG.summaries, Vocabulary((), ()))
    assert isinstance(forms.only({"orders"}), Portable)
    sql = statement(forms.only({"orders"}), fold().rules, moment(log("UTC"), AS_OFS[0], "UTC"))
    text = sql.sql("duckdb")
    assert "price" not in text
    assert "session" not in text
