"""How soon is a customer known? Accuracy after the 1st, 3rd, 5th and 10th event.

Customers are halved by a hash of their id. Methods learn from one half's whole past until T. Of
each customer of the other half only the first n events are ingested, moved forward by whole weeks
(so that hour and weekday stay) until the n-th lies in the week before T; then everybody is placed
at T. Labels stand for the true segments that they fit best in the half that was learned from, and
count as right if that is the customer's segment at their n-th event. The ceiling is a classifier
of true labels trained, out of fold, on the very logs of n events.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.harness.data import SimulatedWorld, Source, finish, fresh, ingest, world
from bench.peers import SPECS, Inputs, inputs_of, make
from bench.peers.base import Columns, Labels
from bench.track.ceiling import FOLDS, fold_of, out_of_fold
from bench.track.replay import fit_at
from bench.track.truth import Truth, known
from bench.track.unit import CEILING, K_OF_NOISE, spec_of
from shoal.evaluation.matching import match

EVENTS = (1, 3, 5, 10)
_WEEK_US = 7 * 86_400_000_000
_ID, _TIME = "customer_id", "event_time"


@dataclass(frozen=True)
class Halves:
    """The half that is learned from, and the other one after n events each."""

    world: SimulatedWorld
    learned: Source
    after: dict[int, Source]

    @property
    def moment(self) -> datetime:
        """T: the end of the world's log."""
        return self.world.end

    def truth_learned(self) -> dict[str, str]:
        """Segments of all customers just before T."""
        return Truth(self.world).at(self.moment - timedelta(seconds=1))

    def truth_after(self, n: int) -> dict[str, str]:
        """Segments of the other half's customers at their n-th event."""
        found: dict[str, str] = json.loads((self.after[n].folder / "truth.json").read_text())
        return found


def halves(source: SimulatedWorld) -> Halves:
    """Both halves of a world, made or found beside it."""
    events = pq.read_table(source.folder / "world" / "events.parquet")
    events = events.filter(pc.is_valid(events[_ID])).sort_by([(_TIME, "ascending")])
    other = fold_of(np.asarray(events[_ID].to_pylist(), dtype=object), 2) == 1
    learned = source.folder / "half"
    if not (learned / "made.json").exists():
        fresh(learned)
        pq.write_table(events.filter(pa.array(~other)), learned / "events.parquet")
        items = source.folder / "world" / "items.parquet"
        ingest(learned, [items, learned / "events.parquet"], "shoal")
        finish(learned, {"digest": source.digest})
    facts = json.loads((learned / "made.json").read_text())
    after = {}
    for n in EVENTS:
        folder = source.folder / f"after-{n}"
        if not (folder / "made.json").exists():
            _make_after(folder, learned, source, events.filter(pa.array(other)), n, facts)
        after[n] = Source(folder, json.loads((folder / "made.json").read_text()))
    return Halves(source, Source(learned, facts), after)


def _make_after(
    folder: Path, learned: Path, source: SimulatedWorld, events: pa.Table, n: int, facts: Any
) -> None:
    import shoal

    fresh(folder)
    moved, moments = first_events(events, n, source.end)
    pq.write_table(moved, folder / "events.parquet")
    (folder / "truth.json").write_text(json.dumps(_segments_at(source, moments)) + "\n")
    shutil.copytree(learned / "shop", folder / "shop")
    with shoal.open(folder / "shop") as shop:
        shop.ingest([folder / "events.parquet"], preset="shoal")
    finish(folder, {"digest": source.digest, "names": facts["names"]})


