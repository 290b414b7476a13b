"""From counts to the story's parts, each against a case worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from shoal.domain.text import Text
from shoal.features.habits import HABITS_SCHEMA
from shoal.report import compose_features, compose_story
from shoal.report.document_story import Cohort, Flow, Funnel, Step
from shoal.segments.wording import Described

SINCE = datetime(2024, 5, 1, tzinfo=UTC)
IDS = ("s01", "s02", "new")


def known(*rows: tuple[str, int, float]) -> tuple[pa.ChunkedArray, np.ndarray, np.ndarray]:
    customers, places, worth = zip(*rows, strict=True)
    return (
        pa.chunked_array([list(customers)]),
        np.array(places, dtype=np.int64),
        np.array(worth, dtype=np.float64),
    )


def test_moves_account_for_every_customer_of_both_dates() -> None:
    then = known(("a", 0, 10.0), ("b", 0, 20.0), ("c", 1, 5.0), ("d", 2, 0.0), ("gone", 0, 1.0))
    now = known(("new1", 2, 0.0), ("d", 0, 7.0), ("c", 1, 6.0), ("b", 1, 8.0), ("a", 0, 9.0))
    found = compose_story.moves(IDS, then, now, SINCE, 28.0)
    assert set(found.flows) == {
        Flow("s01", "s01", 1), Flow("s01", "s02", 1), Flow("s02", "s02", 1), Flow("new", "s01", 1),
        Flow("s01", "", 1), Flow("", "new", 1),
    }  # fmt: skip
    first, second, tier = found.standings
    assert (first.then, first.now) == (3, 2)
    assert (first.stayed, first.joined, first.new, first.left, first.gone) == (1, 1, 0, 1, 1)
    assert (first.worth_then, first.worth_now) == (31.0, 16.0)
    assert (second.then, second.now, second.joined, second.worth_now) == (1, 2, 1, 14.0)
    assert (tier.then, tier.now, tier.left, tier.new) == (1, 1, 1, 1)
    for one in found.standings:
        assert one.now == one.then + one.joined + one.new - one.left - one.gone
        assert one.then == one.stayed + one.left + one.gone
    # Of a, b and c, placed at both dates, b changed; d was placed since.
    assert (found.kept, found.changed, found.placed, found.new, found.gone) == (3, 1, 1, 1, 1)
    assert found.known_now == 5


def test_moves_of_nobody_known_before_are_all_new() -> None:
    nobody = (pa.chunked_array([pa.array([], pa.string())]), np.zeros(0, np.int64), np.zeros(0))
    found = compose_story.moves(IDS, nobody, known(("a", 1, 2.0)), SINCE, 28.0)
    assert found.flows == (Flow("", "s02", 1),)
    assert (found.kept, found.changed, found.new) == (0, 0, 1)


def habits(*rows: tuple[str, int, int | None, int | None, int]) -> pa.Table:
    """Rows of customer, order days, first and last day, worth in the year (micros)."""
    return pa.table(
        {
            "customer_id": [row[0] for row in rows],
            "order_days": [row[1] for row in rows],
            "first_day": [row[2] for row in rows],
            "last_day": [row[3] for row in rows],
            "span_events": [0] * len(rows),
            "span_worth": [0] * len(rows),
            "year_worth": [row[4] for row in rows],
        },
        schema=HABITS_SCHEMA,
    )


def test_who_is_silent_beyond_three_of_their_own_gaps_is_quiet() -> None:
    today = 1000
    rows = habits(
        ("ten", 3, 900, 920, 5_000_000),  # a gap of 10 days, silent for 80: quiet
        ("slow", 3, 800, 940, 7_000_000),  # a gap of 70 days, silent for 60: not
        ("edge", 4, 940, 970, 9_000_000),  # a gap of 10 days, silent for just 30: not
        ("past", 4, 939, 969, 9_000_000),  # a gap of 10 days, silent for 31: quiet
        ("daily", 5, 983, 987, 3_000_000),  # a gap of a day, but silent for 13 only: not
        ("twice", 2, 500, 510, 3_000_000),  # two days make no habit
        ("long", 3, 100, 120, 0),  # quiet, but brought nothing in the year
        ("never", 0, None, None, 0),
    )
    found = compose_story.stake(
        rows, IDS, np.array([0, 0, 0, 1, 1, 2, 0, 2]), today, 900, has_money=True
    )
    assert (found.habitual, found.customers, found.worth, found.worth_all) == (6, 2, 14.0, 36.0)
    assert found.by_segment == (("s02", 1, 9.0), ("s01", 1, 5.0))
    first = found.foremost[0]
    assert (first.customer_id, first.segment_id, first.silent_days) == ("past", "s02", 31)
    assert first.usual_days == pytest.approx(10)
    assert found.window_days == 365
    assert [one.customer_id for one in found.foremost] == ["past", "ten"]


def test_a_stake_without_money_counts_orders() -> None:
    rows = habits(("a", 3, 900, 920, 4))
    found = compose_story.stake(rows, IDS, np.array([1]), 1000, 120, has_money=False)
    assert (found.worth, found.worth_all, found.window_days) == (4.0, 4.0, 120)


def cohort_rows(*rows: tuple[int, int, int]) -> pa.Table:
    return pa.table(
        {name: [row[place] for row in rows] for place, name in enumerate(("first", "period",
         "customers"))}
    )  # fmt: skip


def test_cohorts_fill_quiet_periods_and_know_what_is_not_over() -> None:
    may = 2024 * 12 + 4
    rows = cohort_rows((may, may, 9), (may, may + 2, 3), (may + 2, may + 2, 4))
    found = compose_story.cohorts(rows, "month", date(2024, 5, 1), date(2024, 7, 30), orders=True)
    assert found is not None
    assert found.cohorts == (Cohort(date(2024, 5, 1), (9, 0, 3)), Cohort(date(2024, 7, 1), (4,)))
    assert (found.unfinished, found.begun) == (True, False)
    full = compose_story.cohorts(rows, "month", date(2024, 5, 2), date(2024, 7, 31), orders=True)
    assert full is not None
    assert (full.unfinished, full.begun) == (False, True)


def test_many_cohorts_are_cut_to_the_latest_and_one_period_is_none() -> None:
    rows = cohort_rows(*((month, month, 1) for month in range(2020 * 12, 2020 * 12 + 30)))
    found = compose_story.cohorts(rows, "month", date(2020, 1, 1), date(2022, 6, 30), orders=True)
    assert found is not None
    assert (len(found.cohorts), found.left_out) == (24, 6)
    assert found.cohorts[0].start == date(2020, 7, 1)
    one = cohort_rows((24288, 24288, 5))
    days = (date(2024, 1, 5), date(2024, 1, 5))
    assert compose_story.cohorts(one, "month", *days, orders=True) is None
    assert compose_story.cohorts(one.slice(0, 0), "month", *days, orders=True) is None


@pytest.mark.parametrize("unit", ["week", "month", "quarter"])
def test_every_day_lies_in_the_period_that_it_is_counted_in(
    unit: compose_story.CohortUnit,
) -> None:
    for ordinal in range(date(2023, 12, 1).toordinal(), date(2025, 2, 1).toordinal()):
        day = date.fromordinal(ordinal)
        period = compose_story.period_of(day, unit)
        start = compose_story.period_start(period, unit)
        assert start <= day < compose_story.period_start(period + 1, unit)
        if unit == "week":
            assert start.weekday() == 0


def test_funnels_add_up_and_leave_out_steps_that_nobody_takes() -> None:
    names = ("segment_id", "customers", "days", "bought_days", "view_days", "view_customers",
             "cart_add_days", "cart_add_customers", "value_days", "value_customers")  # fmt: skip
    rows = [("s01", 3, 10, 2, 8, 3, 0, 0, 4, 2), ("s02", 2, 5, 1, 5, 2, 0, 0, 1, 1)]
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
    found = compose_story.funnels(table, ("view", "cart_add", "value"))
    assert found[""] == Funnel("", 5, 15, (Step("view", 13, 5), Step("value", 5, 3)), 3)
    assert found["s02"].step("value") == Step("value", 1, 1)
    assert found["s02"].step("cart_add") is None
    assert compose_story.funnels(table, ("cart_add", "value")) == {}


def profile(name: str, medians: dict[str, float], **others: dict[str, float]) -> dict[str, object]:
    return {"segment_id": name, "medians": medians, **others}


def test_features_are_the_main_ones_and_what_sets_segments_apart() -> None:
    described = {
        name: Described(name, "behaviour", "", Text(name, f"{name}（中）"))
        for name in ("orders", "spend", "odd", "dull")
    }
    profiles = [
        profile("s01", {"orders": 3.0, "odd": 0.0, "dull": 1.0},
                means={"orders": 3.5, "odd": 0.9, "dull": 1.0, "taste": 0.3},
                differences={"orders": 0.4, "odd": 1.9, "dull": 0.1, "taste": 2.0}),
        profile("s02", {"orders": 1.0, "odd": 0.0, "dull": 1.0},
                means={"orders": 1.5, "odd": 0.1, "dull": 1.0, "taste": 0.1},
                differences={"orders": -0.4, "odd": -1.8, "dull": -0.1}),
    ]  # fmt: skip
    found = compose_features.features(profiles, described, "zh")
    # "spend" was not compared, "taste" is not described; "dull" is the second strongest of s02.
    assert [one.feature for one in found] == ["orders", "odd", "dull"]
    orders, odd, _ = found
    assert (orders.label, orders.average, orders.values) == (
        "orders（中）", False, {"s01": 3.0, "s02": 1.0},
    )  # fmt: skip
    assert (odd.average, odd.values) == (True, {"s01": 0.9, "s02": 0.1})
    assert odd.sizes == {"s01": 1.9, "s02": -1.8}
    older = [profile("s01", {"orders": 3.0}), profile("s02", {"orders": 1.0})]
    assert compose_features.features(older, described, "en") == ()
