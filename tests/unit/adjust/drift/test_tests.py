"""Contrasts, corrections, the classifier and the choice of looks, on draws whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.drift_looks import ORIGIN, before, look

from shoal.adjust.drift import classifier, inputs
from shoal.adjust.drift.contrast import Panel
from shoal.adjust.drift.correct import benjamini_yekutieli, holm
from shoal.adjust.drift.windows import matched, strata, wanted


def panel(now, references=None):
    return Panel.of(now, matched(now, references or before()), seed=0)


def test_errors_of_differences_are_those_that_are_seen():
    """Over draws, a difference divided by its error has the spread of a standard normal."""
    away = []
    for seed in range(60):
        made = panel(look(0, seed=seed, customers=300), before(3, seed=seed, customers=300))
        told = inputs.scores(made)
        found = made.contrast(told.looks, 0.03)
        away.append(found.difference / found.error)
    assert 0.7 < np.std(away) < 1.15
    assert abs(np.mean(away)) < 0.15


def test_p_values_of_no_change_are_not_too_small():
    small = [
        float(inputs.marginals(made, inputs.scores(made)).contrasts.p_value.min())
        for seed in range(60)
        for made in [panel(look(0, seed=seed, customers=300), before(4, seed=seed, customers=300))]
    ]
    assert np.mean(np.array(small) * 12 < 0.1) <= 0.1


def test_the_same_people_tell_more_than_others_would():
    def others(first):
        return [replace(one, features=one.features) for one in before(3, first=first)]

    def more(told):
        told["views_28d"] *= 1.15

    same = panel(look(0, change=more), before(3))
    errors = []
    for made in (same, panel(look(0, change=more), others(700))):
        told = inputs.scores(made)
        errors.append(made.contrast(told.looks, 0.03).error.mean())
    assert errors[0] < 0.8 * errors[1]


def test_growing_older_is_no_change():
    """A shop in which customers do more the longer they are known, and new ones come."""

    def aged(week, **more):
        def change(told):
            told["tenure_days"] = np.linspace(20, 400, 900)
            told["views_28d"] *= 1 + told["tenure_days"] / 100

        return look(week, customers=900, change=change, **more)

    def older(told):
        # the same shop, with fewer new customers: everybody has been known for longer
        told["tenure_days"] = np.linspace(150, 400, 900)
        told["views_28d"] *= 1 + told["tenure_days"] / 100

    references = [aged(-week) for week in (4, 3, 2, 1)]
    made = panel(look(0, customers=900, change=older), references)
    found = made.contrast(inputs.scores(made).looks, 0.03)
    plain = np.nanmean(inputs.scores(made).looks[-1][:, 0]) - np.nanmean(
        inputs.scores(made).looks[0][:, 0]
    )
    assert plain > 0.3
    assert abs(found.difference[0]) < 0.15


def test_weeks_that_differ_for_no_reason_widen_the_error():
    def shaken(week):
        factor = np.exp(0.4 * np.random.default_rng(week + 50).normal())

        def change(told):
            for name in ("views_28d", "spend_28d", "orders_28d", "depth", "night_share"):
                told[name] *= factor

        return look(week, change=change)

    calm = panel(look(0))
    restless = panel(shaken(0), [shaken(-week) for week in (5, 4, 3, 2, 1)])
    errors = [one.contrast(inputs.scores(one).looks, 0.03).error.mean() for one in (calm, restless)]
    assert errors[1] > 3 * errors[0]


def test_totals_are_left_out_and_a_doubled_feature_is_no_total():
    def total(week):
        def change(told):
            told["orders"] = 50.0 + week + np.arange(600) % 7

        return change

    references = [look(-week, change=total(-week)) for week in (4, 3, 2, 1)]
    told = inputs.scores(panel(look(0, change=total(0)), references))
    assert set(told.totals) == {"orders", "tenure_days"}

    def doubled(told):
        told["views_28d"] *= 2

    assert "views_28d" in inputs.scores(panel(look(0, change=doubled))).names


def test_holm_keeps_the_chance_of_any_false_one():
    random = np.random.default_rng(0)
    wrong = [holm(random.random(30)).min() <= 0.05 for _ in range(4_000)]
    assert np.mean(wrong) <= 0.06
    assert holm(np.array([0.5])).tolist() == [0.5]


def test_benjamini_yekutieli_is_holm_like_for_one_and_tells_more_of_many():
    assert benjamini_yekutieli(np.array([0.04]), 0.05).tolist() == [True]
    p = np.array([1e-4] * 20 + [0.8] * 20)
    assert benjamini_yekutieli(p, 0.05).sum() == 20
    assert not benjamini_yekutieli(np.empty(0), 0.05).any()


def columns(made, seed, move):
    random = np.random.default_rng(seed)
    own = random.normal(size=(made.people, 5))
    return [
        own[who] + random.normal(size=(len(who), 5)) + (move if place == len(made.who) - 1 else 0)
        for place, who in enumerate(made.who)
    ]


def test_the_classifier_tells_a_move_and_its_p_value_is_one_under_no_change():
    made = panel(look(0), before(4))
    told = classifier.told_apart(made, columns(made, 1, 0.5), seed=0)
    assert told.auc > 0.55
    assert told.p_value < 1e-4
    calm = [
        classifier.told_apart(made, columns(made, seed, 0.0), seed=seed).p_value
        for seed in range(40)
    ]
    assert np.mean(np.array(calm) <= 0.1) <= 0.1


def test_the_classifier_sees_columns_that_go_together():
    made = panel(look(0), before(4))
    told = columns(made, 1, 0.0)
    told[-1][:, 1] = 0.9 * told[-1][:, 0] + 0.4 * told[-1][:, 1]
    assert classifier.told_apart(made, told, seed=0).p_value < 1e-3


def test_looks_of_the_same_weekday_are_chosen_and_a_year_before_beside_them():
    now = look(0)
    odd = replace(look(-3), moment=ORIGIN - timedelta(days=17))
    far = look(-30)
    year = [look(-52 - week) for week in (2, 1, 0)]
    found = matched(now, [far, odd, *before(2), *year, look(1)])
    assert [one.moment for one in found.recent] == [ORIGIN - timedelta(weeks=w) for w in (2, 1)]
    last_year = ORIGIN - timedelta(weeks=52)
    assert [one.moment for one in found.year] == [last_year - timedelta(weeks=w) for w in (2, 1, 0)]
    assert found.notes == ()


def test_looks_that_are_wanted_lie_within_the_log():
    young = wanted(ORIGIN, ORIGIN - timedelta(weeks=9))
    assert [(ORIGIN - one).days for one in young] == [7, 14, 21, 28]
    old = wanted(ORIGIN, ORIGIN - timedelta(weeks=200))
    assert (ORIGIN - old[-1]).days == 7 * 60


def test_strata_have_enough_customers_in_every_look():
    looks = [look(-1), look(0, customers=200)]
    found, shares = strata([(one, np.arange(one.customers)) for one in looks])
    counts = [np.bincount(one, minlength=len(shares)) for one in found]
    assert min(one.min() for one in counts) >= 30
    assert shares.sum() == pytest.approx(1)
