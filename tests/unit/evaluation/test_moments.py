"""Moments of a log against cases counted by hand; what a log cannot tell is None."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.evaluation.small_logs import HOUR, MINUTE, MONDAY, log, shoppers, tallied

from shoal.domain.time import DAY_US
from shoal.evaluation.log_tally import contents_of, tally
from shoal.evaluation.moments import (
    FARTHEST,
    MOMENTS,
    distance,
    distances,
    gini,
    moments,
    top_share,
    total_distance,
    why_untold,
)


def test_a_small_shop_has_the_moments_counted_by_hand() -> None:
    looking = [
        {"customer": f"v{n}", "session": "x", "local_us": MONDAY + 8 * DAY_US + 20 * HOUR + n}
        for n in range(20)
    ]
    told = moments(tallied(*shoppers(60, orders=3, gap_days=2.0), *looking))
    # 60 buyers of 3 visits with 4 events each, 20 visitors of one event.
    assert told["one_visit_customers"] == pytest.approx(20 / 80)
    assert told["few_event_customers"] == pytest.approx(20 / 80)
    assert told["visits_per_customer"] == pytest.approx(200 / 80)
    assert told["events_per_visit"] == pytest.approx(740 / 200)
    assert told["views_per_visit"] == pytest.approx(380 / 200)
    assert told["conversion_per_visit"] == pytest.approx(180 / 200)
    assert told["conversion_per_customer"] == pytest.approx(60 / 80)
    assert told["repeat_rate"] == 1.0
    assert told["orders_per_buyer"] == 3.0
    assert told["order_gap_p50"] == pytest.approx(2.0)
    assert told["visit_gap_p25"] == pytest.approx(2.0)
    assert told["lines_per_order"] == 2.0
    assert told["units_per_order"] == 3.0
    assert told["order_value_p50"] == 40.0
    assert told["order_value_spread"] == 1.0
    assert told["kinds"] == pytest.approx((380 / 740, 360 / 740))
    hours = np.asarray(told["hour"])
    assert hours[10] == pytest.approx(0.9) and hours[20] == pytest.approx(0.1)


def test_weekdays_are_visits_a_day_that_the_log_covers() -> None:
    # Three weeks and a Monday: four Mondays with one visit each, three Tuesdays with two.
    rows = [{"customer": "a", "local_us": MONDAY + 7 * week * DAY_US + 12 * HOUR}
            for week in range(4)]  # fmt: skip
    rows += [
        {"customer": f"b{n}", "local_us": MONDAY + (7 * week + 1) * DAY_US + 12 * HOUR + n * HOUR}
        for week in range(3)
        for n in range(2)
    ]
    rows += [{"customer": f"c{n}", "local_us": MONDAY + 4 * DAY_US + n * MINUTE} for n in range(12)]
    shape = np.asarray(moments(tallied(*rows))["weekday"])
    # The log begins and ends at a Monday's noon: 3 whole Mondays of exposure in 4.
    assert shape[0] / shape[1] == pytest.approx((4 / 3) / (6 / 3))
    assert shape[4] / shape[1] == pytest.approx((12 / 3) / (6 / 3))
    assert shape[2] == 0
    assert shape.sum() == pytest.approx(1)


def test_a_visit_ends_after_half_an_hour_of_silence_where_there_are_no_sessions() -> None:
    minutes = (0, 30, 61, 80, 200)
    counted = tallied(*({"customer": "a", "local_us": MONDAY + m * MINUTE} for m in minutes))
    assert not counted.contents.sessions
    assert counted.visits["events"].tolist() == [2, 2, 1]


def test_sessions_of_the_log_count_even_where_they_are_silent_for_long() -> None:
    rows = [
        {"customer": who, "session": name, "local_us": MONDAY + hour * HOUR}
        for who, name, hour in (("a", "s", 0), ("a", "s", 5), ("a", "t", 6), ("b", "s", 1))
    ]
    outside = {"customer": "b", "session": None, "local_us": MONDAY + 9 * HOUR}
    counted = tallied(*rows, outside)
    assert counted.visits["events"].tolist() == [2, 1, 1]
    assert counted.visits["customer"].tolist() == [0, 0, 1]
    assert counted.events.tolist() == [3, 2]


def test_orders_without_ids_are_what_was_bought_in_one_visit() -> None:
    rows = [
        {"customer": "a", "kind": "purchase", "local_us": MONDAY + m * MINUTE, "quantity": 2}
        for m in (0, 10, 300)
    ]
    counted = tallied(*rows)
    assert counted.orders["lines"].tolist() == [2, 1]
    assert counted.orders["units"].tolist() == [4, 2]


def test_without_items_a_row_is_a_whole_order() -> None:
    rows = [
        {"customer": "a", "kind": "purchase", "local_us": MONDAY, "quantity": n, "paid": 2.0 * n,
         "order": "o1"}
        for n in (1, 2)
    ]  # fmt: skip
    rows.append({"customer": "a", "kind": "purchase", "local_us": MONDAY + 9 * HOUR, "paid": 1.0})
    merged = tallied(*rows, items=False)
    assert merged.events.tolist() == [2]
    assert merged.orders["paid"].tolist() == [6.0, 1.0]
    assert merged.orders["units"].tolist() == [3.0, 1.0]
    assert tallied(*rows, items=True).events.tolist() == [3]


def test_what_a_log_cannot_tell_is_none_with_a_reason() -> None:
    rows = [
        {"customer": f"c{n % 60}", "kind": "purchase", "local_us": MONDAY + n * DAY_US}
        for n in range(180)
    ]
    counted = tallied(*rows)
    told = moments(counted)
    untold = {name for name, value in told.items() if value is None}
    assert {"hour", "views_per_visit", "conversion_per_visit", "kinds", "order_value_p50",
            "units_per_order", "item_gini", "category_gini", "lines_per_order",
            "refunds_per_line"} <= untold  # fmt: skip
    assert told["orders_per_buyer"] == 3.0 and told["order_gap_p50"] == 60.0
    reasons = {name: why_untold(name, counted.contents) for name in untold}
    assert reasons["hour"] == "dates without hours"
    assert reasons["conversion_per_visit"] == "no views"
    assert reasons["item_gini"] == "no items"
    assert reasons["order_value_p50"] == "no prices"
    assert set(told) == {moment.name for moment in MOMENTS}


def test_a_log_of_nobody_tells_nothing() -> None:
    empty = log()
    assert set(moments(tally(empty, contents_of(empty))).values()) == {None}
    guests = tallied({"kind": "purchase", "local_us": MONDAY})
    assert set(moments(guests).values()) == {None}


def test_what_the_real_log_lacks_is_left_out_of_the_other() -> None:
    bought = {"customer": "a", "kind": "purchase", "local_us": MONDAY + 1, "item": "i"}
    real = contents_of(log(bought))
    other = log(*shoppers(25, orders=2))
    counted = tally(other, real)
    assert counted.contents.kinds == ("purchase",)
    assert counted.events.sum() == 25 * 2 * 2
    assert moments(counted)["views_per_visit"] is None


def test_times_are_cut_to_days_where_the_real_log_has_dates_only() -> None:
    rows = [{"customer": "a", "local_us": MONDAY + hour * HOUR, "item": "i"} for hour in (1, 9, 30)]
    counted = tallied(*rows, hours=False)
    assert counted.visits["start_us"].tolist() == [MONDAY, MONDAY + DAY_US]
    assert len(tallied(*rows).visits["start_us"]) == 3


def test_the_order_of_rows_changes_nothing() -> None:
    rows = shoppers(25, orders=3)
    table = log(*rows)
    mixed = table.take(pa.array(np.random.default_rng(3).permutation(len(rows))))
    contents = contents_of(table)
    assert moments(tally(table, contents)) == moments(tally(mixed, contents))


def test_late_returns_are_of_customers_of_the_first_half() -> None:
    rows = []
    for n in range(20):  # all seen on the first day, five again in the last quarter of 20 days
        rows.append({"customer": f"a{n}", "local_us": MONDAY + n})
        if n < 5:
            rows.append({"customer": f"a{n}", "local_us": MONDAY + 17 * DAY_US})
    rows.append({"customer": "z", "local_us": MONDAY + 20 * DAY_US})
    told = moments(tallied(*rows))
    assert told["returned_late"] == pytest.approx(5 / 20)
    arrivals = np.asarray(told["arrivals"])
    assert arrivals[0] == pytest.approx(20 / 21) and arrivals[-1] == pytest.approx(1 / 21)


def test_the_gini_index_equals_half_the_relative_mean_difference() -> None:
    counts = np.random.default_rng(1).integers(0, 50, 200)
    differences = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()))
    assert gini([0, 0]) is None
    assert top_share([5, 3, 1, 1], 0.5) == 0.8
    assert top_share([], 0.1) is None


def test_distances_follow_their_measures() -> None:
    assert distance("orders_per_buyer", 4.0, 1.0) == pytest.approx(math.log(4))
    assert distance("orders_per_buyer", 4.0, 0.0) == FARTHEST
    assert distance("orders_per_buyer", 1e6, 1.0) == FARTHEST
    assert distance("repeat_rate", 0.2, 0.5) == pytest.approx(0.3)
    assert distance("arrivals", (0.5, 0.5, 0.0), (0.2, 0.4, 0.4)) == pytest.approx(0.4)
    assert distance("repeat_rate", 0.2, None) == FARTHEST
    assert distance("repeat_rate", None, 0.2) is None


def test_the_total_is_the_mean_over_what_the_real_log_tells() -> None:
    real = {"repeat_rate": 0.5, "orders_per_buyer": 2.0, "hour": None}
    found = distances(real, {"repeat_rate": 0.4, "orders_per_buyer": 4.0, "hour": (1.0,)})
    assert set(found) == {"repeat_rate", "orders_per_buyer"}
    assert total_distance(found) == pytest.approx((0.1 + math.log(2)) / 2)
    assert math.isnan(total_distance({}))
    told = moments(tallied(*shoppers(30, orders=2)))
    assert total_distance(distances(told, told)) == 0.0
