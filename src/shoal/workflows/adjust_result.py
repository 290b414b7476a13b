"""What an adjustment of a shop comes to, and the looks that a shop had, as documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shoal.domain.text import Text
from shoal.domain.time import iso
from shoal.ports import Registry, StateStore
from shoal.segments.artefact import SegmentationArtefact
from shoal.workflows import adjust_state
from shoal.workflows.adjuster_state import AdjusterState
from shoal.workflows.canary import canaries

LIST_SCHEMA: Final = "shoal.adjustments/1"

#: What an entry of the list is of: a look, or a person's word about what an earlier one found.
LOOK: Final = "look"
APPROVAL: Final = "approval"
REFUSAL: Final = "refusal"


@dataclass(frozen=True)
class AdjustResult:
    """What was noticed and done: the document `shoal.adjust/1`, and what a person should know."""

    document: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def looked(self) -> bool:
        """Whether there was a look; not where the moment has been looked at, or it is too early."""
        return bool(self.document["looked"])

    @property
    def alarms(self) -> Sequence[Mapping[str, Any]]:
        """As `shoal.adjust.adjustment.Alarm.as_document` tells them."""
        found: Sequence[Mapping[str, Any]] = self.document["alarms"]
        return found

    @property
    def adjustments(self) -> Sequence[Mapping[str, Any]]:
        """As `shoal.adjust.adjustment.Adjustment.as_document` tells them."""
        found: Sequence[Mapping[str, Any]] = self.document["adjustments"]
        return found

    @property
    def published(self) -> str | None:
        """The segmentation that came into force; None where nothing changed."""
        found: str | None = self.document["published"]
        return found

    @property
    def waiting(self) -> str | None:
        """The look whose change waits for a person's word; None: none does."""
        found = self.document["waiting"]
        return None if found is None else str(found["adjust_id"])

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.adjust/1`."""
        return {**self.document, "warnings": list(self.warnings)}

    def _repr_html_(self) -> str:
        from shoal.report.notebook import facts

        told = ("as_of", "segmentation_id", "published", "moved", "dropped", "blocked")
        shown = {name: self.document[name] for name in told}
        done = ", ".join(str(one["action"]) for one in self.adjustments)
        return facts("Adjustment", {**shown, "done": done, "alarms": len(self.alarms)})


def nothing_new(
    found: SegmentationArtefact, state: AdjusterState, moment: datetime, next_look: datetime
) -> AdjustResult:
    """The result where nobody looked."""
    looked_at = state.looked_at
    if looked_at == moment:
        note = Text(
            f"Segments were looked at as of {iso(moment)} already; nothing came in since.",
            f"截至 {iso(moment)} 已检查过分群，此后没有新数据。",
        )
    else:
        note = Text(
            f"The next look is due at {iso(next_look)}.", f"下次检查时间：{iso(next_look)}。"
        )
    document = {
        "schema": adjust_state.SCHEMA, "adjust_id": None, "kind": LOOK, "looked": False,
        "dry_run": False, "as_of": iso(moment), "segmentation_id": found.segmentation_id,
        "customers": int(found.document["customers"]["placed"]), "alarms": [], "blocked": [],
        "adjustments": [], "considered": [], "gates": [], "dropped": [], "changed": False,
        "moved": 0.0, "changes": [], "published": None, "waiting": None,
        "spent": state.spent(moment), "next_look": iso(next_look), "notes": [note.as_document()],
        "retrained": None, "canary": None,
    }  # fmt: skip
    return AdjustResult(document)


def adjustments(*, store: StateStore, registry: Registry) -> dict[str, Any]:
    """The JSON document `shoal.adjustments/1`: every look, oldest first, what it found, what was
    done and who approved it; `canary` is what runs now, or None.

    Of the look whose change was tried on some customers `canary` tells also how that ended.
    """
    looks = adjust_state.looks(registry, store)
    words = {one["of"]: one for one in looks if one.get("kind") in (APPROVAL, REFUSAL)}
    waiting = adjust_state.pending(store)
    tried = canaries(store.get_settings())
    found = []
    for one in looks:
        if one.get("kind") in (APPROVAL, REFUSAL):
            continue
        word = words.get(one["adjust_id"])
        own = [each.as_document() for each in tried if each.adjust_id == one["adjust_id"]]
        begun = (one.get("canary") or (words.get(one["adjust_id"]) or {}).get("canary")) or {}
        found.append(
            {
                **one,
                "waits": one["adjust_id"] == waiting,
                "approved_by": word["by"] if word and word["kind"] == APPROVAL else None,
                "declined_by": word["by"] if word and word["kind"] == REFUSAL else None,
                "approved_as": word["published"] if word else None,
                "canary": {**begun, **own[-1]} if own else one.get("canary"),
            }
        )
    runs = tried[-1].as_document() if tried and tried[-1].ended is None else None
    return {"schema": LIST_SCHEMA, "waiting": waiting, "canary": runs, "looks": found}
