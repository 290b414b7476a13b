"""How well embeddings foretell what customers do next, against features, on customers not learned.

Inputs are as of the start of a window, outcomes are those within it. Probes learn the outcomes of a
random half of the customers and are asked about the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError, UsageError
from shoal.domain.money import MICROS
from shoal.domain.time import Zone, iso
from shoal.evaluation.foretelling import halves
from shoal.evaluation.probing import FIGURES, Description, Probed, Prober, Task
from shoal.evaluation.probing_heads import heads
from shoal.features.activity import totals
from shoal.features.algebra import CUSTOMER
from shoal.features.fold import Fold
from shoal.features.matrix import MEDIAN, matrix, numeric_columns
from shoal.features.outcomes import categories, outcomes
from shoal.features.prepare import MissingFiller, SkewScaler
from shoal.features.snapshot import snapshot_table
from shoal.features.tastes import Vocabulary, counts_at
from shoal.ports import EventTable
from shoal.segments.inputs import TASTE_PRIOR_EVENTS, with_tastes
from shoal.workflows.admission import Admission
from shoal.workflows.embed import embeddings
from shoal.workflows.progress import Progress
from shoal.workflows.segment_outlook import HORIZON_DAYS, SHORTEST_HORIZON_DAYS

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact

Floats = npt.NDArray[np.float64]

#: Customers that are probed at most, drawn by the seed.
MOST_CUSTOMERS: Final = 20_000
#: Customers that probing needs.
LEAST_CUSTOMERS: Final = 40
#: A window may take this share of the log at most.
_HORIZON_SHARE: Final = 4
#: Categories with a class of their own; the others are one class.
_MOST_CATEGORIES: Final = 20
#: The name of that class.
OTHERS: Final = "(others)"

FEATURES, EMBEDDING, BOTH = ("features", "embedding", "features + embedding")


@dataclass(frozen=True)
class Window:
    """Outcomes are those of [since, until)."""

    since: datetime
    until: datetime

    @property
    def days(self) -> float:
        return (self.until - self.since) / timedelta(days=1)


def window(warehouse: EventTable, until: datetime, days: int | None, version: int | None) -> Window:
    """The window before a moment: of that many days, or of what the log allows.

    Raises:
        InputError: `too_little_data`, the log is too short for any.
        UsageError: `bad_period`, it is too short for this one, or the days are none.
    """
    events = warehouse.events(version=version)
    known = totals(warehouse.engine, events, until)
    span = 0 if known["first_day"] is None else known["last_day"] - known["first_day"] + 1
    most = span // _HORIZON_SHARE
    if most < SHORTEST_HORIZON_DAYS:
        raise InputError(
            "too_little_data",
            f"the log before {iso(until)} spans {span} days, and a window may take a quarter of it",
            hint=f"Foretelling needs {_HORIZON_SHARE * SHORTEST_HORIZON_DAYS} days or more; "
            "--customer ID and --item ID work with less.",
        )
    if days is not None and not 1 <= days <= most:
        raise UsageError(
            "bad_period",
            f"the window is {days} days and the log before {iso(until)} spans {span}",
            hint=f"Give --horizon-days from 1 to {most}, a quarter of the log.",
        )
    chosen = min(HORIZON_DAYS, most) if days is None else days
    return Window(until - timedelta(days=chosen), until)


@dataclass
class Foreteller:
    """One run of probes.

    Args:
        found: the model whose embeddings are probed.
        version: of the event table; None for the latest.
    """

    warehouse: EventTable
    fold: Fold
    zone: Zone
    admission: Admission
    found: ModelArtefact
    window: Window
    seed: int
    version: int | None
    progress: Progress
    skipped: list[dict[str, str]] = field(default_factory=list)

    @cached_property
    def customers(self) -> pa.Array:
        """All customers with an event before the end of the window, sorted."""
        return self._told[CUSTOMER].combine_chunks()

    @cached_property
    def _told(self) -> pa.Table:
        """What every customer did in the window."""
        events = self.admission.at(self.window.until, version=self.version)
        return outcomes(
            self.fold.engine, events.events(version=self.version), self.fold.rules,
            self.window.since, self.window.until,
        )  # fmt: skip

    @cached_property
    def _then(self) -> EventTable:
        """The events as they counted when the window began."""
        return self.admission.at(self.window.since, version=self.version)

    @cached_property
    def _features(self) -> pa.Table:
        """What was known when the window began."""
        return snapshot_table(
            self._then, self.fold, zone=self.zone, as_of=self.window.since, version=self.version
        )

    def document(self) -> dict[str, Any]:
        """What was foretold, as JSON.

        Raises:
            InputError: `too_little_data`, too few customers.
        """
        customers = self._drawn()
        descriptions, learned = self._descriptions(customers)
        tasks = self._tasks(customers, learned)
        asked = self._asked(tasks, descriptions, learned)
        return {
            "from": iso(self.window.since),
            "to": iso(self.window.until),
            "horizon_days": self.window.days,
            "customers": len(customers),
            "learned": int(learned.sum()),
            "asked": int((~learned).sum()),
            "seed": self.seed,
            "seen_in_training": self.found.trained_until > self.window.since,
            "tasks": asked,
            "skipped": self.skipped,
        }

    # -- inputs ------------------------------------------------------------------------------------

    def _drawn(self) -> pa.Array:
        """Customers known when the window began who still are at its end, as many as are asked."""
        ids = self._features[CUSTOMER].combine_chunks()
        ids = ids.filter(pc.is_in(ids, self.customers))
        if len(ids) < LEAST_CUSTOMERS:
            raise InputError(
                "too_little_data",
                f"{len(ids)} customers have an event before {iso(self.window.since)}, where the "
                "window begins",
                hint=f"Foretelling needs {LEAST_CUSTOMERS} or more; give a later --as-of or a "
                "smaller --horizon-days.",
            )
        drawn = np.random.default_rng(self.seed).permutation(len(ids))[:MOST_CUSTOMERS]
        return ids.take(pa.array(np.sort(drawn)))

    def _descriptions(self, customers: pa.Array) -> tuple[list[Description], npt.NDArray[np.bool_]]:
        learned = next(halves(len(customers), 1, self.seed))
        events = self._then.events(version=self.version)
        counts = counts_at(self.fold, events, self.window.since)
        vocabulary = Vocabulary.of(counts, prior=TASTE_PRIOR_EVENTS)
        rows = pc.index_in(customers, self._features[CUSTOMER].combine_chunks())
        table = with_tastes(self._features.take(rows), counts, vocabulary)
        columns = numeric_columns(table, self.fold.catalog)
        raw = matrix(table, [*(one.name for one in columns), *vocabulary.columns])
        policies = [*(one.missing for one in columns), *(MEDIAN for _ in vocabulary.columns)]
        plain = _scaled(raw, policies, learned)
        Z = self._embedded(customers)
        described = [
            Description(FEATURES, plain, raw),
            Description(EMBEDDING, Z, Z),
            Description(BOTH, np.hstack([plain, Z]), np.hstack([raw, Z])),
        ]
        return described, learned

    def _embedded(self, customers: pa.Array) -> Floats:
        table = embeddings(
            self._then, self.found, self.fold.rules, self.window.since, version=self.version,
            customers=customers.to_pylist(), progress=self.progress,
        )  # fmt: skip
        return numbers(table.take(pc.index_in(customers, table[CUSTOMER].combine_chunks())))

    # -- tasks -------------------------------------------------------------------------------------

    def _tasks(self, customers: pa.Array, learned: npt.NDArray[np.bool_]) -> list[Task]:
        told = self._told.take(pc.index_in(customers, self.customers))
        orders, net = (np.asarray(told[name].to_numpy(), np.float64) for name in ("orders", "net"))
        found = [
            Task("purchase", "chance", (orders > 0).astype(np.float64)),
            Task("spend", "amount", np.maximum(net, 0.0) / MICROS),
            Task("orders", "count", orders),
            self._category(customers, learned),
        ]
        kept = []
        for task in found:
            why = task.lacks(learned)
            if why:
                self.skipped.append({"task": task.name, "why": why})
            else:
                kept.append(task)
        return kept

    def _category(self, customers: pa.Array, learned: npt.NDArray[np.bool_]) -> Task:
        events = self.admission.at(self.window.until, version=self.version)
        table = categories(
            self.fold.engine, events.events(version=self.version), self.fold.rules,
            self.window.since, self.window.until,
        )  # fmt: skip
        own = table["category"].take(pc.index_in(customers, table[CUSTOMER].combine_chunks()))
        names = np.array(own.to_pylist(), object)
        have = np.array([one is not None for one in names])
        known, counts = np.unique(names[have & learned].astype(str), return_counts=True)
        classes = known[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]].tolist()
        if set(names[have]) - set(classes):
            classes.append(OTHERS)
        places = {name: place for place, name in enumerate(classes)}
        last = len(classes) - 1
        values = [places.get(one, last) if one is not None else -1 for one in names]
        return Task("category", "class", np.array(values, np.float64), tuple(classes))

    def _asked(
        self,
        tasks: Sequence[Task],
        descriptions: Sequence[Description],
        learned: npt.NDArray[np.bool_],
    ) -> list[dict[str, Any]]:
        prober = Prober(learned, heads(), self.seed, FEATURES)
        self.progress.start("probes", len(tasks), "tasks")
        found = []
        for task in tasks:
            found.append(_as_document(task, prober.ask(task, descriptions)))
            self.progress.advance()
        self.progress.done()
        return found


def _as_document(task: Task, probed: Sequence[Probed]) -> dict[str, Any]:
    known = task.values[task.known]
    about: dict[str, Any] = {"mean": float(known.mean())}
    if task.kind == "class":
        shares = np.bincount(known.astype(np.int64), minlength=len(task.classes)) / len(known)
        about = {"classes": dict(zip(task.classes, shares.tolist(), strict=True))}
    return {
        "task": task.name,
        "kind": task.kind,
        "customers": len(known),
        **about,
        "compared_by": FIGURES[task.kind][0],
        "results": [one.as_document() for one in probed],
    }


def _scaled(raw: Floats, policies: Sequence[str], learned: npt.NDArray[np.bool_]) -> Floats:
    """Without NaN and on like scales, both learned where outcomes are."""
    filler = MissingFiller(policies).fit(raw[learned])
    scaler = SkewScaler().fit(filler.transform(raw[learned]))
    return np.asarray(scaler.transform(filler.transform(raw)), np.float64)


def numbers(table: pa.Table) -> Floats:
    """(n, d) of a table of embeddings."""
    columns = [name for name in table.column_names if name != CUSTOMER]
    return np.column_stack([table[name].to_numpy() for name in columns]).astype(np.float64)
