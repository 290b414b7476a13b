"""How much of a tree's rules stays from one version to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from shoal.segments.explain.tree import Matrix, Tree

#: A threshold counts as kept if no more than this share of customers lies between old and new.
KEPT_SHARE: Final = 0.02


def stability(
    old: Tree,
    old_ids: Sequence[str],
    new: Tree,
    new_ids: Sequence[str],
    columns: Mapping[str, Matrix],
) -> dict[str, Any]:
    """Two trees compared on the same customers, as JSON.

    Args:
        columns: (n,) values by feature, as known now.

    Returns:
        `features`: how many both ask for, of all that either asks for. `thresholds`: how many of
        the new questions the old tree asked too, with a threshold that divides at most
        `KEPT_SHARE` of customers otherwise, of all. `agreement`: share of customers that both
        put into the same segment; None where a feature of the old tree is gone.
    """
    shared = set(old.features) & set(new.features)
    asked = [node for node in new.nodes if node.feature]
    before = [node for node in old.nodes if node.feature]
    kept = sum(
        any(
            one.feature == node.feature
            and _between(columns[node.feature], one.threshold, node.threshold) <= KEPT_SHARE
            for one in before
        )
        for node in asked
    )
    agreement = None
    if set(old.features) <= set(columns):
        then = np.array(old_ids, dtype=object)[old.predict(columns)]
        now = np.array(new_ids, dtype=object)[new.predict(columns)]
        agreement = float((then == now).mean())
    return {
        "features": {"shared": len(shared), "of": len(set(old.features) | set(new.features))},
        "thresholds": {"kept": kept, "of": len(asked)},
        "agreement": agreement,
    }


def _between(values: Matrix, a: float, b: float) -> float:
    """Share of customers whose value lies between two thresholds."""
    low, high = min(a, b), max(a, b)
    return float(((values > low) & (values <= high)).mean())
