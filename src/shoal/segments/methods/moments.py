"""Groups told by share, mean and spread, put together and taken apart to the second moment.

What two parts make together is what the one was, so splitting and merging undo each other:

    p m = p_0 m_0 + p_1 m_1,    C + m m' = q_0 (C_0 + m_0 m_0') + q_1 (C_1 + m_1 m_1'),  q = p_i / p

Spreads are (d,) variances or (d, d) covariances.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

#: Share of its mean variance that a part keeps in every direction, and of the members of the one.
_LEAST_SPREAD: Final = 1e-2
_LEAST_PART: Final = 0.05


def parts_of(mean: Matrix, centers: Matrix) -> Matrix:
    """(2,) shares of two parts whose common mean lies nearest to the one given.

    >>> parts_of(np.array([1.0]), np.array([[0.0], [4.0]])).tolist()
    [0.75, 0.25]
    """
    across = centers[1] - centers[0]
    length = float(across @ across)
    second = float((mean - centers[0]) @ across) / length if length else 0.5
    second = float(np.clip(second, _LEAST_PART, 1 - _LEAST_PART))
    return np.array([1 - second, second])


def between(parts: Matrix, centers: Matrix, spread: Matrix) -> Matrix:
    """The spread of the means of parts about their common mean, in the shape of `spread`."""
    off = centers - parts @ centers
    if spread.ndim == 1:
        return np.asarray(parts @ np.square(off))
    return np.asarray((parts[:, None] * off).T @ off)


def within(spread: Matrix, parts: Matrix, centers: Matrix) -> Matrix:
    """The spread that each part has left of the one; some in every direction."""
    left = spread - between(parts, centers, spread)
    if spread.ndim == 1:
        return np.maximum(left, _LEAST_SPREAD * spread.mean())
    values, vectors = np.linalg.eigh((left + left.T) / 2)
    least = _LEAST_SPREAD * float(np.trace(spread)) / len(spread)
    if values[0] >= least:
        return np.asarray(left)
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T)
