"""Do refits tell which segments split, merged, were born or died? Over many small worlds.

Segments are learned anew at every cut (28 days apart) and compared with those of the cut before
by MONIC on common customers (`bench.peers.monic`); each transition but survival is a found event,
dated by the later cut. Parents and children are named by the true segment that most of their
members belong to. A change can be found at the first refit after it at the earliest, and features
look back; so a found event may come up to `TOLERANCE_DAYS` after the planted one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.data import SimulatedWorld, world
from bench.harness.splits import Cuts, cuts
from bench.peers import inputs_of, make
from bench.peers.monic import named, transitions
from bench.track.truth import Truth, known
from bench.track.unit import cuts_of, planted_at, spec_of
from shoal.evaluation.lineage import Event, compare

#: Two refits.
TOLERANCE_DAYS = 56.0
Labels = npt.NDArray[np.int64]
#: (customers, labels) at every cut.
Said = list[tuple[npt.NDArray[Any], Labels]]


def run(
    peer: str, spec: dict[str, Any], settings: dict[str, Any], cache: str, columns: str
) -> dict[str, Any]:
    """Counts of right, found and planted events of one method on one world."""
    chosen = spec_of(dict(spec))
    source = world(chosen, Path(cache))
    replayed = cuts_of(source, settings)
    k = planted_at(source, replayed)
    if peer in ADJUSTED:
        found, labels = adjusted(ADJUSTED[peer], source, replayed, k, chosen.seed)
    else:
        said = METHODS[peer](source, replayed, k, chosen.seed, columns)
        found, labels = events(said, source, replayed), [len(np.unique(one)) for _, one in said]
    planted = [one for one in Truth(source).lineage() if _within(one, source, replayed)]
    strict = compare(found, planted, tolerance_days=TOLERANCE_DAYS)
    loose = compare(found, planted, tolerance_days=TOLERANCE_DAYS, members=False)
    by_change = {
        change: compare(
            [one for one in found if one.change == change],
            [one for one in planted if one.change == change],
            tolerance_days=TOLERANCE_DAYS,
        )
        for change in ("split", "merge", "birth", "death")
    }
    return {
        "strict": vars(strict), "loose": vars(loose),
        "by_change": {name: vars(one) for name, one in by_change.items()},
        "labels": labels,
        "years": (replayed.moments[-1] - replayed.first) / timedelta(days=365),
    }  # fmt: skip


def _within(event: Event, source: SimulatedWorld, replayed: Cuts) -> bool:
    """Whether two cuts lie around the event, so that it could be found at all."""
    truth = Truth(source)
    return truth.day(replayed.first) <= event.day < truth.day(replayed.moments[-1])


def events(said: Said, source: SimulatedWorld, replayed: Cuts) -> list[Event]:
    """What MONIC finds between each two cuts, in names of true segments."""
    truth = Truth(source)
    found: list[Event] = []
    for (before, now), (old, new) in zip(pairwise(replayed.moments), pairwise(said), strict=True):
        parents = _names(*old, truth.at(before))
        children = _names(*new, truth.at(now))
        common, left, right = np.intersect1d(
            old[0].astype(str), new[0].astype(str), return_indices=True
        )
        assert len(common)
        found += [
            Event(
                truth.day(now), one.change,
                frozenset(parents.get(label, "?") for label in one.parents),
                frozenset(children.get(label, "?") for label in one.children),
            )
            for one in transitions(old[1][left], new[1][right])
            if one.change != "survive"
        ]  # fmt: skip
    return found


def adjusted(
    peer: str, source: SimulatedWorld, replayed: Cuts, k: int, seed: int
) -> tuple[list[Event], list[int]]:
    """What the product's own lineage tells while segments adjust weekly, in names of true segments:
    parents as they were at the cut before, children as they are after; and segments at each cut."""
    from bench.peers.shoal_ import through_replay

    weekly = cuts(replayed.first, replayed.moments[-1], learn_days=WEEK_DAYS, every_days=WEEK_DAYS)
    weekly = Cuts((replayed.first, *weekly.moments))
    entry, truth = make(peer), Truth(source)
    told, names, found, sizes = list[dict[str, Any]](), dict[str, int](), list[Event](), list[int]()
    before: dict[int, str] = {}
    steps = through_replay(
        source, weekly, k, seed, "first", entry.aim, peer=entry, told=told, names=names
    )
    for moment, (customers, labels, _, _) in zip(weekly.moments, steps, strict=True):
        now = _names(customers, labels, truth.at(moment))
        rows = [one for one in told if one["at"] == moment.isoformat()]
        for change in (one for row in rows for one in row["changes"]):
            parents, children = (
                frozenset(side.get(names.get(one, -1), "?") for one in change[key])
                for side, key in ((before, "parents"), (now, "children"))
            )
            found.append(Event(truth.day(moment), change["change"], parents, children))
        before = now
        sizes.append(len(np.unique(labels)))
    return found, sizes


def _names(customers: npt.NDArray[Any], labels: Labels, truth: dict[str, str]) -> dict[int, str]:
    there, segments = known(truth, customers)
    return dict(named(labels[there], segments))


def _each_cut(peer: str) -> Callable[[SimulatedWorld, Cuts, int, int, str], Said]:
    """A peer fitted anew at every cut."""

    def said(source: SimulatedWorld, replayed: Cuts, k: int, seed: int, columns: str) -> Said:
        found = []
        for moment in replayed.moments:
            X = inputs_of(source.features(moment))
            labels = make(peer, columns).fit(X, k, seed).predict(X)  # type: ignore[arg-type]
            found.append((X.customers, labels))
        return found

    return said


def _shoal(choose: bool) -> Callable[[SimulatedWorld, Cuts, int, int, str], Said]:
    """Shoal's segmentation learned anew at every cut."""

    def said(source: SimulatedWorld, replayed: Cuts, k: int, seed: int, columns: str) -> Said:
        from bench.peers.shoal_ import through_replay

        found = []
        told = through_replay(source, replayed, 0 if choose else k, seed, "each")
        for moment, (customers, labels, _, _) in zip(replayed.moments, told, strict=True):
            wanted = inputs_of(source.features(moment)).customers
            at = np.searchsorted(customers.astype(str), wanted.astype(str))
            found.append((wanted, labels[at]))
        return found

    return said


