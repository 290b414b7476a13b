"""Shoal's own entry, through its public face: a copy of the source's shop, segmented and asked.

Face of peers that need a shop: `open(source, folder)`, `fit_at(until, k, seed)` and
`predict_at(as_of) -> (customers, labels, weights)` segment once and apply; a run over many cuts
goes through `shop.replay` (`through_replay`). Labels are of customers with an event before the
moment, the tier of the too little known included as a label.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.harness.data import Source
from bench.harness.splits import Cuts, refuse_later
from bench.peers.base import Labels, Matrix


class ShoalFrozen:
    """`shop.segment(until=T)` once; memberships of later moments by that segmentation.

    Args:
        choose: let Shoal choose the number of segments, whatever k is asked for.
        aim: what segments are for, as `shop.segment` has it; None: the default.
    """

    name = "shoal"
    #: As `shop.replay` has it.
    refit = "first"

    def __init__(self, choose: bool = False, aim: str | None = None) -> None:
        self.choose, self.aim = choose, aim
        self._shop: Any = None
        self._labels: dict[str, int] = {}

    def open(self, source: Source, folder: Path) -> Self:
        """Work on a copy of the source's shop in `folder`."""
        import shoal

        self._shop = shoal.open(source.copy_shop(folder / "shop"))
        return self

    def reopen(self, shop: Path) -> None:
        """Go on with another copy of the shop that was segmented."""
        import shoal

        self.close()
        self._shop = shoal.open(shop)

    def fit_at(self, until: datetime, k: int, seed: int) -> Self:
        """Segment by what was known before `until`."""
        self._k, self._seed, self._until = k, seed, until
        self._shop.segment(until=until, k=0 if self.choose else k, seed=seed, aim=self.aim)
        return self

    def predict_at(self, as_of: datetime) -> tuple[npt.NDArray[Any], Labels, Matrix | None]:
        """Memberships at a moment; labels are numbered as they first appear."""
        refuse_later(self._until, as_of, self.name)
        table = self._shop.memberships(as_of=as_of, soft=True)
        customers, rows = np.unique(
            np.asarray(table["customer_id"].to_pylist(), dtype=object).astype(str),
            return_inverse=True,
        )
        columns = np.array([self._label(one) for one in table["segment_id"].to_pylist()])
        weights = np.zeros((len(customers), len(self._labels)))
        weights[rows, columns] = table["weight"].to_numpy()
        return customers.astype(object), weights.argmax(axis=1).astype(np.int64), weights

    def close(self) -> None:
        """Release the shop."""
        if self._shop is not None:
            self._shop.close()
            self._shop = None

    def _label(self, segment: str) -> int:
        return self._labels.setdefault(segment, len(self._labels))


def through_replay(
    source: Source, cuts: Cuts, k: int, seed: int, refit: str, aim: str | None = None
) -> Iterator[tuple[npt.NDArray[Any], Labels, Matrix, float]]:
    """What `shop.replay` says at each cut: customers, labels, soft weights, and its seconds.

    Args:
        k: 0 lets Shoal choose at every learning.
        refit, aim: `first`, `each`, or a span such as `28d`, and what segments are for; see
            `shop.replay`.

    A segment is told by its id, which a refit keeps where it goes on. Labels are memberships: a
    customer changes to another segment beyond the configured margin only.
    """
    import shoal

    every = cuts.moments[1] - cuts.moments[0] if len(cuts.moments) > 1 else timedelta(days=7)
    labels: dict[str, int] = {}
    with shoal.open(source.shop_dir) as shop:
        steps = shop.replay(
            cuts.first, cuts.moments[-1], every=every, k=k, refit=refit, seed=seed, aim=aim
        )
        for moment in cuts.moments:
            started = time.perf_counter()
            cut = next(steps)
            weights = cut.segmenter.transform(cut.features)
            seconds = time.perf_counter() - started
            if cut.as_of != moment or cut.skipped or cut.trained_until is None:
                raise RuntimeError(f"replay of {moment}: {cut.skipped or cut.as_of}")
            refuse_later(cut.trained_until, moment, "Shoal")
            places = [labels.setdefault(one, len(labels)) for one in cut.segment_ids]
            wide = np.zeros((len(weights), len(labels)))
            wide[:, places] = weights
            customers = np.asarray(cut.features["customer_id"].to_pylist(), dtype=object)
            told = cut.memberships
            if told["customer_id"].to_pylist() != customers.tolist():
                raise RuntimeError("memberships are of other customers than features")
            where = [labels[one] for one in told["segment_id"].to_pylist()]
            yield customers, np.array(where, dtype=np.int64), wide, seconds


class ShoalRefit(ShoalFrozen):
    """Segmented anew every fourth cut."""

    name = "shoal-refit"
    refit = "28d"
