"""The bench of the number of segments: its data sets and its page."""

from __future__ import annotations

import numpy as np
from bench import choice
from bench.harness.results import header


def test_a_data_set_has_the_planted_number_and_harder_ones_err_more() -> None:
    data = choice.planted("easy", 7)
    again = choice.planted("easy", 7)
    assert np.array_equal(data.now, again.now)
    assert len(np.unique(data.segment)) in choice.PLANTED
    assert data.now.shape == data.before.shape == (choice.CUSTOMERS, choice.DIMENSIONS)
    assert (data.future.spend[data.future.orders == 0] == 0).all()
    easy, hard = (
        np.mean([choice.planted(difficulty, seed).bayes for seed in range(6)])
        for difficulty in ("easy", "hard")
    )
    assert easy < 0.03 < hard


def test_the_page_counts_exact_hits() -> None:
    found = dict.fromkeys(choice.RULES, 5) | {"gap": 7}
    seconds = {f"{name}_s": 1.0 for name in choice.RULES}
    rows = [
        {"difficulty": "easy", "seed": planted, "planted": planted, "bayes": 0.01} | found | seconds
        for planted in (5, 6)
    ]
    page = choice.page(header("bench.choice/1", "bench.choice", [1, 2], rows=rows))
    assert "| **Shoal** | 50% | 100% | -0.5 | 1.0 |" in page
    assert "| gap statistic | 0% | 50% | +1.5 | 1.0 |" in page
