"""How true a tree is to its segmentation, on customers that it was not learned from, and its cost.

Fidelity is balanced accuracy: the mean over segments of the share of their members that the tree
puts there. Whoever always answers with the largest segment reaches one over the number of segments;
both figures stand beside each other, because plain accuracy flatters a segmentation with one large
segment.

The cost ratio (after Moshkovitz et al., 2020, "Explainable k-means and k-medians clustering") is
the inertia within the tree's cells over that within the segments, each about its own means: 1 is an
explanation for nothing, above is what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from shoal.segments.explain.growing import grow
from shoal.segments.explain.tree import Matrix, Places, Rows, Tree

#: Parts of which each is asked of a tree that was learned from the others.
FOLDS: Final = 5
#: What is called a true explanation.
GOAL: Final = 0.9


@dataclass(frozen=True)
class Fidelity:
    """Of a tree, out of fold.

    Args:
        balanced: mean recall over segments.
        accuracy: share of customers put right.
        majority_balanced, majority: the same of always answering with the largest segment.
        recalls: by place; NaN where nobody is.
    """

    balanced: float
    accuracy: float
    majority_balanced: float
    majority: float
    recalls: tuple[float, ...]

    def as_document(self, segment_ids: Sequence[str]) -> dict[str, Any]:
        """As JSON."""
        return {
            "balanced": self.balanced,
            "accuracy": self.accuracy,
            "majority_balanced": self.majority_balanced,
            "majority": self.majority,
            "goal": GOAL,
            "reached": self.balanced >= GOAL,
            "folds": FOLDS,
            "by_segment": {
                segment_ids[place]: recall
                for place, recall in enumerate(self.recalls)
                if not np.isnan(recall)
            },
        }


def fidelity_of(answers: Places, places: Places, segments: int) -> Fidelity:
    """Of answers to what is so; `segments` counts all places."""
    sizes = np.bincount(places, minlength=segments)
    right = np.bincount(places[answers == places], minlength=segments)
    with np.errstate(invalid="ignore"):
        recalls = np.where(sizes > 0, right / np.maximum(sizes, 1), np.nan)
    return Fidelity(
        float(np.nanmean(recalls)),
        float((answers == places).mean()),
        1.0 / int((sizes > 0).sum()),
        float(sizes.max() / len(places)),
        tuple(float(one) for one in recalls),
    )


def out_of_fold(
    X: Matrix, names: Sequence[str], places: Places, *, leaves: int, seed: int = 0
) -> Places:
    """(n,) what trees answer of customers that they were not learned from."""
    parts = folds(places, seed)
    answers = np.zeros(len(places), dtype=np.int64)
    for part in range(FOLDS):
        asked, learned = np.flatnonzero(parts == part), np.flatnonzero(parts != part)
        if len(asked) and len(learned):
            tree = grow(X[learned], names, places[learned], leaves=leaves, seed=seed)
            answers[asked] = answered(tree, X[asked], names)
    return answers


def answered(tree: Tree, X: Matrix, names: Sequence[str]) -> Places:
    """(n,) what a tree answers of the rows of a matrix."""
    if not tree.features:
        return np.full(len(X), tree.nodes[0].place, dtype=np.int64)
    return tree.predict({name: X[:, list(names).index(name)] for name in tree.features})


def folds(places: Places, seed: int) -> Rows:
    """(n,) a part for each customer; every segment is spread evenly over them."""
    random = np.random.default_rng(seed)
    found = np.empty(len(places), dtype=np.int64)
    for place in np.unique(places):
        own = random.permutation(np.flatnonzero(places == place))
        found[own] = (np.arange(len(own)) + place) % FOLDS
    return found


def cost_ratio(Z: Matrix, cells: Places, places: Places) -> float | None:
    """Inertia of (n, d) rows about the means of their cells, over that about their segments'.

    None where segments have no inertia: all members are alike.
    """
    within = _inertia(Z, places)
    return _inertia(Z, cells) / within if within > 0 else None


def _inertia(Z: Matrix, groups: Places) -> float:
    total = 0.0
    for group in np.unique(groups):
        own = Z[groups == group]
        total += float(((own - own.mean(axis=0)) ** 2).sum())
    return total
