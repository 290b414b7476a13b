"""Shoal's own entry, through its public face: a copy of the source's shop, segmented and asked.

Face of peers that need a shop: `open(source, folder)`, `fit_at(until, k, seed)` and
`predict_at(as_of) -> (customers, labels, weights)` segment once and apply; a run over many cuts
goes through `shop.replay` (`through_replay`). Labels are of customers with an event before the
moment, the tier of the too little known included as a label.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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
    #: What takes part in adjustment; None: segments do not adjust.
    adjusting: Mapping[str, Any] | None = None
    margin: float | None = None
    on: str | None = None

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


class ShoalAdjust(ShoalFrozen):
    """Segmented at the first cut and adjusted at every later one, as the nightly job would have,
    with a person who says yes.

    Args:
        margin: of the switching rule; None: the configured one.
        on: what segments are made on; other than features with the model of the bench.
        without: actions that are never taken; watch, identity: see
            `shoal.workflows.replay_adjust.Adjusting`.
    """

    name = "shoal-adjust"

    def __init__(
        self,
        aim: str | None = None,
        margin: float | None = None,
        on: str | None = None,
        without: tuple[str, ...] = (),
        watch: bool = True,
        identity: bool = True,
    ) -> None:
        super().__init__(aim=aim)
        self.margin, self.on = margin, on
        self.adjusting = {"without": without, "watch": watch, "identity": identity}


def through_replay(
    source: Source,
    cuts: Cuts,
    k: int,
    seed: int,
    refit: str,
    aim: str | None = None,
    *,
    peer: ShoalFrozen | None = None,
    told: list[dict[str, Any]] | None = None,
    names: dict[str, int] | None = None,
) -> Iterator[tuple[npt.NDArray[Any], Labels, Matrix, float]]:
    """What `shop.replay` says at each cut: customers, labels, soft weights, and its seconds.

    Args:
        k: 0 lets Shoal choose at every learning.
        refit, aim: `first`, `each`, or a span such as `28d`, and what segments are for; see
            `shop.replay`.
        peer: how segments adjust, if they do, the margin, and what they are made on.
        told: is given a row a cut of what adjustment noticed and did.
        names: is given the label of each segment's id.

    A segment is told by its id, which a refit keeps where it goes on. Labels are memberships: a
    customer changes to another segment beyond the configured margin only.
    """
    import shoal

    every = cuts.moments[1] - cuts.moments[0] if len(cuts.moments) > 1 else timedelta(days=7)
    labels: dict[str, int] = {} if names is None else names
    more = _more(peer, every)
    with shoal.open(_shop_of(source, cuts, seed, peer)) as shop:
        steps = shop.replay(
            cuts.first, cuts.moments[-1], every=every, k=k, seed=seed, aim=aim,
            refit=None if more else refit, **more,
        )  # fmt: skip
        for moment in cuts.moments:
            started = time.perf_counter()
            cut = next(steps)
            weights = cut.segmenter.transform(cut.features)
            seconds = time.perf_counter() - started
            if cut.as_of != moment or cut.skipped or cut.trained_until is None:
                raise RuntimeError(f"replay of {moment}: {cut.skipped or cut.as_of}")
            refuse_later(cut.trained_until, moment, "Shoal")
            if told is not None and cut.adjusted is not None:
                told.append(_adjusted(cut))
            places = [labels.setdefault(one, len(labels)) for one in cut.segment_ids]
            wide = np.zeros((len(weights), len(labels)))
            wide[:, places] = weights
            customers = np.asarray(cut.features["customer_id"].to_pylist(), dtype=object)
            members = cut.memberships
            if members["customer_id"].to_pylist() != customers.tolist():
                raise RuntimeError("memberships are of other customers than features")
            where = [labels[one] for one in members["segment_id"].to_pylist()]
            yield customers, np.array(where, dtype=np.int64), wide, seconds


def _more(peer: ShoalFrozen | None, every: timedelta) -> dict[str, Any]:
    """Further arguments of `shop.replay`, for segments that adjust."""
    if peer is None or peer.adjusting is None:
        return {}
    from shoal.adjust.adjustment import LADDER
    from shoal.adjust.settings import AdjustSettings
    from shoal.workflows.replay_adjust import Adjusting

    told = peer.adjusting
    adjusting = Adjusting(
        AdjustSettings(cadence_days=every / timedelta(days=1)), approve=True,
        actions=frozenset(LADDER) - set(told["without"]), watch=told["watch"],
        identity=told["identity"],
    )  # fmt: skip
    return {"adjust": adjusting, "margin": peer.margin, "on": peer.on}


def _shop_of(source: Source, cuts: Cuts, seed: int, peer: ShoalFrozen | None) -> Path:
    """The source's shop; with a behaviour model trained before the first cut where one is read."""
    if peer is None or peer.on in (None, "features"):
        return source.shop_dir
    from bench.peers.shoal_embedded import trained

    return trained(source, cuts.first, seed=seed).shop


def _adjusted(cut: Any) -> dict[str, Any]:
    """What adjustment noticed and did at a cut, as JSON."""
    found = cut.adjusted
    return {
        "at": cut.as_of.isoformat(), "changed": found.changed, "moved": round(found.moved, 4),
        "blocked": list(found.blocked),
        "alarms": [[one.subject, one.what, one.harmful] for one in found.alarms],
        "actions": [one.action for one in found.adjustments if one.action != "keep"],
        "changes": [dict(one) for one in found.changes], "k": len(cut.segment_ids) - 1,
    }  # fmt: skip


class ShoalRefit(ShoalFrozen):
    """Segmented anew every fourth cut."""

    name = "shoal-refit"
    refit = "28d"
