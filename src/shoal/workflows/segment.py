"""Form segments: features at a moment, k-means and RFM beside it, artefacts, memberships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from shoal.config import SegmentConfig
from shoal.domain.errors import UsageError
from shoal.domain.text import Text
from shoal.domain.time import Clock, Zone, iso, system_clock
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.features.tastes import Vocabulary
from shoal.ports import EventTable, Registry, StateStore, Warehouse
from shoal.segments import artefact
from shoal.segments.inputs import FEATURES
from shoal.segments.methods.registry import Options
from shoal.workflows import canary, reference
from shoal.workflows.admission import Admission
from shoal.workflows.canary import Canary
from shoal.workflows.embedded import ModelInUse, in_use
from shoal.workflows.known import Known
from shoal.workflows.progress import NoProgress, Progress
from shoal.workflows.segment_identity import Line
from shoal.workflows.segment_learn import Learner
from shoal.workflows.segment_methods import DEFAULT, check_methods
from shoal.workflows.segment_outlook import check_aim
from shoal.workflows.segment_publish import Publisher

SCHEMA: Final = "shoal.segment/1"


@dataclass(frozen=True)
class SegmentResult:
    """The segmentations that were made, main one first, and what a person should know."""

    as_of: datetime
    documents: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        from shoal.report.notebook import table

        rows = [
            [one["segmentation_id"], one["method"], str(one["k"]), iso(self.as_of)]
            for one in self.documents
        ]
        return table("Segmentations", ["segmentation", "method", "segments", "as of"], rows)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the segmentations, main one first."""
        return tuple(str(one["segmentation_id"]) for one in self.documents)

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.segment/1`."""
        shown = (
            "segmentation_id", "method", "as_of", "trained_until", "seed", "k", "choice",
            "customers", "minimum_events", "warnings", "segments", "on", "model_id", "method_facts",
        )  # fmt: skip
        return {
            "schema": SCHEMA,
            "as_of": iso(self.as_of),
            "segmentations": [{key: one[key] for key in shown} for one in self.documents],
            "warnings": list(self.warnings),
        }


def segment(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    admission: Admission,
    settings: SegmentConfig | None = None,
    until: datetime | None = None,
    methods: Sequence[str] = DEFAULT,
    on: str | None = None,
    k: int | None = None,
    seed: int | None = None,
    options: Options | None = None,
    labels: str | None = None,
    table_version: int | None = None,
    warm: bool = True,
    aim: str | None = None,
    tune: int = 0,
    clock_now: Clock = system_clock,
    progress: Progress | None = None,
) -> SegmentResult:
    """Learn segments from what is known of all customers and make them the current ones.

    K-means becomes `segmentation.main` (RFM where k-means was not asked for) and RFM becomes
    `segmentation.rfm`. All customers with an event before the moment get a membership in each.

    Args:
        settings: k, its bounds, minimum events and seed; `k` and `seed` given here win.
        until: T; nothing at or after it is used. None: just after the latest event.
        methods: some of `shoal.workflows.segment_learn.METHODS`; the first becomes the main one.
        on: what learned segments are made on: `features`, `embedding` of the current behaviour
            model, or `both`; None: both where the shop has a model, else features.
        options: what single methods are told.
        labels: a file or a text feature that names segments of known customers, for `seeded`.
        table_version: of the event table; None for the latest.
        warm: the segments of the version before are a further start, so that those which are as
            good as others go on.
        aim: what learned segments are for, one of `shoal.workflows.segment_outlook.AIMS`; None:
            `balance`, but `style` of labelled customers and on the embedding alone.
        tune: trials of a search for method, inputs, number and weights; 0: no search. A method,
            k or aim that is told stays.

    Raises:
        UsageError: `unknown_method`, `unknown_aim`, `unknown_input`, `unknown_model`, `usage`.
        InputError: `too_little_data`: what there is, what is needed, what is possible with less;
            what is wrong with the labels.
        OperationError: `shop_locked`, `disk_full`, `no_permission`.
    """
    check_methods(methods, labels, k)
    check_aim(aim)
    if tune:
        _check_tune(tune, methods)
    settings = settings or SegmentConfig()
    on, model = in_use(store, registry, fold, "features" if set(methods) == {"rfm"} else on)
    job = _Job(
        warehouse=warehouse,
        store=store,
        registry=registry,
        fold=fold,
        zone=zone,
        admission=admission,
        settings=settings,
        k=settings.k if k is None else k,
        seed=settings.seed if seed is None else seed,
        table_version=table_version,
        warm=warm,
        aim=aim,
        tune=tune,
        methods_told=tuple(methods) != DEFAULT,
        now=clock_now(),
        on=on,
        model=model,
        options=options or Options(),
        labels=labels,
        progress=progress or NoProgress(),
    )
    with store.lease():
        return job.run(until, methods)


def _check_tune(tune: int, methods: Sequence[str]) -> None:
    from shoal.workflows.segment_tune import METHODS, check_trials

    check_trials(tune)
    if not any(one in METHODS for one in methods):
        raise UsageError(
            "usage",
            f"--tune with the method {', '.join(methods)}",
            hint=f"A search tries {', '.join(METHODS)}; give some of them, or no method.",
        )


@dataclass
class _Job:
    """One run; the steps in the order of `run`."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission
    settings: SegmentConfig
    k: int
    seed: int
    table_version: int | None
    warm: bool
    aim: str | None
    tune: int
    methods_told: bool
    now: datetime
    on: str
    model: ModelInUse | None
    options: Options
    labels: str | None
    progress: Progress
    warnings: list[Text] = field(default_factory=list)

    def run(self, until: datetime | None, methods: Sequence[str]) -> SegmentResult:
        as_of = until or latest_moment(self.warehouse, version=self.table_version)
        learner = self._learner()
        self.progress.start("features", None)
        events = learner.admitted(as_of)
        items, reference_id = reference.freeze(
            events,
            self.registry,
            as_of,
            noise=self.fold.rules.noise,
            table_version=self.table_version,
        )
        known = learner.known(as_of, events, items)
        vocabulary = learner.vocabulary(known)
        self.progress.done()
        line = self._line(events)
        if self.warm:
            learner.warm, learner.settled = line.labels(known), line.settled(known)
        methods, searched = self._searched(learner, known, vocabulary, methods)
        made = learner.learn(known, vocabulary, methods)
        if searched is not None and made[0][1] is not None:
            choice = made[0][1]
            why, evidence = searched
            extra = {**choice.extra, "search": evidence}
            made[0] = made[0][0], replace(choice, reason=why, extra=extra)
        self.progress.start("profiles", len(made))
        publisher, trial = self._publisher(line), canary.running(self.store)
        documents: dict[int, Mapping[str, Any]] = {}
        # Whoever is published last stays the main one: the first that was asked for.
        for place in sorted(range(len(made)), key=lambda one: (made[one][0].method == "rfm", -one)):
            documents[place] = publisher.publish(*made[place], known, vocabulary, reference_id)
            self.progress.advance()
        self.progress.done()
        self.store.set_pointer(reference.POINTER, reference_id, self.now)
        told = tuple(documents[place] for place in range(len(made)))
        if trial is not None and canary.running(self.store) is None:
            self.warnings.append(_overtaken(trial))
        return SegmentResult(as_of, told, tuple(text.en for text in self.warnings))

    def _searched(
        self, learner: Learner, known: Known, vocabulary: Vocabulary, methods: Sequence[str]
    ) -> tuple[Sequence[str], tuple[Text, dict[str, Any]] | None]:
        """The methods to learn by; after a search with the settings that it found, and why."""
        if not self.tune:
            return methods, None
        from shoal.workflows import segment_tune

        tried = tuple(one for one in methods if one in segment_tune.METHODS)
        search = segment_tune.SegmentSearch(
            learner, known, vocabulary, tried if self.methods_told else segment_tune.METHODS
        )
        setting, evidence = search.run(self.tune)
        learner.k, learner.styles, learner.on = setting.k, setting.styles, setting.on
        learner.preparation = setting.preparation
        self.on = setting.on
        self.model = None if setting.on == FEATURES else self.model
        rest = [one for one in methods if one not in segment_tune.METHODS]
        return (setting.method, *rest), (segment_tune.reason(setting, self.tune), evidence)

    def _learner(self) -> Learner:
        return Learner(
            self.fold,
            self.zone,
            self.admission,
            self.settings,
            self.k,
            self.seed,
            self.table_version,
            self.progress,
            self.warnings,
            on=self.on,
            model=self.model,
            options=self.options,
            aim=self.aim,
            labels=self.labels,
        )

    def _line(self, events: EventTable) -> Line:
        return Line(
            self.registry, self.fold, events, self.table_version, self.model,
            self.store.get_pointer(artefact.MAIN),
        )  # fmt: skip

    def _publisher(self, line: Line) -> Publisher:
        version = self.warehouse.version() if self.table_version is None else self.table_version
        return Publisher(
            self.store,
            self.registry,
            self.fold,
            self.settings,
            self.k,
            self.seed,
            version,
            self.now,
            self.warnings,
            self.on,
            self.model,
            line,
        )


def _overtaken(trial: Canary) -> Text:
    """What is said where segments come into force while others are tried."""
    name, share = trial.segmentation_id, f"{trial.share:.0%}"
    return Text(
        f"{name}, tried on {share} of customers, was dropped: other segments are in force now.",
        f"{name}（对 {share} 的客户试用）已放弃：现已启用其他分群。",
    )
