"""From counts and stored documents to a report's document."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from shoal.domain.text import Text
from shoal.report import compose, compose_reasons
from shoal.report.document import Effect
from shoal.segments.wording import Described

DESCRIBED = {"orders": Described("orders", "behaviour", "orders", Text("Orders", "订单"))}


def week_rows(*rows: tuple[str, int, int, int, int]) -> pa.Table:
    names = ("segment_id", "weekday", "hour", "n", "midnight")
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


def test_weeks_are_shares_of_each_segment_and_of_all() -> None:
    found = compose.weeks(week_rows(("s01", 0, 9, 3, 0), ("s01", 6, 10, 1, 0), ("s02", 0, 9, 4, 0)))
    assert found["s01"].hours[9] == pytest.approx(0.75)
    assert found["s01"].weekdays[6] == pytest.approx(0.25)
    assert found[""].hours[9] == pytest.approx(7 / 8)
    assert sum(found[""].weekdays) == pytest.approx(1)


def test_dates_without_a_time_give_weekdays_and_no_hours() -> None:
    found = compose.weeks(week_rows(("s01", 2, 0, 10, 10)))
    assert found["s01"].hours == ()
    assert found["s01"].weekdays[2] == 1
    assert compose.weeks(week_rows()) == {}


def test_periods_are_whole_end_on_the_last_day_and_show_quiet_ones() -> None:
    rows = pa.table(
        {
            "segment_id": ["s01", "s01", "s02"], "period": [-3, 0, 0], "customers": [2, 1, 4],
            "orders": [1, 1, 0], "net": [5_000_000, 1_500_000, -500_000],
        }
    )  # fmt: skip
    # 50 days are drawn by weeks: seven whole ones; the odd first day stands in none.
    found = compose.periods(rows, 0, 49, has_money=True)
    assert len(found) == 7
    assert found[0].start == date(1970, 1, 2)
    assert (found[-1].start, found[-1].customers, found[-1].revenue) == (date(1970, 2, 13), 5, 1.0)
    assert (found[3].customers, found[4].customers) == (2, 0)
    by_segment = compose.trends(rows, 0, 49, has_money=True)
    assert [one.start for one in by_segment["s02"]] == [one.start for one in found]
    assert [one.customers for one in by_segment["s01"]] == [0, 0, 0, 2, 0, 0, 1]
    assert by_segment["s02"][-1].revenue == -0.5
    assert compose.periods(rows, 0, 49, has_money=False)[-1].revenue is None


@pytest.mark.parametrize(
    ("medians", "means", "shown", "average"),
    [
        ((7.0, 2.0), (8.0, 3.0), (7.0, 2.0), False),
        ((0.0, 0.0), (0.4, 0.1), (0.4, 0.1), True),
        ((1.0, 2.0), (4.0, 3.0), (4.0, 3.0), True),
    ],
)
def test_effects_show_medians_unless_these_hide_the_difference(
    medians: tuple[float, float],
    means: tuple[float, float],
    shown: tuple[float, float],
    average: bool,
) -> None:
    stored = {
        "feature": "orders", "unit": "orders", "effect": 0.9,
        "median": medians[0], "rest_median": medians[1], "mean": means[0], "rest_mean": means[1],
    }  # fmt: skip
    profile = {
        "segment_id": "s01", "name": {"en": "A", "zh": "甲"}, "size": 3, "orders": 4,
        "revenue": None, "effects": [stored], "exemplars": [], "rule": None,
        "texts": {"top_category": [{"value": "toys", "share": 0.5, "rest_share": 0.1}]},
    }  # fmt: skip
    (found,) = compose.segments({"segments": [profile]}, "zh", DESCRIBED, {}, has_money=False)
    assert found.name == "甲"
    assert found.revenue is None
    assert found.categories[0].inside == 0.5
    assert found.effects == (
        Effect("orders", "订单", "orders", 0.9, shown[0], shown[1], average=average),
    )


def test_times_and_categories_follow_the_strongest_differences_with_their_intervals() -> None:
    def stored(feature: str, size: float) -> dict[str, object]:
        return {"feature": feature, "unit": "share", "effect": size, "low": size - 0.1,
                "high": size + 0.1, "median": 2.0, "rest_median": 1.0, "mean": 2.0,
                "rest_mean": 1.0}  # fmt: skip

    profile = {
        "segment_id": "s01", "name": {"en": "A", "zh": "甲"}, "size": 3, "orders": 4,
        "revenue": None, "exemplars": [], "effects": [stored("orders", 0.9), stored("night", 0.8)],
        "time_effects": [stored("night", 0.8), stored("weekend", 0.4)],
        "category_effects": [stored("category:toys", 0.3)],
    }  # fmt: skip
    (found,) = compose.segments({"segments": [profile]}, "en", DESCRIBED, {}, has_money=False)
    assert [one.feature for one in found.effects] == [
        "orders", "night", "weekend", "category:toys",
    ]  # fmt: skip
    assert (found.effects[2].low, found.effects[2].high) == (pytest.approx(0.3), pytest.approx(0.5))


def test_the_grid_says_each_segments_cells_once() -> None:
    profile = {"size": 1, "orders": 1, "revenue": 2.0, "effects": [], "exemplars": []}
    stored = {
        "segments": [
            {**profile, "segment_id": "r01", "name": {"en": "Best", "zh": "最佳"}},
            {**profile, "segment_id": "r00", "name": {"en": "None", "zh": "无"},
             "rule": {"en": "No order.", "zh": "没有下单。"}},
        ],
        "grid": {
            "recency_thresholds": [1.0, 2.0, 3.0, 4.0], "frequency_thresholds": [1, 2, 3, 4],
            "monetary_thresholds": [1.0, 2.0, 3.0, 4.0],
            "cells": [
                {"recency": 5, "frequency": 4, "customers": 1, "revenue": 2.0, "segment_id": "r01"},
                {"recency": 5, "frequency": 5, "customers": 0, "revenue": 0.0, "segment_id": "r01"},
            ],
        },
    }  # fmt: skip
    named = compose.segments(stored, "en", {}, {}, has_money=True)
    found = compose.grid("rfm-0001", stored, named, has_money=True)
    assert found is not None
    assert [one.rule for one in found.segments] == ["R5 FM4, R5 FM5", "No order."]
    assert found.spend == (1.0, 2.0, 3.0, 4.0)
    assert compose.grid("x", {"segments": []}, [], has_money=True) is None


def test_a_choice_keeps_its_evidence_and_warnings_are_said_once() -> None:
    stored = {
        "choice": {
            "rule": "next_period", "chosen": 4, "reason": {"en": "Why.", "zh": "因为。"},
            "horizon_days": 28,
            "candidates": [{"k": 4, "score": 0.1, "score_se": 0.01, "stability": 0.95,
                            "smallest_share": 0.1, "eligible": True, "why_not": None}],
        },
        "warnings": [{"code": "a", "en": "Mind.", "zh": "注意。"}] * 2,
    }  # fmt: skip
    found = compose_reasons.choice(stored, "en")
    assert found is not None
    assert (found.candidates[0].spread, found.candidates[0].note, found.reason) == (
        0.01,
        "",
        "Why.",
    )
    assert (found.relative, found.aim, found.tried, found.head) == (False, "", (), ())
    assert compose_reasons.choice({"choice": None}, "en") is None
    assert compose.warnings([stored, stored], "zh") == ("注意。",)
