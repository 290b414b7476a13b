"""Put in force what a look changed, and write down the look; all that counts in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.adjust.adjustment import Adjustment
from shoal.domain.text import Text
from shoal.domain.time import iso
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.choose import Choice
from shoal.workflows import adjust_state, reference
from shoal.workflows.adjust_result import LOOK, AdjustResult
from shoal.workflows.adjust_retrain import dropped, forget, settle
from shoal.workflows.adjust_state import Candidate
from shoal.workflows.adjuster import Adjusted, Adjuster, Live
from shoal.workflows.adjuster_live import told
from shoal.workflows.embedded import ModelInUse
from shoal.workflows.known import Known
from shoal.workflows.segment_identity import Identified, Line
from shoal.workflows.segment_publish import Continued, Publisher, Written

if TYPE_CHECKING:
    from shoal.workflows.adjust import Ground, Job


@dataclass(frozen=True)
class Making:
    """A changed segmentation that is to be published.

    Args:
        before: the one that it changes.
        memberships: `MEMBERSHIPS_SCHEMA`, of `known` in its order.
        told: what was done, for its document.
        choice: how the number of segments came about; None: `chosen`, else as before.
    """

    before: SegmentationArtefact
    live: Live
    known: Known
    memberships: pa.Table
    lineage: Mapping[str, Any]
    told: Mapping[str, Any]
    choice: Choice | None
    reference_id: str
    model: ModelInUse | None
    chosen: Mapping[str, Any] | None = None


def publisher_of(ground: Ground, making: Making, version: int, now: datetime) -> Publisher:
    """What writes it, with the settings of the segments that it changes."""
    document, model = making.before.document, making.model
    k = document["parameters"].get("k", "chosen")
    settings = replace(
        ground.settings,
        min_events=making.live.segmenter.minimum_events,
        switch_margin=making.live.margin,
    )
    events = ground.admission.at(making.known.as_of, version=version)
    line = Line(ground.registry, ground.fold, events, version, model, making.before.segmentation_id)
    return Publisher(
        ground.store, ground.registry, ground.fold, settings, k if isinstance(k, int) else 0,
        int(document["seed"]), version, now, [], document["on"], model, line,
    )  # fmt: skip


def written(publisher: Publisher, making: Making) -> Written:
    """The artefact, complete and not in force yet."""
    names = {
        one["segment_id"]: Text(**one["name"])
        for one in making.before.document["segments"]
        if one["segment_id"] in making.live.segmenter.ids
    }
    who = Identified(making.live.segmenter, making.lineage, names, making.before.segmentation_id)
    choice = making.chosen or making.before.document.get("choice")
    return publisher.write(
        making.live.segmenter, making.choice, making.known, making.live.vocabulary,
        making.reference_id, Continued(who, making.memberships, making.told, choice),
    )  # fmt: skip


def told_of(live: Live, adjustments: Sequence[Adjustment | Mapping[str, Any]]) -> dict[str, Any]:
    """What a segmentation's document says of how it was adjusted."""
    done = [one.as_document() if isinstance(one, Adjustment) else one for one in adjustments]
    shown = ("action", "segments", "gain", "gain_error", "moved", "reason", "policy", "probability")
    return {
        "fitted_at": iso(live.fitted_at),
        "adjustments": [
            {name: one[name] for name in shown} for one in done if one["action"] != "keep"
        ],
    }


