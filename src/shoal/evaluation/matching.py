"""Found labels against true segments: one optimal matching, then ordinary classification scores."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = Sequence[Hashable] | npt.NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """Shares from 0 to 1: `accuracy` of all rows; `macro_recall` and `macro_f1` are means over the
    true segments that occur, each with the same say whatever its size."""

    accuracy: float
    macro_recall: float
    macro_f1: float


def table_of(truth: Labels, found: Labels) -> tuple[list[Any], list[Any], npt.NDArray[np.int64]]:
    """True segments, found labels (each sorted) and the (true, found) table of counts.

    Raises:
        ValueError: the labellings differ in length or are empty.
    """
    if len(truth) != len(found) or not len(truth):
        raise ValueError(f"labellings of {len(truth)} and {len(found)} rows")
    true_names, rows = np.unique(np.asarray(truth), return_inverse=True)
    found_names, columns = np.unique(np.asarray(found), return_inverse=True)
    counts = np.zeros((len(true_names), len(found_names)), dtype=np.int64)
    np.add.at(counts, (rows.ravel(), columns.ravel()), 1)
    return true_names.tolist(), found_names.tolist(), counts


def match(truth: Labels, found: Labels) -> dict[Any, Any]:
    """The true segment that each found label stands for, one to one, so that most rows agree.

    The optimal assignment of Kuhn, "The Hungarian method for the assignment problem" (1955).
    Labels beyond the number of true segments stand for none and are left out.

    >>> match(["a", "a", "b", "b", "b"], [1, 1, 2, 2, 1])
    {1: 'a', 2: 'b'}
    """
    from scipy.optimize import linear_sum_assignment

    true_names, found_names, counts = table_of(truth, found)
    rows, columns = linear_sum_assignment(-counts)
    return {found_names[column]: true_names[row] for row, column in zip(rows, columns, strict=True)}


def scores(truth: Labels, found: Labels, mapping: Mapping[Any, Any] | None = None) -> Scores:
    """Accuracy, macro recall and macro F1 after matching.

    Args:
        mapping: found label to true segment, as `match` gives; None: the best one for these rows.
            A label it lacks is wrong everywhere.

    Recall of a segment is its rows found right over its rows; its F1 is 2 right / (rows of it +
    rows called it), as van Rijsbergen (1979); segments nobody is called get 0.

    Raises:
        ValueError: the labellings differ in length or are empty.

    >>> scores(["a", "a", "b", "b"], [1, 1, 2, 1]).macro_recall
    0.75
    """
    chosen = match(truth, found) if mapping is None else mapping
    true_names, found_names, counts = table_of(truth, found)
    place = {name: row for row, name in enumerate(true_names)}
    right = np.zeros(len(true_names))
    called = np.zeros(len(true_names))
    for column, name in enumerate(found_names):
        row = place.get(chosen.get(name, None))
        if row is not None:
            right[row] += counts[row, column]
            called[row] += counts[:, column].sum()
    size = counts.sum(axis=1)
    return Scores(
        accuracy=float(right.sum() / size.sum()),
        macro_recall=float(np.mean(right / size)),
        macro_f1=float(np.mean(2 * right / (size + called))),
    )
