"""What a report says of change, loyalty and risk, as plain data beside `document.py`.

Amounts are in whole units of the shop's currency, None where its events carry no prices; `worth` is
net revenue, or the number of value events in a shop without prices. Segments are named by id; ""
is nobody's segment: customers not yet known, or no longer customers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from shoal.domain.segment import TIER_NEW

if TYPE_CHECKING:
    from shoal.report.document import Period

CohortUnit = Literal["week", "month", "quarter"]


@dataclass(frozen=True)
class Flow:
    """Customers who were in one segment at the earlier date and are in another (or the same) now.

    `source` is "" for customers not known by then; `target` is "" for those who have since become
    one with another customer, or were forgotten.
    """

    source: str
    target: str
    customers: int


@dataclass(frozen=True)
class Standing:
    """A segment at the earlier date and now.

    `then` and `now` count customers: now = then + joined + new - left - gone, and then = stayed +
    left + gone. `worth_then` is what those who were in it then brought in the span before the
    earlier date, `worth_now` what those in it now brought in the span since.
    """

    segment_id: str
    then: int
    now: int
    stayed: int
    joined: int
    new: int
    left: int
    gone: int
    worth_then: float
    worth_now: float


@dataclass(frozen=True)
class Moves:
    """Today's segments applied to what was known at an earlier date, and who moved since.

    `told` says that a person chose the date; `foreknown` that the segmentation was learned from
    events after it. `whole` is False where the log begins after the span before the date does, so
    that worth then and now do not compare. `active_then` and `active_now` count customers with an
    event in the two spans. `names` are those of segments in which nobody is now.
    """

    since: datetime
    days: float
    flows: tuple[Flow, ...]
    standings: tuple[Standing, ...]
    told: bool = False
    foreknown: bool = True
    whole: bool = True
    active_then: int = 0
    active_now: int = 0
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def known_now(self) -> int:
        """Customers now."""
        return sum(one.now for one in self.standings)

    @property
    def new(self) -> int:
        """Customers not yet known at the date."""
        return sum(one.new for one in self.standings)

    @property
    def gone(self) -> int:
        """Customers known then who are none of their own now."""
        return sum(one.gone for one in self.standings)

    @property
    def kept(self) -> int:
        """Customers in a segment proper at both dates."""
        return sum(one.customers for one in self.flows if _placed(one.source, one.target))

    @property
    def changes(self) -> tuple[Flow, ...]:
        """Flows between two different segments proper, the largest first."""
        found = [
            one
            for one in self.flows
            if _placed(one.source, one.target) and one.source != one.target
        ]
        return tuple(sorted(found, key=lambda one: (-one.customers, one.source, one.target)))

    @property
    def changed(self) -> int:
        """Customers in a segment proper at both dates, not in the same."""
        return sum(one.customers for one in self.changes)

    @property
    def placed(self) -> int:
        """Customers too little known at the date who are in a segment proper now."""
        return sum(
            one.customers for one in self.flows if one.source == TIER_NEW and _placed(one.target)
        )

    def standing(self, segment_id: str) -> Standing | None:
        return next((one for one in self.standings if one.segment_id == segment_id), None)


def _placed(*segment_ids: str) -> bool:
    return not {"", TIER_NEW}.intersection(segment_ids)


@dataclass(frozen=True)
class QuietCustomer:
    """A customer who has been silent longer than their habit: days since the last order, the usual
    days between two days with orders, and what they brought in the last year."""

    customer_id: str
    segment_id: str
    silent_days: int
    usual_days: float
    worth: float


@dataclass(frozen=True)
class Stake:
    """What hangs on customers who used to order and have gone quiet.

    The rule: orders on at least `order_days` different days, and a silence of more than `factor`
    times the customer's own mean gap between such days and of at least `silent_days`. `customers`
    of the `habitual` (with that many order days) are quiet; `worth` is what they brought within the
    last `window_days`, of `worth_all` that all customers brought. `by_segment` holds (segment,
    customers, worth), the most worth first; `foremost` the quiet ones who brought most.
    """

    order_days: int
    factor: float
    silent_days: int
    window_days: int
    habitual: int
    customers: int
    worth: float
    worth_all: float
    by_segment: tuple[tuple[str, int, float], ...] = ()
    foremost: tuple[QuietCustomer, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """Customers whose first order (or event) fell into one period, and how many came back.

    `active` counts those active in that period (all of them), the next one, ... up to now.
    """

    start: date
    active: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.active[0] if self.active else 0


@dataclass(frozen=True)
class Cohorts:
    """Cohorts by calendar periods of the shop's zone, oldest first.

    `orders` says that orders count, else any event. `unfinished` is True where the last period is
    not over, `begun` where the first one began before the log did; `left_out` older cohorts are not
    in `cohorts`.
    """

    unit: CohortUnit
    orders: bool
    cohorts: tuple[Cohort, ...]
    unfinished: bool
    begun: bool
    left_out: int = 0


@dataclass(frozen=True)
class Step:
    """A step of the funnel: days (of a customer) and customers with at least one such event."""

    kind: str
    days: int
    customers: int


@dataclass(frozen=True)
class Funnel:
    """What a segment's customers came to on the days on which they were active.

    `days` counts customers' days with any event; `looked_and_bought` those with a view and a value
    event. Steps that no customer of the shop ever took are absent.
    """

    segment_id: str
    customers: int
    days: int
    steps: tuple[Step, ...]
    looked_and_bought: int = 0

    def step(self, kind: str) -> Step | None:
        return next((one for one in self.steps if one.kind == kind), None)


@dataclass(frozen=True)
class MainFeature:
    """One feature across the segments.

    `values` are typical values in `unit` by segment id (medians, or means if `average`), `sizes`
    standardised differences of the segment from all other placed customers (Cohen's d).
    """

    feature: str
    label: str
    unit: str
    values: Mapping[str, float | None]
    sizes: Mapping[str, float]
    average: bool = False


@dataclass(frozen=True)
class Story:
    """Every part, or why it is not there: `absent` maps `moves`, `stake`, `cohorts`, `funnels` and
    `features` to a reason, for which the catalogue has the text `absent.<part>.<reason>`.

    `moves_before` is of the span of the same length before `moves` (None where the log does not
    hold it), without worth.

    `funnels` holds a funnel a segment and one of all customers under ""; `trends` the activity of
    today's members by segment, in the same periods as the document's `activity`.
    """

    moves: Moves | None = None
    moves_before: Moves | None = None
    stake: Stake | None = None
    cohorts: Cohorts | None = None
    funnels: Mapping[str, Funnel] = field(default_factory=dict)
    trends: Mapping[str, tuple[Period, ...]] = field(default_factory=dict)
    features: tuple[MainFeature, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
