"""What was noticed within a period and what was done about it, from the documents of looks.

Each look of the adjuster is an artefact; a shop that was never looked at has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from shoal.domain.time import parse_moment
from shoal.ports import Registry
from shoal.segments.wording import Described

KIND: Final = "adjustments"
_DOCUMENT: Final = "adjust.json"
#: Features of an alarm that are told in words.
_TOLD: Final = 3


def looks_between(
    registry: Registry, since: datetime, until: datetime, described: Mapping[str, Described]
) -> list[dict[str, Any]]:
    """Looks with a moment after `since` and up to `until`, oldest first.

    Each has `look`, `moment`, `alarms` (as `shoal.adjust.adjustment.Alarm` writes them, with
    `words` for what they are told of), `adjustments`, `published`, `waiting` and `blocked`.
    """
    return [
        {
            "look": name,
            "moment": document["as_of"],
            "alarms": [_alarm(one, described) for one in document.get("alarms") or ()],
            "adjustments": list(document.get("adjustments") or ()),
            "published": document.get("published"),
            "waiting": document.get("waiting"),
            "blocked": list(document.get("blocked") or ()),
        }
        for name, document in _documents(registry)
        if since < parse_moment(document["as_of"]) <= until
    ]


def _documents(registry: Registry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Documents of looks as they lie there; what cannot be read is told by `shoal adjustments`."""
    for name in registry.list(KIND):
        path = registry.directory(KIND, name) / _DOCUMENT
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and "as_of" in document:
            yield name, document


def _alarm(one: Mapping[str, Any], described: Mapping[str, Described]) -> dict[str, Any]:
    """An alarm with the words of what it is told of and of its features."""
    features = list(one.get("features") or ())[:_TOLD]
    return {
        **one,
        "words": _words(str(one.get("what", "")), described),
        "feature_words": [_words(name, described) for name in features],
    }


def _words(name: str, described: Mapping[str, Described]) -> dict[str, str]:
    if name in described:
        return described[name].text.as_document()
    return {"en": name, "zh": name}
