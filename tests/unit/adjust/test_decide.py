"""The ladder: what is done about what was noticed, and that costs and order cannot make it more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from shoal.adjust.adjustment import (
    BROKEN,
    INPUTS,
    KEEP,
    LADDER,
    MERGE,
    NUDGE,
    OUTCOMES,
    REFIT,
    RETRAIN,
    SPLIT,
    Alarm,
    Evidence,
    Proposal,
)
from shoal.adjust.decide import APPROVALS, REASONS, decide, pays, unanswered
from shoal.adjust.policy import ExploringPolicy, RulePolicy, worth
from shoal.adjust.settings import AdjustSettings

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SETTINGS = AdjustSettings()
ACTIONS = (NUDGE, SPLIT, MERGE, REFIT, RETRAIN)


def alarm(harmful, subject=INPUTS):
    return Alarm(subject, "spend", 0.5, "deviations", 0.001, 900, NOW, harmful=harmful)


def evidence(*proposals, alarms=(), **more):
    return Evidence(NOW, 1_000, tuple(alarms), tuple(proposals), **more)


def actions(found):
    return [one.action for one in found]


def some(random, count=6, alarms=0):
    """Proposals as they may come."""
    found = []
    for _ in range(count):
        action = ACTIONS[random.integers(len(ACTIONS))]
        names = tuple(sorted(random.permutation([f"s0{one}" for one in range(1, 8)])[:2].tolist()))
        segments = {SPLIT: names[:1], MERGE: names}.get(action, ())
        told = tuple(place for place in range(alarms) if random.random() < 0.5)
        found.append(
            Proposal(
                action, segments, gain=float(random.random() * 0.1),
                gain_error=float(random.random() * 0.02), moved=float(random.random() * 0.15),
                cost=float(random.random() * 0.01), alarms=told,
                evidence={"foretold": 0.1, "foretold_error": 0.01},
            )
        )  # fmt: skip
    return found


# --- What pays ------------------------------------------------------------------------------------


def test_without_proposals_segments_are_kept_for_sure():
    (kept,) = decide(evidence(), SETTINGS)
    assert (kept.action, kept.probability, kept.reason) == (KEEP, 1.0, "nothing_proposed")
    assert not kept.approval


def test_a_gain_within_its_error_does_not_pay():
    proposal = Proposal(NUDGE, gain=0.02, gain_error=0.015, moved=0.04)
    assert worth(proposal, 0.1) == pytest.approx(0.001)
    assert actions(decide(evidence(proposal), SETTINGS)) == [NUDGE]
    doubtful = replace(proposal, gain_error=0.017)
    (kept,) = decide(evidence(doubtful), SETTINGS)
    assert (kept.action, kept.reason) == (KEEP, "nothing_pays")


def test_further_costs_and_customers_moved_are_paid_for():
    proposal = Proposal(SPLIT, ("s01",), gain=0.02, moved=0.05)
    assert pays(proposal, SETTINGS)
    assert not pays(replace(proposal, moved=0.21), SETTINGS)
    assert not pays(replace(proposal, cost=0.016), SETTINGS)
    assert not pays(Proposal(KEEP, gain=1.0), SETTINGS)


def test_splits_and_merges_of_different_segments_go_together_and_a_nudge_comes_last():
    found = decide(
        evidence(
            Proposal(NUDGE, gain=0.05, moved=0.01),
            Proposal(MERGE, ("s03", "s04"), gain=0.02, moved=0.03),
            Proposal(SPLIT, ("s01",), gain=0.03, moved=0.02),
            Proposal(SPLIT, ("s04",), gain=0.01, moved=0.01),
        ),
        SETTINGS,
    )
    assert sorted(one.proposal.segments for one in found) == [(), ("s01",), ("s03", "s04")]
    assert found[-1].action == NUDGE and all(one.reason == "pays" for one in found)


def test_one_group_is_born_at_a_time_and_not_of_a_segment_that_changes():
    born = Proposal(SPLIT, (), gain=0.05, moved=0.03,
                    evidence={"kind": "birth", "drawn_from": ["s01"]})  # fmt: skip
    other = replace(born, gain=0.04, evidence={"kind": "birth", "drawn_from": ["s02"]})
    split = Proposal(SPLIT, ("s01",), gain=0.03, moved=0.02)
    found = decide(evidence(born, other, split), SETTINGS)
    assert [one.proposal for one in found] == [born]


def test_all_is_made_anew_only_where_that_is_worth_more_than_the_small_steps():
    small = [
        Proposal(SPLIT, ("s01",), gain=0.02, moved=0.02),
        Proposal(MERGE, ("s02", "s03"), gain=0.02, moved=0.02),
    ]
    refit = Proposal(REFIT, gain=0.04, moved=0.08)
    assert actions(decide(evidence(*small, refit), SETTINGS)) == [SPLIT, MERGE]
    better = replace(refit, gain=0.05)
    assert actions(decide(evidence(*small, better), SETTINGS)) == [REFIT]


# --- Budget and approval --------------------------------------------------------------------------


def test_what_is_due_only_has_to_be_better_and_holds_the_small_steps():
    small = Proposal(NUDGE, gain=0.05, moved=0.01)
    anew = Proposal(REFIT, gain=0.002, gain_error=0.01, moved=0.08, due=True)
    assert worth(anew, 0.1) == 0.002
    (made,) = decide(evidence(anew, small), SETTINGS)
    assert (made.action, made.reason, made.approval) == (REFIT, "due", ())
    # Not before its time, and not where it is no better.
    assert actions(decide(evidence(replace(anew, due=False), small), SETTINGS)) == [NUDGE]
    assert actions(decide(evidence(replace(anew, gain=-0.001), small), SETTINGS)) == [NUDGE]


def test_what_is_due_is_put_to_a_person_beyond_the_budget_and_waits_for_a_change_to_pass():
    small = Proposal(NUDGE, gain=0.05, moved=0.01)
    anew = Proposal(REFIT, gain=0.002, moved=0.35, due=True)
    nudged, asked = decide(evidence(small, anew), SETTINGS)
    assert (nudged.action, nudged.approval) == (NUDGE, ())
    assert (asked.action, asked.approval) == (REFIT, ("over_budget", "moved"))
    told = evidence(small, anew, alarms=[alarm(False)])
    assert actions(decide(told, SETTINGS)) == [NUDGE]
    # What does not pass is no festival.
    assert actions(decide(replace(told, overdue=True), SETTINGS)) == [NUDGE, REFIT]


def test_steps_together_stay_inside_the_budget():
    proposals = [Proposal(SPLIT, (f"s0{one}",), gain=0.05, moved=0.04) for one in range(1, 6)]
    found = decide(evidence(*proposals, spent=0.01), SETTINGS)
    assert len(found) == 2
    assert sum(one.proposal.moved for one in found) <= 0.09
    assert not any(one.approval for one in found)


def test_what_goes_beyond_the_budget_is_put_to_a_person_beside_what_is_done():
    nudge = Proposal(NUDGE, gain=0.01, moved=0.01)
    refit = Proposal(REFIT, gain=0.2, moved=0.2)
    done, asked = decide(evidence(nudge, refit), SETTINGS)
    assert (done.action, done.approval) == (NUDGE, ())
    assert (asked.action, asked.approval, asked.reason) == (REFIT, ("over_budget",), "over_budget")


def test_what_is_worth_less_than_what_is_done_is_not_put_to_a_person():
    nudge = Proposal(NUDGE, gain=0.05, moved=0.01)
    assert actions(decide(evidence(nudge, Proposal(REFIT, gain=0.03, moved=0.2)), SETTINGS)) == [
        NUDGE
    ]


def test_moving_a_large_share_asks_a_person_even_inside_the_budget():
    settings = AdjustSettings(relabel_budget=0.9)
    (asked,) = decide(evidence(Proposal(REFIT, gain=0.2, moved=0.35)), settings)
    assert asked.approval == ("moved",)
    (free,) = decide(evidence(Proposal(REFIT, gain=0.2, moved=0.3)), settings)
    assert free.approval == ()


def test_a_budget_that_is_spent_leaves_nothing_to_be_done_without_a_person():
    nudge = Proposal(NUDGE, gain=0.05, moved=0.01)
    (asked,) = decide(evidence(nudge, spent=0.2), SETTINGS)
    assert asked.approval == ("over_budget",)


# --- Alarms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_while_tracking_is_broken_nothing_is_done(action):
    proposal = Proposal(action, ("s01",), gain=0.9)
    (kept,) = decide(
        evidence(proposal, alarms=[alarm(None, BROKEN)], blocked=("source web",)), SETTINGS
    )
    assert (kept.action, kept.reason) == (KEEP, "blocked")


def test_a_festival_that_does_no_harm_changes_no_segment():
    festival = [alarm(False), alarm(False, OUTCOMES)]
    proposals = [
        Proposal(REFIT, gain=0.2, moved=0.05),
        Proposal(SPLIT, ("s01",), gain=0.1, moved=0.02, evidence={"foretold": None}),
        Proposal(SPLIT, ("s02",), gain=0.1, moved=0.02,
                 evidence={"foretold": 0.01, "foretold_error": 0.02}),
        Proposal(MERGE, ("s03", "s04"), gain=0.1, moved=0.02),
    ]  # fmt: skip
    (kept,) = decide(evidence(*proposals, alarms=festival), SETTINGS)
    assert (kept.action, kept.reason) == (KEEP, "not_harmful")
    assert actions(decide(evidence(*proposals, alarms=[alarm(True)]), SETTINGS)) != [KEEP]
    assert actions(decide(evidence(*proposals), SETTINGS)) != [KEEP]


def test_beside_a_change_without_harm_a_split_that_foretells_and_a_nudge_are_free():
    split = Proposal(SPLIT, ("s01",), gain=0.1, moved=0.02,
                     evidence={"foretold": 0.05, "foretold_error": 0.02})  # fmt: skip
    nudge = Proposal(NUDGE, gain=0.02, moved=0.01)
    assert actions(decide(evidence(split, nudge, alarms=[alarm(False)]), SETTINGS)) == [
        SPLIT, NUDGE,
    ]  # fmt: skip


def test_a_harmful_alarm_that_small_steps_do_not_answer_goes_up_the_ladder():
    alarms = [alarm(True), alarm(True, OUTCOMES)]
    nudge = Proposal(NUDGE, gain=0.09, moved=0.01, alarms=(0,))
    refit = Proposal(REFIT, gain=0.05, moved=0.05, alarms=(0, 1))
    assert unanswered(evidence(nudge, alarms=alarms), SETTINGS) == (1,)
    (done,) = decide(evidence(nudge, refit, alarms=alarms), SETTINGS)
    assert (done.action, done.reason) == (REFIT, "answers")
    answered = [replace(nudge, alarms=(0, 1)), refit]
    assert actions(decide(evidence(*answered, alarms=alarms), SETTINGS)) == [NUDGE]


def test_a_harmful_alarm_that_nothing_answers_is_told():
    proposal = Proposal(NUDGE, gain=0.001, moved=0.05, alarms=(0,))
    found = evidence(proposal, alarms=[alarm(True)])
    (kept,) = decide(found, SETTINGS)
    assert (kept.action, kept.reason) == (KEEP, "unanswered")
    assert unanswered(found, SETTINGS) == (0,)
    assert unanswered(replace(found, blocked=("spend",)), SETTINGS) == ()


# --- Laws -----------------------------------------------------------------------------------------


def moved(found):
    return sum(one.proposal.moved for one in found)


@pytest.mark.parametrize("seed", range(30))
def test_more_cost_never_leads_to_a_larger_change(seed):
    random = np.random.default_rng(seed)
    proposals = [replace(one, segments=(f"s{place:02d}",)) if one.action == SPLIT else one
                 for place, one in enumerate(some(random, 3))
                 if one.action != MERGE]  # fmt: skip
    told = evidence(*proposals)
    free = AdjustSettings(relabel_budget=1.0)
    prices = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8]
    changes = [moved(decide(told, replace(free, relabel_price=price))) for price in prices]
    assert all(before >= after - 1e-12 for before, after in pairwise(changes))


@pytest.mark.parametrize("seed", range(30))
def test_a_proposal_that_costs_more_is_not_chosen_for_it(seed):
    random = np.random.default_rng([seed, 1])
    proposals = some(random, alarms=2)
    told = evidence(*proposals, alarms=[alarm(True), alarm(True)])
    before = {id(one.proposal) for one in decide(told, SETTINGS)}
    for place, one in enumerate(proposals):
        dearer = [*proposals]
        dearer[place] = replace(one, cost=one.cost + 0.02 * random.random())
        after = {
            id(two.proposal) for two in decide(replace(told, proposals=tuple(dearer)), SETTINGS)
        }
        assert id(one) in before or id(dearer[place]) not in after
    dear = [replace(one, cost=one.cost + 0.5) for one in proposals]
    assert actions(decide(replace(told, proposals=tuple(dear)), SETTINGS)) == [KEEP]


@pytest.mark.parametrize("seed", range(30))
def test_the_order_of_proposals_changes_nothing(seed):
    random = np.random.default_rng([seed, 2])
    proposals = some(random, 8, alarms=2)
    alarms = [alarm(bool(random.integers(2))) for _ in range(2)]
    other = [proposals[place] for place in random.permutation(8)]
    assert decide(evidence(*proposals, alarms=alarms), SETTINGS) == decide(
        evidence(*other, alarms=alarms), SETTINGS
    )


@pytest.mark.parametrize("seed", range(30))
def test_decisions_hold_together(seed):
    random = np.random.default_rng([seed, 3])
    alarms = [alarm([True, False, None][random.integers(3)]) for _ in range(2)]
    told = evidence(*some(random, 8, alarms=2), alarms=alarms, spent=float(random.random() * 0.1))
    policy = ExploringPolicy(RulePolicy(SETTINGS.relabel_price), 0.5, seed=seed)
    found = decide(told, SETTINGS, policy)
    assert found == decide(told, SETTINGS, policy)
    assert all(0 < one.probability <= 1 for one in found)
    assert all(one.reason in REASONS and set(one.approval) <= set(APPROVALS) for one in found)
    assert all(one.action in LADDER for one in found)
    free = [one for one in found if not one.approval]
    assert moved(free) <= SETTINGS.relabel_budget - told.spent + 1e-9
    touched = [name for one in found for name in one.proposal.segments]
    assert len(touched) == len(set(touched))
    assert sum(one.action in (REFIT, RETRAIN) for one in found) <= 1


# --- Policies -------------------------------------------------------------------------------------


def test_the_rules_take_the_lower_rung_of_equals():
    candidates = [Proposal(KEEP), Proposal(REFIT, gain=0.1), Proposal(NUDGE, gain=0.1)]
    assert RulePolicy(0.1).choose(evidence(), candidates) == (2, 1.0)


def test_exploring_takes_any_candidate_with_the_chance_that_it_tells():
    candidates = [Proposal(KEEP), Proposal(NUDGE, gain=0.1), Proposal(SPLIT, ("s01",), gain=0.05)]
    counts, told = np.zeros(3), np.zeros(3)
    for seed in range(3_000):
        policy = ExploringPolicy(RulePolicy(0.1), 0.3, seed=seed)
        place, probability = policy.choose(evidence(), candidates)
        counts[place] += 1
        told[place] = probability
    np.testing.assert_allclose(told, [0.1, 0.8, 0.1])
    np.testing.assert_allclose(counts / 3_000, told, atol=0.025)


def test_a_choice_other_than_that_of_the_rules_is_told_to_be_explored():
    told = evidence(Proposal(NUDGE, gain=0.1, moved=0.01))
    found = [
        decide(told, SETTINGS, ExploringPolicy(RulePolicy(0.1), 0.9, seed=seed))[0]
        for seed in range(12)
    ]
    kept = [one for one in found if one.action == KEEP]
    assert kept and all(one.reason == "explored" for one in kept)
    assert all(one.probability == pytest.approx(0.45) for one in kept)


def test_a_chance_beyond_one_is_refused():
    with pytest.raises(ValueError, match=r"epsilon is 1\.5"):
        ExploringPolicy(RulePolicy(0.1), 1.5)
