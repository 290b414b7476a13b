"""The outlook as a place: what customers are expected to do next, in units of how well it is told.

Expected orders and spend, and the chances of activity and of an order, each on the scale on which
its deviance is a squared distance (variance-stabilising; McCullagh and Nelder, 1989): 2 sqrt(m) of
a Poisson mean, 4 m^(1/4) of a Tweedie mean of power 1.5, 2 asin(sqrt(p)) of a chance. Clusters in
these units are those whose means foretell best. Each is brought to the same variance, all together
to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shoal.features.row_order import canonical_order
from shoal.heads.next_period import ACTIVE, ORDERED, ORDERS, SPEND, NextPeriod

Matrix = npt.NDArray[np.float64]

#: Shares of the outlook: it is told and has no part in the segments; it divides styles into stages;
#: segments are made of it alone. Any other share is of segmentations made before there were stages.
TOLD: Final = 0.0
STAGED: Final = 0.5
ALONE: Final = 1.0

#: Less variance than this is none.
_NOTHING: Final = 1e-12


class Outlook:
    """Places customers by what a next-period head foretells.

    Args:
        head: fitted.
        share: of the variance of all that is clustered on, 0 to 1, such as `STAGED`.
    """

    def __init__(self, head: NextPeriod, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, allowed: 0 to 1")
        self.head, self.share = head, share
        self.center_: Matrix = np.empty(0)
        self.scale_: Matrix = np.empty(0)

    def fit(self, features: pa.Table) -> Self:
        """Learn centre and scale from customers."""
        found = self._places(features)
        found = found[canonical_order(found)]
        spread = found.std(axis=0)
        told = spread > np.sqrt(_NOTHING)
        self.center_ = found.mean(axis=0)
        weight = 1 / np.sqrt(max(int(told.sum()), 1))
        self.scale_ = np.where(told, weight / np.where(told, spread, 1.0), 0.0)
        return self

    def transform(self, features: pa.Table) -> Matrix:
        """(n, outcomes) of variance one in all among the customers that it learned from."""
        return np.asarray((self._places(features) - self.center_) * self.scale_)

    def _places(self, features: pa.Table) -> Matrix:
        told = self.head.predict(features)
        columns = [_STABLE[name](values) for name, values in told.items()]
        return np.column_stack(columns) if columns else np.empty((features.num_rows, 0))

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "share": self.share, "center": self.center_.tolist(), "scale": self.scale_.tolist(),
            "head": self.head.to_document(),
        }  # fmt: skip

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote."""
        self = cls(NextPeriod.from_document(document["head"]), document["share"])
        self.center_ = np.array(document["center"])
        self.scale_ = np.array(document["scale"])
        return self


def _angle(chance: Matrix) -> Matrix:
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(chance, 0, 1))))


_STABLE: Final[Mapping[str, Any]] = {
    ACTIVE: _angle,
    ORDERED: _angle,
    ORDERS: lambda mean: 2 * np.sqrt(np.maximum(mean, 0)),
    SPEND: lambda mean: 4 * np.maximum(mean, 0) ** 0.25,
}
