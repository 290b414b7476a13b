"""Monthly refits of a shop, and what became of each customer's segment.

Every refit is `shop.segment(until=T)`: its ids, its recorded memberships and its lineage are the
product's own. Other ways of naming the very same fits are asked beside it: the place by size (what
a plain refit has), and the nearest centre of the fit before (one to one). Of customers whose
planted segment is the same at two refits, counted is whose id is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.harness.data import SimulatedWorld, world
from bench.peers import inputs_of
from bench.peers.base import prepared
from bench.track.truth import Truth
from bench.track.unit import cuts_of, planted_at, spec_of
from shoal.domain.segment import TIER_NEW
from shoal.evaluation.agreement import agreement
from shoal.evaluation.lineage import Event

#: Ways of naming: Shoal's permanent ids, centres matched one to one, places by size; and the first
#: version for ever, which names no refit.
SHOAL, CENTROID, PLAIN, FROZEN = "shoal", "centroid", "plain", "frozen"
Said = dict[str, str]
Matrix = npt.NDArray[np.float64]


@dataclass
class Refit:
    """What one refit says of customers at its moment.

    Args:
        ids, held: the new version's and, of the same states, the old version's segments.
        frozen: the first version's.
        places: id -> place by size of the new version.
        changes: splits, merges, births and deaths that the lineage tells.
    """

    moment: datetime
    ids: Said
    held: Said
    frozen: Said
    places: Mapping[str, int]
    k: int
    changes: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def run(spec: dict[str, Any], settings: dict[str, Any], cache: str) -> dict[str, Any]:
    """Figures of one world."""
    source = world(spec_of(dict(spec)), Path(cache))
    moments = cuts_of(source, settings).moments[: settings["refits"] + 1]
    k = planted_at(source, cuts_of(source, settings)) if settings["k"] == "planted" else None
    made = refits(source, moments, k, int(spec["seed"]), settings["aim"])
    return {
        "world_digest": source.digest,
        "refits": len(made) - 1,
        "k": [one.k for one in made],
        "changes": [dict(change) for one in made[1:] for change in one.changes],
        **kept(made, source),
        "events": [event_document(one) for one in told(made, source)],
        "planted": [event_document(one) for one in planted(made, source)],
    }


def refits(
    source: SimulatedWorld, moments: Sequence[datetime], k: int | None, seed: int, aim: str
) -> list[Refit]:
    """Every refit in order of time, in a copy of the shop."""
    import shoal

    found: list[Refit] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        shoal.open(source.copy_shop(Path(folder) / "shop")) as shop,
    ):
        first = ""
        for moment in moments:
            held = _said(shop.memberships(as_of=moment)) if found else {}
            shop.segment(until=moment, k=k, seed=seed, aim=aim)
            overview = shop.segments()
            first = first or overview["segmentation_id"]
            places = [one["segment_id"] for one in overview["segments"]]
            version = shop.lineage()["versions"][-1]
            changes = [
                one
                for one in shop.lineage()["changes"]
                if one["segmentation_id"] == version["segmentation_id"]
                and one["change"] != "continue"
            ]
            found.append(
                    Refit(
                        moment, _said(shop.memberships(as_of=moment)), held,
                        _said(shop.memberships(as_of=moment, segmentation=first)),
                        {name: place for place, name in enumerate(places)},
                        int(overview["k"]), changes,
                    )
                )  # fmt: skip
    return found


def _said(table: pa.Table) -> Said:
    """Segment of each customer who is placed."""
    pairs = zip(table["customer_id"].to_pylist(), table["segment_id"].to_pylist(), strict=True)
    return {customer: name for customer, name in pairs if name != TIER_NEW}


# --- Identity -------------------------------------------------------------------------------------


def kept(made: Sequence[Refit], source: SimulatedWorld) -> dict[str, Any]:
    """Of customers whose planted segment stayed, the share whose id did, by way of naming.

    `same_states`: the old and the new version asked about the same states; `over_time`: each asked
    about its own moment.
    """
    truth = Truth(source)
    same = {name: [0, 0] for name in (SHOAL, CENTROID, PLAIN)}
    over = {name: [0, 0] for name in (SHOAL, CENTROID, PLAIN, FROZEN)}
    for before, after in pairwise(made):
        then, now = truth.at(before.moment), truth.at(after.moment)
        stable = [one for one in after.ids if now.get(one) and then.get(one) == now.get(one)]
        centroid = by_centroid(source, before, after)
        names: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
            SHOAL: ({}, {}),
            CENTROID: ({}, centroid),
            PLAIN: (before.places, after.places),
        }
        for name, (old, new) in names.items():
            _count(same[name], stable, after.held, after.ids, old, new)
            _count(over[name], stable, before.ids, after.ids, old, new)
        _count(over[FROZEN], stable, before.frozen, after.frozen, {}, {})
    return {
        "same_states": same,
        "over_time": over,
        "ari": {
            SHOAL: [_ari(one.ids, truth.at(one.moment)) for one in made],
            FROZEN: [_ari(one.frozen, truth.at(one.moment)) for one in made],
        },
    }


def _count(
    counts: list[int],
    stable: Sequence[str],
    before: Said,
    after: Said,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> None:
    for customer in stable:
        if customer in before and customer in after:
            was, is_now = before[customer], after[customer]
            counts[0] += old.get(was, was) == new.get(is_now, is_now)
            counts[1] += 1


def _ari(said: Said, truth: Mapping[str, str]) -> float:
    both = [one for one in said if one in truth]
    return agreement([truth[one] for one in both], [said[one] for one in both]).ari


def by_centroid(source: SimulatedWorld, before: Refit, after: Refit) -> dict[str, str]:
    """New id -> the old id whose mean is nearest, one to one, in the peers' prepared features.

    Each version's means are of its own moment, as somebody has them who keeps centres alone.
    """
    from scipy.optimize import linear_sum_assignment

    preparation = prepared("features", "style")
    first = inputs_of(source.features(before.moment))
    preparation.fit(first)
    old_ids, old = _means(first.customers, preparation.transform(first), before.ids)
    second = inputs_of(source.features(after.moment))
    new_ids, new = _means(second.customers, preparation.transform(second), after.ids)
    distances = np.square(old[:, None, :] - new[None, :, :]).sum(axis=2)
    rows, columns = linear_sum_assignment(distances)
    pairs = {new_ids[y]: old_ids[x] for x, y in zip(rows, columns, strict=True)}
    return {name: pairs.get(name, f"new {name}") for name in new_ids}


def _means(customers: npt.NDArray[Any], Z: Matrix, said: Said) -> tuple[list[str], Matrix]:
    labels = np.array([said.get(str(one), "") for one in customers], dtype=str)
    names = sorted(set(labels.tolist()) - {""})
    return names, np.stack([Z[labels == name].mean(axis=0) for name in names])


# --- Lineage --------------------------------------------------------------------------------------


def told(made: Sequence[Refit], source: SimulatedWorld) -> list[Event]:
    """The changes that the lineage tells, in names of true segments: of parents by the customers
    of the version before at its moment, of children by those of the new one."""
    truth = Truth(source)
    found = []
    for before, after in pairwise(made):
        parents = named(before.ids, truth.at(before.moment))
        children = named(after.ids, truth.at(after.moment))
        found += [
            Event(
                truth.day(after.moment), one["change"],
                frozenset(parents.get(name, "?") for name in one["parents"]),
                frozenset(children.get(name, "?") for name in one["children"]),
            )
            for one in after.changes
        ]  # fmt: skip
    return found


def named(said: Said, truth: Mapping[str, str]) -> dict[str, str]:
    """The true segment that most customers of each found one belong to; ties by name."""
    votes: dict[str, dict[str, int]] = {}
    for customer, segment in said.items():
        if customer in truth:
            own = votes.setdefault(segment, {})
            own[truth[customer]] = own.get(truth[customer], 0) + 1
    return {name: min(own, key=lambda one: (-own[one], one)) for name, own in votes.items()}


def planted(made: Sequence[Refit], source: SimulatedWorld) -> list[Event]:
    """Planted changes with a refit before and after them, so that they can be found at all."""
    truth = Truth(source)
    first, last = truth.day(made[0].moment), truth.day(made[-1].moment)
    return [one for one in truth.lineage() if first <= one.day < last]


def event_document(one: Event) -> dict[str, Any]:
    return {
        "day": one.day, "change": one.change, "parents": sorted(one.parents),
        "children": sorted(one.children),
    }  # fmt: skip


def event_of(document: Mapping[str, Any]) -> Event:
    """What `event_document` wrote."""
    return Event(
        document["day"], document["change"], frozenset(document["parents"]),
        frozenset(document["children"]),
    )  # fmt: skip
