"""What a report says, as plain data: no store, no query, no HTML.

`workflows/report.py` fills it, `pages.py` renders it. Amounts of money are in whole units of the
shop's currency (not micros), shares are fractions of 1, times are aware UTC datetimes, dates are
days of the shop's own time zone. None stands for what the shop's events cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from shoal.domain.quality import Quality
from shoal.report.document_lineage import Lineage, Logged
from shoal.report.document_model import ModelSeen
from shoal.report.document_reasons import Choice, CustomerMap, Explanation, Protected
from shoal.report.document_story import Story


@dataclass(frozen=True)
class Effect:
    """How one feature differs between a segment and everyone else who was placed.

    `label` says in plain words what the feature measures. `size` is the standardised mean
    difference (Cohen's d) after the preparation that clustering used; `low` and `high` are its
    interval, where one was estimated. `inside` and `outside` are the typical values in `unit`, in
    the segment and in the rest: medians, or means if `average`.
    """

    feature: str
    label: str
    unit: str
    size: float
    inside: float | None
    outside: float | None
    low: float | None = None
    high: float | None = None
    average: bool = False


@dataclass(frozen=True)
class Preference:
    """Share of customers who choose one label most: in a segment (`inside`), in the others."""

    label: str
    inside: float
    outside: float | None = None


@dataclass(frozen=True)
class Fact:
    """The value of one feature of one customer, in `unit`."""

    label: str
    unit: str
    value: float | None


@dataclass(frozen=True)
class Exemplar:
    """A customer typical of a segment, with a handful of telling facts."""

    customer_id: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Segment:
    """One segment of the main segmentation, or the tier of customers too little known."""

    segment_id: str
    name: str
    customers: int
    orders: int
    revenue: float | None
    rule: str = ""
    effects: tuple[Effect, ...] = ()
    categories: tuple[Preference, ...] = ()
    brands: tuple[Preference, ...] = ()
    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True)
class GridCell:
    """Customers with one recency score and one score of frequency and spend (1 to 5; 5 is best)."""

    recency: int
    frequency: int
    customers: int
    revenue: float | None
    name: str = ""


@dataclass(frozen=True)
class Grid:
    """The RFM grid with its named segments, and the bounds between the scores.

    Bounds are four each, rising: days since the last order, orders, and net revenue (empty where
    amounts play no part).
    """

    segmentation_id: str
    cells: tuple[GridCell, ...]
    segments: tuple[Segment, ...] = ()
    recency_days: tuple[float, ...] = ()
    frequency: tuple[float, ...] = ()
    spend: tuple[float, ...] = ()


@dataclass(frozen=True)
class Period:
    """What happened in one stretch of days that begins on `start`."""

    start: date
    customers: int
    orders: int
    revenue: float | None


@dataclass(frozen=True)
class Rows:
    """The row account of all ingests of a shop.

    `withdrawn` of the rows stored are gone again, because a later export stated their day or order
    anew: the shop holds `stored` - `withdrawn` events.
    """

    read: int
    stored: int
    duplicate: int
    conflicting: int
    quarantined: int
    skipped: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    withdrawn: int = 0


@dataclass(frozen=True)
class Provenance:
    """How the report was made; enough to make it again."""

    shoal_version: str
    made_at: datetime
    table_version: int
    time_zone: str
    catalog_fingerprint: str
    segmentations: tuple[tuple[str, str], ...]
    seed: int | None
    as_of: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MoneyMonth:
    """A month of the shop's money; amounts in micro-units. `month` is `2024-03`, "" for all."""

    month: str
    orders: int
    units: int
    gross: int
    discounts: int
    refunds: int
    net: int
    tax: int
    shipping: int
    total: int
    customers: int
    new_customers: int


@dataclass(frozen=True)
class ShopMoney:
    """The shop's money by month, guests' orders included.

    `beside` is what no month holds: reason, orders, amount in micro-units. `begins` and `ends` are
    the days on which the money begins and ends, where that month is not whole.
    """

    currency: str
    months: tuple[MoneyMonth, ...]
    total: MoneyMonth
    beside: tuple[tuple[str, int, int], ...] = ()
    begins: date | None = None
    ends: date | None = None


@dataclass(frozen=True)
class ReportDocument:
    """Everything one report says.

    `value_event` is the kind of event that counts as buying; `currency` is an ISO 4217 code, or
    empty where prices have no stated unit; `revenue` is None where the events carry no prices.
    `other_currencies` are those whose amounts are not in `revenue`, or are in it unconverted if
    `currency` is empty. Shares of segments are of `customers`, `orders` and `revenue`.
    `hours` and `weekdays` are the whole shop's, to compare segments with. `movement` is
    `shoal.movement_report/1`, None where nothing is recorded over a time.
    """

    shop: str
    first: date
    last: date
    events: int
    customers: int
    guest_events: int
    orders: int
    revenue: float | None
    currency: str
    value_event: str
    segments: tuple[Segment, ...]
    tier: Segment | None
    tier_minimum: int | None
    rows: Rows
    provenance: Provenance
    grid: Grid | None = None
    choice: Choice | None = None
    activity: tuple[Period, ...] = ()
    days_per_period: int = 7
    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()
    other_currencies: tuple[str, ...] = ()
    money: ShopMoney | None = None
    quality: Quality | None = None
    model: ModelSeen | None = None
    lineage: Lineage | None = None
    logged: Logged | None = None
    explanation: Explanation | None = None
    protected: Protected | None = None
    map: CustomerMap | None = None
    warnings: tuple[str, ...] = ()
    movement: Mapping[str, Any] | None = None
    story: Story = field(default_factory=Story)

    @property
    def has_money(self) -> bool:
        """Whether any event carries a price."""
        return self.revenue is not None

    @property
    def placed(self) -> int:
        """Customers in a segment proper, the tier apart."""
        return sum(segment.customers for segment in self.segments)
