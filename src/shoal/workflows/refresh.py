"""Move every customer's recorded membership on to a moment: what came in, and what silence changed.

Nothing is learned: the current segmentations are applied by the one step to all customers, and what
changed is added to the membership log. A customer who did nothing ages, so that having lapsed needs
no event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.segment import CAUSES
from shoal.domain.time import Zone, iso
from shoal.events.noise import DELIVERY
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.workflows.admission import Admission
from shoal.workflows.advance import (
    Advanced,
    InForce,
    Recorded,
    advance,
    record,
    recorded_until,
)
from shoal.workflows.memberships import current, fold_warning, known_at, late_warning
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.rule_columns import asks_more
from shoal.workflows.segment_learn import Known

SCHEMA: Final = "shoal.refresh/1"


@dataclass(frozen=True)
class Refreshed:
    """What a refresh recorded, a document a segmentation, main one first."""

    as_of: datetime
    segmentations: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        """Memberships recorded in the main segmentation."""
        return int(self.segmentations[0]["changed"])

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.refresh/1`."""
        return {
            "schema": SCHEMA,
            "as_of": iso(self.as_of),
            "segmentations": [dict(one) for one in self.segmentations],
            "warnings": list(self.warnings),
        }


def refresh(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    as_of: datetime | None = None,
    progress: Progress | None = None,
) -> Refreshed:
    """Apply the current segmentations to all customers at a moment and record what changed.

    Args:
        as_of: T, which may lie after the latest event. None: just after the latest event, or up to
            when memberships are recorded where that is later.

    Raises:
        UsageError: `unknown_segmentation`, there is none; `bad_period`, memberships are recorded up
            to a later moment than T: a log is not written backward.
        InputError: `too_little_data`, no customer has an event before the moment.
        OperationError: `shop_locked`, `disk_full`, `no_permission`.
    """
    found = [current(store, registry)]
    beside = dict.fromkeys(map(store.get_pointer, (artefact.RFM, artefact.RULES)))
    for name in beside:
        if name not in (None, found[0].segmentation_id):
            found.append(current(store, registry, name))
    progress = progress or NoProgress()
    with store.lease():
        until = {one.segmentation_id: recorded_until(store, one) for one in found}
        moment = as_of or max(latest_moment(warehouse), *(told.until for told in until.values()))
        for one in found:
            _check_order(one, until[one.segmentation_id].until, moment)
        job = _Job(warehouse, store, registry, fold, zone, admission, moment)
        progress.start("memberships", len(found), "segmentations")
        try:
            documents = []
            for one in found:
                documents.append(job.run(one, until[one.segmentation_id]))
                progress.advance()
        finally:
            progress.done()
    warnings = [text for one in found for text in fold_warning(one.document, fold)]
    warnings += [text for one in found for text in late_warning(one, moment)]
    return Refreshed(moment, tuple(documents), tuple(warnings))


def _check_order(found: SegmentationArtefact, until: datetime, moment: datetime) -> None:
    if moment < until:
        raise UsageError(
            "bad_period",
            f"memberships of {found.segmentation_id} are recorded up to {iso(until)}, which is "
            f"later than {iso(moment)}",
            where=found.segmentation_id,
            hint="The log is not written backward. To see who belonged where at an earlier moment: "
            "shoal memberships SHOP --as-of T --out F, with --recorded for what was said then.",
        )


@dataclass(frozen=True)
class _Job:
    """One refresh at one moment."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    moment: datetime
    read: dict[tuple[str, str | None], Known] = field(default_factory=dict)

    def run(self, found: SegmentationArtefact, before: Recorded) -> dict[str, Any]:
        """Move one segmentation on; what is told of it."""
        known = self._known(found)
        recorded = self.store.get_memberships(found.segmentation_id)
        step = advance(
            known, InForce.of(found), recorded,
            since=before.known_at, arrived=self._arrived(before.table_version),
        )  # fmt: skip
        latest = self.warehouse.version()
        changed = record(self.store, found.segmentation_id, step, self.moment, latest)
        return {
            "segmentation_id": found.segmentation_id,
            "method": found.document["method"],
            "recorded_before": iso(before.until),
            "customers": known.features.num_rows,
            "changed": changed,
            "causes": _causes(step),
            "moves": _moves(step, recorded),
        }

    def _known(self, found: SegmentationArtefact) -> Known:
        """What the segmentation reads, read once for several that read the same."""
        wanted = (found.document["reference_id"], found.document.get("model_id"))
        for (reference_id, model_id), known in self.read.items():
            fits = reference_id == wanted[0] and wanted[1] in (None, model_id)
            if fits and not asks_more(found.segmenter):
                return known
        counted = self.admission.at(self.moment)
        known = known_at(
            found, counted, self.fold, self.registry, self.zone, self.moment, store=self.store
        )
        self.read[wanted] = known
        return known

    def _arrived(self, version: int) -> pa.Array | None:
        """Customers of whom events came in since a version of the table; None: not known any more.

        An event may be older than the last refresh: it is then no silence that moves a customer.
        """
        if version < 0:
            return None
        try:
            units = list(self.warehouse.since(version))
        except OperationError as error:
            if error.code != "shop_damaged":
                raise
            return None  # the log of the table begins later
        names = [pa.array(unit.rewritten_customers, pa.string()) for unit in units]
        for path in (path for unit in units for path in unit.added.paths):
            rows = pq.read_table(path, columns=["customer_id", "anonymous_id", "noise"])
            told = pc.fill_null(pc.equal(rows["noise"], DELIVERY), False)
            rows = rows.filter(pc.invert(told))  # an export is nothing that a customer did
            who = pc.coalesce(rows["customer_id"], rows["anonymous_id"])
            names.append(who.combine_chunks().cast(pa.string()))
        raw = pa.concat_arrays([pa.array([], pa.string()), *names]).drop_null().unique()
        return self.admission.decisions(self.moment).owners_of(raw)


def _causes(step: Advanced) -> dict[str, int]:
    """Changes by cause, those that occur."""
    counted = step.changed["cause"].value_counts().to_pylist()
    found = {one["values"]: one["counts"] for one in counted}
    return {cause: found[cause] for cause in CAUSES if cause in found}


def _moves(step: Advanced, recorded: pa.Table) -> list[dict[str, Any]]:
    """Customers from segment to segment (from null: had none), most first."""
    changed = step.changed
    rows = pc.index_in(changed["customer_id"], recorded["customer_id"].combine_chunks())
    before = recorded["segment_id"].take(rows)
    table = pa.table({"from": before, "to": changed["segment_id"], "cause": changed["cause"]})
    counted = table.group_by(["from", "to", "cause"]).aggregate([([], "count_all")]).to_pylist()
    moves = [
        {"from": row["from"], "to": row["to"], "cause": row["cause"], "customers": row["count_all"]}
        for row in counted
    ]
    key = ("from", "to", "cause")
    return sorted(moves, key=lambda one: (-one["customers"], *(one[name] or "" for name in key)))
