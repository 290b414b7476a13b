"""Two runs that stand beside the main one: a part of adjustment taken away each, and a shop whose
tracking breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.harness.results import spread, table, told
from bench.track.report_adjust import adjustment
from bench.track.summing import mean_over_worlds, of, peers_of, titled
from bench.track.unit import CEILING

#: Where customers and segments change, so that what adjusts has something to do.
ABLATION_WORLDS = ("drift", "lineage")
ABLATION_PEERS = (
    "shoal-style", "shoal-adjust-style", "shoal-adjust-style-nomargin",
    "shoal-adjust-style-noidentity", "shoal-adjust-style-noonline", "shoal-adjust-style-nodrift",
    "shoal-adjust", "shoal-adjust-both",
)  # fmt: skip
BROKEN_WORLDS = ("broken",)
BROKEN_PEERS = (
    CEILING, "kmeans", "kmeans-matched", "minibatch", "shoal-style", "shoal-style-refit",
    "shoal-adjust-style", "shoal", "shoal-adjust",
)  # fmt: skip
_FIGURES = ("accuracy", "macro_f1", "ari", "ari_worst", "flicker", "noticed", "labels")
_HEAD = ["accuracy", "macro F1", "ARI", "worst cut", "flicker", "noticed", "labels used"]

Rows = Sequence[Mapping[str, Any]]


def ablation(rows: Rows) -> list[str]:
    """What each part is worth: figures without it, over the worlds where things change."""
    if not rows:
        return []
    worlds = ", ".join(dict.fromkeys(row["world"] for row in rows))
    intro = (
        f"Worlds {worlds}, the same seeds and cuts; means over worlds, least and greatest of the "
        "seeds in brackets. Without the margin a customer changes as soon as another segment is "
        "nearer; without identity a refit numbers its segments anew; without online learning "
        "segments are never nudged; without drift detection a look decides with no alarm in hand."
    )
    if {"shoal-adjust", "shoal-adjust-both"} <= set(peers_of(rows)):
        intro += " What the embedding is worth is the last row beside the one above it."
    lines = [
        [titled(rows, peer), *(told(mean_over_worlds(rows, peer, name), _digits(name))
                        for name in _FIGURES)]
        for peer in peers_of(rows)
    ]  # fmt: skip
    return ["## A part taken away each", intro, table(["method", *_HEAD], lines),
            *adjustment(rows, "### What adjustment did without it")]  # fmt: skip


def broken(rows: Rows) -> list[str]:
    """Tracking that breaks: what was learned of it, beside methods that learn of everything."""
    if not rows:
        return []
    intro = (
        "World broken: tracking fails in many ways (kinds of event that go missing or double, "
        "values that go empty, visitors who do not say who they are) while customers stay as they "
        "are, so nothing is to be learned of it."
    )
    lines = [
        [titled(rows, peer), *(told(spread(row.get(name) for row in of(rows, peer)), _digits(name))
                        for name in _FIGURES)]
        for peer in peers_of(rows)
    ]  # fmt: skip
    return ["## Tracking that breaks", intro, table(["method", *_HEAD], lines),
            *adjustment(rows, "### What adjustment did of it")]  # fmt: skip


def _digits(name: str) -> int:
    return {"labels": 0, "flicker": 2, "noticed": 2}.get(name, 3)
