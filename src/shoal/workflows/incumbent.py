"""An existing segmentation beside Shoal's: a crosswalk now, and a backtest on an unseen quarter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.errors import ShoalError
from shoal.domain.money import MICROS
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso
from shoal.evaluation.backtest import Outcome, backtest
from shoal.evaluation.crosswalk import Crosswalk, crosswalk
from shoal.evaluation.deviance import mix_deviance, poisson_deviance, tweedie_deviance
from shoal.features.fold import Fold
from shoal.features.outcomes import categories, outcomes
from shoal.features.snapshot import latest_moment
from shoal.features.span import log_span
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.inputs import FEATURES
from shoal.workflows.admission import Admission
from shoal.workflows.embedded import of_segmentation
from shoal.workflows.incumbent_file import Incumbent, read_incumbent
from shoal.workflows.memberships import applied, current
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.segment_learn import Learner

SCHEMA: Final = "shoal.incumbent/1"

INCUMBENT: Final = "incumbent"
SHOAL: Final = "shoal"

#: The quarter that is held back, at most this share of the log, at least so many days of it.
QUARTER_DAYS: Final = 91
_SHARE: Final = 4
_FEWEST_DAYS: Final = 7
#: Customers with a segment on both sides that a backtest needs.
FEWEST_CUSTOMERS: Final = 40
_MOST_CATEGORIES: Final = 20

Labels = npt.NDArray[Any]


def incumbent(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    path: Path,
    segmentation: str | None = None,
    settings: SegmentConfig | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The JSON document `shoal.incumbent/1`: account of the file, crosswalk, backtest.

    Nothing of the shop changes. For the backtest Shoal's segments are learned anew without the last
    quarter, with as many segments as it has now.

    Args:
        path: a file of customers and segments (`shoal.workflows.incumbent_file`).
        segmentation: Shoal's side; None: the main one.

    Raises:
        UsageError: `unknown_segmentation`; `usage`, the file's segments are no segments.
        InputError: the file cannot be read or used; `too_little_data`.
    """
    settings = settings or SegmentConfig()
    job = _Job(
        warehouse, registry, fold, zone, admission, settings,
        settings.seed if seed is None else seed, current(store, registry, segmentation),
        progress or NoProgress(),
    )  # fmt: skip
    return job.run(path)


