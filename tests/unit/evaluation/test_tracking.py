from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.evaluation.tracking import (
    Change,
    by_chance,
    delay,
    dominated,
    flicker,
    recovery,
    restricted_mean,
    trade_off,
    with_margin,
    with_patience,
)


def _one(labels: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One customer's labels at weekly cuts."""
    return np.array(["c"] * len(labels)), 7.0 * np.arange(len(labels)), np.array(list(labels))


def test_a_switch_is_paid_for_by_one_true_change() -> None:
    customers, days, truth = _one("aaabbbb")
    late = flicker(customers, days, truth, np.array(list("aaaaabb")))
    assert (late.switches, late.unpaid, late.true_changes) == (1, 0, 1)
    to_and_fro = flicker(customers, days, truth, np.array(list("aaababb")))
    assert (to_and_fro.switches, to_and_fro.unpaid) == (3, 2)
    assert to_and_fro.customer_months == pytest.approx(42 / 30)
    assert to_and_fro.rate == pytest.approx(2 / (42 / 30))


def test_a_switch_before_the_true_change_is_not_paid_for() -> None:
    customers, days, truth = _one("aabb")
    assert flicker(customers, days, truth, np.array(list("abbb"))).unpaid == 1


def test_credit_is_not_lent_to_another_customer() -> None:
    customers = np.array(["c", "c", "d", "d"])
    days = np.array([0.0, 7.0, 0.0, 7.0])
    told = flicker(customers, days, np.array(list("abab")), np.array(list("xxyx")))
    assert (told.true_changes, told.switches, told.unpaid) == (2, 1, 0)
    told = flicker(customers, days, np.array(list("abaa")), np.array(list("xxyx")))
    assert told.unpaid == 1


def test_order_of_rows_means_nothing() -> None:
    random = np.random.default_rng(0)
    customers = np.repeat(np.arange(20), 6)
    days = np.tile(7.0 * np.arange(6), 20)
    truth, found = random.integers(3, size=(2, 120))
    order = random.permutation(120)
    assert flicker(customers, days, truth, found) == flicker(
        customers[order], days[order], truth[order], found[order]
    )


def test_without_two_cuts_of_a_customer_there_is_no_rate() -> None:
    told = flicker(np.array(["a", "b"]), np.zeros(2), np.zeros(2), np.zeros(2))
    assert math.isnan(told.rate)


def test_delay_is_until_the_first_right_cut() -> None:
    customers, days, called = _one("aabab" + "b")
    changes = [Change("c", 6.0, 100.0, "b")]
    told = delay(customers, days, called, changes, 56.0, kept_cuts=1)
    assert told.days == pytest.approx(14 - 6)


def test_a_right_cut_counts_once_the_next_one_is_right_too() -> None:
    customers, days, called = _one("abaabb")
    changes = [Change("c", 5.0, 100.0, "b")]
    told = delay(customers, days, called, changes, 56.0)
    assert told.days == pytest.approx(28 - 5)
    assert (told.detected_share, told.changes) == (1.0, 1)


def test_a_method_that_is_never_right_waits_the_whole_horizon() -> None:
    customers, days, called = _one("aaaaaaaaaa")
    told = delay(customers, days, called, [Change("c", 1.0, 100.0, "b")], 56.0)
    assert (told.days, told.detected_share) == (56.0, 0.0)


def test_a_segment_that_ended_before_it_was_found_is_censored() -> None:
    customers = np.array(["c"] * 4 + ["d"] * 4)
    days = np.tile([0.0, 7.0, 14.0, 21.0], 2)
    called = np.array(list("aaaa") + list("abbb"))
    changes = [Change("c", 1.0, 12.0, "b"), Change("d", 0.0, 99.0, "b")]
    # d is right after 7 days with both at risk; c is censored after 11
    assert delay(customers, days, called, changes, 20.0).days == pytest.approx(7 + 0.5 * 13)


def test_a_label_that_said_so_already_noticed_nothing() -> None:
    customers, days, called = _one("abbb")
    told = delay(customers, days, called, [Change("c", 8.0, 99.0, "b")], 56.0)
    assert told.changes == 0


def test_right_after_the_segment_ended_is_not_right() -> None:
    customers, days, called = _one("aabb")
    told = delay(customers, days, called, [Change("c", 1.0, 10.0, "b")], 56.0, kept_cuts=1)
    assert told.detected_share == 0.0


def test_changes_of_customers_not_seen_after_do_not_count() -> None:
    customers, days, called = _one("ab")
    changes = [Change("c", 30.0, 99.0, "b"), Change("nobody", 0.0, 99.0, "b")]
    told = delay(customers, days, called, changes, 56.0)
    assert told.changes == 0
    assert math.isnan(told.days)


def test_guessing_gains_nothing_over_chance() -> None:
    random = np.random.default_rng(0)
    customers = np.repeat(np.arange(1500), 12)
    days = np.tile(7.0 * np.arange(12), 1500)
    changes = [Change(customer, 20.0, 99.0, "b", "a") for customer in range(1500)]

    def gained(called: np.ndarray) -> float:
        found, guessed = (
            delay(customers, days, called, one, 56.0).days
            for one in (changes, by_chance(changes, list("abcde")))
        )
        return guessed - found

    guess = random.choice(list("abcde"), size=len(days))
    assert delay(customers, days, guess, changes, 56.0).days < 50
    assert abs(gained(guess)) < 1.5
    assert gained(np.where(days < 20, "a", "b")) == pytest.approx(56 - 1)
    assert gained(np.full(len(days), "a")) == 0.0


def test_a_hand_computed_kaplan_meier_curve() -> None:
    # at 2: 4 at risk, 1 goes (0.75); at 3 one is censored; at 5: 2 at risk, 1 goes (0.375)
    waits = np.array([2.0, 3.0, 5.0, 9.0])
    happened = np.array([True, False, True, False])
    assert restricted_mean(waits, happened, 8.0) == pytest.approx(2 + 0.75 * 3 + 0.375 * 3)


@given(st.lists(st.floats(0.5, 50), min_size=1, max_size=30))
def test_without_censoring_it_is_the_mean_of_waits_cut_at_the_horizon(waits: list[float]) -> None:
    told = restricted_mean(np.array(waits), np.ones(len(waits), bool), 20.0)
    assert told == pytest.approx(np.minimum(waits, 20.0).mean())


def test_a_margin_holds_small_differences_back() -> None:
    customers = np.array(["c"] * 3)
    days = np.array([0.0, 7.0, 14.0])
    weights = np.array([[0.6, 0.4], [0.45, 0.55], [0.2, 0.8]])
    assert with_margin(customers, days, weights, 0.0).tolist() == [0, 1, 1]
    assert with_margin(customers, days, weights, 0.2).tolist() == [0, 0, 1]
    assert with_margin(customers, days, weights, 1.0).tolist() == [0, 0, 0]


def test_patience_waits_for_the_same_label_again() -> None:
    customers, days, labels = _one("abcbbbaab")
    assert "".join(with_patience(customers, days, labels, 0)) == "abcbbbaab"
    assert "".join(with_patience(customers, days, labels, 1)) == "aaaabbbaa"
    assert "".join(with_patience(customers, days, labels, 2)) == "aaaaabbbb"


def test_filters_do_not_mix_customers() -> None:
    customers = np.array(["c", "d", "c", "d"])
    days = np.array([0.0, 0.0, 7.0, 7.0])
    weights = np.eye(2)[[0, 1, 1, 1]] * 0.5
    assert with_margin(customers, days, weights, 0.9).tolist() == [0, 1, 0, 1]


def test_the_area_of_a_trade_off() -> None:
    assert trade_off([(0.25, 2.0), (0.5, 1.0), (0.6, 9.0)], (1.0, 10.0)) == pytest.approx(
        (0.75 * 8 + 0.5 * 1) / 10
    )
    assert trade_off([(0.0, 10.0)], (1.0, 10.0)) == 0.0  # never switches
    assert trade_off([(5.0, 0.0)], (1.0, 10.0)) == 0.0  # always switches


def test_domination_needs_a_better_side() -> None:
    assert not dominated((0.1, 5.0), [(0.1, 5.0), (0.05, 6.0)])
    assert dominated((0.1, 5.0), [(0.1, 4.0)])


def test_recovery_is_when_accuracy_stays_back() -> None:
    days = np.arange(0.0, 70.0, 7.0)
    accuracy = np.array([0.8, 0.8, 0.8, 0.79, 0.5, 0.77, 0.6, 0.76, 0.8, 0.8])
    told = recovery(days, accuracy, 22.0)
    assert told is not None
    assert told.days == pytest.approx(49 - 22)
    assert told.before == pytest.approx((0.8 + 0.8 + 0.8 + 0.79) / 4)
    assert told.lowest == 0.5


def test_no_fall_recovers_at_once_and_a_lasting_one_never() -> None:
    days = np.arange(0.0, 42.0, 7.0)
    level = recovery(days, np.full(6, 0.7), 15.0)
    assert level is not None and level.days == 0.0
    gone = recovery(days, np.array([0.7, 0.7, 0.7, 0.3, 0.3, 0.3]), 15.0)
    assert gone is not None and gone.days is None
    assert recovery(days, np.full(6, 0.7), 99.0) is None


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="columns of 2, 1"):
        flicker(np.zeros(2), np.zeros(1), np.zeros(2), np.zeros(2))
