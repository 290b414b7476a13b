"""Backtest: periods, what strategies said, what is foretold, and the search for dials."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.adjust.adjustment import KEEP, NUDGE
from shoal.config import Config, parse, render
from shoal.domain.errors import InputError, UsageError
from shoal.features.catalog import CATALOG
from shoal.heads.next_period import ACTIVE, ORDERED, ORDERS, SPEND
from shoal.workflows.backtest import planned
from shoal.workflows.backtest_follow import Followed
from shoal.workflows.backtest_judge import Asked, foretold
from shoal.workflows.backtest_tune import Search, Setting, check_trials, with_values
from shoal.workflows.backtest_words import sentences
from shoal.workflows.progress import NoProgress
from shoal.workflows.replay_cut import Cut

START = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


# --- Periods --------------------------------------------------------------------------------------


def test_periods_of_28_days_end_with_the_log() -> None:
    plan = planned(day(0), day(300), 3)
    assert plan.days == 28 and plan.ends == day(300)
    assert plan.moments == (day(216), day(244), day(272))


def test_a_shorter_log_has_shorter_periods_and_too_short_a_one_none() -> None:
    assert planned(day(0), day(70), 3).days == 7
    assert planned(day(0), day(160), 3).days == 21, "whole weeks, from cut to cut"
    with pytest.raises(InputError, match=r"holds 40 days; a backtest of 3 periods needs 49"):
        planned(day(0), day(40), 3)


@pytest.mark.parametrize("periods", [0, -1, 25])
def test_a_number_of_periods_that_makes_no_sense_is_refused(periods: int) -> None:
    with pytest.raises(UsageError, match=f"--periods is {periods}"):
        planned(day(0), day(300), periods)


# --- What a strategy said -------------------------------------------------------------------------


def table(ids: dict[str, str]) -> pa.Table:
    return pa.table({"customer_id": list(ids), "segment_id": list(ids.values())})


def cut(at: float, ids: dict[str, str], **more: Any) -> Cut:
    segmenter: Any = SimpleNamespace(segment_ids=tuple(sorted({*ids.values()} | {"new"})))
    return Cut(day(at), table(ids), table(ids), segmenter=segmenter, **more)


def test_movement_is_counted_a_month_and_by_cause() -> None:
    found = Followed({day(0)})
    found.add(cut(0, {"a": "s01", "b": "s01", "c": "s02", "d": "new"}))
    found.add(cut(15, {"a": "s02", "b": "s01", "c": "s02", "d": "s01"}))
    held = table({"a": "s02", "b": "s01", "c": "s02", "d": "s01"})
    adjusted: Any = SimpleNamespace(
        alarms=(SimpleNamespace(subject="inputs"),), changed=True,
        adjustments=(SimpleNamespace(action=NUDGE), SimpleNamespace(action=KEEP)),
    )  # fmt: skip
    last = cut(
        30, {"a": "s02", "b": "s03", "c": "s02", "d": "s03"}, held=held, adjusted=adjusted,
        trained_until=day(30),
    )  # fmt: skip
    found.add(last)
    told = found.as_document()
    # a moved first (one of three placed at both), then b and d of four, both by the segments.
    assert told["turnover_a_month"] == pytest.approx(1 / 3 + 2 / 4)
    assert told["relabelled_by_model_a_month"] == pytest.approx(2 / 4)
    assert told["segments"] == {"first": 2, "last": 2, "kept": 1}
    assert told["versions"] == 1
    assert told["alarms"] == {"inputs": 1} and told["adjustments"] == {NUDGE: 1}
    assert set(found.labels) == {day(0)}


def test_a_cut_without_segments_is_too_little_data() -> None:
    skipped = Cut(day(0), table({}), table({}), skipped="nobody is known")
    with pytest.raises(InputError, match="nobody is known"):
        Followed(set()).add(skipped)


# --- What is foretold -----------------------------------------------------------------------------


def asked(seed: int, n: int = 400) -> Asked:
    """Half of the customers buy ten times as much as the other half; one labelling knows it."""
    random = np.random.default_rng(seed)
    rich = random.random(n) < 0.5
    orders = random.poisson(np.where(rich, 3.0, 0.3)).astype(np.float64)
    spend = orders * random.gamma(2.0, 10.0, n)
    known = pa.table(
        {"customer_id": [f"c{place:04d}" for place in range(n)],
         "orders": np.where(rich, 30.0, 3.0) + random.random(n)}
    )  # fmt: skip
    came = {
        ACTIVE: (orders > 0).astype(np.float64), ORDERED: (orders > 0).astype(np.float64),
        ORDERS: orders, SPEND: spend,
    }  # fmt: skip
    chance = random.integers(2, size=n)
    return Asked(known, came, {"frozen": chance.astype(str), "shoal": rich.astype(str)})


def test_segments_that_know_more_foretell_more_and_the_difference_is_told() -> None:
    told = foretold([asked(1), asked(2)], CATALOG, (), 28, 0)
    assert list(told) == ["active", "orders", "spend"]
    for one in told.values():
        good, bad = one["strategies"]["shoal"], one["strategies"]["frozen"]
        assert good["of_attainable"] > 0.8 > 0.2 > bad["of_attainable"]
        assert good["difference"]["low"] > 0
        assert good["share"]["low"] < good["share"]["figure"] < good["share"]["high"]
        assert bad["difference"] == {"figure": 0.0, "low": 0.0, "high": 0.0}


def test_what_does_not_vary_is_not_asked_about() -> None:
    one = asked(1)
    nothing = replace(one, came={**one.came, SPEND: np.zeros(one.table.num_rows)})
    assert "spend" not in foretold([nothing], CATALOG, (), 28, 0)


def test_the_order_of_customers_hardly_matters_and_no_period_is_refused() -> None:
    with pytest.raises(ValueError, match="no period"):
        foretold([], CATALOG, (), 28, 0)


# --- Sentences ------------------------------------------------------------------------------------


def document(low: float, high: float) -> dict[str, Any]:
    one = {
        "of_attainable": 0.5, "turnover_a_month": 0.1, "relabelled_by_model_a_month": 0.02,
        "segments": {"first": 5, "last": 6, "kept": 4},
    }  # fmt: skip
    difference = {"figure": (low + high) / 2, "low": low, "high": high}
    return {
        "strategies": {"frozen": one, "shoal": {**one, "of_attainable": None}},
        "outcomes": {"orders": {"strategies": {"shoal": {"difference": difference}}}},
    }


def test_sentences_say_what_is_beyond_chance_in_both_languages() -> None:
    told = sentences(document(-0.1, 0.1))
    assert "foretold 50% of what could be foretold" in told[0].en
    assert "10.0% of customers changed segment a month, 2.0% because" in told[0].en
    assert "4 of 5 segments are there still, of 6" in told[0].en
    assert "nothing that can be told" in told[1].en
    assert "no outcome shows a difference" in told[2].en
    assert "more of orders and less of nothing" in sentences(document(0.01, 0.1))[2].en
    assert "more of nothing and less of orders" in sentences(document(-0.2, -0.1))[2].en
    assert all(one.zh for one in told)


# --- The search -----------------------------------------------------------------------------------


class Fake:
    """A backtest whose figures are a function of the configuration."""

    def __init__(self, config: Config, error: float) -> None:
        self.config, self.error = config, error

    def run(self, periods: int, strategies: Any) -> dict[str, Any]:
        margin = self.config.segment.switch_margin
        if self.config.segment.k == 5:
            raise InputError("too_little_data", "no segments", hint="More.")
        share = 0.5 + margin
        width = 1.96 * self.error * 0.2
        told = {"share": {"low": share * 0.2 - width, "high": share * 0.2 + width},
                "of_attainable": share}  # fmt: skip
        return {
            "outcomes": {"orders": {"attainable": 0.2, "strategies": {"shoal": told}}},
            "strategies": {"shoal": {"of_attainable": share,
                                     "relabelled_by_model_a_month": 2 * margin**2}},
        }  # fmt: skip


def searched(error: float, trials: int = 12) -> dict[str, Any]:
    pytest.importorskip("optuna")
    config = Config()
    return Search(config, lambda one: Fake(one, error), 0, NoProgress()).run(trials, 2)  # type: ignore[arg-type, return-value]


def test_the_search_begins_with_the_shop_s_own_settings_and_weighs_relabelling() -> None:
    found = searched(error=0.001)
    first = found["trials"][0]
    assert first["settings"] == vars(Setting.of(Config()))
    for one in found["trials"]:
        if one["score"] is not None:
            assert one["score"] == pytest.approx(one["of_attainable"] - 0.5 * one["relabelled"])
    best = max(one["score"] for one in found["trials"] if one["score"] is not None)
    assert found["trials"][found["chosen"]]["score"] == best > first["score"]
    assert str(found["setting"]["switch_margin"]) in found["toml"]


def test_the_front_holds_trials_that_no_other_beats_in_both() -> None:
    found = searched(error=0.001)
    front = [one for one in found["trials"] if one["front"]]
    assert front
    for one in front:
        beaten = [
            other for other in found["trials"]
            if other["score"] is not None
            and other["of_attainable"] > one["of_attainable"]
            and other["relabelled"] < one["relabelled"]
        ]  # fmt: skip
        assert not beaten


def test_within_a_standard_error_the_shop_s_own_settings_stay() -> None:
    found = searched(error=5.0)
    assert found["chosen"] == 0
    assert "they stay" in found["reason"]["en"]


@pytest.mark.parametrize(("trials", "apply"), [(-1, False), (201, False), (0, True)])
def test_searches_that_make_no_sense_are_refused(trials: int, apply: bool) -> None:
    with pytest.raises(UsageError):
        check_trials(trials, apply=apply)


def test_the_lines_found_fit_into_a_shop_s_own_file(tmp_path: Path) -> None:
    before = render(Config())
    setting = Setting(7, 30.0, 0.2, 14.0)
    text = with_values(before, setting.sections)
    assert parse(text) == setting.on(Config())
    changed = [
        (was, now)
        for was, now in zip(before.splitlines(), text.splitlines(), strict=True)
        if was != now
    ]
    assert len(changed) == 4
    assert parse(with_values("", setting.sections)).segment.k == 7
    assert parse(setting.toml()).adjust.cadence_days == 14.0
