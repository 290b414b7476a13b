"""Laws of the one step: a naive loop says the same, and so do batch, replay and any split."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.domain.segment import EVENT, SILENCE, TIER_NEW
from shoal.features.matrix import Column
from shoal.features.tastes import COUNTS_SCHEMA, Vocabulary
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.segments.clustered import ClusterSegmenter
from shoal.workflows.advance import Advanced, InForce, advance
from shoal.workflows.known import Known

START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = [Column("orders", "volume", "zero"), Column("recency_days", "time", "largest")]
FEATURES = pa.schema(
    [("customer_id", pa.string()), ("events", pa.int64()), ("orders", pa.int64()),
     ("recency_days", pa.float64())]
)  # fmt: skip
#: The least events of a customer who is placed.
ENOUGH = 3


def known_at(day: int, customers: int, seed: int) -> Known:
    """Customers who come one after the other, order now and then, and fall silent."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        days = np.sort(rng.integers(number % 9, 40, int(rng.integers(1, 14))))
        before = days[days < day]
        if len(before):
            rows.append(
                {
                    "customer_id": f"c{number:03d}",
                    "events": len(before),
                    "orders": int((before % (2 + number % 3) == 0).sum()),
                    "recency_days": float(day - before[-1]),
                }
            )
    features = pa.Table.from_pylist(rows, schema=FEATURES)
    return Known(START + timedelta(days=day), features, COUNTS_SCHEMA.empty_table())


def in_force(margin: float, seed: int) -> InForce:
    table = known_at(30, 80, seed).features
    segmenter = ClusterSegmenter(COLUMNS, 3, minimum_events=ENOUGH, seed=seed).fit(table)
    return InForce("kmeans-0001", segmenter, Vocabulary((), ()), margin)


def walked(segmentation: InForce, days: list[int], customers: int, seed: int) -> list[Advanced]:
    """The step, day after day."""
    recorded, steps, since = MEMBERSHIPS_SCHEMA.empty_table(), [], None
    for day in days:
        known = known_at(day, customers, seed)
        steps.append(advance(known, segmentation, recorded, since=since or START))
        recorded, since = steps[-1].memberships, known.as_of
    return steps


def naive(segmentation: InForce, days: list[int], customers: int, seed: int) -> dict[str, Any]:
    """The rule in words, customer by customer and day by day."""
    ids = segmentation.segmenter.segment_ids
    told: dict[str, Any] = {}
    for place, day in enumerate(days):
        known = known_at(day, customers, seed)
        rows = zip(known.features.to_pylist(),
                   segmentation.segmenter.transform(known.table(segmentation.vocabulary)),
                   strict=True)  # fmt: skip
        for row, weights in rows:
            weight = dict(zip(ids, weights.tolist(), strict=True))
            best = max(ids, key=lambda name: weight[name])  # the first of equals
            who, before = row["customer_id"], told.get(row["customer_id"])
            acts = place == 0 or row["recency_days"] <= day - days[place - 1]
            if before is None:
                told[who] = (best, day, EVENT)
            elif before[0] == TIER_NEW:
                if best != TIER_NEW:
                    told[who] = (best, day, EVENT if acts else SILENCE)
            elif best != TIER_NEW and weight[best] - weight[before[0]] > segmentation.margin:
                told[who] = (best, day, EVENT if acts else SILENCE)
    return told


def placed(step: Advanced) -> dict[str, Any]:
    return {
        row["customer_id"]: (row["segment_id"], (row["since"] - START).days, row["cause"])
        for row in step.memberships.to_pylist()
    }


@given(
    seed=st.integers(0, 200),
    margin=st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    days=st.lists(st.integers(2, 40), min_size=1, max_size=8, unique=True).map(sorted),
)
@settings(max_examples=25, deadline=None)
def test_the_step_says_what_a_naive_loop_says(seed: int, margin: float, days: list[int]) -> None:
    segmentation = in_force(margin, seed)
    assert placed(walked(segmentation, days, 40, seed)[-1]) == naive(segmentation, days, 40, seed)


