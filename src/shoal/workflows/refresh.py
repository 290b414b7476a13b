"""Move every customer's recorded membership on to a moment: what came in, and what silence changed.

Nothing is learned: the current segmentations are applied by the one step to all customers, and what
changed is added to the membership log. A customer who did nothing ages, so that having lapsed needs
no event.

What is known of customers comes from their stored states, some customers at a time: it costs what
their states take to be read, and the history behind them is not read again. Where states cannot
tell (`read` is `events` then, and `because` says why) the event table is read.

Only those of whom events came in may be moved on as well (`arrived`): what a small batch costs then
does not depend on how many customers there are, and silence waits for the next refresh of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import Zone, iso
from shoal.events.noise import DELIVERY
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.workflows import canary, reference
from shoal.workflows.admission import Admission
from shoal.workflows.advance import Recorded, record, recorded_until
from shoal.workflows.canary import Canary
from shoal.workflows.carries import Carries
from shoal.workflows.carries_noted import drop_others
from shoal.workflows.embedded import ModelInUse, of_segmentation
from shoal.workflows.known import Known, all_from_states, why_not_states
from shoal.workflows.memberships import current, fold_warning, known_at, late_warning
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.refresh_going import Going
from shoal.workflows.rule_columns import asks_more

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
    arrived: bool = False,
    seen: Callable[[Known], None] | None = None,
    progress: Progress | None = None,
) -> Refreshed:
    """Apply the current segmentations to all customers at a moment and record what changed.

    Args:
        as_of: T, which may lie after the latest event. None: just after the latest event, or up to
            when memberships are recorded where that is later.
        arrived: only customers of whom events came in since the last refresh, where it is known who
            they are and their states tell.
        seen: is given what is known of the customers, some at a time, as the main one reads it.

    Raises:
        UsageError: `unknown_segmentation`, there is none; `bad_period`, memberships are recorded up
            to a later moment than T: a log is not written backward.
        InputError: `too_little_data`, no customer has an event before the moment.
        OperationError: `shop_locked`, `disk_full`, `no_permission`.
    """
    found = [current(store, registry)]
    trial = canary.beside(store, found[0].segmentation_id)
    if trial is not None:
        found.append(current(store, registry, trial.segmentation_id))
    beside = dict.fromkeys(map(store.get_pointer, (artefact.RFM, artefact.RULES)))
    for name in beside:
        if name not in (None, found[0].segmentation_id):
            found.append(current(store, registry, name))
    with store.lease():
        until = {one.segmentation_id: recorded_until(store, one) for one in found}
        latest = latest_moment(warehouse)
        moment = as_of or max(latest, *(told.until for told in until.values()))
        for one in found:
            _check_order(one, until[one.segmentation_id].until, moment)
        job = _Job(
            warehouse, store, registry, fold, zone, admission, moment, latest, arrived, seen, trial
        )
        goings = [job.begin(one, until[one.segmentation_id]) for one in found]
        job.run(goings, progress or NoProgress())
    warnings = [text for one in found for text in fold_warning(one.document, fold)]
    warnings += [text for one in found for text in late_warning(one, moment)]
    return Refreshed(moment, tuple(one.as_document() for one in goings), tuple(warnings))


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
    """One refresh at one moment; `latest` is just after the latest event."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    moment: datetime
    latest: datetime
    arrived: bool = False
    seen: Callable[[Known], None] | None = None
    trial: Canary | None = None
    read: dict[tuple[str, str | None], Known] = field(default_factory=dict)
    kept: dict[str, Carries | None] = field(default_factory=dict)

    def begin(self, found: SegmentationArtefact, before: Recorded) -> Going:
        """A segmentation as it stands."""
        because, carries = self._why_not_states, None
        if asks_more(found.segmenter):
            because = "its rules ask for events"
        if because is None and (model := of_segmentation(found.document, self.registry, self.fold)):
            carries = self._carries(model)
            because = None if carries else "the behaviour model keeps no state of a customer"
        came = self._arrived(before.table_version)
        only = came.to_pylist() if self.arrived and came is not None and because is None else None
        ids = canary.kept(self.store, found.segmentation_id)
        return Going(
            found, before, self.store.get_memberships(ids, customers=only), came, because, carries,
            only, self.trial,
        )  # fmt: skip

    def _carries(self, model: ModelInUse) -> Carries | None:
        """The kept states of a model, made ready once for all segmentations on it."""
        if model.model_id not in self.kept:
            self.kept[model.model_id] = Carries.of(
                model, self.warehouse, self.store, self.admission
            )
        return self.kept[model.model_id]

    def run(self, goings: Sequence[Going], progress: Progress) -> None:
        """Move them on and record what changed.

        Those told from events come last, for their rules may ask for what is recorded of others.
        """
        by_states = [one for one in goings if one.because is None]
        by_events = [one for one in goings if one.because is not None]
        for carries in filter(None, self.kept.values()):
            carries.follow(self.moment, progress)
        total = self.store.count_states()
        progress.start("memberships", total * (bool(by_states) + len(by_events)), "customers")
        try:
            if by_states:
                self._by_states(by_states, progress)
            for one in by_events:
                known = self._known(one.found)
                one.step(known)
                self._record(one)
                if self.seen is not None and one is goings[0]:
                    self.seen(known)
                progress.advance(total)
        finally:
            progress.done()
        in_use = (one.found.document.get("model_id") for one in goings)
        drop_others(self.store, [str(name) for name in in_use if name])

    def _by_states(self, goings: Sequence[Going], progress: Progress) -> None:
        wanted = {one.reference_id for one in goings}
        references = {name: reference.read(self.registry, name) for name in wanted}
        only = [one.only for one in goings]
        some = None if None in only else sorted({name for told in only for name in told or ()})
        for known in all_from_states(
            self.store, self.fold, self.zone, self.moment, references, some
        ):
            customers = next(iter(known.values())).features[CUSTOMER]
            embedded = {
                name: carries.embeddings(customers.to_pylist(), self.moment)
                for name, carries in self.kept.items()
                if carries is not None
            }
            for one in goings:
                own = known[one.reference_id]
                if one.carries is not None:
                    own = replace(own, embeddings=embedded[one.carries.model.model_id])
                one.step(own)
                if self.seen is not None and one is goings[0]:
                    self.seen(own)
            progress.advance(len(customers))
        for one in goings:
            self._record(one)

    def _record(self, going: Going) -> None:
        name, version = going.found.segmentation_id, self.warehouse.version()
        record(self.store, name, going.whole_change, self.moment, version)

    @cached_property
    def _why_not_states(self) -> str | None:
        if not self.store.count_states():
            return "there are no states"
        return why_not_states(
            self.warehouse, self.store, self.admission, self.fold, self.moment, self.latest
        )

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
        return self.admission.decisions(self.moment).owners_of(raw) if len(raw) else raw
