"""Bets against p-values: what they earn on average, how long they keep still, what is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shoal.adjust.drift.anytime import (
    Allowance,
    Monitors,
    confidence_sequence,
    earned,
)

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


def test_a_bet_earns_one_on_average_where_p_is_uniform():
    # on a grid in log p: most of what is earned is earned by rare small p
    logs = np.linspace(-600, 0, 200_001)
    middle = np.exp((logs[1:] + logs[:-1]) / 2)
    assert (earned(middle) * np.diff(np.exp(logs))).sum() == pytest.approx(1, abs=0.01)


def test_small_p_earns_more():
    p = np.geomspace(1e-12, 1, 50)
    assert (np.diff(earned(p)) < 0).all()
    assert earned(np.array([0.0]))[0] > 1e100


def test_false_alarms_over_looks_are_rarer_than_the_dial():
    random = np.random.default_rng(5)
    limit, looks, told = 40.0, 12_000, 0
    monitors = Monitors()
    for place in range(looks):
        moment = START + place * 28 * DAY
        bets = {str(test): float(random.random()) for test in range(3)}
        monitors = monitors.stepped("g", bets, moment)
        if monitors.evidence("g") >= limit:
            told += 1
            monitors = monitors.begun_anew("g")
    assert 0 < told <= looks / limit


def test_small_changes_add_up_over_looks():
    monitors = Monitors()
    for place in range(6):
        monitors = monitors.stepped("g", {"a": 0.01, "b": 0.7}, START + place * 28 * DAY)
    assert monitors.evidence("g") > 1_000
    assert monitors.leading("g") == ("a",)


def test_bets_of_a_lane_are_far_enough_apart():
    monitors = Monitors()
    for place in range(60):
        monitors = monitors.stepped("g", {"a": 0.5}, START + place * DAY)
    lanes = monitors.lanes["g"]
    assert len(lanes) == 28
    assert len({lane.moment for lane in lanes}) == 28
    weekly = Monitors()
    for place in range(20):
        weekly = weekly.stepped("g", {"a": 0.5}, START + place * 7 * DAY)
    assert len(weekly.lanes["g"]) == 4


def test_monitors_are_the_same_after_json():
    monitors = Monitors().at(START)
    for place in range(3):
        moment = START + place * 28 * DAY
        monitors = monitors.stepped("g", {"a": 0.01, "b": 0.2}, moment).at(moment)
    monitors = monitors.telling("inputs a", START + 56 * DAY, START)
    written = json.loads(json.dumps(monitors.to_document()))
    assert Monitors.from_document(written) == monitors
    with pytest.raises(ValueError, match="form 'other'"):
        Monitors.from_document({"schema": "other"})


def test_an_alarm_goes_on_for_four_weeks_and_is_new_after():
    monitors = Monitors().telling("a", START, START - DAY)
    assert monitors.goes_on("a", START + 20 * DAY) == START - DAY
    assert monitors.goes_on("a", START + 40 * DAY) is None
    assert monitors.goes_on("b", START) is None
    later = monitors.telling("a", START + 40 * DAY, START + 33 * DAY)
    assert later.goes_on("a", START + 41 * DAY) == START + 33 * DAY


@pytest.mark.parametrize("days", [1.0, 7.0, 28.0])
def test_looking_more_often_spends_no_more_in_a_year(days):
    allowed = Allowance.of(1.0, days, days)
    assert allowed.level * 365.25 / days == pytest.approx(0.5)
    assert allowed.capital == pytest.approx(2 * 365.25 / days)


def test_a_long_pause_makes_good_four_cadences():
    pause, week = Allowance.of(1.0, 7.0, 400.0), Allowance.of(1.0, 7.0, 7.0)
    assert pause.level == pytest.approx(4 * week.level)


def test_a_confidence_sequence_holds_at_all_times_together():
    random = np.random.default_rng(0)
    left = 0
    for _ in range(300):
        sums = np.cumsum(random.normal(size=400))
        left += any(
            not (low <= 0 <= high)
            for n in range(10, 400, 5)
            for low, high in [confidence_sequence(sums[n], n + 1.0, level=0.1, tuned_at=100.0)]
        )
    assert left / 300 <= 0.1
