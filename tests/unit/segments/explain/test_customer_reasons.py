"""Reasons add up to the decision, and a change that is told does what it says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shoal.features.catalog import CATALOG
from shoal.features.matrix import Column
from shoal.segments.clustered import ClusterSegmenter, Preparation
from shoal.segments.explain.change import HOURS, QUANTILES, Lever, levers, smallest_change
from shoal.segments.explain.reasons import changed, reasons
from shoal.segments.rules import Rfm

COLUMNS = [
    Column("orders", "volume", "zero"),
    Column("spend", "volume", "median"),
    Column("night_share", "hours", "median"),
    Column("evening_share", "hours", "median"),
    Column("order_recency_days", "time", "largest"),
    Column("category:books", "tastes:category", "median"),
    Column("category:toys", "tastes:category", "median"),
    Column("e0", "embedding", "median"),
    Column("e1", "embedding", "median"),
]


def customers(n: int = 400, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    night = rng.beta(1 + 4 * (kind == 0), 4)
    books = rng.beta(1 + 6 * (kind == 1), 4)
    return pa.table(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "events": rng.integers(3, 40, n),
            "orders": rng.poisson(1 + 5 * kind),
            "spend": np.exp(rng.normal(kind, 0.5, n)),
            "night_share": night,
            "evening_share": (1 - night) * rng.beta(2, 5, n),
            "order_recency_days": rng.exponential(20, n),
            "category:books": books,
            "category:toys": (1 - books) * rng.beta(2, 2, n),
            "e0": rng.normal(kind, 1.0, n),
            "e1": rng.normal(-kind, 1.0, n),
        }
    )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return customers()


@pytest.fixture(scope="module")
def segmenter(table) -> ClusterSegmenter:
    return ClusterSegmenter(COLUMNS, 4, preparation=Preparation(correlation_limit=1.0)).fit(table)


def two_best(segmenter, row):
    order = np.argsort(-segmenter.transform(row)[0, :-1])
    return int(order[0]), int(order[1])


def test_parts_add_up_to_the_difference_of_the_distances(segmenter, table):
    Z = segmenter.embed(table)
    squares = ((Z[:, None] - segmenter.centers[None]) ** 2).sum(axis=2)
    for number in range(0, 400, 37):
        row = table.slice(number, 1)
        here, there = two_best(segmenter, row)
        why = reasons(segmenter, row, here, there, {})
        assert why.how == "distance"
        assert why.total == pytest.approx(squares[number, there] - squares[number, here])
        assert sum(one.size for one in why.parts) == pytest.approx(why.total)
        assert why.total > 0


def test_the_dimensions_of_an_embedding_are_one_part(segmenter, table):
    why = reasons(segmenter, table.slice(0, 1), *two_best(segmenter, table.slice(0, 1)), {})
    assert [one.feature for one in why.parts].count("embedding") == 1
    assert not {"e0", "e1"} & {one.feature for one in why.parts}


def test_seen_from_the_other_segment_every_part_turns_round(segmenter, table):
    row = table.slice(5, 1)
    here, there = two_best(segmenter, row)
    one = {each.feature: each.size for each in reasons(segmenter, row, here, there, {}).parts}
    other = {each.feature: each.size for each in reasons(segmenter, row, there, here, {}).parts}
    assert one == pytest.approx({name: -size for name, size in other.items()})


def test_rules_are_asked_by_swapping_values():
    table = customers(seed=1)
    rules = Rfm().fit(table)
    weights = rules.transform(table)
    row = table.slice(int(np.flatnonzero(weights[:, 0] == 1)[0]), 1)  # a champion
    there = rules.segment_ids.index("r11")
    why = reasons(rules, row, 0, there, {"orders": 1.0, "order_recency_days": 300.0})
    assert why.how == "swapping"
    assert {one.feature for one in why.parts} == {"orders", "order_recency_days"}
    assert why.parts[0].size > 0


def test_a_change_in_a_row_leaves_the_others_alone(table):
    row = table.slice(3, 1)
    found = changed(row, [{"orders": 9.0}, {"spend": 1.0}])
    assert found["orders"].to_pylist() == [9.0, float(row["orders"][0].as_py())]
    assert found["customer_id"].to_pylist() == row["customer_id"].to_pylist() * 2
    assert found["night_share"].to_pylist() == row["night_share"].to_pylist() * 2


def quantiles_of(table):
    names = [one.name for one in COLUMNS if not one.name.startswith("e")] + ["evening_share"]
    return {name: np.quantile(table[name].to_numpy(), QUANTILES).tolist() for name in names}


def options(row, table):
    tastes = {"category": ["category:books", "category:toys"]}
    return levers(row, list(CATALOG), tastes, quantiles_of(table))


def test_only_what_can_still_be_done_is_tried(table):
    row = table.slice(7, 1)
    value = {name: row[name][0].as_py() for name in row.column_names}
    found = {one.feature: one for one in options(row, table)}
    assert all(one > value["orders"] for one in found["orders"].tries)
    assert all(one < value["order_recency_days"] for one in found["order_recency_days"].tries)
    assert 0.0 in found["order_recency_days"].tries
    assert found["orders"].whole
    assert all(one.is_integer() for one in found["orders"].tries)
    assert "tenure_days" not in found
    assert set(found["night_share"].beside) == set(HOURS) - {"night_share"}
    assert found["category:books"].beside == ("category:toys",)


def test_a_change_that_is_told_moves_the_customer_and_a_smaller_one_does_not(segmenter, table):
    moved = 0
    for number in range(0, 400, 29):
        row = table.slice(number, 1)
        here, _ = two_best(segmenter, row)
        tried = options(row, table)
        found = smallest_change(segmenter, row, here, tried, margin=0.1)
        if found is None:
            continue
        moved += 1
        by_name = {one.feature: one for one in tried}
        assert 1 <= len(found.values) <= 2
        weights = segmenter.transform(changed(row, [full(row, found.values, by_name)]))[0]
        assert weights[found.place] == pytest.approx(found.weight)
        assert weights[found.place] - weights[here] > 0.1
        half = {
            name: by_name[name].value + 0.5 * (new - by_name[name].value)
            for name, new in found.values.items()
        }
        if len(half) == 1 and not any(by_name[name].whole for name in half):
            weights = segmenter.transform(changed(row, [full(row, half, by_name)]))[0]
            assert weights[:-1].max() - weights[here] <= 0.1
    assert moved >= 5


def full(row, change, by_name):
    """The change with the shares that give way, worked out anew."""
    found = dict(change)
    for name, new in change.items():
        for other in by_name[name].beside:
            if other in row.column_names and other not in change:
                old = row[other][0].as_py()
                found[other] = old * (1 - new) / (1 - by_name[name].value)
    return found


def test_where_nothing_moves_a_customer_none_is_told(segmenter, table):
    row = table.slice(0, 1)
    here, _ = two_best(segmenter, row)
    tiny = Lever("spend", row["spend"][0].as_py(), (row["spend"][0].as_py() * 1.0001,), 1.0, False)
    assert smallest_change(segmenter, row, here, [tiny], margin=0.1) is None
    assert smallest_change(segmenter, row, here, [], margin=0.1) is None
