"""Many tests at once: adjusted p-values."""

from __future__ import annotations

import numpy as np

from shoal.adjust.drift.look import Floats, Mask


def holm(p_values: Floats) -> Floats:
    """Adjusted so that any that is at most a is wrong with chance a, whatever depends on what.

    Holm (1979), "A simple sequentially rejective multiple test procedure".

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factor = len(p_values) - np.arange(len(p_values))
    found = np.empty(len(p_values))
    found[order] = np.minimum(np.maximum.accumulate(p_values[order] * factor), 1.0)
    return found


def benjamini_yekutieli(p_values: Floats, level: float) -> Mask:
    """Which are told so that the expected share of wrong ones is at most the level.

    Benjamini and Yekutieli (2001), "The control of the false discovery rate in multiple testing
    under dependency".

    >>> benjamini_yekutieli(np.array([0.001, 0.5, 0.01]), 0.05).tolist()
    [True, False, True]
    """
    m = len(p_values)
    if not m:
        return np.zeros(0, bool)
    order = np.argsort(p_values, kind="stable")
    limit = level * np.arange(1, m + 1) / m / (1 / np.arange(1, m + 1)).sum()
    below = np.flatnonzero(p_values[order] <= limit)
    told = np.zeros(m, bool)
    if len(below):
        told[order[: below[-1] + 1]] = True
    return told
