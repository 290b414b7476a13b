"""Replay: step through the log and segment at each cut with only what was known then.

A cut at T reads events before T, and identity links, flags and facts of items as they were known
at T: what `segment --until T` reads. It learns (or applies what an earlier cut learned), moves
memberships on by the one step, from what the cut before left, and publishes nothing: the shop's
segmentations, recorded memberships and report stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from shoal.config import SegmentConfig
from shoal.domain.errors import InputError, UsageError
from shoal.domain.segment import EVENT, VERSION
from shoal.domain.time import Zone, iso
from shoal.domain.version import __version__
from shoal.events.schema import NO_CUSTOMER
from shoal.features import reference
from shoal.features.fold import Fold
from shoal.features.span import customer_events, log_span
from shoal.ports import EventTable, Warehouse
from shoal.segments.assign import MEMBERSHIPS_SCHEMA as LOG_SCHEMA
from shoal.segments.base import CUSTOMER
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.rules import Rfm
from shoal.workflows.adjuster import Live
from shoal.workflows.admission import Admission
from shoal.workflows.advance import advance
from shoal.workflows.embed import late_warning
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.following import MOST_EVENTS, Following
from shoal.workflows.following_model import Carried, carried
from shoal.workflows.known import Known
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.replay_adjust import Adjusting, Loop, Reader
from shoal.workflows.replay_cut import MEMBERSHIPS_SCHEMA, Cut, dated
from shoal.workflows.replay_model import Before, Model
from shoal.workflows.replay_steps import Steps
from shoal.workflows.segment_learn import Learner
from shoal.workflows.segment_outlook import HORIZON_DAYS
from shoal.workflows.segment_settled import Settled

#: The error for which a cut is skipped.
TOO_LITTLE: Final = "too_little_data"

#: The end of the log's last day, given as a date, is the next midnight.
_AFTER_THE_END: Final = timedelta(days=1)


class Replay:
    """The cuts of a shop's log.

    Args:
        model: whose embeddings segments are made on; None only where the steps are on features.
        adjusting: how segments adjust after the first learning; None: they do not.

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
        model: ModelInUse | None = None,
        adjusting: Adjusting | None = None,
    ) -> None:
        self._warehouse = warehouse
        self.steps = steps
        self._adjusting = adjusting
        self._loop: Loop | None = None
        self._settings = settings or SegmentConfig()
        self._learner = Learner(
            fold, zone, admission, self._settings, steps.k, steps.seed, on=steps.on, model=model,
            aim=steps.aim,
        )  # fmt: skip
        self._model: Model | None = None
        self._highest = 0
        self._recorded = LOG_SCHEMA.empty_table()
        self._held: pa.Table | None = None
        self._following: Following | None = None
        self._carried: Carried | None = None
        self._begins, self._ends = log_span(warehouse)
        _check_inside(steps, self._begins, self._ends)

    @property
    def moments(self) -> tuple[datetime, ...]:
        return self.steps.moments

    @property
    def definitions(self) -> str:
        """16 hex digits of all that decides what a cut says, beside steps and event table."""
        parts = (
            __version__, self._learner.fold.fingerprint, self._learner.admission.fingerprint,
            self._learner.zone, self._settings,
            None if self._learner.model is None else self._learner.model.model_id,
            None if self._adjusting is None else self._adjusting.told,
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
        self._follow(events)
        self._held = None
        if self._model is None or self.steps.refit_due(self._model.trained_until, moment):
            self._model, known = self._learn(moment, events)
            # The log begins anew with every learning: a version tells where everybody is.
            recorded, entering = LOG_SCHEMA.empty_table(), VERSION
            self._begin()
        else:
            known = self._known(moment, events, self._model.items)
            recorded, entering = self._recorded, EVENT
        model = self._model
        step = advance(
            known, model.in_force(self.steps.margin), recorded, since=since, entering=entering
        )
        adjusted = None if self._loop is None else self._loop.look(known, step.memberships)
        inputs, self._recorded = step.inputs, step.memberships
        if adjusted is not None and adjusted.changed:
            loop = self._loop
            assert loop is not None
            inputs = loop.known(moment).table(adjusted.vocabulary)
            self._held = step.memberships.select([CUSTOMER, "segment_id"])
            self._recorded = adjusted.memberships
            model = Model(adjusted.segmenter, adjusted.vocabulary, loop.items, moment)
            self._model = model
        return Cut(
            as_of=moment,
            memberships=dated(self._recorded, moment),
            features=inputs,
            segmentation=model.name,
            trained_until=model.trained_until,
            segmenter=model.segmenter,
            events=customer_events(events, since, moment, version=learner.table_version),
            table_version=learner.table_version or 0,
            warnings=(*(text.en for text in learner.warnings[told:]), *self._late(moment)),
            adjusted=adjusted,
            held=self._held,
        )

    def skipped(self, place: int, error: InputError) -> Cut:
        """The cut that could not be made, and why."""
        nobody = MEMBERSHIPS_SCHEMA.empty_table()
        nothing = nobody.select([CUSTOMER])
        return Cut(
            self.moments[place], nobody, nothing, table_version=self.table_version,
            skipped=error.message,
        )  # fmt: skip

    def again(self, places: int) -> None:
        """Make the first cuts anew, for what they leave: looks go on from those before them."""
        for place in range(places):
            try:
                self.cut(place)
            except InputError as error:
                if error.code != TOO_LITTLE:
                    raise

    def go_on(self, trained_until: datetime, memberships: pa.Table) -> None:
        """Let the model that was learned at an earlier cut be the one in force.

        Args:
            memberships: what the last cut that was made left (`MEMBERSHIPS_SCHEMA`).
        """
        self._read_latest()
        # Segments go on from those learned before them, so all are learned again in their order.
        for moment in self.moments:
            if moment > trained_until:
                break
            model = self._model
            if model is None or self.steps.refit_due(model.trained_until, moment):
                try:
                    self._model, _ = self._learn(moment, self._learner.admitted(moment))
                except InputError as error:
                    if error.code != TOO_LITTLE:
                        raise
        names = {"segmentation_id": "segmentation"}
        columns = [memberships[names.get(one, one)] for one in LOG_SCHEMA.names]
        self._recorded = pa.table(columns, schema=LOG_SCHEMA)

    def _learn(self, moment: datetime, events: EventTable) -> tuple[Model, Known]:
        learner = self._learner
        files = events.events(version=learner.table_version)
        items = reference.build(events.engine, files, moment, learner.fold.rules.noise)
        known = self._known(moment, events, items)
        vocabulary = learner.vocabulary(known)
        before = self._before(known)
        if before is not None:
            learner.warm = self._held = before.warm
        [(segmenter, choice)] = learner.learn(known, vocabulary, (self.steps.method,))
        if before is not None and isinstance(segmenter, ClusterSegmenter):
            self._highest = before.go_on(segmenter, known.table(vocabulary), self._highest)
        elif isinstance(segmenter, ClusterSegmenter):
            self._highest = len(segmenter.ids)
        if choice is not None:
            learner.settled = Settled.after(choice, segmenter)
        # Learning looks back by two horizons: a later cut may find this one there.
        if self.steps.method != Rfm.method:
            oldest = moment - 2 * timedelta(days=HORIZON_DAYS)
            kept = {then: known for then, known in learner.past.items() if then >= oldest}
            learner.past = {**kept, moment: known}
        return Model(segmenter, vocabulary, items, moment), known

    def _begin(self) -> None:
        """Let the adjuster go on from what was learned just now."""
        model = self._model
        if self._adjusting is None or model is None:
            return
        assert isinstance(model.segmenter, ClusterSegmenter), "Steps refuse rules"
        count = len(model.segmenter.ids)
        live = Live(
            model.name, model.segmenter, model.vocabulary, self.steps.margin, model.trained_until,
            count, self._learner.settled or Settled(count, None),
        )  # fmt: skip
        reader = Reader(self._learner)
        self._loop = Loop(self._adjusting, self._learner, live, reader, model.items)

    def _before(self, known: Known) -> Before | None:
        """The segments learned last, as they see the customers now; None at the beginning."""
        model = self._model
        if model is None or not isinstance(model.segmenter, ClusterSegmenter):
            return None
        return Before(model.segmenter, known.table(model.vocabulary), self.steps.seed)

    def _known(self, moment: datetime, events: EventTable, items: pa.Table) -> Known:
        """What is known at a moment: by states that follow the log where they can."""
        following, model = self._following, self._learner.model
        if following is None or following.moment > moment:
            return self._learner.known(moment, events, items)
        known = following.known(moment, items)
        if model is None:
            return known
        if self._carried is not None:
            return replace(known, embeddings=self._carried.embeddings(moment))
        version = self._learner.table_version
        return replace(known, embeddings=model.embeddings(events, moment, version=version))

    def _late(self, moment: datetime) -> tuple[str, ...]:
        """A warning where the behaviour model was trained on what was still to come."""
        model = self._learner.model
        return () if model is None else late_warning(model.found, moment)

    def _follow(self, events: EventTable) -> None:
        """Let states follow the log as long as its events count as they are stored.

        Where a sign-in, a flag or a rate may change what an earlier event counts for, or the log is
        too long, every cut reads its events anew.
        """
        if events is not self._warehouse:
            self._following = self._carried = None
            return
        learner, counts = self._learner, self._warehouse.bucket_counts()
        total = sum(n for bucket, n in counts.items() if bucket != NO_CUSTOMER)
        if self._following is None and total <= MOST_EVENTS:
            files = self._warehouse.events(version=learner.table_version)
            self._following = Following(
                learner.fold, learner.zone, files, total, self._begins, self._ends
            )
            if learner.model is not None:
                self._carried = carried(learner.model, events, learner.table_version)

    def _read_latest(self) -> None:
        """Read one version of the event table for a whole cut."""
        version = self._warehouse.version()
        if version != self._learner.table_version:
            self._learner.past = {}
            self._learner.table_version = version
            self._following = self._carried = None
            if self._loop is not None:
                self._loop.forget()


def _check_inside(steps: Steps, first: datetime, last: datetime) -> None:
    """Refuse cuts before anything is known or after all is."""
    if steps.since <= first or steps.moments[-1] > last + _AFTER_THE_END:
        raise UsageError(
            "bad_period",
            f"cuts from {iso(steps.since)} to {iso(steps.moments[-1])} lie outside the log",
            hint=f"The log reaches from {iso(first)} to {iso(last)}: the first cut must be later "
            "than its first event, the last one at most a day later than its last.",
        )
