"""Add the rows of a run to figures that were published by another one.

A run of a few peers takes its place beside those of the others, if both speak of the same data by
the same protocol. The page says which rows came later, when and by which command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness.results import machine_line
from bench.harness.run import say

#: Key of a document's list of runs that added rows.
ADDED = "added"


class MergeError(Exception):
    """The rows cannot stand beside one another; the message says why."""


def or_told(bench: Callable[[], int]) -> int:
    """What a bench ends with; 1, and why on stderr, where its rows cannot stand beside others."""
    try:
        return bench()
    except MergeError as error:
        say(str(error))
        return 1


def published(out: Path, name: str) -> dict[str, Any]:
    """The document that rows are added to.

    Raises:
        MergeError: there is none.
    """
    file = out / f"{name}.json"
    if not file.exists():
        raise MergeError(f"there is no {file} to add rows to: run without --merge first")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def same(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> None:
    """Hold that two documents agree about what decides the figures.

    Raises:
        MergeError: they do not.
    """
    for name in names:
        before, now = (json.loads(json.dumps(one.get(name))) for one in (old, new))
        if before != now:
            raise MergeError(f"{name} of the published figures: {before}; of this run: {now}")


def rows(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], digest: str
) -> list[Mapping[str, Any]]:
    """The old rows with those of the new run in their place, or after them.

    Args:
        digest: key of the data's digest, which has to be the same for the same label.

    Raises:
        MergeError: other data under the same label.
    """
    known = {row["label"]: row[digest] for row in old if digest in row}
    for row in new:
        if digest in row and row[digest] != known.get(row["label"], row[digest]):
            raise MergeError(f"{row['label']} was made of other data when it was published")
    placed = {(row["peer"], row["label"]): row for row in new}
    kept = [placed.pop((row["peer"], row["label"]), row) for row in old]
    return kept + list(placed.values())


def noted(
    old: Mapping[str, Any], new: Mapping[str, Any], peers: Sequence[str]
) -> list[dict[str, Any]]:
    """The list of runs that added rows, with this one; a run is forgotten once others have all of
    its peers."""
    from shoal.domain.time import iso, system_clock

    before = [
        {**one, "peers": [peer for peer in one["peers"] if peer not in peers]}
        for one in old.get(ADDED, [])
    ]
    told = {
        "command": new["command"], "at": iso(system_clock()), "machine": new["machine"],
        "peers": list(peers),
    }  # fmt: skip
    return [*(one for one in before if one["peers"]), told]


def note(document: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """A paragraph on rows that were added; empty where none was."""
    told = [
        f"`{one['command']}` on {one['at'][:10]} (load {one['machine'].get('load', 0)}; "
        f"{machine_line(one['machine']).rstrip('.')}): "
        + "; ".join(titles.get(peer, peer) for peer in one["peers"])
        + "."
        for one in document.get(ADDED, [])
    ]
    return "Rows that were added later, by the same protocol: " + " ".join(told) if told else ""