@given(
    seed=st.integers(0, 200),
    days=st.lists(st.integers(2, 40), min_size=1, max_size=6, unique=True).map(sorted),
)
@settings(max_examples=20, deadline=None)
def test_without_a_margin_the_way_there_does_not_matter(seed: int, days: list[int]) -> None:
    segmentation = in_force(0.0, seed)
    *_, replayed = walked(segmentation, days, 40, seed)
    at_once = advance(known_at(days[-1], 40, seed), segmentation, MEMBERSHIPS_SCHEMA.empty_table())
    assert replayed.memberships["segment_id"].equals(at_once.memberships["segment_id"])
    assert replayed.memberships["weight"].equals(at_once.memberships["weight"])


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_order_company_and_portions_of_customers_change_nothing(margin: float) -> None:
    segmentation, rng = in_force(margin, 5), np.random.default_rng(5)
    before = walked(segmentation, [6, 12], 60, 5)[-1].memberships
    known = known_at(30, 60, 5)
    whole = advance(known, segmentation, before, since=START + timedelta(days=12))
    assert len(set(whole.changed["cause"].to_pylist())) == 2
    order = pa.array(rng.permutation(known.features.num_rows))
    mixed = Known(known.as_of, known.features.take(order), known.counts)
    recorded = before.take(pa.array(rng.permutation(before.num_rows)))
    shuffled = advance(mixed, segmentation, recorded, since=START + timedelta(days=12))
    assert shuffled.memberships.sort_by("customer_id").equals(whole.memberships)
    parts = []
    for start in range(0, known.features.num_rows, 7):
        some = Known(known.as_of, known.features.slice(start, 7), known.counts)
        parts.append(
            advance(some, segmentation, recorded, since=START + timedelta(days=12)).memberships
        )
    assert pa.concat_tables(parts).equals(whole.memberships)


def test_a_step_at_the_same_moment_again_changes_nothing() -> None:
    segmentation = in_force(0.1, 2)
    known = known_at(30, 60, 2)
    first = advance(known, segmentation, MEMBERSHIPS_SCHEMA.empty_table(), since=START)
    assert first.changed.num_rows == known.features.num_rows
    again = advance(known, segmentation, first.memberships, since=known.as_of)
    assert again.changed.num_rows == 0
    assert again.memberships.equals(first.memberships)


def test_more_margin_never_means_more_changes() -> None:
    days = list(range(2, 40, 2))
    changes = []
    for margin in (0.0, 0.1, 0.3, 0.6):
        steps = walked(in_force(margin, 7), days, 60, 7)
        changes.append(sum(step.changed.num_rows for step in steps))
    assert changes == sorted(changes, reverse=True)
    assert changes[0] > changes[-1]


def test_silence_alone_moves_customers_on() -> None:
    segmentation = in_force(0.05, 3)
    last = known_at(40, 60, 3)
    recorded = advance(last, segmentation, MEMBERSHIPS_SCHEMA.empty_table()).memberships
    aged = last.features.set_column(
        last.features.column_names.index("recency_days"), "recency_days",
        pa.array(np.asarray(last.features["recency_days"]) + 60.0),
    )  # fmt: skip
    later = Known(last.as_of + timedelta(days=60), aged, last.counts)
    moved = advance(later, segmentation, recorded, since=last.as_of).changed
    assert moved.num_rows
    assert set(moved["cause"].to_pylist()) == {SILENCE}
    assert set(moved["since"].to_pylist()) == {later.as_of}


def test_an_event_that_came_late_is_no_silence() -> None:
    segmentation = in_force(0.0, 4)
    recorded = walked(segmentation, [10], 60, 4)[-1].memberships
    known = known_at(35, 60, 4)
    late = START + timedelta(days=36)  # nobody has an event since
    silent = advance(known, segmentation, recorded, since=late)
    who = silent.changed.filter(pa.compute.is_in(
        silent.changed["customer_id"], value_set=recorded["customer_id"].combine_chunks()
    ))["customer_id"].to_pylist()  # fmt: skip
    told = advance(known, segmentation, recorded, since=late, arrived=pa.array(who[:1]))
    causes = dict(
        zip(told.changed["customer_id"].to_pylist(), told.changed["cause"].to_pylist(), strict=True)
    )
    assert causes[who[0]] == EVENT
    assert {causes[name] for name in who[1:]} == {SILENCE}
