"""What was noticed within a period and what was done about it, from the documents of looks.

A shop that was never looked at has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shoal.domain.time import parse_moment
from shoal.ports import Registry, StateStore
from shoal.segments.wording import Described
from shoal.workflows.adjust_result import adjustments

#: Features of an alarm that are told in words.
_TOLD: Final = 3


def looks_between(
    store: StateStore,
    registry: Registry,
    since: datetime,
    until: datetime,
    described: Mapping[str, Described],
) -> list[dict[str, Any]]:
    """Looks with a moment after `since` and up to `until`, oldest first.

    Each has `look`, `moment`, `alarms` (as `shoal.adjust.adjustment.Alarm` writes them, with
    `words` for what they are told of, null where the name is not of a feature), `adjustments`,
    `published`, `waits` for a person, `approved_by`, `declined_by`, `dropped`, `notes` and
    `canary`: what was tried on some customers, what this look made of it, and how it ended.
    """
    return [
        {
            "look": one["adjust_id"],
            "moment": one["as_of"],
            "alarms": [_alarm(alarm, described) for alarm in one["alarms"]],
            "adjustments": list(one["adjustments"]),
            "published": one["published"],
            "waits": one["waits"],
            "approved_by": one["approved_by"],
            "declined_by": one["declined_by"],
            "dropped": list(one["dropped"]),
            "notes": list(one["notes"]),
            "canary": one.get("canary"),
        }
        for one in adjustments(store=store, registry=registry)["looks"]
        if "as_of" in one and since < parse_moment(one["as_of"]) <= until
    ]


def _alarm(one: Mapping[str, Any], described: Mapping[str, Described]) -> dict[str, Any]:
    """An alarm with the words of what it is told of and of its features."""
    features = [name for name in one["features"] if name != one["what"] and name in described]
    words = described.get(one["what"])
    return {
        **one,
        "words": None if words is None else words.text.as_document(),
        "feature_words": [described[name].text.as_document() for name in features[:_TOLD]],
    }
