"""What a search tries, in which order, and how settings are judged."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from shoal.domain.errors import OperationError
from shoal.domain.sequence import DTYPES, EventSequences
from shoal.model.config import recipe
from shoal.workflows.train_score import outcomes, score
from shoal.workflows.train_space import applied, of_grid, of_optuna, own, space

NANO = recipe("nano")
DIALS = space(NANO)


def after(customers: list[str], kinds: list[list[int]]) -> EventSequences:
    """Events of a window: their kinds, all of category 1 or 2 by turns."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in kinds])]).astype(np.int64)
    fields = {name: np.zeros(offsets[-1], dtype) for name, dtype in DTYPES.items()}
    fields["kind"] = np.array([kind for one in kinds for kind in one], np.int16)
    fields["category1"] = 1 + np.arange(offsets[-1], dtype=np.int32) % 2
    return EventSequences(np.array(customers, object), offsets, fields, np.zeros((1, 1), np.int32))


def test_outcomes_are_counted_by_customer() -> None:
    told = outcomes(
        np.array(["b", "nobody", "a"], object), after(["a", "b", "c"], [[2, 7], [2], [7]]), 7
    )
    assert np.expm1(told["events"][:, 0]).round().tolist() == [1, 0, 2]
    assert told["bought"][:, 0].tolist() == [0, 0, 1]
    assert np.expm1(told["categories"]).round().tolist() == [[1, 0], [0, 0], [1, 1]]


def test_the_score_tells_what_lies_open_from_noise() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6)).astype(np.float32)
    known = {"events": X @ rng.normal(size=(6, 1)), "bought": (X[:, :1] > 0).astype(float)}
    noise = {"events": rng.normal(size=(400, 1))}
    assert score(X, known, 0)["events"] > 0.95
    assert 0.5 < score(X, known, 0)["bought"] < 0.8
    assert abs(score(X, noise, 0)["total"]) < 0.1
    assert score(X, known, 0) == score(X, known, 0)
    assert score(X, {"events": np.zeros((400, 1))}, 0) == {"total": 0.0}
    scaled = X * np.array([1, 1e3, 1e-3, 5, 1, 1], np.float32) + 7
    assert score(scaled, known, 0)["events"] == pytest.approx(
        score(X, known, 0)["events"], abs=0.01
    )


def test_a_recipes_own_settings_change_nothing() -> None:
    assert applied(NANO, own(NANO)) == NANO
    for name, value in own(NANO).items():
        dial = DIALS[name]
        assert value in dial.values if dial.values else dial.low < value < dial.high


def test_what_is_tried_is_what_is_trained() -> None:
    values = {**own(NANO), "horizon": 0.0, "embedding_dim": 8.0, "mask": 0.15, "slice_max": 8.0}
    made = applied(NANO, values)
    assert "horizon" not in made.train.weights and made.train.augment == {"mask": 0.15}
    assert (made.model.embedding_dim, made.train.slice_max) == (8, 8)


def test_a_grid_has_no_point_twice() -> None:
    points = [tuple(of_grid(DIALS, number, 30, 0).items()) for number in range(1, 200)]
    assert len(set(points)) == 199
    assert points[0] != tuple(of_grid(DIALS, 1, 30, 1).items())


def test_optuna_answers_by_what_was_tried_and_learns_from_it() -> None:
    pytest.importorskip("optuna")
    done: list[dict] = []
    for number in range(25):
        values = own(NANO) if not number else of_optuna(DIALS, done, number)
        assert values == (own(NANO) if not number else of_optuna(DIALS, done, number))
        good = -abs(np.log(values["learning_rate"] / 4e-3)) + (values["horizon"] == 0.3)
        failed = number == 7
        done.append({"trial": number, "parameters": values, "score": None if failed else good})
    late = [one for one in done[15:] if one["parameters"]["horizon"] == 0.3]
    assert len(late) > 5, "chance would choose it in a quarter of the trials"


def test_without_optuna_the_others_still_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(OperationError, match="optuna, which is not installed") as told:
        of_optuna(DIALS, [], 1)
    assert told.value.code == "missing_extra" and "shoal[tune]" in told.value.hint
    assert "--search random" in told.value.hint
