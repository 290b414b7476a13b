"""From the inbox into the log: what was accepted becomes events through the one front door.

Calls of a source are written to a file as the source's archive would hold them, and ingested with
the layout of the Segment spec: cleaned, deduplicated against the whole log, quarantined with a
reason. The file goes when its unit is committed, then the calls leave the inbox. Killed in between,
the same calls make the same files again, and the log knows a file that it has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from shoal.domain.account import RowAccount
from shoal.events.mapping import SourceMapping
from shoal.events.shapes.segment_spec import refused
from shoal.ports import Arrived, Inbox
from shoal.workflows.collected_rows import Collected
from shoal.workflows.collecting import GIVEN
from shoal.workflows.ingest_errors import told
from shoal.workflows.ingest_result import IngestResult

#: Calls that are ingested at once: what states cost is for each customer, however many calls are
#: of one.
AT_ONCE: Final = 250_000
#: Calls that are read from the inbox at once, and bytes of calls after which no more are read.
_READ: Final = 20_000
_MOST_BYTES: Final = 192 << 20
_STEM: Final = "inbox"

#: Ingests a file of calls with a mapping.
Ingest = Callable[[Path, SourceMapping, Collected], IngestResult]


@dataclass(frozen=True)
class Drained:
    """What one draining brought into the log.

    Args:
        calls: that left the inbox.
        rows: of all sources, as the front door counts them: a call may make several.
    """

    calls: int = 0
    rows: RowAccount = field(default_factory=RowAccount)


def drain(
    inbox: Inbox, ingest: Ingest, mapping: SourceMapping, work_dir: Path, *, most: int = AT_ONCE
) -> Drained:
    """Bring calls that wait into the log, `most` of them at most.

    Args:
        mapping: of the Segment spec; events are of the source that sent them.
        work_dir: where files lie for as long as they are ingested.

    Raises:
        OperationError: as `ingest`; the calls stay in the inbox.
    """
    waiting = _next(inbox, most)
    if not waiting:
        return Drained()
    work_dir.mkdir(parents=True, exist_ok=True)
    by_source: dict[str, list[tuple[int, Arrived]]] = {}
    for place, call in waiting:
        by_source.setdefault(call.source, []).append((place, call))
    rows, count, last = RowAccount(), len(waiting), waiting[-1][0]
    waiting.clear()
    for source, calls in by_source.items():
        file = work_dir / f"{_STEM}-{calls[0][0]:012d}-{calls[-1][0]:012d}.jsonl"
        named = Collected(source, [place for place, _ in calls])
        try:
            with told(file):
                written(file, calls)
            calls.clear()  # they are in the file: so many objects are much to keep
            found = ingest(file, replace(mapping, name=source, source=source), named)
        finally:
            file.unlink(missing_ok=True)
        rows += found.rows
    inbox.drain(last)
    return Drained(count, rows)


def _next(inbox: Inbox, most: int) -> list[tuple[int, Arrived]]:
    """The calls that go now: after a kill those that were on their way, and no others."""
    drained, planned = inbox.drained(), inbox.planned()
    if planned > drained:
        waiting = inbox.after(drained, planned - drained)
        if waiting := [one for one in waiting if one[0] <= planned]:
            return waiting
    waiting, size = list[tuple[int, Arrived]](), 0
    while len(waiting) < most and size < _MOST_BYTES:
        last = waiting[-1][0] if waiting else drained
        part = inbox.after(last, min(_READ, most - len(waiting)))
        if not part:
            break
        waiting += part
        size += sum(len(call.line) for _, call in part)
    if waiting:
        inbox.plan(waiting[-1][0])
    return waiting


def written(file: Path, calls: Sequence[tuple[int, Arrived]]) -> None:
    """Write calls of a source as its archive would hold them.

    Raises:
        OSError: the file cannot be written.
    """
    file.write_bytes(b"\n".join(_line(*call) for call in calls) + b"\n")


def _line(position: int, call: Arrived) -> bytes:
    """A call as a line of its source's archive."""
    if call.fault is not None:
        code, _, words = call.fault.partition(": ")
        # With its position, so that two of the same words are two.
        kept = refused(code, words, call.line.decode("ascii", "replace"))
        return json.dumps({**kept, "position": position}, separators=(",", ":")).encode()
    if call.message_id is None or not call.message_id.startswith(GIVEN):
        return call.line
    named = {**json.loads(call.line), "messageId": call.message_id}
    return json.dumps(named, ensure_ascii=False, separators=(",", ":")).encode()
