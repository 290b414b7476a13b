"""What a look tells: of nothing, of each kind of change, and of input that is bad."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from tests.drift_looks import ORIGIN, before, look

from shoal.adjust.adjustment import ASSIGNMENT, BROKEN, EMBEDDING, INPUTS, OUTCOMES
from shoal.adjust.drift import detect as detecting
from shoal.adjust.drift.detect import Monitors, detect
from shoal.adjust.drift.look import Look
from shoal.adjust.settings import AdjustSettings

SETTINGS = AdjustSettings()


def found(now: Look, references: list[Look] | None = None, monitors: Monitors | None = None):
    return detect(
        now, before() if references is None else references, monitors=monitors, settings=SETTINGS
    )


def test_nothing_changed_and_nothing_is_told():
    told = found(look(0))
    assert (told.alarms, told.blocked, told.state) == ((), (), "ok")
    assert set(told.monitors.lanes) == {"features", "pairs", "joint", "assignment"}


def more_views(told):
    told["views_28d"] *= 1.5


def test_a_feature_that_moved_is_named_with_size_since_and_series():
    told = found(look(0, change=more_views))
    alarm = told.alarms[0]
    assert (alarm.subject, alarm.what, alarm.unit) == (INPUTS, "views_28d", "deviations")
    assert alarm.features[0] == "views_28d"
    assert 0.3 < alarm.size < 0.7
    assert alarm.customers == 600
    assert alarm.since == ORIGIN - timedelta(weeks=1)
    series = alarm.evidence["series"]
    assert [one["reference"] for one in series] == [True] * 5 + [False]
    assert series[-1]["value"] > series[-1]["high"]
    assert all(one["low"] < one["value"] < one["high"] for one in series[:-1])
    shares = alarm.evidence["histogram"]
    assert sum(shares["before"]) == pytest.approx(1, abs=1e-4) == sum(shares["now"])
    json.dumps(alarm.as_document())


def test_an_alarm_is_harmful_only_where_segments_hold_customers_worse():
    def far(told):
        more_views(told)
        told["residual"] *= 1.6

    calm, harmed = found(look(0, change=more_views)), found(look(0, change=far))
    assert not calm.alarms[0].harmful
    assert harmed.alarms[0].harmful
    assert "residual" in harmed.alarms[0].evidence["harm"]["worse"]
    alarm = next(one for one in harmed.alarms if one.subject == ASSIGNMENT)
    assert alarm.size > 0.1
    assert alarm.harmful


def test_customers_closer_to_their_segments_are_no_alarm():
    def close(told):
        told["residual"] *= 0.3

    assert not [one for one in found(look(0, change=close)).alarms if one.subject == ASSIGNMENT]


def test_features_that_begin_to_go_together_are_told_though_none_moved():
    def together(told):
        views, spend = told["views_28d"], told["spend_28d"]
        spend[np.argsort(views)] = np.sort(spend)

    alarm = found(look(0, change=together)).alarms[0]
    assert (alarm.what, alarm.unit) == ("views_28d x spend_28d", "correlation")
    assert alarm.evidence["pair"] == ["views_28d", "spend_28d"]
    assert alarm.size > 0.5


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("spend_28d", lambda values: values * 100, "scaled"),
        ("night_share", lambda values: values * 0.5, "scaled"),
        ("views_28d", lambda values: np.where(np.arange(len(values)) % 2, values, np.nan),
         "missing"),
        ("depth", lambda values: np.full(len(values), 3.0), "constant"),
    ],
)  # fmt: skip
def test_a_feature_that_broke_is_told_from_behaviour_and_blocks(name, change, fault):
    def broke(told):
        told[name] = change(told[name])

    told = found(look(0, change=broke))
    assert [(one.subject, one.what, one.harmful) for one in told.alarms] == [(BROKEN, name, None)]
    assert told.alarms[0].evidence["fault"] == fault
    assert told.blocked == (name,)


def test_what_all_features_do_together_is_behaviour():
    def festival(told):
        for name in ("views_28d", "spend_28d", "orders_28d", "depth"):
            told[name] *= 2.5

    told = found(look(0, change=festival))
    assert told.blocked == ()
    assert {one.subject for one in told.alarms} == {INPUTS}


def embedded(one: Look, seed: int, move: float = 0.0) -> Look:
    random = np.random.default_rng(seed)
    return replace(one, embeddings=random.normal(size=(one.customers, 6)) + move)


def test_an_embedding_that_moved_is_told():
    references = [embedded(one, place) for place, one in enumerate(before())]
    assert not found(embedded(look(0), 50), references).alarms
    alarm = found(embedded(look(0), 50, 0.4), references).alarms[0]
    assert (alarm.subject, alarm.unit) == (EMBEDDING, "AUC")
    assert 0.6 < alarm.size < 0.9


def foretold(one: Look, seed: int, factor: float = 1.0) -> Look:
    random = np.random.default_rng(seed)
    expected = random.uniform(0.1, 0.7, 1_500)
    came = (random.random(1_500) < expected * factor).astype(np.float64)
    return replace(one, expected={"next_active": expected}, came={"next_active": came})


def test_forecasts_that_no_longer_come_true_are_told_and_are_harm():
    references = [foretold(one, place) for place, one in enumerate(before())]
    assert not found(foretold(look(0), 60), references).alarms
    alarm = found(foretold(look(0), 60, 0.6), references).alarms[0]
    assert (alarm.subject, alarm.what, alarm.harmful) == (OUTCOMES, "next_active", True)
    assert alarm.evidence["came"] < 0.75 * alarm.evidence["expected"]


def test_a_head_that_was_always_off_by_the_same_is_no_news():
    references = [foretold(one, place, 0.7) for place, one in enumerate(before())]
    assert not found(foretold(look(0), 60, 0.7), references).alarms


def test_without_earlier_forecasts_only_what_is_far_off_is_told():
    references = before()
    near, far = (found(foretold(look(0), 60, factor), references) for factor in (0.9, 0.2))
    assert not near.alarms
    assert far.alarms[0].subject == OUTCOMES


def test_what_the_same_weeks_of_last_year_did_is_no_news():
    year = [look(-52 - week, change=None if week else more_views) for week in (4, 3, 2, 1, 0)]
    assert found(look(0, change=more_views)).alarms
    assert not found(look(0, change=more_views), [*before(), *year]).alarms


# -- input that is bad -----------------------------------------------------------------------------


def test_too_few_customers():
    told = found(look(0, customers=40))
    assert (told.state, told.alarms) == ("few_customers", ())
    assert "drift is not looked for" in told.notes[0].en


def test_nothing_to_compare_with():
    for references in ([], [look(1)], [replace(look(-1), known=np.zeros(600, bool))]):
        told = found(look(0), references)
        assert (told.state, told.alarms) == ("no_reference", ())


def test_all_customers_are_new():
    told = found(look(0, first=5_000))
    assert (told.state, told.alarms) == ("all_new", ())


def test_no_event_for_a_week():
    def silent(told):
        told["recency_days"] = np.full(600, 9.0) + np.arange(600)

    told = found(look(0, change=silent), before(change=silent))
    assert (told.state, told.alarms) == ("no_events", ())


def test_a_clock_that_went_back_changes_nothing():
    kept = found(look(0)).monitors
    told = found(look(-1), before(), kept)
    assert (told.state, told.alarms) == ("clock_back", ())
    assert told.monitors is kept


def test_features_without_any_value_and_infinite_ones():
    def damaged(told):
        told["views_28d"][:] = np.nan
        told["spend_28d"][:50] = np.inf
        told["depth"][:] = 1.0

    references = before(change=damaged)
    told = found(look(0, change=damaged), references)
    assert (told.state, told.alarms) == ("ok", ())


def test_a_feature_that_is_gone_and_one_that_is_new_are_not_compared():
    now = look(0)
    now = replace(now, features=now.features.drop_columns(["depth"]).append_column(
        "other", pa.array(np.arange(600.0))))  # fmt: skip
    assert found(now).state == "ok"


def test_one_segment_and_one_reference():
    assert found(look(0), [look(-1)]).state == "ok"
    alarm = found(look(0, change=more_views), [look(-1)]).alarms[0]
    assert alarm.what == "views_28d"


def test_references_of_other_weekdays_are_said():
    odd = [replace(one, moment=one.moment + timedelta(days=2)) for one in before(3)]
    assert "weekdays may differ" in found(look(0), odd).notes[0].en


# -- looks in a row --------------------------------------------------------------------------------


def test_the_same_look_twice_tells_the_same_and_bets_once():
    first = found(look(0, change=more_views))
    again = found(look(0, change=more_views), monitors=first.monitors)
    assert [one.what for one in again.alarms] == [one.what for one in first.alarms]
    assert again.monitors.lanes == first.monitors.lanes


def test_rows_in_another_order_tell_the_same():
    now = look(0, change=more_views)
    order = np.random.default_rng(3).permutation(600)
    mixed = replace(
        now, features=now.features.take(pa.array(order)), residual=now.residual[order],
        entropy=now.entropy[order],
    )  # fmt: skip
    one, other = found(now).alarms, found(mixed).alarms
    assert [alarm.what for alarm in one] == [alarm.what for alarm in other]
    for alarm, again in zip(one, other, strict=True):
        assert again.size == pytest.approx(alarm.size, rel=1e-3)
        assert again.p_value == pytest.approx(alarm.p_value, rel=0.01)


def test_an_alarm_that_goes_on_keeps_its_since():
    monitors, since = None, []
    references = before()
    for week in range(3):
        now = look(week, change=more_views)
        told = detect(now, references, monitors=monitors, settings=SETTINGS)
        monitors, references = told.monitors, [*references, now]
        since += [one.since for one in told.alarms if one.what == "views_28d"]
    assert len(since) >= 2
    assert set(since) == {ORIGIN - timedelta(weeks=1)}


def test_a_feature_that_stays_broken_stays_blocked():
    def broke(told):
        told["spend_28d"] *= 100

    monitors, references = None, before()
    for week in range(3):
        now = look(week, change=broke)
        told = detect(now, references, monitors=monitors, settings=SETTINGS)
        monitors, references = told.monitors, [*references, now]
        assert told.blocked == ("spend_28d",)
        assert told.alarms[0].since == ORIGIN - timedelta(weeks=1)


def test_more_false_alarms_allowed_tell_more():
    def slightly(told):
        told["views_28d"] *= 1.25

    strict, loose = (
        detect(look(0, change=slightly), before(), monitors=None,
               settings=AdjustSettings(false_alarms=allowed))
        for allowed in (1e-6, 50.0)
    )  # fmt: skip
    assert not strict.alarms
    assert loose.alarms


def test_states_have_a_text_in_both_languages():
    for state in (detecting.FEW, detecting.NO_REFERENCE, detecting.ALL_NEW, detecting.NO_EVENTS):
        note = detecting._note(state)
        assert note.en
        assert note.zh
