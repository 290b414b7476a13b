"""Verbs of the nightly job: sync, its runs, and what changed of late and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shoal.domain.errors import OperationError
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from datetime import datetime

    from shoal.events.mapping import SourceMapping
    from shoal.shop import Shop
    from shoal.shop.base import Moment
    from shoal.workflows.audience import Now
    from shoal.workflows.delivery import Order
    from shoal.workflows.exported import Exported
    from shoal.workflows.ingest_result import IngestResult
    from shoal.workflows.movement_report import MovementReport
    from shoal.workflows.progress import Progress
    from shoal.workflows.refresh import Refreshed
    from shoal.workflows.sync import Synced
    from shoal.workflows.sync_journal import Journal
    from shoal.workflows.sync_steps import SyncOrder


class SyncVerbs(Verbs):
    """The night's work in one call, and what came of it."""

    def sync(
        self,
        source: str | Path | Sequence[str | Path],
        *,
        export: str | Path | None = None,
        format: str = "csv",
        channel: str = "",
        to: str = "nightly",
        preset: str | None = None,
        mapping: str | Path | SourceMapping | None = None,
        confirm: Callable[[str], bool] | None = None,
        adjust: bool = True,
        as_of: Moment | None = None,
        asked_by: str = "",
        progress: Progress | None = None,
    ) -> Synced:
        """Ingest what is new, move customers on, adjust within gates, write lists and a report.

        At the end old versions of the event table leave, as by `trim`.

        Safe to run twice, and to kill: a run goes on where it was. One at a time.

        Args:
            source: files, folders or globs; what is in already is skipped.
            export: folder for lists of who entered and left each segment since the last one.
            format, channel, to: of the lists, as of `export`.
            preset, mapping, confirm: how the source is read, as of `ingest`.
            adjust: whether segments may be adjusted.
            as_of: the moment to move on to, also after the latest event. None: just after it.
            asked_by: who wanted the lists, for the record.

        Raises:
            UsageError, InputError: of source, layout or lists; a source that cannot be used leaves
                the shop as it was.
            OperationError: `shop_locked`, `disk_full`, `no_permission`, ...; what was done stays.
        """
        from shoal.workflows.sync import sync
        from shoal.workflows.sync_steps import SyncOrder

        sources = [source] if isinstance(source, str | Path) else list(source)
        folder = None if export is None else Path(export).resolve()
        order = SyncOrder(folder, format, channel, to, adjust, moment_of(as_of))
        self._check(order)
        shop = cast("Shop", self)
        read = partial(
            shop.ingest, sources, preset=preset, mapping=mapping, confirm=confirm, progress=progress
        )
        doors = _Doors(shop, read, order, asked_by, progress)
        parts = self._parts
        found = sync(
            doors, order, warehouse=parts.warehouse, store=parts.store, registry=parts.registry
        )
        try:
            return replace(found, trimmed=shop.trim())
        except OperationError as error:  # the night is done; the next one goes on with it
            warning = f"old versions of the event table stay: {error.message}"
            return replace(found, warnings=(*found.warnings, warning))

    def syncs(self) -> dict[str, Any]:
        """The runs so far, oldest first, and the one under way: the document `shoal.syncs/1`."""
        return self._journal().document()

    def movement_report(self, *, since: Moment | None = None) -> MovementReport:
        """What changed since a moment and why; `.text(lang)` in ten lines.

        Args:
            since: None: seven days before the end of what is recorded.

        Raises:
            UsageError: `unknown_segmentation`, there is none yet; `bad_period`.
        """
        from shoal.workflows.movement_report import movement_report

        told = {name: part for name, part in self._applied().items() if name != "admission"}
        return movement_report(
            **told, since=moment_of(since), shop_name=self.directory.resolve().name
        )

    def last_movement(self) -> MovementReport | None:
        """The report that the last sync wrote; None before the first."""
        from shoal.workflows.movement_report import MovementReport

        found = self._journal().movement()
        return None if found is None else MovementReport(found)

    def _journal(self) -> Journal:
        from shoal.domain.time import system_clock
        from shoal.workflows.sync_journal import Journal

        return Journal(self._parts.store, self._parts.registry, system_clock)

    def _check(self, order: SyncOrder) -> None:
        """Refuse what the lists cannot be before anything is done."""
        from shoal.domain.errors import UsageError
        from shoal.workflows.delivery import Order
        from shoal.workflows.export import check
        from shoal.workflows.exported import NO_LISTS

        if order.export_dir is None:
            return
        check(Order("all", order.format, channel=order.channel, to=order.to), None)
        if order.format in NO_LISTS:
            raise UsageError(
                "usage",
                f"the format {order.format} is no list to be sent",
                where="--format",
                hint="Write lists as csv, parquet, klaviyo or segment.",
            )
        if not order.to:
            raise UsageError(
                "usage", "the lists of a sync need the name of a destination", where="--to",
                hint="Leave it out for `nightly`.",
            )  # fmt: skip
        try:
            order.export_dir.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(
                "usage", f"{order.export_dir} is no folder", where="--export",
                hint="Give a folder for the lists.",
            ) from error  # fmt: skip


@dataclass(frozen=True)
class _Doors:
    """A shop as a sync drives it (`shoal.workflows.sync_steps.Doors`)."""

    shop: Shop
    read: Callable[[], IngestResult]
    order: SyncOrder
    asked_by: str
    progress: Progress | None

    @property
    def as_of(self) -> datetime | None:
        return self.order.as_of

    def ingest(self) -> IngestResult:
        return self.read()

    def catch_up(self) -> None:
        self.shop.catch_up(self.progress)

    def fingerprint(self) -> str:
        parts = self.shop._parts
        return f"{parts.fold.fingerprint}.{parts.admission.fingerprint}"

    def segment(self) -> str:
        return str(self.shop.segment(until=self.as_of, progress=self.progress).ids[0])

    def refresh(self) -> Refreshed:
        return self.shop.refresh(as_of=self.as_of, progress=self.progress)

    def adjust(self) -> Mapping[str, Any]:
        return self.shop.adjust(as_of=self.as_of, if_due=True, progress=self.progress).as_document()

    def lists(self, stem: str) -> Mapping[str, Any]:
        from shoal.workflows.sync_lists import lists

        return lists(self.shop._sources(), self.order, stem, self._write)

    def movement(self) -> MovementReport:
        return self.shop.movement_report()

    def _write(self, order: Order, path: Path, now: Now) -> Exported:
        """One list; a file that names customers is remembered for when one is forgotten."""
        return self.shop._exported(order, path, asked_by=self.asked_by, now=now)
