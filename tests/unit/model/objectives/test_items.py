"""The softmax over items: unbiased by hand, bounded in cost, from one item to a million."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shoal.model.config import ObjectiveConfig
from shoal.model.objectives.items import ItemSoftmax


class Shelf(nn.Module):
    """Vectors of items, counting how many were asked for."""

    def __init__(self, items: int, d: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(items, d))
        self.asked = 0

    def item_vectors(self, codes: Tensor | None = None) -> Tensor:
        found = self.table if codes is None else self.table[codes - 1]
        self.asked = len(found)
        return found


def softmax_of(items: int, d: int = 4, counts=None, **settings: int) -> tuple[ItemSoftmax, Shelf]:
    torch.manual_seed(1)
    counts = np.arange(1, items + 1) if counts is None else counts
    return ItemSoftmax(d, counts, ObjectiveConfig(**settings)), Shelf(items, d)


def test_few_items_are_all_scored() -> None:
    items, shelf = softmax_of(5)
    hidden, codes = torch.randn(7, 4), torch.tensor([1, 2, 3, 4, 5, 1, 2])
    loss, count = items(shelf, hidden, codes, torch.arange(7))
    logits = items.query(hidden) @ shelf.table.T
    expected = torch.nn.functional.cross_entropy(logits, codes - 1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert int(count) == 7


def test_unknown_items_and_none_are_left_out() -> None:
    items, shelf = softmax_of(5)
    hidden = torch.randn(4, 4)
    mixed, count = items(shelf, hidden, torch.tensor([0, 3, 6, 2]), torch.arange(4))
    known, _ = items(shelf, hidden[[1, 3]], torch.tensor([3, 2]), torch.arange(2))
    assert int(count) == 2
    assert mixed.item() == pytest.approx(known.item(), rel=1e-6)
    loss, count = items(shelf, hidden.requires_grad_(), torch.tensor([0, 6, 7, 0]), torch.arange(4))
    loss.backward()
    assert (loss.item(), int(count)) == (0.0, 0)


def test_one_item_is_no_surprise() -> None:
    items, shelf = softmax_of(1)
    loss, _ = items(shelf, torch.randn(3, 4), torch.ones(3, dtype=torch.int64), torch.arange(3))
    loss.backward()
    assert loss.item() == 0.0
    items, shelf = softmax_of(0)
    loss, count = items(
        shelf, torch.randn(3, 4), torch.zeros(3, dtype=torch.int64), torch.arange(3)
    )
    assert (loss.item(), int(count)) == (0.0, 0)


def test_the_sum_over_all_items_is_estimated_without_bias() -> None:
    """Draws, and events of other customers, together stand for the whole vocabulary."""
    n, reps = 40, 2_000
    items, _ = softmax_of(n, item_samples=8)
    items.train()
    torch.manual_seed(2)
    scores = torch.randn(n, dtype=torch.float64)
    sums = np.zeros(reps)
    for rep in range(reps):
        codes = 1 + torch.multinomial(items.share, 12, replacement=True)
        customer = torch.arange(12) // 2
        drawn = items.draw(codes.device)
        candidates, places = torch.unique(torch.cat([codes, drawn]), return_inverse=True)
        weights, owner = items.log_weights(candidates, places[:12], places[12:], customer)
        sums[rep] = float((scores[candidates - 1] + weights[owner[0]]).exp().sum())
    standard_error = sums.std() / reps**0.5
    assert float(scores.exp().sum()) == pytest.approx(sums.mean(), abs=4 * standard_error)
    assert standard_error < 0.03 * sums.mean()


def test_without_the_correction_the_estimate_would_be_off() -> None:
    n = 40
    items, _ = softmax_of(n, item_samples=4_000)
    drawn = items.train().draw(torch.device("cpu"))
    times = torch.bincount(drawn - 1, minlength=n)
    even = 2_000 / n + 2_000 * items.share
    assert float((times / even - 1).abs().mean()) < 0.15  # half even, half by popularity
    assert float(times.max() / times.min()) > 1.5


def test_a_customers_own_items_are_no_negatives_unless_drawn() -> None:
    items, _ = softmax_of(10, item_samples=2)
    candidates = torch.arange(1, 6)
    own, drawn = torch.tensor([0, 1, 2]), torch.tensor([3, 3])
    weights, owner = items.log_weights(candidates, own, drawn, torch.tensor([7, 7, 9]))
    assert owner.tolist() == [0, 0, 1]
    told = weights.isfinite().tolist()
    assert told == [[False, False, True, True, False], [True, True, False, True, False]]
    share = items.share[3]
    expected = 2 / (1 * share + 1 / 10 + 1 * share)  # twice drawn; of one other event and two draws
    assert weights[0, 3].item() == pytest.approx(expected.log().item(), rel=1e-5)


def test_the_true_item_is_never_its_own_negative() -> None:
    items, shelf = softmax_of(30, item_samples=4)
    hidden = torch.randn(6, 4)
    codes = torch.full((6,), 30)  # the commonest, of all customers, and drawn as well
    items.draw = lambda device: torch.full((4,), 30)  # type: ignore[method-assign]
    loss, _ = items(shelf, hidden, codes, torch.arange(6))
    assert loss.item() == 0.0


def test_a_million_items_cost_what_a_few_samples_cost() -> None:
    n = 1_000_000
    counts = np.random.default_rng(0).zipf(1.3, n).clip(max=10_000)
    items, shelf = softmax_of(n, d=2, counts=counts, item_samples=64, item_places=32)
    items.train()
    hidden = torch.randn(500, 2, requires_grad=True)
    codes = torch.randint(1, n + 1, (500,))
    loss, count = items(shelf, hidden, codes, torch.arange(500) // 10)
    loss.backward()
    assert loss.isfinite()
    assert int(count) == 32
    assert shelf.asked <= 64 + 32
    assert hidden.grad is not None
    assert int((hidden.grad.abs().sum(dim=1) > 0).sum()) <= 32
