"""Which segments of a refit continue, split, merge, are born or die: MONIC's external transitions.

After Spiliopoulou, Ntoutsi, Theodoridis and Schult, "MONIC: modeling and monitoring cluster
transitions" (KDD 2006), on the customers that both clusterings know: overlap(X, Y) is the share of
X's members that are in Y. X splits where several Y hold at least `SPLIT` each and `MATCH` together;
else it survives as Y at an overlap of at least `MATCH`; two or more that would survive as the same
Y are merged into it; else it has died. A Y that nobody survived as, split into or merged into is
born. Splits are looked for first: of two equal children one holds a half by chance, and would else
count as the survivor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Thresholds of the paper's experiments.
MATCH = 0.5
SPLIT = 0.25


@dataclass(frozen=True)
class Transition:
    """`change`: survive, split, merge, birth or death; parents of the old, children of the new."""

    change: str
    parents: frozenset[int]
    children: frozenset[int]


def transitions(
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    *,
    match: float = MATCH,
    split: float = SPLIT,
) -> list[Transition]:
    """Transitions between two labellings of the same customers, each of shape (n,).

    A label of which nobody is left among the common customers has died or was not there.

    >>> found = transitions(np.array([1, 1, 1, 1]), np.array([5, 5, 6, 6]))
    >>> [(one.change, sorted(one.children)) for one in found]
    [('split', [5, 6])]
    """
    old, rows = np.unique(before, return_inverse=True)
    new, columns = np.unique(after, return_inverse=True)
    counts = np.zeros((len(old), len(new)))
    np.add.at(counts, (rows, columns), 1)
    overlap = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    heirs: dict[int, list[int]] = {}
    found: list[Transition] = []
    taken: set[int] = set()
    for row, shares in enumerate(overlap):
        parts = np.flatnonzero(shares >= split).tolist()
        if len(parts) >= 2 and shares[parts].sum() >= match:
            children = frozenset(int(new[column]) for column in parts)
            found.append(Transition("split", frozenset({int(old[row])}), children))
            taken.update(parts)
        elif shares.max(initial=0) >= match:
            heirs.setdefault(int(shares.argmax()), []).append(row)
        else:
            found.append(Transition("death", frozenset({int(old[row])}), frozenset()))
    for column, parents in heirs.items():
        change = "survive" if len(parents) == 1 else "merge"
        sources = frozenset(int(old[row]) for row in parents)
        found.append(Transition(change, sources, frozenset({int(new[column])})))
        taken.add(column)
    born = [column for column in range(len(new)) if column not in taken]
    return found + [
        Transition("birth", frozenset(), frozenset({int(new[column])})) for column in born
    ]


def named(labels: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Mapping[int, str]:
    """The true segment that most members of each label belong to; ties go to the first by name.

    >>> dict(named(np.array([1, 1, 2]), np.array(["a", "b", "b"])))
    {1: 'a', 2: 'b'}
    """
    found: dict[int, str] = {}
    for label in np.unique(labels):
        names, counts = np.unique(truth[labels == label].astype(str), return_counts=True)
        found[int(label)] = str(names[counts.argmax()])
    return found