@dataclass(frozen=True)
class Publishing:
    """What is made of a look."""

    job: Job
    adjuster: Adjuster
    adjusted: Adjusted
    warnings: tuple[str, ...] = ()

    def result(self) -> AdjustResult:
        """Write it down and put it in force; on a dry run only say it."""
        document = adjust_state.plain(self._document())
        if self.job.dry_run:
            dry = {"schema": adjust_state.SCHEMA, "adjust_id": None}
            return AdjustResult({**dry, **document, "waiting": self._asking()}, self.warnings)
        ground = self.job.ground
        now = ground.clock()
        making, publisher, made = None, None, None
        if self.adjusted.changed:
            ground.progress.start("publishing", None)
            making = self._making(self._reference())
            publisher = publisher_of(ground, making, self.job.version, now)
            made = written(publisher, making)
            ground.progress.done()
        in_force = self.job.found.segmentation_id if made is None else made.segmentation_id
        candidate = self._candidate(in_force, making)
        document |= {"published": None if made is None else made.segmentation_id}
        document["waiting"] = self._asking()
        look = adjust_state.write(
            ground.registry, document, self.adjusted.state, in_force, candidate
        )
        with ground.store.transaction():
            if publisher is not None and made is not None and making is not None:
                publisher.remember(made)
                ground.store.set_pointer(reference.POINTER, making.reference_id, now)
                if self.job.on_trained(making.live) and making.live.model_id is not None:
                    settle(ground, making.live.model_id, now)
            adjust_state.remember(
                ground.store, look, now, waiting=candidate is not None,
                clear=made is not None or candidate is not None,
            )  # fmt: skip
        document["waiting"] = self._asking(look)
        self._let_go()
        head = {"schema": adjust_state.SCHEMA, "adjust_id": look}
        return AdjustResult({**head, **document}, self.warnings)

    def _let_go(self) -> None:
        """Remove a model that was trained on, is not in force, and does not wait."""
        job, waiting = self.job, self.adjusted.waiting
        if job.trained is None or job.on_trained(self.adjusted.live):
            return
        if waiting is not None and job.on_trained(waiting.live):
            forget(job.ground)
        else:
            dropped(job.ground, job.trained)

    def _reference(self) -> str:
        """The facts of items that were read, kept."""
        job = self.job
        if not job.renewed or job.items is None:
            return str(job.found.document["reference_id"])
        return reference.keep(job.ground.registry, job.items, self.adjusted.moment)

    def _making(self, reference_id: str) -> Making:
        adjusted, job = self.adjusted, self.job
        assert adjusted.lineage is not None
        return Making(
            job.found, adjusted.live, job.known_by(adjusted.live, adjusted.moment),
            adjusted.memberships, adjusted.lineage, told_of(adjusted.live, adjusted.done),
            adjusted.choice, reference_id, job.model_by(adjusted.live),
        )  # fmt: skip

    def _candidate(self, in_force: str, making: Making | None) -> Candidate | None:
        waiting = self.adjusted.waiting
        if waiting is None:
            return None
        reference_id = self._reference() if making is None else making.reference_id
        return Candidate(
            waiting.live.segmenter,
            waiting.live.vocabulary,
            {
                "segmentation_id": in_force,
                "as_of": iso(self.adjusted.moment),
                "adjustments": [told(one) for one in waiting.adjustments],
                "lineage": dict(waiting.lineage),
                "choice": None if waiting.choice is None else waiting.choice.as_document(),
                "reference_id": reference_id,
                "fitted_at": iso(waiting.live.fitted_at),
                "highest": waiting.live.highest,
                "margin": waiting.live.margin,
                "model_id": waiting.live.model_id,
            },
        )

    def _asking(self, look: str | None = None) -> dict[str, Any] | None:
        """What a person is asked; None: nothing."""
        waiting = self.adjusted.waiting
        if waiting is None:
            return None
        asked: dict[str, Any] = {
            "adjust_id": look,
            "reasons": list(waiting.reasons),
            "actions": [one.action for one in waiting.adjustments],
            "moved": waiting.moved,
            "gates": [one.as_document() for one in waiting.gates],
            "changes": [one for one in waiting.lineage["changes"] if one["change"] != "continue"],
        }
        found: dict[str, Any] = adjust_state.plain(asked)
        return found

    def _document(self) -> dict[str, Any]:
        adjusted, job = self.adjusted, self.job
        cadence = timedelta(days=self.adjuster.settings.cadence_days)
        return {
            "kind": LOOK,
            "looked": True,
            "dry_run": job.dry_run,
            "segmentation_id": job.found.segmentation_id,
            **adjusted.as_document(),
            "notes": [one.as_document() for one in (*job.notes, *adjusted.notes, *self._model())],
            "retrained": None if job.trained is None else dict(job.trained.evidence),
            "spent": adjusted.state.spent(adjusted.moment),
            "next_look": iso(adjusted.moment + cadence),
            "table_version": job.version,
            "published": None,
            "waiting": None,
        }

    def _model(self) -> list[Text]:
        """What became of a model that was trained on."""
        job, waiting = self.job, self.adjusted.waiting
        if job.trained is None or job.on_trained(self.adjusted.live):
            return []
        if waiting is not None and job.on_trained(waiting.live):
            return []
        name, was = job.trained.model.model_id, job.trained.was
        shut = ", ".join(self.adjusted.dropped)
        why = f"the gates {shut} are shut" if shut else "segments on it do not pay"
        return [
            Text(
                f"{name}, trained on from {was}, was dropped: {why}.",
                f"由 {was} 继续训练的 {name} 未被采用：{shut or '据此分群得不偿失'}。",
            )
        ]
