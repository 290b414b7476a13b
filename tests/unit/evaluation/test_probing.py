"""Probes find what was planted in a description, and nothing in noise."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from shoal.evaluation.probing import FIGURES, Description, Probed, Prober, Task
from shoal.evaluation.probing_heads import HISTOGRAM, LIGHTGBM, LINEAR, heads, histogram, linear

N = 800


def planted() -> tuple[dict[str, Task], list[Description]]:
    """Outcomes that three hidden numbers decide; `embedding` holds them mixed, `noise` nothing."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(N, 3))
    rate = np.exp(0.8 * hidden[:, 1] - 0.5)
    orders = random.poisson(rate).astype(float)
    spend = orders * random.gamma(2.0, 10.0, N) * np.exp(0.5 * hidden[:, 2])
    bought = (hidden[:, 0] + 0.5 * random.normal(size=N) > 0).astype(float)
    taste = np.argmax(hidden + 0.3 * random.normal(size=(N, 3)), axis=1).astype(float)
    taste[:50] = -1
    mixed = hidden @ random.normal(size=(3, 8)) + 0.05 * random.normal(size=(N, 8))
    noise = random.normal(size=(N, 8))
    both = np.hstack([noise, mixed])
    tasks = {
        "purchase": Task("purchase", "chance", bought),
        "orders": Task("orders", "count", orders),
        "spend": Task("spend", "amount", spend),
        "category": Task("category", "class", taste, ("a", "b", "c")),
    }
    sides = {"noise": noise, "embedding": mixed, "both": both}
    return tasks, [Description(name, X, X) for name, X in sides.items()]


@cache
def asked(task: str) -> dict[tuple[str, str], Probed]:
    tasks, descriptions = planted()
    learned = np.random.default_rng(1).permutation(N) < N // 2
    prober = Prober(learned, heads(), seed=0, against="noise", draws=100)
    found = prober.ask(tasks[task], descriptions)
    return {(one.head, one.description): one for one in found}


@pytest.mark.parametrize("task", ["purchase", "orders", "spend", "category"])
def test_planted_structure_is_found_and_noise_is_not(task: str) -> None:
    found = asked(task)
    names = {head.name for head in heads()}
    assert {head for head, _ in found} == names
    for head in names:
        kind = planted()[0][task].kind
        first = FIGURES[kind][0]
        chance = 0.5 if first == "auroc" else 0.0
        nothing, there = (found[head, side].figures[first] for side in ("noise", "embedding"))
        assert there.low > chance + 0.15, head
        assert there.low < there.figure < there.high
        assert nothing.low < chance, head
        gain = found[head, "both"].gain
        assert gain is not None and gain.low > 0
        assert found[head, "noise"].gain is None


def test_what_is_asked_is_never_learned() -> None:
    """With outcomes of the asked turned round the forecasts stay, so the figure turns round."""
    tasks, descriptions = planted()
    learned = np.arange(N) < N // 2
    values = tasks["purchase"].values
    turned = Task("purchase", "chance", np.where(learned, values, 1 - values))
    prober = Prober(learned, heads()[:1], seed=0, against="noise", draws=20)
    straight, other = (
        prober.ask(one, descriptions[1:2])[0].figures["auroc"].figure
        for one in (tasks["purchase"], turned)
    )
    assert straight > 0.85
    assert other == pytest.approx(1 - straight)


def test_the_same_seed_gives_the_same_figures() -> None:
    tasks, descriptions = planted()
    learned = np.arange(N) % 2 == 0
    first, second = (
        Prober(learned, heads(), seed=4, against="noise", draws=20).ask(
            tasks["orders"], descriptions[:1]
        )
        for _ in range(2)
    )
    assert [one.as_document() for one in first] == [one.as_document() for one in second]


def test_scikit_learns_trees_serve_where_lightgbm_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, descriptions = planted()
    monkeypatch.setattr("shoal.evaluation.probing_heads.find_spec", lambda _: None)
    assert [one.name for one in heads()] == [LINEAR, HISTOGRAM]
    monkeypatch.undo()
    assert [one.name for one in heads()] == [LINEAR, LIGHTGBM]
    X = descriptions[1].plain
    rows, others = np.arange(400), np.arange(600, N)
    for task in (tasks["category"], tasks["spend"]):
        kept = rows[task.known[rows]]
        told = histogram(X[kept], task, kept, X[others], 0)
        base = np.repeat(task.told(kept).mean(axis=0, keepdims=True), len(others), axis=0)
        assert task.deviance(others, told).sum() < 0.9 * task.deviance(others, base).sum()


def test_an_odd_customer_is_not_foretold_millions() -> None:
    tasks, descriptions = planted()
    X = descriptions[1].plain
    rows = np.arange(400)
    told = linear(X[rows], tasks["spend"], rows, np.full((1, 8), 1e6), 0)
    seen = linear(X[rows], tasks["spend"], rows, X[rows], 0)
    assert told[0, 0] <= seen.max() * (1 + 1e-9)


def test_too_few_with_an_outcome_are_told_with_their_number() -> None:
    learned = np.arange(100) < 50
    rare = Task("purchase", "chance", (np.arange(100) == 3).astype(float))
    assert rare.lacks(learned) == "1 learned customers have it; 10 needed"
    everybody = Task("purchase", "chance", np.ones(100))
    assert everybody.lacks(learned) == "0 learned customers lack it; 10 needed"
    one = Task("category", "class", np.zeros(100), ("a",))
    assert one.lacks(learned) == "0 learned customers are not in the commonest class; 10 needed"
    with pytest.raises(ValueError, match="10 needed"):
        Prober(learned, heads(), 0, "x").ask(rare, [])


def test_a_constant_description_foretells_the_mean() -> None:
    tasks, _ = planted()
    flat = Description("flat", np.ones((N, 3)), np.ones((N, 3)))
    prober = Prober(np.arange(N) % 2 == 0, heads(), seed=0, against="flat", draws=20)
    for task in tasks.values():
        for found in prober.ask(task, [flat]):
            assert found.figures["deviance_share"].figure == pytest.approx(0, abs=0.02)
            text = json.dumps(found.as_document(), allow_nan=False)
            assert "NaN" not in text


def test_a_class_that_nobody_learned_has_a_chance() -> None:
    values = np.r_[np.tile([0.0, 1.0], 100), np.tile([0.0, 1.0, 2.0, 2.0], 50)]
    task = Task("category", "class", values, ("a", "b", "c"))
    X = np.random.default_rng(0).normal(size=(400, 3))
    rows = np.arange(200)
    for head in heads():
        told = head.fit(X[rows], task, rows, X[200:], 0)
        assert told.shape == (200, 3)
        assert told.sum(axis=1) == pytest.approx(1)
        assert (told > 0).all()
