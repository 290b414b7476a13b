"""The rule alone: what `shoal.adjust.transitions` tells of the true segments from refit to refit.

No segment is learned and no event is read: only who is where at two moments. What is lost here is
lost by the rule. MONIC (`bench.peers.monic`) is asked about the same customers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.peers import monic
from shoal.adjust.transitions import CONTINUE, crossed, transitions
from shoal.evaluation.lineage import Event

Names = npt.NDArray[Any]
Found = list[tuple[str, frozenset[str], frozenset[str]]]


def run(
    customers: int, days: int, seed: int, learn_days: int, every_days: int
) -> dict[str, list[Event]]:
    """Planted events of one world `lineage`, and those that each rule tells.

    Args:
        learn_days, every_days: days of the first cut, and from cut to cut.
    """
    spells, lineage = truth(customers, days, seed)
    start = pc.min(spells["since"]).as_py().replace(hour=0, minute=0, second=0, microsecond=0)
    cuts = list(range(learn_days, days + 1, every_days))
    planted = [
        Event(
            (row["at"] - start) / timedelta(days=1), row["change"], frozenset(row["parents"]),
            frozenset(row["children"]),
        )
        for row in lineage.to_pylist()
    ]  # fmt: skip
    found: dict[str, list[Event]] = {
        "planted": [one for one in planted if cuts[0] <= one.day < cuts[-1]]
    }
    for name, rule in RULES.items():
        found[name] = [
            Event(float(day), *one)
            for day, before, after in _steps(spells, start, cuts)
            for one in rule(before, after)
        ]
    return found


def truth(customers: int, days: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """Spells and lineage of the world that `simulate` writes with these arguments."""
    from shoal.events import worlds
    from shoal.events.worlds import sample
    from shoal.events.worlds.truth import truth_lineage, truth_spells

    chosen = worlds.load("lineage")
    catalogue = sample.build_catalogue(chosen, seed)
    blocks = sample.blocks(chosen, catalogue, customers=customers, days=days, seed=seed)
    spells = [truth_spells(chosen, one.customers, one.pieces, days) for one in blocks]
    return pa.concat_tables(spells), truth_lineage(chosen, days)


def _steps(spells: pa.Table, start: Any, cuts: Sequence[int]) -> Iterator[tuple[int, Names, Names]]:
    """(day, segments before, segments now) of the customers there at two cuts in a row."""
    from shoal.events.worlds.truth import segment_at

    there = []
    for day in cuts:
        table = segment_at(spells, start + timedelta(days=day))
        there.append([np.array(table[name].to_pylist(), dtype=str)
                      for name in ("customer_id", "segment")])  # fmt: skip
    for (before, now), day in zip(pairwise(there), cuts[1:], strict=True):
        _, left, right = np.intersect1d(before[0], now[0], return_indices=True)
        yield day, before[1][left], now[1][right]


def _shoal(before: Names, after: Names) -> Found:
    old, rows = np.unique(before, return_inverse=True)
    new, columns = np.unique(after, return_inverse=True)
    counts = crossed(rows, columns, len(old), len(new))
    return [
        (one.change, frozenset(old[list(one.parents)].tolist()),
         frozenset(new[list(one.children)].tolist()))
        for one in transitions(counts)
        if one.change != CONTINUE
    ]  # fmt: skip


def _monic(before: Names, after: Names) -> Found:
    old, rows = np.unique(before, return_inverse=True)
    new, columns = np.unique(after, return_inverse=True)
    return [
        (one.change, frozenset(old[list(one.parents)].tolist()),
         frozenset(new[list(one.children)].tolist()))
        for one in monic.transitions(rows, columns)
        if one.change != "survive"
    ]  # fmt: skip


RULES: dict[str, Callable[[Names, Names], Found]] = {"shoal": _shoal, "monic": _monic}
