"""What a report tells of change, loyalty and risk: gathered by a few queries over what counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso, parse_moment
from shoal.features import cohorts, visits
from shoal.features.activity import MEMBERS_SCHEMA
from shoal.features.fold import Fold
from shoal.features.habits import HABITS_SCHEMA, habits
from shoal.ports import EventTable, Registry
from shoal.report import compose_features, compose_story
from shoal.report.compose import local_date
from shoal.report.document_story import Cohorts, Funnel, MainFeature, Moves, Stake, Story
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.rules import NAMES, Rfm
from shoal.segments.wording import describe
from shoal.workflows.admission import Admission
from shoal.workflows.memberships import applied, late_warning

Ints = npt.NDArray[np.int64]

#: Features at one more date cost a quarter of a large report's time: the span before is looked at
#: where no more events than this count.
SPAN_BEFORE_EVENTS: Final = 500_000


@dataclass
class Storyteller:
    """The sources of a story, and the story.

    Args:
        counted: the events as they count at the segmentation's moment.
        first_day, last_day: local days (since 1970) of the first and the last event.
        since: the comparison date that a person gave; None: one by the length of the log.
    """

    main: SegmentationArtefact
    fold: Fold
    registry: Registry
    zone: Zone
    admission: Admission
    counted: EventTable
    first_day: int
    last_day: int
    has_money: bool
    lang: str
    since: datetime | None = None
    absent: dict[str, str] = field(default_factory=dict)

    def story(self) -> Story:
        """Every part that the shop's events carry.

        Raises:
            UsageError: `bad_period`, the comparison date lies outside the log.
        """
        self._check_since()
        moves, before = self._moves()
        parts: dict[str, Any] = {
            "moves": moves,
            "moves_before": before,
            "stake": self._stake(),
            "cohorts": self._cohorts(),
            "funnels": self._funnels(),
            "features": self._features(),
        }
        return Story(**parts, absent=self.absent)

    # -- sources -----------------------------------------------------------------------------------

    @cached_property
    def now(self) -> datetime:
        return parse_moment(self.main.document["as_of"])

    @property
    def log_days(self) -> int:
        return self.last_day - self.first_day + 1

    @cached_property
    def compared(self) -> datetime | None:
        """The comparison date: the start of a local day, unless a person chose it."""
        if self.since is not None:
            return self.since
        days = compose_story.span_days(self.log_days)
        return None if days is None else self._midnight(self.last_day + 1 - days)

    def _midnight(self, day: int) -> datetime:
        """The moment at which a local day begins."""
        zone = ZoneInfo(self.zone.name)
        return datetime.combine(local_date(day), time.min, zone).astimezone(UTC)

    def _check_since(self) -> None:
        if self.since is None:
            return
        first = self._midnight(self.first_day)
        if not first < self.since < self.now:
            raise UsageError(
                "bad_period",
                f"the comparison date {iso(self.since)} lies outside the log",
                hint=f"Give a time after {iso(first)} and before {iso(self.now)}, "
                "when the segments are from.",
            )

    @cached_property
    def segment_ids(self) -> tuple[str, ...]:
        return self.main.segmenter.segment_ids

    @cached_property
    def places(self) -> Ints:
        """Of each member the place of their segment."""
        segments = pa.array(self.segment_ids, pa.string())
        found = pc.index_in(self.main.members["segment_id"], value_set=segments)
        return np.asarray(found.to_numpy(), dtype=np.int64)

    @cached_property
    def habits(self) -> pa.Table:
        """`HABITS_SCHEMA` of the members, in their order; 0 and null where nothing is known."""
        since = self.compared or self.now - timedelta(days=1)
        found = self._habits(self.counted, self.now, since)
        return _aligned(found, self.main.members[CUSTOMER])

    def _habits(self, counted: EventTable, now: datetime, since: datetime) -> pa.Table:
        events = counted.events()
        money = self.has_money
        return habits(self.fold.engine, events, self.fold.rules, now, since, money=money)

    # -- parts -------------------------------------------------------------------------------------

    def _moves(self) -> tuple[Moves | None, Moves | None]:
        """Who moved since the comparison date, and in the span of the same length before it."""
        since = self.compared
        why = (
            "short"
            if since is None
            else "older"
            if self.main.document["fold_fingerprint"] != self.fold.fingerprint
            else ""
        )
        if since is None or why:
            self.absent["moves"] = why
            return None, None
        span = self.now - since
        counted = self.admission.at(since)
        known = self._habits(counted, since, since - span)
        if not known.num_rows:
            self.absent["moves"] = "nobody"
            return None, None
        then = self._applied(counted, since)
        known = _aligned(known, then[0])
        whole = since - span >= self._midnight(self.first_day)
        found = compose_story.moves(
            self.segment_ids,
            (*then, compose_story.worth_of(known, "span_worth", has_money=self.has_money)),
            (
                self.main.members[CUSTOMER],
                self.places,
                compose_story.worth_of(self.habits, "span_worth", has_money=self.has_money),
            ),
            since,
            span / timedelta(days=1),
            told=self.since is not None,
            foreknown=bool(late_warning(self.main, since)),
            whole=whole,
            active_then=_positive(known["span_events"]),
            active_now=_positive(self.habits["span_events"]),
            names=self._other_names(),
        )
        small = sum(self.counted.bucket_counts().values()) <= SPAN_BEFORE_EVENTS
        return found, self._moves_before(since, span, then) if whole and small else None

    def _other_names(self) -> dict[str, str]:
        """Names of segments in which nobody is now; only those of rules are known."""
        if self.main.document["method"] != Rfm.method:
            return {}
        return {name: text.as_document()[self.lang] for name, text in NAMES.items()}

    def _moves_before(
        self, since: datetime, span: timedelta, then: tuple[pa.ChunkedArray, Ints]
    ) -> Moves | None:
        """The same a span earlier, without worth."""
        start = since - span
        earlier = self._applied(self.admission.at(start), start)
        if not len(earlier[1]):
            return None
        nothing = [np.zeros(len(places)) for _, places in (earlier, then)]
        return compose_story.moves(
            self.segment_ids,
            (*earlier, nothing[0]),
            (*then, nothing[1]),
            start,
            span / timedelta(days=1),
            whole=False,
        )

    def _applied(self, counted: EventTable, moment: datetime) -> tuple[pa.ChunkedArray, Ints]:
        """Customers at a moment, and the places of their segments."""
        features, weights = applied(
            self.main, counted, self.fold, self.registry, self.zone, moment
        )  # fmt: skip
        return features[CUSTOMER], weights.argmax(axis=1).astype(np.int64)

    def _stake(self) -> Stake | None:
        if not _positive(self.habits["order_days"]):
            self.absent["stake"] = "no_orders"
            return None
        found = compose_story.stake(
            self.habits,
            self.segment_ids,
            self.places,
            self.last_day,
            self.log_days,
            has_money=self.has_money,
        )
        if not found.habitual:
            self.absent["stake"] = "no_habit"
            return None
        return found

    def _cohorts(self) -> Cohorts | None:
        unit = compose_story.cohort_unit(self.log_days)
        orders = _positive(self.habits["order_days"]) > 0
        found = compose_story.cohorts(
            cohorts.cohorts(
                self.fold.engine, self.counted.events(), self.fold.rules, self.now, unit,
                orders=orders,
            ),
            unit,
            local_date(self.first_day),
            local_date(self.last_day),
            orders=orders,
        )  # fmt: skip
        if found is None:
            self.absent["cohorts"] = "short"
        return found

    def _funnels(self) -> dict[str, Funnel]:
        found = compose_story.funnels(
            visits.funnel(
                self.fold.engine, self.counted.events(), self.fold.rules, self.now,
                self.main.members.select(MEMBERS_SCHEMA.names),
            ),
            [step for step in visits.STEPS if step != self.fold.rules.value_event],
        )  # fmt: skip
        if not found:
            self.absent["funnels"] = "one_step"
        return found

    def _features(self) -> tuple[MainFeature, ...]:
        placed = [
            one for one in self.main.profiles["segments"] if one["segment_id"] != TIER_NEW
        ]  # fmt: skip
        described = describe(self.fold.catalog, self.main.vocabulary)
        found = compose_features.features(placed, described, self.lang)
        if not found:
            older = any("differences" not in one for one in placed)
            self.absent["features"] = "older" if older else "one"
        return found


def _aligned(found: pa.Table, customers: pa.ChunkedArray) -> pa.Table:
    """Habits in the order of customers."""
    places = pc.index_in(customers, value_set=found[CUSTOMER].combine_chunks())
    taken = found.take(places)
    days = {"first_day", "last_day"}
    columns = [
        customers
        if name == CUSTOMER
        else taken[name]
        if name in days
        else pc.fill_null(taken[name], 0)
        for name in HABITS_SCHEMA.names
    ]
    return pa.table(columns, schema=HABITS_SCHEMA)


def _positive(column: pa.ChunkedArray) -> int:
    """How many values are above 0."""
    return int(pc.sum(pc.greater(column, 0)).as_py() or 0)
