"""Means over what there is to tell, running means, and the choice of places."""

from __future__ import annotations

import pytest
import torch

from shoal.model.objectives.figures import RunningMean, joined, numbers
from shoal.model.objectives.places import choose


def test_parts_without_anything_to_tell_are_left_out_of_the_mean() -> None:
    one, three = torch.tensor(1.0), torch.tensor(3.0)
    some, none = torch.tensor(5), torch.tensor(0)
    assert joined({"a": (one, some), "b": (three, some)}).item() == 2.0
    assert joined({"a": (one, some), "b": (three, none)}).item() == 1.0
    assert joined({"a": (one, none), "b": (three, none)}).item() == 0.0


def test_figures_become_numbers() -> None:
    assert numbers({"a": torch.tensor(1.5), "b": torch.tensor(2)}) == {"a": 1.5, "b": 2.0}
    assert numbers({}) == {}


def test_a_running_mean_is_plain_at_first_and_learns_in_training_only() -> None:
    mean = RunningMean(2)
    known = torch.tensor([[True, True], [True, False]])
    assert mean(torch.tensor([[1.0, 2.0], [3.0, 100.0]]), known).tolist() == [2.0, 2.0]
    assert mean(torch.tensor([[4.0, 6.0]]), known[:1]).tolist() == [3.0, 4.0]
    mean.eval()
    assert mean(torch.tensor([[9.0, 9.0]]), known[:1]).tolist() == [3.0, 4.0]
    mean.train()
    assert mean(torch.tensor([[9.0, 9.0]]), ~known[:1]).tolist() == [3.0, 4.0]


def test_before_any_training_the_running_mean_is_that_of_the_batch() -> None:
    mean = RunningMean(1).eval()
    found = mean(torch.tensor([[1.0], [3.0]]), torch.tensor([[True], [True]]))
    assert found.tolist() == [2.0]
    assert mean(torch.tensor([[7.0]]), torch.tensor([[False]])).tolist() == [0.0]


def test_a_running_mean_forgets_at_last() -> None:
    mean = RunningMean(1)
    known = torch.ones(1, 1, dtype=torch.bool)
    for _ in range(300):
        mean(torch.zeros(1, 1), known)
    for _ in range(300):
        found = mean(torch.ones(1, 1), known)
    assert found.item() == pytest.approx(1 - 0.99**300, rel=1e-3)


def test_places_are_all_or_a_bounded_choice() -> None:
    known = torch.tensor([[True, False, True], [True, True, False]])
    assert choose(known, 9, training=True).tolist() == [0, 2, 3, 4]
    assert choose(known, 2, training=False).tolist() == [0, 3]
    torch.manual_seed(0)
    drawn = {tuple(choose(known, 2, training=True).tolist()) for _ in range(50)}
    assert len(drawn) == 6  # every pair, in order
    assert all(a < b for a, b in drawn)
