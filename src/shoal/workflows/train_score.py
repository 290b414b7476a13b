"""How good embeddings are, in one figure: how much of the coming weeks lies open in them.

A linear probe (ridge regression), learned on four fifths of the customers and asked of the fifth
that it did not see, foretells what each does in a window; the figure is the share of the variance
that it explains, the mean over what is foretold. Losses cannot be compared between settings that
weigh objectives otherwise; this figure can.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.domain.sequence import EventSequences

Floats = npt.NDArray[np.float64]

MEASURE: Final = (
    "the share of variance that a linear probe on embeddings explains of what customers do in the "
    "days after the moment"
)
FOLDS: Final = 5
#: Strength of the ridge, in customers that say nothing.
RIDGE: Final = 10.0
#: Categories that are foretold, the commonest ones.
CATEGORIES: Final = 8


def outcomes(
    customers: npt.NDArray[np.object_], after: EventSequences, value_kind: int
) -> dict[str, Floats]:
    """What customers do in a window, on a scale of logs: name -> (n, m).

    Args:
        customers: whose rows are wanted, sorted or not; those without an event have zeros.
        after: the events of the window.
        value_kind: the code of buying.
    """
    place = {name: row for row, name in enumerate(customers.tolist())}
    rows = np.array([place.get(name, -1) for name in after.customers.tolist()], np.int64)
    owner = np.repeat(rows, after.lengths)
    counts = owner >= 0
    kind, category = (np.asarray(after.fields[name])[counts] for name in ("kind", "category1"))
    owner, n = owner[counts], len(customers)
    events = np.bincount(owner, minlength=n).astype(float)
    bought = np.bincount(owner[kind == value_kind], minlength=n).astype(float)
    found = {"events": np.log1p(events)[:, None], "bought": (bought > 0).astype(float)[:, None]}
    codes, often = np.unique(category[category > 0], return_counts=True)
    common = codes[np.argsort(-often, kind="stable")][:CATEGORIES]
    if len(common) > 1:
        table = np.stack(
            [np.bincount(owner[category == code], minlength=n) for code in common], axis=1
        )
        found["categories"] = np.log1p(table.astype(float))
    return found


def score(
    embedding: npt.NDArray[np.float32], told: dict[str, Floats], seed: int
) -> dict[str, float]:
    """The figure of each outcome that varies, and `total`, their mean.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3)).astype(np.float32)
    >>> round(score(X, {"events": X[:, :1].astype(float)}, 0)["total"], 2)
    1.0
    """
    X = np.asarray(embedding, np.float64)
    fold = np.random.default_rng(seed).permutation(len(X)) % FOLDS
    found = {name: _explained(X, values, fold) for name, values in told.items() if values.std() > 0}
    return {**found, "total": float(np.mean(list(found.values()))) if found else 0.0}


def _explained(X: Floats, values: Floats, fold: npt.NDArray[np.int64]) -> float:
    left = np.zeros_like(values)
    plain = np.zeros_like(values)
    for one in range(FOLDS):
        asked, known = fold == one, fold != one
        mean, scale = X[known].mean(0), X[known].std(0)
        Z = (X - mean) / np.where(scale > 0, scale, 1.0)
        middle = values[known].mean(0)
        gram = Z[known].T @ Z[known] + RIDGE * np.eye(Z.shape[1])
        weights = np.linalg.solve(gram, Z[known].T @ (values[known] - middle))
        left[asked] = values[asked] - middle - Z[asked] @ weights
        plain[asked] = values[asked] - middle
    return float(1 - (left**2).sum() / max((plain**2).sum(), 1e-12))
