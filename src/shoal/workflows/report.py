"""Report: gather what the shop knows of its segments and write it as one HTML file."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.kinds import PURCHASE
from shoal.domain.quality import Quality
from shoal.domain.time import Clock, Zone, parse_moment, system_clock
from shoal.domain.version import __version__
from shoal.features import activity
from shoal.ports import Registry, StateStore, Warehouse
from shoal.report import compose
from shoal.report.document import Provenance, ReportDocument, Rows, ShopMoney
from shoal.report.texts import Texts
from shoal.segments import artefact
from shoal.segments.wording import describe
from shoal.workflows import units
from shoal.workflows.memberships import check_ending
from shoal.workflows.progress import NoProgress, Progress

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
    quality: Quality | None = None,
    clock: Clock = system_clock,
    progress: Progress | None = None,
) -> Path:
    """Write the report of the current segmentations; returns the file's path.

    The file is written whole or not at all. Counts are of the events before the moment that the
    main segmentation speaks of, so that they agree with its segments.

    Args:
        fold: the shop's, for its value event, traits and catalog.
        currency: the shop's declared one; empty takes the one that its prices state.
        lang: `en` or `zh`.
        segmentation: id of the one to report; default the main one.
        quality: what the checks of the data found; None leaves their section out.

    Raises:
        UsageError: `unknown_segmentation`, there is none of that id or none at all; `usage`, an
            unknown language or an impossible `out`; `unknown_format`, one without `.html`.
        InputError: `mixed_currencies` or `rates_missing`: the months cannot be added up.
        OperationError: `no_permission` or `disk_full`.
    """
    from shoal.report.pages import render

    Texts(lang)  # an unknown language is told before the work
    if not out.is_dir():  # a folder is told as such
        check_ending(out, (".html",), "reports")
    bar = progress or NoProgress()
    bar.start("report", 3, "steps")
    try:
        main, grid = _current(store, registry, segmentation)
        gathered = _Gathered(warehouse, fold, zone, admission, main, grid, currency, lang)
        document = gathered.document(shop_name, _row_account(units.all_units(store)), clock())
        document = replace(document, quality=quality, money=gathered.money(store, registry))
        bar.advance()
        text = render(document, lang)
        bar.advance()
        _write(out, text)
        bar.advance()
    finally:
        bar.done()
    return out


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


def _row_account(ingested: Sequence[units.Unit]) -> Rows:
    """The account of all files, with the rows that replays took out of the quarantine moved."""
    held: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    files = 0
    for unit in ingested:
        if unit.status != units.COMMITTED:
            continue
        account = unit.account
        if unit.replaces:  # a replay reads all quarantined rows of its source again
            held[unit.source] = Counter(account.quarantine)
        else:
            files += 1
            total["read"] += account.read
            held.setdefault(unit.source, Counter()).update(account.quarantine)
        for name in ("stored", "duplicate", "conflicting", "skipped"):
            total[name] += getattr(account, name)
        total["withdrawn"] += unit.withdrawn
    reasons = sum(held.values(), Counter())
    return Rows(
        read=total["read"],
        stored=total["stored"],
        withdrawn=total["withdrawn"],
        duplicate=total["duplicate"],
        conflicting=total["conflicting"],
        quarantined=reasons.total(),
        skipped=total["skipped"],
        reasons=dict(reasons),
        files=files,
    )


@dataclass(frozen=True)
class _Gathered:
    """The sources of one document."""

    warehouse: Warehouse
    fold: Fold
    zone: Zone
    admission: Admission
    main: SegmentationArtefact
    grid: SegmentationArtefact | None
    currency: str
    lang: str

    def document(self, shop_name: str, rows: Rows, made_at: datetime) -> ReportDocument:
        engine, events = self.warehouse.engine, self.warehouse.events()
        head, rules = self.main.document, self.fold.rules
        as_of = parse_moment(head["as_of"])
        totals = activity.totals(engine, events, as_of)
        has_money = bool(totals["currencies"])
        table = self.admission.at(as_of)  # its files are there for as long as it is
        counted = table.events()
        week = compose.weeks(
            activity.hours_of_week(
                engine,
                counted,
                rules,
                as_of,
                self.main.members.select(["customer_id", "segment_id"]),
            )
        )
        everyone = self._segments(self.main, week, has_money)
        first, last = totals["first_day"], totals["last_day"]
        width = compose.days_per_period(last - first + 1)
        history = activity.periods(
            engine, counted, rules, as_of, origin=last + 1 - width, width=width
        )
        shop_week = week.get("", compose.Week())
        told, others = _currency(self.currency or head.get("currency") or "", totals["currencies"])
        document = ReportDocument(
            shop=shop_name,
            first=compose.local_date(first),
            last=compose.local_date(last),
            events=totals["events"],
            customers=sum(one.customers for one in everyone),
            guest_events=totals["guests"],
            orders=sum(one.orders for one in everyone),
            revenue=sum(one.revenue or 0.0 for one in everyone) if has_money else None,
            currency=told,
            value_event=rules.value_event or PURCHASE,
            segments=tuple(one for one in everyone if not compose.is_tier(one)),
            tier=next((one for one in everyone if compose.is_tier(one)), None),
            tier_minimum=head.get("minimum_events"),
            rows=rows,
            provenance=self._provenance(as_of, made_at),
            choice=compose.choice(head, self.lang),
            activity=compose.periods(history, first, last, has_money=has_money),
            days_per_period=width,
            hours=shop_week.hours,
            weekdays=shop_week.weekdays,
            other_currencies=others,
            warnings=compose.warnings([head], self.lang),
        )
        return self._with_grid(_by_worth(document), has_money)

    def money(self, store: StateStore, registry: Registry) -> ShopMoney | None:
        """The shop's months; None where its events tell no purchase or no price."""
        from shoal.workflows.reconcile import ledger_of, summary

        rules = self.fold.rules
        before = parse_moment(self.main.document["as_of"])
        ledger = ledger_of(
            self.warehouse, store, registry, self.admission, rules.noise, rules.order_sources,
            before,
        )  # fmt: skip
        if not any(one.gross for one in ledger.months()):
            return None
        found = summary(ledger, self.zone)
        return compose.shop_money(
            found.currency, found.months, found.total, found.beside, found.ends
        )

    def _segments(
        self, source: SegmentationArtefact, week: dict[str, compose.Week], has_money: bool
    ) -> tuple[Any, ...]:
        described = describe(self.fold.catalog, source.vocabulary)
        return compose.segments(source.profiles, self.lang, described, week, has_money=has_money)

    def _with_grid(self, document: ReportDocument, has_money: bool) -> ReportDocument:
        if self.grid is None:
            return document
        named = self._segments(self.grid, {}, has_money)
        drawn = compose.grid(
            self.grid.segmentation_id, self.grid.profiles, named, has_money=has_money
        )
        return replace(document, grid=drawn)

    def _provenance(self, as_of: datetime, made_at: datetime) -> Provenance:
        head = self.main.document
        made = [self.main] + ([self.grid] if self.grid and self.grid is not self.main else [])
        features = head.get("features") or {}
        parameters = {
            **head["parameters"],
            "minimum_events": head.get("minimum_events"),
            "trained_until": head.get("trained_until"),
            "reference": head.get("reference_id"),
            "features_used": len(features.get("used") or ()),
            "features_dropped": len(features.get("dropped") or ()),
            "components": features.get("components"),
            "variance_share": features.get("variance_share"),
        }
        version = head.get("table_version")
        return Provenance(
            shoal_version=__version__,
            made_at=made_at,
            table_version=self.warehouse.version() if version is None else version,
            time_zone=self.zone.name,
            catalog_fingerprint=head["catalog_fingerprint"],
            segmentations=tuple(
                (one.segmentation_id, one.document["title"][self.lang]) for one in made
            ),
            seed=head.get("seed"),
            as_of=as_of,
            parameters={name: value for name, value in parameters.items() if value is not None},
        )


def _by_worth(document: ReportDocument) -> ReportDocument:
    """Segments in order of what they bring, the most first."""
    ranked = sorted(
        document.segments,
        key=lambda one: (-(one.revenue or 0.0), -one.orders, -one.customers, one.segment_id),
    )
    return replace(document, segments=tuple(ranked))


def _currency(declared: str, priced: dict[str, int]) -> tuple[str, tuple[str, ...]]:
    """The currency to show amounts in, and the others that prices are in.

    >>> _currency("", {"GBP": 5}), _currency("EUR", {"EUR": 5, "USD": 1}), _currency("", {"": 2})
    (('GBP', ()), ('EUR', ('USD',)), ('', ()))
    """
    stated = sorted(name for name in priced if name)
    if declared:
        return declared, tuple(name for name in stated if name != declared)
    if len(stated) == 1 and "" not in priced:
        return stated[0], ()
    return "", tuple(stated) if len(stated) > 1 else ()


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
