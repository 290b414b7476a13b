"""A small step of all segments towards where their customers went, inside a budget of relabelling.

The direction is what the statistics (`shoal.adjust.online`) say: the means, spreads and shares of
the customers that each segment remembers, or those of today's customers alone. How far along it is
found by trying: half of the customers tell the step, the other half what it brings, and the other
way round. A step pays if the loss falls, as a share, by more than `relabel_price` times the share
of customers that it would move under the switching margin; of the steps inside the budget the one
that pays most is proposed.

The loss is the mean squared distance to the centre of the own segment. Of a mixture it is the
generalised variance that goes with the likelihood, exp(-2 L / d) for a mean log-likelihood L in d
columns: of equal spherical Gaussians both are the same.

What a nudge never does: a place keeps its id only while at least half of its members stay, so one
that would change more is held where it is (that takes a refit); one that has no members stays where
it is and is told, and is not used for somebody else.
Dimensions: n customers, k segments, d columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shoal.adjust.adjustment import NUDGE, Proposal
from shoal.adjust.online import Statistics
from shoal.adjust.settings import AdjustSettings
from shoal.adjust.steps import gain, stepped
from shoal.features.row_order import canonical_order
from shoal.segments.assign import NOWHERE, assign
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.methods.mixture import Mixture

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Shares of the way that are tried.
STEPS: Final = (1.0, 0.5, 0.25)
#: Where a step goes: to what segments remember, or to where today's customers are.
REMEMBERED: Final = "remembered"
TODAY: Final = "today"
#: Steps of the method itself (Lloyd, 1982, or expectation-maximisation) that today's means take.
_ROUNDS: Final = 3
#: Members that must stay for a place to keep its id.
_SAME: Final = 0.5
#: Customers of each half by whom steps are compared; more tell no more.
_JUDGES: Final = 50_000


@dataclass(frozen=True)
class Nudged:
    """A step that could be taken.

    Args:
        segmenter: after it; the one that was given where no step pays.
        statistics: with the customers of this look, whether it is taken or not.
        proposal: what it brings and costs; `gain` and `moved` are 0 where no step pays.
    """

    segmenter: ClusterSegmenter
    statistics: Statistics
    proposal: Proposal


def nudge(
    segmenter: ClusterSegmenter,
    Z: Floats,
    recorded: Places,
    statistics: Statistics,
    *,
    margin: float,
    settings: AdjustSettings,
    budget: float,
    seed: int = 0,
) -> Nudged | None:
    """The step that pays most; None where the method has nothing that can move.

    Args:
        Z: (n, d) customers as they are now, in the segmenter's space; rows that are not finite do
            not count.
        recorded: (n,) places of their segments, -1 for none.
        statistics: what segments remember, decayed to now, without these customers.
        margin: of the switching rule.
        budget: greatest share of these customers that may move.
        seed: of the halves.
    """
    fine = np.isfinite(Z).all(axis=1)
    Z, recorded = Z[fine], np.asarray(recorded)[fine]
    if not _moves(segmenter) or len(Z) < 2 * len(segmenter.centers):
        return None
    search = _Search(segmenter, Z, recorded, statistics, margin, settings.relabel_price, seed)
    taken = search.taken(budget)
    evidence = {
        "tried": [one.as_document() for one in search.tried],
        "emptied": [segmenter.ids[place] for place in np.flatnonzero(search.empty)],
        "customers": len(Z),
    }
    if taken is None:
        return Nudged(segmenter, search.statistics, Proposal(NUDGE, evidence=evidence))
    told, held = taken.judged, taken.held & ~search.empty
    evidence |= {
        "target": told.target, "step": told.step,
        "refused": [segmenter.ids[place] for place in np.flatnonzero(held)],
        "deviations": _deviations(segmenter, taken.segmenter, search.statistics),
    }  # fmt: skip
    proposal = Proposal(
        NUDGE, gain=told.gain, gain_error=told.error, moved=taken.moved, evidence=evidence
    )
    return Nudged(taken.segmenter, search.statistics, proposal)


@dataclass(frozen=True)
class _Judged:
    """A step as the halves judge each other's: `parts` (m,) of the gain's error, by customer."""

    target: str
    step: float
    gain: float
    moved: float
    price: float
    parts: Floats

    @property
    def pays(self) -> float:
        """Gain less what moving customers costs."""
        return self.gain - self.price * self.moved

    @property
    def error(self) -> float:
        return float(np.sqrt(np.sum(self.parts**2)))

    def as_document(self) -> dict[str, Any]:
        return {"target": self.target, "step": self.step, "gain": self.gain,
                "gain_error": self.error, "moved": self.moved}  # fmt: skip


@dataclass(frozen=True)
class _Taken:
    """A step made by everybody; `held` (k,) places stayed where they are, `moved` of all."""

    segmenter: ClusterSegmenter
    judged: _Judged
    held: Mask
    moved: float


class _Search:
    """Steps of a segmenter, judged by halves of the customers.

    Attributes:
        places: (n,) where customers are before a step.
        empty: (k,) places without members.
        tried: all steps.
        statistics: with everybody.
    """

    def __init__(
        self, segmenter: ClusterSegmenter, Z: Floats, recorded: Places, before: Statistics,
        margin: float, price: float, seed: int,
    ) -> None:  # fmt: skip
        self.live, self.Z, self.before = segmenter, Z, before
        self.margin, self.price = margin, price
        k = len(segmenter.centers)
        known = np.where((recorded >= 0) & (recorded < k), recorded, NOWHERE)
        self.places = self._placed(segmenter, Z, known)
        self.empty: Mask = np.bincount(self.places, minlength=k) == 0
        self.halves = _halves(Z, seed)
        self.judges = [rows[:_JUDGES] for rows in self.halves[::-1]]
        self.losses = np.concatenate(
            [self._losses(segmenter, rows, self.places[rows]) for rows in self.judges]
        )
        seen = [self._seen(segmenter, rows) for rows in self.halves]
        everybody = seen[0].plus(seen[1])
        self.statistics = before.plus(everybody)
        today = [self._today(*one) for one in zip(seen, self.halves, strict=True)]
        self.aims = {REMEMBERED: [before.plus(one) for one in seen], TODAY: today}
        self.everybody = everybody
        self.tried = [
            self._judged(target, step, self.empty)
            for target in (REMEMBERED, TODAY)
            for step in STEPS
        ]

    def taken(self, budget: float) -> _Taken | None:
        """Of the steps that pay the best one that everybody's step bears out: inside the budget,
        and paying still without the places that would change their meaning."""
        for told in _in_order([one for one in self.tried if one.pays > 0]):
            aim = self.statistics
            if told.target == TODAY:
                aim = self._today(self.everybody, np.arange(len(self.Z)))
            held, made, now = self._keeping(aim, told.step)
            moved = float((now != self.places).mean())
            again = told
            if (held != self.empty).any():
                again = self._judged(told.target, told.step, held)
            if moved <= budget and again.gain - self.price * moved > 0 and not held.all():
                shares = np.bincount(now, minlength=len(held)) / len(now)
                made = made.with_clusterer(made.clusterer, shares=shares)
                return _Taken(made, again, held, moved)
        return None

    def _judged(self, target: str, step: float, held: Mask) -> _Judged:
        """A step of each half, judged by the other one."""
        found, moved = [], []
        for aim, rows in zip(self.aims[target], self.judges, strict=True):
            made = self._stepped(aim, step, held)
            now = self._placed(made, self.Z[rows], self.places[rows])
            found.append(self._losses(made, rows, now))
            moved.append(now != self.places[rows])
        columns = self.Z.shape[1] if isinstance(self.live.clusterer, Mixture) else None
        brings, parts = gain(self.losses, np.concatenate(found), columns)
        share = float(np.concatenate(moved).mean())
        return _Judged(target, step, brings, share, self.price, parts)

    def _keeping(self, aim: Statistics, step: float) -> tuple[Mask, ClusterSegmenter, Places]:
        """The step with everybody, places held that would not keep their meaning."""
        held = self.empty.copy()
        while True:
            made = self._stepped(aim, step, held)
            now = self._placed(made, self.Z, self.places)
            more = _losing(self.places, now, held, self.empty)
            if not more.any():
                return held, made, now
            held |= more

    def _seen(self, made: ClusterSegmenter, rows: Places) -> Statistics:
        nobody = self.before.times(0.0)
        return nobody.learned(made.clusterer, self.Z[rows], nobody.moment)

    def _today(self, seen: Statistics, rows: Places) -> Statistics:
        """Statistics of the rows alone, after a few steps of the method."""
        for _ in range(_ROUNDS - 1):
            seen = self._seen(self._stepped(seen, 1.0, self.empty), rows)
        return seen

    def _stepped(self, aim: Statistics, step: float, held: Mask) -> ClusterSegmenter:
        return self.live.with_clusterer(stepped(self.live.clusterer, aim, step, held))

    def _placed(self, made: ClusterSegmenter, Z: Floats, before: Places) -> Places:
        return assign(made.weights(Z), before, margin=self.margin).places

    def _losses(self, made: ClusterSegmenter, rows: Places, places: Places) -> Floats:
        """(m,) squared distance to the own centre; of a mixture minus the log-density."""
        Z = self.Z[rows]
        if isinstance(made.clusterer, Mixture):
            return -made.clusterer.log_likelihood(Z)
        return np.asarray(np.square(Z - made.centers[places]).sum(axis=1))


def _moves(segmenter: ClusterSegmenter) -> bool:
    """Whether the method can put its groups elsewhere; staged segments only if their styles can."""
    shift = getattr(segmenter.clusterer, "moved", None)
    return shift is not None and shift(segmenter.centers) is not None


def _in_order(tried: list[_Judged]) -> list[_Judged]:
    """Those that pay most first; a step to today's means comes before all to those remembered only
    where it pays more by more than the error of the difference."""
    kept = sorted((one for one in tried if one.target == REMEMBERED), key=lambda one: -one.pays)
    today = sorted((one for one in tried if one.target == TODAY), key=lambda one: -one.pays)
    if not kept or not today:
        return kept or today
    error = float(np.sqrt(np.sum((kept[0].parts - today[0].parts) ** 2)))
    return [*today, *kept] if today[0].pays - kept[0].pays > error else [*kept, *today]


def _halves(Z: Floats, seed: int) -> tuple[Places, Places]:
    """Row numbers of two halves, whatever order the rows came in."""
    order = canonical_order(Z)
    mixed = order[np.random.default_rng(seed).permutation(len(order))]
    return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def _losing(before: Places, now: Places, held: Mask, empty: Mask) -> Mask:
    """(k,) further places to be held: those of whose members, before or after, less than half are
    the same customers; where such a one is held already, the one that it exchanges most with."""
    k = len(held)
    flows = np.bincount(before * k + now, minlength=k * k).reshape(k, k)
    most = np.maximum(flows.sum(axis=0), flows.sum(axis=1))
    changed = (np.diag(flows) < _SAME * most) & ~empty
    if (changed & ~held).any():
        return np.asarray(changed & ~held)
    others = flows + flows.T
    np.fill_diagonal(others, 0)
    more = np.zeros(k, dtype=bool)
    more[others[changed].argmax(axis=1)] = True
    return np.asarray(more & ~held)


def _deviations(
    before: ClusterSegmenter, after: ClusterSegmenter, statistics: Statistics
) -> dict[str, float]:
    """Segment id -> how far its centre goes, in deviations within segments of one dimension."""
    about = statistics.about(before.centers)[statistics.there]
    within = float(np.average(about.mean(axis=1), weights=statistics.mass[statistics.there]))
    far = np.sqrt(np.square(after.centers - before.centers).sum(axis=1) / max(within, 1e-12))
    return dict(zip(before.ids, np.round(far, 4).tolist(), strict=True))
