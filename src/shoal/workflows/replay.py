"""Replay: step through the log and segment at each cut with only what was known then.

A cut at T reads events before T, and identity links, flags and facts of items as they were known
at T: what `segment --until T` reads. It learns (or applies what an earlier cut learned), moves
memberships on by the one step, from what the cut before left, and publishes nothing: the shop's
segmentations, recorded memberships and report stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import SegmentConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.segment import EVENT, TIER_NEW, VERSION
from shoal.domain.time import Zone, iso, parse_span, span_text
from shoal.domain.version import __version__
from shoal.features import reference
from shoal.features.fold import Fold
from shoal.features.span import customer_events, log_span
from shoal.features.tastes import Vocabulary
from shoal.ports import EventTable, Warehouse
from shoal.segments.assign import MEMBERSHIPS_SCHEMA as LOG_SCHEMA
from shoal.segments.base import CUSTOMER, Segmenter
from shoal.workflows.admission import Admission
from shoal.workflows.advance import InForce, advance
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.segment_learn import HORIZON_DAYS, Known, Learner, check_methods

EACH: Final = "each"
FIRST: Final = "first"

#: The error for which a cut is skipped.
TOO_LITTLE: Final = "too_little_data"

#: The end of the log's last day, given as a date, is the next midnight.
_AFTER_THE_END: Final = timedelta(days=1)

MEMBERSHIPS_SCHEMA: Final = pa.schema(
    [
        pa.field(CUSTOMER, pa.string()),
        pa.field("as_of", pa.timestamp("us", tz="UTC")),
        pa.field("segmentation", pa.string()),
        pa.field("segment_id", pa.string()),
        pa.field("weight", pa.float64()),
        pa.field("since", pa.timestamp("us", tz="UTC")),
        pa.field("cause", pa.string()),
        pa.field("margin", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Steps:
    """When to cut, and how to segment there.

    Args:
        since, until: the first cut, and the moment after which there is none.
        every: from one cut to the next.
        method: `kmeans` or `rfm`.
        k: number of segments of k-means; 0: chosen at every learning.
        refit: `each` learns at every cut, `first` once; `28d` where so long has passed.
        seed: of k-means.
        margin: between two learnings, a customer changes only to a segment that weighs more by more
            than this; 0: always to the heaviest.

    Raises:
        UsageError: `bad_period`, `bad_time`, `unknown_method`, `usage` (k).
    """

    since: datetime
    until: datetime
    every: timedelta
    method: str = "kmeans"
    k: int = 0
    refit: str = EACH
    seed: int = 0
    margin: float = SegmentConfig.switch_margin

    def __post_init__(self) -> None:
        check_methods((self.method,))
        parse_span(self.every)
        if self.refit not in (EACH, FIRST):
            parse_span(self.refit)
        if self.k < 0 or self.k == 1:
            raise UsageError(
                "usage", f"k is {self.k}", hint="Allowed: a whole number of at least 2."
            )
        if self.k and self.method == "rfm":
            raise UsageError(
                "usage", f"k is {self.k}, but RFM has a fixed number of segments",
                hint="Leave k out, or take the method kmeans.",
            )  # fmt: skip
        if not 0 <= self.margin < 1:
            raise UsageError(
                "usage", f"the margin is {self.margin}", hint="Allowed: 0 <= margin < 1."
            )
        if self.until < self.since:
            raise UsageError(
                "bad_period",
                f"the period is reversed: from {iso(self.since)} to {iso(self.until)}",
                hint="Give a --to that is not before --from.",
            )

    @cached_property
    def moments(self) -> tuple[datetime, ...]:
        """The cuts in order of time."""
        count = (self.until - self.since) // self.every + 1
        return tuple(self.since + place * self.every for place in range(count))

    def refit_due(self, learned_at: datetime, moment: datetime) -> bool:
        """Whether a cut learns anew."""
        if self.refit in (EACH, FIRST):
            return self.refit == EACH
        return moment - learned_at >= parse_span(self.refit)

    def as_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "from": iso(self.since),
            "to": iso(self.until),
            "every": span_text(self.every),
            "method": self.method,
            "k": self.k or ("chosen" if self.method == "kmeans" else None),
            "refit": self.refit,
            "seed": self.seed,
            "margin": self.margin,
        }


@dataclass(frozen=True)
class Model:
    """What a cut learned: later cuts apply it. Nothing at or after `trained_until` was used."""

    segmenter: Segmenter
    vocabulary: Vocabulary
    items: pa.Table
    trained_until: datetime

    @property
    def name(self) -> str:
        """`kmeans@2024-03-05T00:00:00Z`."""
        return f"{self.segmenter.method}@{iso(self.trained_until)}"

    def in_force(self, margin: float) -> InForce:
        """As the step applies it."""
        return InForce(self.name, self.segmenter, self.vocabulary, margin)


@dataclass(frozen=True)
class Cut:
    """One step: who belonged where, by what was known at `as_of`.

    `memberships` has `MEMBERSHIPS_SCHEMA`, a row a customer: where, with which weight and margin at
    the cut, and since when and why. `features` is the snapshot with the tastes that they were told
    from, by `segmenter`; `events` counts customers' events since the cut before (the first: all
    before it). Of a cut with too few customers `skipped` says why, and both tables are empty.
    """

    as_of: datetime
    memberships: pa.Table
    features: pa.Table
    segmentation: str = ""
    trained_until: datetime | None = None
    segmenter: Segmenter | None = None
    events: int = 0
    table_version: int = -1
    warnings: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """Ids of the segments."""
        return () if self.segmenter is None else self.segmenter.segment_ids

    @property
    def learned(self) -> bool:
        """Whether this cut learned the segments that it tells of."""
        return self.trained_until == self.as_of

    @property
    def changed(self) -> pa.Table:
        """The memberships that began at this cut: the first ones, and those of who moved."""
        now = pa.scalar(self.as_of, MEMBERSHIPS_SCHEMA.field("since").type)
        return self.memberships.filter(pc.equal(self.memberships["since"], now))

    def as_document(self) -> dict[str, Any]:
        """A row of `shoal.replay/1`."""
        sizes = _counted(self.memberships["segment_id"])
        return {
            "as_of": iso(self.as_of),
            "segmentation": self.segmentation or None,
            "trained_until": None if self.trained_until is None else iso(self.trained_until),
            "learned": self.learned,
            "k": len([name for name in self.segment_ids if name != TIER_NEW]) or None,
            "customers": self.memberships.num_rows,
            "segments": {name: sizes.get(name, 0) for name in self.segment_ids},
            "changed": _counted(self.changed["cause"]),
            "events": self.events,
            "table_version": self.table_version,
            "warnings": list(self.warnings),
            "skipped": self.skipped or None,
        }


class Replay:
    """The cuts of a shop's log.

    Raises:
        UsageError: `bad_period`, the cuts lie outside the log.
        InputError: `too_little_data`, the shop holds no event.
    """

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        fold: Fold,
        zone: Zone,
        admission: Admission,
        steps: Steps,
        settings: SegmentConfig | None = None,
    ) -> None:
        self._warehouse = warehouse
        self.steps = steps
        self._settings = settings or SegmentConfig()
        self._learner = Learner(fold, zone, admission, self._settings, steps.k, steps.seed)
        self._model: Model | None = None
        self._recorded = LOG_SCHEMA.empty_table()
        self._begins, ends = log_span(warehouse)
        _check_inside(steps, self._begins, ends)

    @property
    def moments(self) -> tuple[datetime, ...]:
        return self.steps.moments

    @property
    def definitions(self) -> str:
        """16 hex digits of all that decides what a cut says, beside steps and event table."""
        parts = (
            __version__, self._learner.fold.fingerprint, self._learner.admission.fingerprint,
            self._learner.zone, self._settings,
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    @property
    def table_version(self) -> int:
        """The version of the event table that the next cut reads."""
        return self._warehouse.version()

    def cuts(self, progress: Progress | None = None) -> Iterator[Cut]:
        """Every cut in order of time.

        Raises:
            InputError: `too_little_data`, after the last one, if all were skipped.
        """
        progress = progress or NoProgress()
        progress.start("replay", len(self.moments), "cuts")
        last: InputError | None = None
        made = 0
        try:
            for place in range(len(self.moments)):
                try:
                    cut = self.cut(place)
                    made += 1
                except InputError as error:
                    if error.code != TOO_LITTLE:
                        raise
                    cut, last = self.skipped(place, error), error
                progress.advance()
                yield cut
        finally:
            progress.done()
        if last is not None and not made:
            raise last

    def cut(self, place: int) -> Cut:
        """The cut at a place of `moments`; those before it were asked for first, or `go_on`.

        Raises:
            InputError: `too_little_data`, as `segment` would at that moment.
        """
        moment = self.moments[place]
        since = self.moments[place - 1] if place else self._begins
        self._read_latest()
        learner, told = self._learner, len(self._learner.warnings)
        events = learner.admitted(moment)
        if self._model is None or self.steps.refit_due(self._model.trained_until, moment):
            self._model, known = self._learn(moment, events)
            # segments of another learning are other segments, whatever their ids
            recorded, entering = LOG_SCHEMA.empty_table(), VERSION
        else:
            known = learner.known(moment, events, self._model.items)
            recorded, entering = self._recorded, EVENT
        model = self._model
        step = advance(
            known, model.in_force(self.steps.margin), recorded, since=since, entering=entering
        )
        self._recorded = step.memberships
        return Cut(
            as_of=moment,
            memberships=_dated(step.memberships, moment),
            features=known.table(model.vocabulary),
            segmentation=model.name,
            trained_until=model.trained_until,
            segmenter=model.segmenter,
            events=customer_events(events, since, moment, version=learner.table_version),
            table_version=learner.table_version or 0,
            warnings=tuple(text.en for text in learner.warnings[told:]),
        )

    def skipped(self, place: int, error: InputError) -> Cut:
        """The cut that could not be made, and why."""
        nobody = MEMBERSHIPS_SCHEMA.empty_table()
        nothing = nobody.select([CUSTOMER])
        return Cut(
            self.moments[place], nobody, nothing, table_version=self.table_version,
            skipped=error.message,
        )  # fmt: skip

    def go_on(self, trained_until: datetime, memberships: pa.Table) -> None:
        """Let the model that was learned at an earlier cut be the one in force.

        Args:
            memberships: what the last cut that was made left (`MEMBERSHIPS_SCHEMA`).
        """
        if not self.steps.refit_due(trained_until, trained_until):
            self._read_latest()
            events = self._learner.admitted(trained_until)
            self._model, _ = self._learn(trained_until, events)
            names = {"segmentation_id": "segmentation"}
            columns = [memberships[names.get(one, one)] for one in LOG_SCHEMA.names]
            self._recorded = pa.table(columns, schema=LOG_SCHEMA)

    def _learn(self, moment: datetime, events: EventTable) -> tuple[Model, Known]:
        learner = self._learner
        files = events.events(version=learner.table_version)
        items = reference.build(events.engine, files, moment, learner.fold.rules.noise)
        known = learner.known(moment, events, items)
        vocabulary = learner.vocabulary(known)
        [(segmenter, _)] = learner.learn(known, vocabulary, (self.steps.method,))
        # Choosing k looks back by a horizon: a later cut may find this one there.
        if not self.steps.k and self.steps.method == "kmeans":
            oldest = moment - timedelta(days=HORIZON_DAYS)
            kept = {then: known for then, known in learner.past.items() if then >= oldest}
            learner.past = {**kept, moment: known}
        return Model(segmenter, vocabulary, items, moment), known

    def _read_latest(self) -> None:
        """Read one version of the event table for a whole cut."""
        version = self._warehouse.version()
        if version != self._learner.table_version:
            self._learner.past = {}
            self._learner.table_version = version


def _dated(members: pa.Table, moment: datetime) -> pa.Table:
    """Memberships of the step as those of a cut."""
    as_of = pa.repeat(pa.scalar(moment, MEMBERSHIPS_SCHEMA.field("as_of").type), members.num_rows)
    own = {"as_of": as_of, "segmentation": members["segmentation_id"]}
    columns = [own[one] if one in own else members[one] for one in MEMBERSHIPS_SCHEMA.names]
    return pa.table(columns, schema=MEMBERSHIPS_SCHEMA)


def _counted(values: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, by value."""
    found = {one["values"]: one["counts"] for one in values.value_counts().to_pylist()}
    return dict(sorted(found.items()))


def _check_inside(steps: Steps, first: datetime, last: datetime) -> None:
    """Refuse cuts before anything is known or after all is."""
    if steps.since <= first or steps.moments[-1] > last + _AFTER_THE_END:
        raise UsageError(
            "bad_period",
            f"cuts from {iso(steps.since)} to {iso(steps.moments[-1])} lie outside the log",
            hint=f"The log reaches from {iso(first)} to {iso(last)}: the first cut must be later "
            "than its first event, the last one at most a day later than its last.",
        )
