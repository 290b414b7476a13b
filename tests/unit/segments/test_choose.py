"""The choice of k: by foretelling, by stability, and what is said when neither helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from shoal.domain.text import Text
from shoal.segments.choose import (
    NEXT_PERIOD,
    NO_GROUPS,
    STABILITY_ONLY,
    Staging,
    Standing,
    _decide,
    choose,
    told,
)
from shoal.segments.evidence import Candidate
from shoal.segments.judge import Future, Limits, Score
from shoal.segments.weigh import doubtful, most_styles, told_of, weigh

QUICK = Limits(bootstraps=5, sample_customers=1500, starts=2)


def blobs(k=5, n=1500, spread=1.0, seed=1):
    X, y = make_blobs(n, n_features=8, centers=k, cluster_std=spread, random_state=seed)
    return X, y


def future(X, y, seed=0):
    rng = np.random.default_rng(seed)
    orders = rng.poisson(0.3 + 0.7 * y).astype(float)
    return Future(X, 28, (orders > 0).astype(float), orders, orders * rng.gamma(2, 10, len(y)))


def test_planted_segments_that_foretell_are_counted_right():
    X, y = blobs()
    choice = choose(X, range(3, 9), seed=0, future=future(X, y), limits=QUICK)
    assert (choice.chosen, choice.rule) == (5, NEXT_PERIOD)
    five = next(one for one in choice.candidates if one.k == 5)
    assert five.stability > 0.95
    assert five.shares["orders"] > 0.3
    assert "foretells the next 28 days" in choice.reason.en


def test_without_a_next_period_stability_decides_and_it_is_said():
    X, _ = blobs()
    choice = choose(X, range(3, 9), seed=0, limits=QUICK)
    assert (choice.chosen, choice.rule) == (5, STABILITY_ONLY)
    assert "too short for a next period" in choice.reason.en
    assert all(one.score is None for one in choice.candidates)


def test_noise_has_no_stable_segments_and_it_is_said():
    X = np.random.default_rng(0).normal(size=(1500, 12))
    choice = choose(X, range(4, 8), seed=0, limits=QUICK)
    assert "No candidate is stable" in choice.reason.en
    assert not choice.trusted
    assert all(one.why_not is not None for one in choice.candidates)


def test_segments_that_are_stable_and_too_small_are_told_as_such():
    X = np.random.default_rng(0).normal(size=(1500, 4)) * 0.05
    X[:750] += 5
    X[:6] += 100
    choice = choose(X, [3], seed=0, limits=QUICK)
    assert choice.candidates[0].stability >= QUICK.stability
    assert "No stable candidate" in choice.reason.en
    assert "but its smallest segment holds 0.4% of customers" in choice.reason.en


def test_outcomes_that_no_segment_foretells_end_in_the_smallest_k():
    X, _ = blobs()
    coin = np.random.default_rng(3).integers(0, 2, len(X)).astype(float)
    choice = choose(
        X, range(4, 8), seed=0, future=Future(X, 28, coin, coin, coin * 10), limits=QUICK
    )
    trusted = [one.k for one in choice.candidates if one.why_not is None]
    assert choice.chosen == min(trusted)
    assert abs(choice.candidates[0].score) < 0.02
    assert "No number of segments foretells the next 28 days" in choice.reason.en


def test_the_mix_of_categories_counts_as_an_outcome():
    X, y = blobs()
    rng = np.random.default_rng(0)
    flat = np.ones(len(X))
    taken = np.array([rng.multinomial(8, np.where(np.arange(5) == c, 0.6, 0.1)) for c in y]) * 1.0
    coin = rng.integers(0, 2, len(X)).astype(float)
    outcome = Future(X, 28, coin, flat, flat, taken)
    choice = choose(X, range(4, 8), seed=0, future=outcome, limits=QUICK)
    assert choice.chosen == 5
    assert set(choice.candidates[0].shares) == {"activity", "categories"}


def test_a_tiny_segment_is_no_candidate():
    X, _ = blobs(4)
    X[:3] += 500
    choice = choose(X, [4, 5], seed=0, limits=QUICK)
    assert "its smallest segment holds" in choice.candidates[1].why_not.en


def test_identical_customers_show_one_behaviour():
    choice = choose(np.ones((100, 3)), range(4, 6), seed=0, limits=QUICK)
    assert "only 1 different behaviours" in choice.candidates[0].why_not.en


def test_the_order_of_customers_changes_nothing():
    X, y = blobs(spread=2.5)
    order = np.random.default_rng(2).permutation(len(X))
    one = choose(X, range(4, 7), seed=0, future=future(X, y), limits=QUICK)
    F = future(X, y)
    moved = Future(X[order], 28, F.active[order], F.orders[order], F.spend[order])
    other = choose(X[order], range(4, 7), seed=0, future=moved, limits=QUICK)
    assert one.chosen == other.chosen
    for a, b in zip(one.candidates, other.candidates, strict=True):
        assert a.stability == pytest.approx(b.stability)
        assert a.score == pytest.approx(b.score)


def test_the_evidence_is_a_plain_document():
    import json

    X, y = blobs(n=600)
    document = choose(X, [4, 5], seed=0, future=future(X, y), limits=QUICK).as_document()
    assert json.loads(json.dumps(document))["candidates"][1]["k"] == 5
    assert told(7).as_document()["rule"] == "told"


def continuum(n=1500, seed=0):
    """Customers whose style are five groups, and whose orders follow something else."""
    rng = np.random.default_rng(seed)
    X, y = blobs(n=n, seed=seed)
    rate = rng.gamma(1.0, 1.0, n)
    orders = rng.poisson(rate).astype(float)
    outlook = (np.sqrt(rate) - np.sqrt(rate).mean())[:, None] / np.sqrt(rate).std()
    return X, y, orders, outlook


def outlook_future(**more):
    X, _, orders, outlook = continuum()
    return Future(X, 28, (orders > 0) * 1.0, orders, orders * 10, outlook=outlook, **more)


def test_stages_are_made_where_the_outlook_foretells():
    found = weigh(outlook_future(), 5, seed=0, limits=QUICK)
    assert found.styles < 5
    assert [one["styles"] for one in found.tried] == [1, 2, 3, 4, 5]
    assert found.tried[-1]["score"] < 0.2 < 0.9 < found.tried[0]["score"]


def test_the_most_styles_that_cost_no_foretelling_are_taken_or_the_best_where_asked():
    found = weigh(outlook_future(), 5, seed=0, limits=QUICK)
    best = weigh(outlook_future(), 5, seed=0, limits=QUICK, best=True)
    scores = {one["styles"]: one["score"] for one in found.tried}
    assert scores[best.styles] == max(scores.values())
    assert found.styles >= best.styles
    later = [scores[styles] for styles in scores if styles > found.styles]
    assert all(score < scores[best.styles] for score in later)


def test_segments_are_styles_where_style_foretells_as_well():
    X, y = blobs()
    rng = np.random.default_rng(0)
    orders = rng.poisson(0.3 + 0.7 * y).astype(float)
    noise = rng.normal(size=(len(X), 1))
    future = Future(X, 28, (orders > 0) * 1.0, orders, orders * 10, outlook=noise)
    assert weigh(future, 5, seed=0, limits=QUICK).styles == 5


def test_the_styles_of_the_version_before_stay_where_they_are_as_good():
    free = weigh(outlook_future(), 5, seed=0, limits=QUICK)
    scores = {one["styles"]: one for one in free.tried}
    top = max(scores.values(), key=lambda one: one["score"])
    near = [n for n, one in scores.items() if top["score"] - one["score"] <= 2 * top["score_se"]]
    for styles in scores:
        kept = weigh(outlook_future(), 5, seed=0, limits=QUICK, settled=styles).styles
        assert kept == (styles if styles in near else free.styles)


def test_styles_that_were_in_no_doubt_need_more_than_one_odd_period_to_go():
    part = np.full(100, 0.01)  # a standard error of 0.1
    for behind, doubted, kept in ((0.3, True, 3), (0.3, False, 2), (0.5, False, 3)):
        scores = {3: Score(1.0, {}, part), 2: Score(1.0 - behind, {}, part)}
        assert most_styles(scores, settled=2, doubted=doubted) == kept
        assert doubtful(told_of(scores), 2)
        assert not doubtful(told_of(scores), 3)
    assert doubtful(told_of(scores), 4), "nobody asked about it"


def test_a_chosen_number_comes_with_its_styles_and_the_evidence():
    X, _, orders, outlook = continuum()
    future = Future(X, 28, (orders > 0) * 1.0, orders, orders * 10, outlook=outlook)
    choice = choose(
        np.hstack([X, outlook]), range(5, 8), seed=0, future=future, limits=QUICK,
        staging=Staging(X.shape[1]),
    )  # fmt: skip
    assert 1 <= choice.styles < choice.chosen
    taken = next(one for one in choice.candidates if one.k == choice.chosen)
    assert taken.styles == choice.styles == choice.extra["outlook"]["styles"]
    assert len(choice.extra["outlook"]["tried"]) == choice.chosen
    assert choice.as_document()["styles"] == choice.styles


def test_nothing_is_weighed_without_an_outlook():
    X, y = blobs()
    assert weigh(future(X, y), 5, seed=0, limits=QUICK) is None


def test_a_number_that_is_as_good_as_the_best_stays():
    X, y = blobs()
    known = future(X, y)
    first = choose(X, range(3, 9), seed=0, future=known, limits=QUICK)
    eligible = [one.k for one in first.candidates if one.why_not is None]
    near = [
        one.k for one in first.candidates
        if one.k in eligible
        and one.score >= max(c.score for c in first.candidates if c.k in eligible) - one.score_se
    ]  # fmt: skip
    settled = choose(
        X, range(3, 9), seed=0, future=known, limits=QUICK, standing=Standing(max(near))
    )
    assert settled.chosen == max(near)
    assert (
        choose(X, range(3, 9), seed=0, future=known, limits=QUICK, standing=Standing(3)).chosen == 5
    )


def candidate(k, stability, *, strength=0.5, smallest=0.1):
    why = None if stability >= 0.9 else Text("not stable", "不稳定")
    return Candidate(k, stability, strength, smallest, 0.5, 1.0, None, None, None, why)


@pytest.mark.parametrize(
    ("settled", "chosen", "said"),
    [
        (None, 4, "k = 4 is the most stable"),
        (7, 7, "k = 7, which stays as it was"),
        (6, 6, "k = 6, which stays as it was"),  # the most stable one has not shown that it is
        (8, 4, "k = 4 is the most stable"),  # one of its segments is tiny by now
        (99, 4, "k = 4 is the most stable"),  # no candidate any more
    ],
)
def test_where_no_number_is_trusted_the_one_before_stays(settled, chosen, said):
    every = [candidate(4, 0.85), candidate(6, 0.55), candidate(7, 0.77),
             candidate(8, 0.8, smallest=0.001)]  # fmt: skip
    found = _decide(every, {}, Limits(), None, 900, Standing(settled))
    assert found.chosen == chosen
    assert said in found.reason.en
    assert not found.trusted


def test_where_no_number_is_trusted_the_one_before_goes_if_it_foretells_less():
    every = [candidate(4, 0.85), candidate(6, 0.55)]
    part = np.full(100, 0.01)  # a standard error of 0.1
    for score, chosen in ((0.85, 6), (0.75, 4)):
        scores = {4: Score(1.0, {}, part), 6: Score(score, {}, part)}
        assert _decide(every, scores, Limits(), 28, 900, Standing(6)).chosen == chosen
        # It was in no doubt before: one odd period is not enough.
        sure = Standing(6, doubted=False)
        assert _decide(every, scores, Limits(), 28, 900, sure).chosen == 6


def test_a_number_that_came_back_once_only_is_not_trusted():
    """What is found now and what the version before found count alike."""
    X, _ = blobs()
    limits = replace(QUICK, bootstraps=4)
    first = choose(X, [4, 5], seed=0, limits=limits)
    five = next(one for one in first.candidates if one.k == 5)
    assert five.why_not is None
    assert five.stability == five.redrawn
    again = choose(X, [4, 5], seed=0, limits=limits, standing=Standing(4, {5: 0.3}))
    five = next(one for one in again.candidates if one.k == 5)
    assert five.redrawn == next(one for one in first.candidates if one.k == 5).redrawn
    assert five.stability == (five.redrawn + 0.3) / 2
    assert five.why_not is not None
    assert again.chosen == 4


def test_the_number_before_may_be_a_little_less_stable_than_a_new_one_has_to_be():
    def score(value):
        return Score(value, {"orders": 0.5}, np.full(100, 0.002))

    every = [candidate(4, 0.95), candidate(7, 0.84), candidate(8, 0.7)]
    scores = {4: score(1.0), 7: score(0.99), 8: score(0.99)}
    assert _decide(every, scores, Limits(), 28, 900, Standing(None)).chosen == 4
    assert _decide(every, scores, Limits(), 28, 900, Standing(7)).chosen == 7
    assert _decide(every, scores, Limits(), 28, 900, Standing(8)).chosen == 4
    # Not where it foretells less by more than a standard error.
    assert _decide(every, {**scores, 7: score(0.9)}, Limits(), 28, 900, Standing(7)).chosen == 4


def test_without_a_next_period_the_number_before_stays_where_it_is_nearly_as_strong():
    every = [candidate(4, 0.95, strength=0.9), candidate(6, 0.92, strength=0.75),
             candidate(7, 0.92, strength=0.6)]  # fmt: skip
    for settled, chosen in ((None, 4), (6, 6), (7, 4)):
        assert _decide(every, {}, Limits(), None, 900, Standing(settled)).chosen == chosen


def test_customers_without_groups_are_one_segment():
    X = np.random.default_rng(0).normal(size=(1500, 12))
    choice = choose(X, range(4, 8), seed=0, limits=QUICK, groups=X)
    assert (choice.chosen, choice.rule) == (1, NO_GROUPS)
    assert "No segments here" in choice.reason.en
    assert set(choice.as_document()["prediction_strength"]) == {"2", "3"}


def test_groups_are_not_denied_where_there_are_some_or_too_few_customers():
    X, _ = blobs()
    assert choose(X, [5], seed=0, limits=QUICK, groups=X).chosen == 5
    few = np.random.default_rng(0).normal(size=(900, 12))
    assert choose(few, [4], seed=0, limits=QUICK, groups=few).chosen == 4