def first_events(events: pa.Table, n: int, end: datetime) -> tuple[pa.Table, dict[str, datetime]]:
    """The first n events of each customer with as many, moved forward by whole weeks until the
    n-th lies in the last week before `end`; and when the n-th really was.

    Args:
        events: sorted by time.
    """
    customers = np.asarray(events[_ID].to_pylist(), dtype=object).astype(str)
    us = events[_TIME].cast(pa.int64()).to_numpy()
    order = np.argsort(customers, kind="stable")
    starts = np.flatnonzero(np.append(True, customers[order][1:] != customers[order][:-1]))
    sizes = np.diff(np.append(starts, len(order)))
    rows, shift, moments = [], [], {}
    last = int(end.timestamp() * 1e6) - 1
    for start in starts[sizes >= n]:
        taken = order[start : start + n]
        reached = int(us[taken[-1]])
        rows.append(taken)
        shift.append(np.full(n, (last - reached) // _WEEK_US * _WEEK_US))
        moments[str(customers[taken[0]])] = end - timedelta(microseconds=last + 1 - reached)
    places = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    moved = us[places] + (np.concatenate(shift) if shift else np.zeros(0, np.int64))
    table = events.take(pa.array(places))
    at = table.schema.get_field_index(_TIME)
    column = pa.array(moved).cast(pa.timestamp("us")).cast(table.schema.field(at).type)
    return table.set_column(at, table.schema.field(at), column), moments


def _segments_at(source: SimulatedWorld, moments: dict[str, datetime]) -> dict[str, str]:
    spells = source.truth("spells")
    assert spells is not None
    found = {}
    for row in spells.select([_ID, "segment", "since", "until"]).to_pylist():
        moment = moments.get(row[_ID])
        if moment is not None and row["since"] <= moment < row["until"]:
            found[row[_ID]] = row["segment"]
    return found


def prepare(spec: dict[str, Any], settings: dict[str, Any], cache: str) -> dict[str, Any]:
    """Make the halves and their features."""
    found = halves(world(spec_of(dict(spec)), Path(cache)))
    found.learned.features(found.moment)
    sizes = {}
    for n, source in found.after.items():
        source.features(found.moment)
        sizes[str(n)] = len(found.truth_after(n))
    return {
        "digest": found.world.digest, "version": found.world.facts["version"], "customers": sizes,
    }  # fmt: skip


def run(
    peer: str, spec: dict[str, Any], settings: dict[str, Any], cache: str, columns: Columns
) -> dict[str, Any]:
    """Accuracy after n events, by n as text."""
    chosen = spec_of(dict(spec))
    found = halves(world(chosen, Path(cache)))
    if peer == CEILING:
        return {"accuracy": _ceiling(found, chosen.seed)}
    truth = found.truth_learned()
    k = len(set(truth.values()))
    k = k if k > 1 else K_OF_NOISE
    if SPECS[peer].needs_shop:
        return {"accuracy": _through_shop(peer, found, truth, k, chosen.seed)}
    model = make(peer, columns)
    try:
        fit_at(model, peer, found.learned, found.moment, k, chosen.seed)
        X = inputs_of(found.learned.features(found.moment), model.inputs)
        mapping = _mapping(X.customers, model.predict(X), truth)
        accuracy = {}
        for n in EVENTS:
            X = _placed(found, n, model.inputs)
            accuracy[str(n)] = _right(mapping, model.predict(X), X, found.truth_after(n))
        return {"accuracy": accuracy}
    finally:
        if hasattr(model, "close"):
            model.close()


def _placed(found: Halves, n: int, kind: Any) -> Inputs:
    """The other half's customers with n events, whatever few they are."""
    X = inputs_of(found.after[n].features(found.moment), kind, minimum_events=1)
    return X.rows(known(found.truth_after(n), X.customers)[0])


def _mapping(customers: npt.NDArray[Any], labels: Labels, truth: dict[str, str]) -> dict[int, str]:
    there, segments = known(truth, customers)
    return match(segments.astype(str), labels[there])


def _right(mapping: dict[int, str], labels: Labels, X: Inputs, truth: dict[str, str]) -> float:
    called = [mapping.get(int(one), "") for one in labels]
    pairs = zip(called, X.customers.tolist(), strict=True)
    return float(np.mean([segment == truth[customer] for segment, customer in pairs]))


def _through_shop(
    peer: str, found: Halves, truth: dict[str, str], k: int, seed: int
) -> dict[str, float]:
    """A shop's segmentation learned from one half, then the other half's events ingested."""
    import shoal

    with tempfile.TemporaryDirectory(prefix="shoal-track-") as folder:
        home = Path(folder)
        model = make(peer).open(found.learned, home)
        model.fit_at(found.moment, k, seed)
        customers, labels, _ = model.predict_at(found.moment)
        wanted = inputs_of(found.learned.features(found.moment)).customers
        at = np.searchsorted(customers.astype(str), wanted.astype(str))
        mapping = _mapping(wanted, labels[at], truth)
        model.close()
        accuracy = {}
        for n in EVENTS:
            copy = home / f"after-{n}"
            shutil.copytree(home / "shop", copy)
            with shoal.open(copy) as shop:
                shop.ingest([found.after[n].folder / "events.parquet"], preset="shoal")
            model.reopen(copy)
            customers, labels, _ = model.predict_at(found.moment)
            X = _placed(found, n, "features")
            at = np.searchsorted(customers.astype(str), X.customers.astype(str))
            accuracy[str(n)] = _right(mapping, labels[at], X, found.truth_after(n))
            model.close()
        return accuracy


def _ceiling(found: Halves, seed: int) -> dict[str, float]:
    """Out of fold by customer, all n together: few customers teach more through all their logs."""
    placed = {n: _placed(found, n, "features") for n in EVENTS}
    segments = {
        n: np.array([found.truth_after(n)[one] for one in X.customers]) for n, X in placed.items()
    }
    called = out_of_fold(
        np.concatenate([X.values for X in placed.values()]), np.concatenate([*segments.values()]),
        fold_of(np.concatenate([X.customers for X in placed.values()]), 2 * FOLDS) // 2, seed,
    )  # fmt: skip
    edges = np.cumsum([len(X) for X in placed.values()])[:-1]
    return {
        str(n): float((part == segments[n]).mean())
        for n, part in zip(placed, np.split(called, edges), strict=True)
    }
