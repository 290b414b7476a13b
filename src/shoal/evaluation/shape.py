"""Does an embedding use its dimensions, or has it collapsed?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: An embedding of d dimensions with a lower effective rank than d times this has collapsed.
LEAST_RANK_SHARE: Final = 0.25


@dataclass(frozen=True)
class Shape:
    """How customers lie in an embedding.

    Args:
        customers, dimensions: of the embedding.
        effective_rank: 1 where all lie on a line, `dimensions` where every direction is used alike,
            0 where all lie on one point.
        needed: the rank below which it is called collapsed; less than a quarter of the dimensions
            where there are fewer customers than dimensions.
        mean_cosine: of all pairs of customers; 1 where all point the same way.
        first_share: of the variance, along the direction that has most.
    """

    customers: int
    dimensions: int
    effective_rank: float
    needed: float
    mean_cosine: float
    first_share: float

    @property
    def collapsed(self) -> bool:
        """Whether it uses too few directions to tell customers apart."""
        return self.effective_rank < self.needed

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "collapsed": self.collapsed}


def shape_of(embedding: Values) -> Shape:
    """The shape of an (n, d) embedding.

    Raises:
        ValueError: fewer than two customers.
    """
    n, d = embedding.shape
    if n < 2:
        raise ValueError(f"the shape of {n} customers says nothing")
    values = _singular(embedding)
    power = float((values**2).sum())
    return Shape(
        customers=n,
        dimensions=d,
        effective_rank=_rank(values),
        needed=LEAST_RANK_SHARE * min(d, n - 1),
        mean_cosine=mean_cosine(embedding),
        first_share=float(values[0] ** 2) / power if power else 1.0,
    )


def effective_rank(embedding: Values) -> float:
    """Exponential of the entropy of the singular values about the mean, as shares of their sum.

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality", 2007.

    >>> round(effective_rank(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])), 3)
    2.0
    """
    return _rank(_singular(embedding))


def mean_cosine(embedding: Values) -> float:
    """Mean cosine of all pairs of rows; rows of length 0 count as at right angles to all."""
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    unit = np.divide(embedding, length, out=np.zeros_like(embedding), where=length > 0)
    n = len(unit)
    together = float((unit.sum(axis=0) ** 2).sum() - (unit**2).sum())
    return together / (n * (n - 1))


def _singular(embedding: Values) -> Values:
    """Singular values about the mean, by the covariance: its size does not grow with customers."""
    centred = embedding - embedding.mean(axis=0)
    powers = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    # Below what rounding leaves of a direction that nobody uses.
    floor = powers[0] * len(embedding) * np.finfo(np.float64).eps
    noise = np.abs(embedding).max(initial=0.0) ** 2 * len(embedding) * 1e-12
    return np.asarray(np.sqrt(np.where(powers > max(floor, noise), powers, 0.0)))


def _rank(values: Values) -> float:
    total = values.sum()
    if not total:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))