def _true(source: SimulatedWorld, replayed: Cuts, k: int, seed: int, columns: str) -> Said:
    """The true segments: what MONIC itself loses when nothing else does."""
    truth, numbers, found = Truth(source), dict[str, int](), []
    for moment in replayed.moments:
        customers = inputs_of(source.features(moment)).customers
        there, segments = known(truth.at(moment), customers)
        labels = [numbers.setdefault(one, len(numbers)) for one in segments.tolist()]
        found.append((customers[there], np.array(labels, dtype=np.int64)))
    return found


METHODS: dict[str, Callable[[SimulatedWorld, Cuts, int, int, str], Said]] = {
    "true": _true,
    "kmeans": _each_cut("kmeans"),
    "kmeans-silhouette": _each_cut("kmeans-silhouette"),
    "gmm-bic": _each_cut("gmm-bic"),
    "shoal": _shoal(choose=False),
    "shoal-chosen": _shoal(choose=True),
}
#: Segments that adjust week by week: the peer whose changes are asked.
ADJUSTED = {"shoal-adjust": "shoal-adjust", "shoal-adjust-style": "shoal-adjust-style"}
WEEK_DAYS = 7
TITLES = {
    "true": "*the true segments themselves, MONIC*",
    "kmeans": "k-means refit, k told, MONIC",
    "kmeans-silhouette": "k-means refit, k by silhouette, MONIC",
    "gmm-bic": "Gaussian mixture refit, k by BIC, MONIC",
    "shoal": "Shoal segmented anew, k told, MONIC",
    "shoal-chosen": "Shoal segmented anew, k chosen by Shoal, MONIC",
    "shoal-adjust": "Shoal adjusted weekly, its own lineage",
    "shoal-adjust-style": "Shoal adjusted weekly, --aim style, its own lineage",
}
