"""The sources of a report's document, and the document."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shoal.config import SegmentConfig
from shoal.domain.kinds import PURCHASE
from shoal.domain.time import Zone, parse_moment
from shoal.domain.version import __version__
from shoal.features import activity
from shoal.ports import Registry, StateStore, Warehouse
from shoal.report import compose, compose_reasons
from shoal.report.document import Provenance, ReportDocument, Rows, ShopMoney
from shoal.segments.wording import describe
from shoal.workflows.report_story import Storyteller
from shoal.workflows.report_versions import logged_changes, protected_seen

if TYPE_CHECKING:
    from shoal.features.fold import Fold
    from shoal.segments.artefact import SegmentationArtefact
    from shoal.workflows.admission import Admission


@dataclass(frozen=True)
class Gathered:
    """The sources of one document."""

    warehouse: Warehouse
    fold: Fold
    registry: Registry
    zone: Zone
    admission: Admission
    main: SegmentationArtefact
    grid: SegmentationArtefact | None
    currency: str
    lang: str
    since: datetime | None
    store: StateStore
    settings: SegmentConfig | None = None

    def document(self, shop_name: str, rows: Rows, made_at: datetime) -> ReportDocument:
        engine, events = self.warehouse.engine, self.warehouse.events()
        head, rules = self.main.document, self.fold.rules
        as_of = parse_moment(head["as_of"])
        totals = activity.totals(engine, events, as_of)
        has_money = bool(totals["currencies"])
        table = self.admission.at(as_of)  # its files are there for as long as it is
        counted = table.events()
        members = self.main.members.select(["customer_id", "segment_id"])
        week = compose.weeks(activity.hours_of_week(engine, counted, rules, as_of, members))
        everyone = self._segments(self.main, week, has_money)
        first, last = totals["first_day"], totals["last_day"]
        width = compose.days_per_period(last - first + 1)
        history = activity.periods(
            engine, counted, rules, as_of, members, origin=last + 1 - width, width=width
        )
        teller = Storyteller(
            self.main, self.fold, self.registry, self.zone, self.admission, table, first, last,
            has_money, self.lang, self.since,
        )  # fmt: skip
        story = teller.story()
        trends = compose.trends(history, first, last, has_money=has_money)
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
            choice=compose_reasons.choice(head, self.lang),
            logged=logged_changes(self.store, teller),
            explanation=compose_reasons.explanation(
                self.main.extra("explanation"), self.lang, _horizon(self.main)
            ),
            protected=protected_seen(
                self.main, self.fold, self.registry, self.zone, table, self.settings, self.lang
            ),
            map=compose_reasons.customer_map(self.main.profiles),
            activity=compose.periods(history, first, last, has_money=has_money),
            days_per_period=width,
            hours=shop_week.hours,
            weekdays=shop_week.weekdays,
            other_currencies=others,
            warnings=compose.warnings([head], self.lang),
            story=replace(story, trends=trends),
        )
        return self._with_grid(_by_worth(document), has_money)

    def money(self) -> ShopMoney | None:
        """The shop's months; None where its events tell no purchase or no price."""
        from shoal.workflows.reconcile import ledger_of, summary

        rules = self.fold.rules
        before = parse_moment(self.main.document["as_of"])
        ledger = ledger_of(
            self.warehouse, self.store, self.registry, self.admission, rules.noise,
            rules.order_sources, before,
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


def _horizon(main: SegmentationArtefact) -> int | None:
    """Days of the period that a segmentation's own head foretells; None without one."""
    outlook = getattr(main.segmenter, "outlook", None)
    return None if outlook is None else int(outlook.head.horizon_days)


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
