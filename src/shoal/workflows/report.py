"""Report: gather what the shop knows of its segments and write it as one HTML file."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.config import SegmentConfig
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.quality import Quality
from shoal.domain.time import Clock, Zone, system_clock
from shoal.ports import Registry, StateStore, Warehouse
from shoal.report.document import ReportDocument
from shoal.report.texts import Texts
from shoal.segments import artefact
from shoal.workflows import units
from shoal.workflows.memberships import check_ending
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.report_gather import Gathered
from shoal.workflows.report_model import model_seen
from shoal.workflows.report_rows import row_account
from shoal.workflows.report_versions import lineage_seen, movement_seen

if TYPE_CHECKING:
    from shoal.features.fold import Fold
    from shoal.segments.artefact import SegmentationArtefact
    from shoal.workflows.admission import Admission


def report(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    out: Path,
    shop_name: str,
    zone: Zone,
    admission: Admission,
    currency: str = "",
    lang: str = "en",
    segmentation: str | None = None,
    since: datetime | None = None,
    quality: Quality | None = None,
    settings: SegmentConfig | None = None,
    clock: Clock = system_clock,
    progress: Progress | None = None,
) -> Path:
    """Write the report of the current segmentations; returns the file's path.

    The file is written whole or not at all. Arguments beside those of `document`:

    Args:
        out: the file, ending in `.html`.

    Raises:
        UsageError: as of `document`; `usage`, an unknown language or an impossible `out`;
            `unknown_format`, one without `.html`.
        InputError: as of `document`.
        OperationError: `no_permission` or `disk_full`.
    """
    from shoal.report.pages import render

    Texts(lang)  # an unknown language is told before the work
    if not out.is_dir():  # a folder is told as such
        check_ending(out, (".html",), "reports")
    bar = progress or NoProgress()
    bar.start("report", 3, "steps")
    try:
        made = document(
            warehouse=warehouse, store=store, registry=registry, fold=fold, shop_name=shop_name,
            zone=zone, admission=admission, currency=currency, lang=lang,
            segmentation=segmentation, since=since, quality=quality, settings=settings, clock=clock,
        )  # fmt: skip
        bar.advance()
        text = render(made, lang)
        bar.advance()
        _write(out, text)
        bar.advance()
    finally:
        bar.done()
    return out


def document(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    shop_name: str,
    zone: Zone,
    admission: Admission,
    currency: str = "",
    lang: str = "en",
    segmentation: str | None = None,
    since: datetime | None = None,
    quality: Quality | None = None,
    settings: SegmentConfig | None = None,
    clock: Clock = system_clock,
) -> ReportDocument:
    """Everything that the report says, as plain data.

    Counts are of the events before the moment that the main segmentation speaks of, so that they
    agree with its segments.

    Args:
        fold: the shop's, for its value event, traits and catalog.
        currency: the shop's declared one; empty takes the one that its prices state.
        lang: `en` or `zh`.
        segmentation: id of the one to report; default the main one.
        since: the date to compare with; None: 90 or 28 days before the end where the log is long
            enough (`compose_story.SPANS_DAYS`), else a quarter of the log before.
        quality: what the checks of the data found; None leaves their section out.
        settings: the shop's, for the traits that it marks as protected; None: the usual ones.

    Raises:
        UsageError: `unknown_segmentation`, there is none of that id or none at all; `bad_period`,
            `since` lies outside the log.
        InputError: `mixed_currencies` or `rates_missing`: the months cannot be added up.
    """
    main, grid = _current(store, registry, segmentation)
    gathered = Gathered(
        warehouse, fold, registry, zone, admission, main, grid, currency, lang, since, store,
        settings,
    )  # fmt: skip
    found = gathered.document(shop_name, row_account(units.all_units(store)), clock())
    seen = model_seen(store, registry, admission, fold.rules, main, found)
    lineage = lineage_seen(
        warehouse=warehouse, store=store, registry=registry, fold=fold, zone=zone,
        admission=admission, main=main, lang=lang,
    )  # fmt: skip
    movement = movement_seen(
        warehouse=warehouse, store=store, registry=registry, fold=fold, zone=zone, main=main,
        shop_name=shop_name,
    )  # fmt: skip
    return replace(
        found, quality=quality, money=gathered.money(), model=seen, lineage=lineage,
        movement=movement,
    )  # fmt: skip


def _current(
    store: StateStore, registry: Registry, segmentation: str | None
) -> tuple[SegmentationArtefact, SegmentationArtefact | None]:
    """The segmentation to report, and the RFM one beside it."""
    rules = store.get_pointer(artefact.RFM)
    chosen = segmentation or store.get_pointer(artefact.MAIN) or rules
    if chosen is None:
        raise UsageError(
            "unknown_segmentation",
            "the shop has no segmentation yet, so there is nothing to report",
            hint="Make one with: shoal segment SHOP",
        )
    main = artefact.read(registry, chosen)
    if rules is None:
        return main, None
    return main, main if rules == chosen else artefact.read(registry, rules)


def _write(out: Path, text: str) -> None:
    """Put the text in place whole, or leave what was there."""
    if out.is_dir():
        raise UsageError(
            "usage",
            f"{out} is a folder, not a file",
            where=str(out),
            hint="Give the report's file, for example --out report.html.",
        )
    staged = out.with_name(
        f".{os.getpid()}-{out.name}"
    )  # a page: a kill leaves one to be forgotten
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8", newline="\n")
        staged.replace(out)
    except OSError as error:
        staged.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OperationError(
            "disk_full" if full else "no_permission",
            f"the report cannot be written: {error.strerror or error}",
            where=str(out),
            hint="Free some space and run it again."
            if full
            else "Choose another file with --out, or give this user the right to write there.",
        ) from error
