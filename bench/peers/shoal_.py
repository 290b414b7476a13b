"""Shoal's own entry, through its public face: a copy of the source's shop, segmented and asked.

Face of peers that need a shop: `open(source, folder)`, `fit_at(until, k, seed)`,
`update_at(until)`, `predict_at(as_of) -> (customers, labels, weights | None)`; labels are of
customers with an event before `as_of`, the tier of the too little known included as a label.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.harness.data import Source
from bench.harness.splits import refuse_later
from bench.peers.base import Labels, Matrix


class ShoalFrozen:
    """`shop.segment(until=T)` once; memberships of later moments by that segmentation.

    Args:
        choose: let Shoal choose the number of segments, whatever k is asked for.
    """

    name = "shoal"

    def __init__(self, choose: bool = False) -> None:
        self.choose = choose
        self._shop: Any = None
        self._labels: dict[str, int] = {}

    def open(self, source: Source, folder: Path) -> Self:
        """Work on a copy of the source's shop in `folder`."""
        import shoal

        self._shop = shoal.open(source.copy_shop(folder / "shop"))
        return self

    def fit_at(self, until: datetime, k: int, seed: int) -> Self:
        """Segment by what was known before `until`."""
        self._k, self._seed, self._until = k, seed, until
        self._shop.segment(until=until, k=0 if self.choose else k, seed=seed)
        return self

    def update_at(self, until: datetime) -> None:
        """Frozen."""

    def predict_at(self, as_of: datetime) -> tuple[npt.NDArray[Any], Labels, Matrix | None]:
        """Memberships at a moment; labels are numbered as they first appear, `new` included."""
        refuse_later(self._until, as_of, self.name)
        table = self._shop.memberships(as_of=as_of, soft=True)
        customers, rows = np.unique(
            np.asarray(table["customer_id"].to_pylist(), dtype=object).astype(str),
            return_inverse=True,
        )
        known = [self._labels.setdefault(one, len(self._labels)) for one in self._names()]
        assert known
        columns = np.array([self._labels[one] for one in table["segment_id"].to_pylist()])
        weights = np.zeros((len(customers), len(self._labels)))
        weights[rows, columns] = table["weight"].to_numpy()
        return customers.astype(object), weights.argmax(axis=1).astype(np.int64), weights

    def _names(self) -> list[str]:
        return [str(one["segment_id"]) for one in self._shop.segments()["segments"]]


class ShoalRefit(ShoalFrozen):
    """Segmented anew every fourth cut; nothing ties a new segment to an old one but its number."""

    name = "shoal-refit"
    every = 4

    def fit_at(self, until: datetime, k: int, seed: int) -> Self:
        self._cuts = 0
        super().fit_at(until, k, seed)
        return self

    def update_at(self, until: datetime) -> None:
        self._cuts += 1
        if self._cuts % self.every == 0:
            self._until = until
            self._shop.segment(until=until, k=0 if self.choose else self._k, seed=self._seed)