@dataclass
class _Job:
    """One comparison; the steps in the order of `run`."""

    warehouse: Warehouse
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    settings: SegmentConfig
    seed: int
    found: SegmentationArtefact
    progress: Progress

    def run(self, path: Path) -> dict[str, Any]:
        now = latest_moment(self.warehouse)
        self.progress.start("crosswalk", None)
        customers, ids = self._applied(self.found, now)
        theirs = read_incumbent(path, self._customer_of(customers))
        table, coverage = _crossed(theirs, customers, ids)
        self.progress.done()
        warnings = [] if theirs.dated else [_UNDATED]
        return {
            "schema": SCHEMA,
            "path": str(path),
            "as_of": iso(now),
            "segmentation_id": self.found.segmentation_id,
            "dated": theirs.dated,
            "columns": list(theirs.columns),
            "rows": theirs.account.as_document(),
            "customers": coverage,
            "crosswalk": None if table is None else _crosswalk_document(table, self.found),
            "backtest": self._backtest(theirs, now),
            "warnings": warnings,
        }

    def _applied(self, found: SegmentationArtefact, moment: datetime) -> tuple[pa.Array, Labels]:
        features, weights = applied(
            found, self.admission.at(moment), self.fold, self.registry, self.zone, moment
        )
        names = np.array(found.segmenter.segment_ids, dtype=str)
        return features[CUSTOMER].combine_chunks(), names[weights.argmax(axis=1)]

    def _customer_of(self, customers: pa.Array) -> Callable[[str], str | None]:
        """The customer of an id: itself, or the one that it was joined to last."""
        known = set(customers.to_pylist())
        people = self.admission.decisions().people.sort_by("from_us")
        joined = dict(zip(people["id"].to_pylist(), people["customer_id"].to_pylist(), strict=True))

        def of(raw: str) -> str | None:
            if raw in known:
                return raw
            other = joined.get(raw)
            return other if other in known else None

        return of

    # -- backtest ----------------------------------------------------------------------------------

    def _backtest(self, theirs: Incumbent, now: datetime) -> dict[str, Any]:
        """Both segmentations as of a quarter ago, asked about the quarter; or why not."""
        first, _ = log_span(self.warehouse)
        days = min(QUARTER_DAYS, int((now - first) / timedelta(days=1)) // _SHARE)
        if days < _FEWEST_DAYS:
            return _skipped(
                f"the log is too short: a quarter of it is {days} days, {_FEWEST_DAYS} are needed"
            )
        then = now - timedelta(days=days)
        labels = theirs.at(then)
        if len(labels) < FEWEST_CUSTOMERS:
            return _skipped(
                f"the file knows the segment of {len(labels)} customers before {iso(then)}; "
                f"{FEWEST_CUSTOMERS} are needed"
            )
        self.progress.start("backtest", None)
        try:
            customers, ids, how = self._as_of(then)
        except ShoalError as error:
            return _skipped(f"Shoal has no segments before {iso(then)}: {error.message}")
        finally:
            self.progress.done()
        told = self._outcomes(customers, labels, then, now)
        if told is None:
            return _skipped(
                f"fewer than {FEWEST_CUSTOMERS} customers have a segment on both sides before "
                f"{iso(then)}"
            )
        rows, asked = told
        names = [customers[int(row)].as_py() for row in rows]
        sides = {SHOAL: _numbered(ids[rows]), INCUMBENT: _numbered([labels[one] for one in names])}
        judged = backtest(asked, sides, seed=self.seed)
        wins = [one.winner for one in judged]
        return {
            "skipped": None,
            "from": iso(then),
            "to": iso(now),
            "days": days,
            "customers": len(rows),
            "segments": {name: int(one.max()) + 1 for name, one in sides.items()},
            "shoal": how,
            "seed": self.seed,
            "outcomes": [one.as_document() for one in judged],
            "wins": {name: wins.count(name) for name in sides} | {"neither": wins.count("")},
        }

    def _as_of(self, then: datetime) -> tuple[pa.Array, Labels, dict[str, Any]]:
        """Customers and Shoal's segments as of a moment, learned from nothing later."""
        if self.found.trained_until <= then:
            return *self._applied(self.found, then), {
                "learned": False,
                "k": self.found.document["k"],
            }
        document = self.found.document
        model = of_segmentation(document, self.registry, self.fold)
        on = str(document.get("on", FEATURES))
        if model is not None and model.found.trained_until > then:
            model, on = None, FEATURES
        method = document["method"]
        learner = Learner(
            self.fold, self.zone, self.admission, self.settings, int(document["k"]), self.seed,
            on=on, model=model,
        )  # fmt: skip
        known = learner.known(then, learner.admitted(then))
        vocabulary = learner.vocabulary(known)
        [(segmenter, _)] = learner.learn(known, vocabulary, (method,))
        names = np.array(segmenter.segment_ids, dtype=str)
        ids = names[segmenter.predict(known.table(vocabulary))]
        how = {"learned": True, "k": int(document["k"]), "method": method, "on": on}
        return known.features[CUSTOMER].combine_chunks(), ids, how

    def _outcomes(
        self, customers: pa.Array, labels: Mapping[str, str], then: datetime, now: datetime
    ) -> tuple[npt.NDArray[np.int64], list[Outcome]] | None:
        """Rows of the customers with a segment on both sides, and what they did in the quarter."""
        counted = self.admission.at(now)  # its files are there for as long as it is
        events, rules = counted.events(), self.fold.rules
        told = outcomes(self.fold.engine, events, rules, then, now)
        places = pc.index_in(customers, value_set=told[CUSTOMER].combine_chunks())
        both = pc.and_(
            pc.is_in(customers, value_set=pa.array(list(labels), pa.string())), pc.is_valid(places)
        )
        rows = np.flatnonzero(both.to_numpy(zero_copy_only=False))
        if len(rows) < FEWEST_CUSTOMERS:
            return None
        told = told.take(places.take(pa.array(rows)))
        active, orders, net = (
            np.asarray(told[name].to_numpy(), np.float64) for name in ("events", "orders", "net")
        )
        everybody = np.ones(len(rows), dtype=np.bool_)
        came = (active > 0).astype(np.float64)
        found = [
            Outcome("active", np.column_stack([came, 1 - came]), everybody, mix_deviance),
            Outcome("orders", orders[:, None], everybody, poisson_deviance),
            Outcome("spend", np.maximum(net, 0.0)[:, None] / MICROS, everybody, tweedie_deviance),
        ]
        table = categories(self.fold.engine, events, rules, then, now)
        own = table["category"].take(
            pc.index_in(customers.take(pa.array(rows)), table[CUSTOMER].combine_chunks())
        )
        return rows, [*found, *_category(own)]


def _category(own: pa.ChunkedArray) -> list[Outcome]:
    """The top category of each customer as an outcome; none where there is one category only."""
    names = np.array([one or "" for one in own.to_pylist()], dtype=str)
    known = names != ""
    classes, counts = np.unique(names[known], return_counts=True)
    if len(classes) < 2:
        return []
    kept = classes[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]]
    values = (names[:, None] == kept[None, :]).astype(np.float64)
    if len(classes) > len(kept):
        values = np.column_stack([values, known & (values.sum(axis=1) == 0)])
    return [Outcome("category", values, known, mix_deviance)]


def _numbered(labels: Any) -> npt.NDArray[np.int64]:
    found = np.unique(np.asarray(labels, dtype=str), return_inverse=True)[1]
    return np.asarray(found.reshape(-1), dtype=np.int64)


def _skipped(why: str) -> dict[str, Any]:
    return {"skipped": why}


_UNDATED: Final = (
    "The file does not say since when: its segments may know what came after the moment of the "
    "backtest, which favours them."
)


def _crossed(
    theirs: Incumbent, customers: pa.Array, ids: Labels
) -> tuple[Crosswalk | None, dict[str, int]]:
    """The crosswalk of customers whom both place, and how many are on each side."""
    labels = theirs.at()
    pairs = [
        (labels[one], str(segment))
        for one, segment in zip(customers.to_pylist(), ids, strict=True)
        if one in labels
    ]
    placed = [pair for pair in pairs if pair[1] != TIER_NEW]
    coverage = {
        "shop": len(customers),
        "file": len(labels),
        "both": len(pairs),
        "compared": len(placed),
        "too_little_known": len(pairs) - len(placed),
        "not_in_file": len(customers) - len(pairs),
    }
    if not placed:
        return None, coverage
    return crosswalk([one for one, _ in placed], [other for _, other in placed]), coverage


def _crosswalk_document(table: Crosswalk, found: SegmentationArtefact) -> dict[str, Any]:
    return {
        "adjusted_rand_index": table.ari,
        "normalised_mutual_information": table.nmi,
        "segments": [
            {
                "segment": one.segment,
                "customers": one.customers,
                "best_match": one.best,
                "name": found.profile_name(one.best),
                "common": one.common,
                "share": one.share,
                "overlap": one.overlap,
            }
            for one in table.rows
        ],
        "table": {
            "incumbent": list(table.left),
            "shoal": list(table.right),
            "counts": table.counts.tolist(),
        },
    }
