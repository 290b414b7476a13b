"""Sync: the nightly job in one call, safe to run twice, to kill and to run on.

    ingest       what is new in the source; files that are in already are skipped
    segments     where a shop has no learned segments yet
    memberships  every customer moved on, those who did nothing too
    adjust       drift looked for, segments adjusted inside the gates
    lists        who entered and who left each segment, for the destination
    report       what changed and why

The shop's lease is held for the whole, so there is one at a time. Each step is noted when it is
done; each can be done again without harm, so that a run killed within a step does it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from shoal.domain.time import Clock, iso, system_clock
from shoal.ports import Registry, StateStore, Warehouse
from shoal.workflows import units
from shoal.workflows.adjust_state import pending
from shoal.workflows.advance import recorded_of
from shoal.workflows.movement_report import MovementReport
from shoal.workflows.sync_journal import SCHEMA, Journal, Run
from shoal.workflows.sync_steps import STEPS, Doors, Night, SyncOrder, headline


@dataclass(frozen=True)
class Synced:
    """What a sync did.

    Args:
        document: `shoal.sync/1`, without warnings.
        movement: None where nothing was new, or there are no segments.
        trimmed: `shoal.trim/1`, of what went with old versions of the event table.
    """

    document: Mapping[str, Any]
    movement: MovementReport | None = None
    warnings: tuple[str, ...] = ()
    trimmed: Mapping[str, Any] | None = None

    @property
    def quiet(self) -> bool:
        """Whether there was nothing new, and nothing was changed."""
        return bool(self.document["quiet"])

    @property
    def waiting(self) -> bool:
        """Whether a change of the segments waits for a person's word."""
        return self.document["waiting"] is not None

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.sync/1`."""
        told = {name: value for name, value in self.document.items() if name != "mark"}
        trimmed = None if self.trimmed is None else dict(self.trimmed)
        return {**told, "trimmed": trimmed, "warnings": list(self.warnings)}


def sync(
    doors: Doors,
    order: SyncOrder,
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    clock: Clock = system_clock,
) -> Synced:
    """Do everything that a night asks for; a run that was killed goes on where it was.

    Raises:
        UsageError, InputError: of the source, the layout or the lists. A source that cannot be used
            leaves the shop as it was.
        OperationError: `shop_locked`, with whom and since when; `disk_full`, `no_permission`, ...
            What was done stays; the next call goes on.
    """
    with store.lease():
        night = Night(doors, order, store)
        return _Call(night, warehouse, Journal(store, registry, clock)).run()


@dataclass(frozen=True)
class _Call:
    """One call: what is new goes in, then the steps that are not done yet."""

    night: Night
    warehouse: Warehouse
    journal: Journal

    def run(self) -> Synced:
        run = self.journal.under_way() or self.journal.begin(self._holds())
        self._came_in(run)
        last = self.journal.latest()
        if not run.done and last is not None and last["mark"] == self._mark():
            return self._nothing_new(last)
        run = self.journal.keep(run.with_more(self.warehouse.version()))
        run = self._noted(run, "ingest", partial(self._account, run))
        for name, step in STEPS.items():
            run = self._noted(run, name, partial(step, self.night, run))
        return self._finished(run)

    def _came_in(self, run: Run) -> None:
        try:
            self.night.doors.ingest()
            self.night.doors.catch_up()
        except Exception as error:
            if not run.done and self._holds() == run.before:
                self.journal.drop()  # nothing came in: there is nothing to go on with
            self.journal.failed("ingest", error)
            raise

    def _noted(self, run: Run, name: str, step: Callable[[], Mapping[str, Any]]) -> Run:
        """Do a step unless it was done before, and note it."""
        if name in run.done:
            return run
        return self.journal.keep(run.and_done(name, self._told(name, step)))

    def _told(self, name: str, step: Callable[[], Any]) -> Any:
        """What a step gives; where it fails, that is noted."""
        try:
            return step()
        except Exception as error:
            self.journal.failed(name, error)
            raise

    def _finished(self, run: Run) -> Synced:
        report: MovementReport | None = None
        if self.night.main is not None:
            report = self._told("report", self.night.doors.movement)
        document = {
            "quiet": False,
            "as_of": run.done["memberships"]["as_of"],
            "attempts": run.attempt,
            "waiting": pending(self.night.store),
            "headline": headline(run.done),
            "steps": dict(run.done),
            "mark": self._mark(),
        }
        movement = None if report is None else report.as_document()
        whole = self._told("report", partial(self.journal.finish, run, document, movement))
        return Synced(whole, report, tuple(self.night.warnings))

    def _nothing_new(self, last: Mapping[str, Any]) -> Synced:
        self.journal.checked(str(last["run"]))
        when = f"{last['finished'][:10]} {last['finished'][11:16]} UTC"
        document = {
            "schema": SCHEMA,
            "run": None,
            "quiet": True,
            "as_of": last["as_of"],
            "since": last["run"],
            "waiting": pending(self.night.store),
            "headline": f"nothing new since {last['run']} ({when}), nothing was changed",
            "steps": {},
        }
        return Synced(document)

    # -- what is told ------------------------------------------------------------------------------

    def _holds(self) -> dict[str, int]:
        """What the shop holds."""
        return {
            "table_version": self.warehouse.version(),
            "events": sum(self.warehouse.bucket_counts().values()),
            "customers": self.night.store.count_states(),
            "files": sum(
                one.status == units.COMMITTED for one in units.all_units(self.night.store)
            ),
        }

    def _account(self, run: Run) -> dict[str, int]:
        """What came in since the run was begun, in however many attempts."""
        now = self._holds()
        return {
            **{name: now[name] - run.before[name] for name in ("files", "events", "customers")},
            "table_version": now["table_version"],
        }

    def _mark(self) -> dict[str, Any]:
        """What tells whether anything is new: data, settings, segments, the log, what is asked."""
        main, store = self.night.main, self.night.store
        recorded = None if main is None else recorded_of(store, main)
        return {
            "table_version": self.warehouse.version(),
            "fingerprint": self.night.doors.fingerprint(),
            "segmentation": main,
            "recorded": None if recorded is None else iso(recorded.until),
            "order": self.night.order.as_document(),
        }
