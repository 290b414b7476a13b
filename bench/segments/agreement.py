"""How segments agree with labels that they know nothing of, and how well they tell them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]

FOLDS = 5
#: Shuffles of the labels that tell what chance gives, and the quantile that it stays below.
SHUFFLES, MOST_BY_CHANCE = 40, 0.975


def figures(segments: Labels, y: Labels, seed: int) -> dict[str, float]:
    """How far segments agree with a label, and how well they tell it of others.

    `ami`: adjusted mutual information (Vinh et al., 2010), 0 by chance. `balanced`: balanced
    accuracy of answering with the label that the segment holds most of, each label counted by its
    share of all with it; `auc`: area under the ROC curve of a label's share in the segment, mean
    over labels (each against the rest) and folds. Both of customers in other folds than those that
    were counted.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    fold = folds(y, seed)
    answers, chances = told_of_others(segments, y, fold)
    return {
        "ami": float(adjusted_mutual_info_score(y, segments)),
        "balanced": balanced(answers, y), "auc": auc(chances, y, fold),
    }  # fmt: skip


def folds(y: Labels, seed: int) -> Labels:
    """(n,) a fold of each customer; every label is spread evenly over them."""
    random = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    for label in np.unique(y):
        rows = random.permutation(np.flatnonzero(y == label))
        fold[rows] = (np.arange(len(rows)) + label) % FOLDS
    return fold


def told_of_others(
    segments: Labels, y: Labels, fold: Labels
) -> tuple[Labels, npt.NDArray[np.float64]]:
    """(n,) answers and (n, labels) shares in the segment, from customers in other folds."""
    answers, chances = np.zeros(len(y), np.int64), np.zeros((len(y), int(y.max()) + 1))
    for part in range(FOLDS):
        learn, ask = fold != part, np.flatnonzero(fold == part)
        counts = np.zeros((int(segments.max()) + 1, chances.shape[1]))
        np.add.at(counts, (segments[learn], y[learn]), 1.0)
        whole = counts.sum(axis=0)
        answers[ask] = (counts / np.maximum(whole, 1)).argmax(axis=1)[segments[ask]]
        # Small segments are drawn to the common share.
        share = (counts + whole / whole.sum()) / (counts.sum(axis=1, keepdims=True) + 1.0)
        chances[ask] = share[segments[ask]]
    return answers, chances


def balanced(answers: Labels, y: Labels) -> float:
    """Mean over labels of the share that is answered right."""
    return float(np.mean([(answers[y == label] == label).mean() for label in np.unique(y)]))


def auc(chances: npt.NDArray[np.float64], y: Labels, fold: Labels) -> float:
    """Mean over labels and folds that hold some with the label and some without.

    By ranks (Hanley and McNeil, 1982), of all labels at once; equal shares have half a win each.
    """
    from scipy.stats import rankdata

    found: list[float] = []
    for part in range(FOLDS):
        of = y[fold == part][:, None] == np.arange(chances.shape[1])
        ranks = rankdata(chances[fold == part], axis=0)
        with_, without = of.sum(axis=0), (~of).sum(axis=0)
        there = (with_ > 0) & (without > 0)
        wins = (ranks * of).sum(axis=0) - with_ * (with_ + 1) / 2
        found += (wins[there] / (with_ * without)[there]).tolist()
    return float(np.mean(found))


def by_chance(segments: Labels, y: Labels, seed: int) -> dict[str, float]:
    """What the figures of shuffled labels stay below, 39 times of 40."""
    random = np.random.default_rng([seed, 7])
    drawn = [figures(segments, random.permutation(y), seed + one) for one in range(SHUFFLES)]
    return {
        name: float(np.quantile([one[name] for one in drawn], MOST_BY_CHANCE)) for name in drawn[0]
    }
