"""From the inbox into the log: what was accepted becomes events through the one front door.

Calls of a source are written to a file as the source's archive would hold them, and ingested with
the layout of the Segment spec: cleaned, deduplicated against the whole log, quarantined with a
reason. The file goes when its unit is committed, then the calls leave the inbox. Killed in between,
the same calls make the same files again, and the log knows a file that it has.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
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
AT_ONCE: Final = 400_000
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
    parts: dict[str, _Part] = {}
    count, last = 0, 0
    try:
        for calls in _next(inbox, most):
            _add(parts, calls, work_dir)
            count, last = count + len(calls), calls[-1][0]
        if not count:
            return Drained()
        inbox.plan(last)
        rows = RowAccount()
        for source, part in parts.items():
            named = Collected(source, part.positions)
            rows += ingest(part.done(), replace(mapping, name=source, source=source), named).rows
    finally:
        for part in parts.values():
            part.file.unlink(missing_ok=True)
    inbox.drain(last)
    return Drained(count, rows)


def _next(inbox: Inbox, most: int) -> Iterator[list[tuple[int, Arrived]]]:
    """The calls that go now, some at a time; after a kill those that were on their way, no others.

    None of them is kept: so many objects are much to keep.
    """
    last, planned = inbox.drained(), inbox.planned()
    cut_off = False
    if planned > last:
        for calls in _parts(inbox, last, planned - last, math.inf):
            if some := [one for one in calls if one[0] <= planned]:
                cut_off = True
                yield some
    if not cut_off:  # also where they were erased meanwhile
        yield from _parts(inbox, last, most, _MOST_BYTES)


def _parts(
    inbox: Inbox, last: int, most: int, most_bytes: float
) -> Iterator[list[tuple[int, Arrived]]]:
    count = size = 0
    while count < most and size < most_bytes:
        calls = inbox.after(last, min(_READ, most - count))
        if not calls:
            return
        yield calls
        count, last = count + len(calls), calls[-1][0]
        size += sum(len(call.line) for _, call in calls)


@dataclass
class _Part:
    """Calls of one source on their way: the file that they are in, and where they were."""

    file: Path
    positions: array[int] = field(default_factory=lambda: array("q"))

    def add(self, calls: Sequence[tuple[int, Arrived]]) -> None:
        with told(self.file), self.file.open("ab" if self.positions else "wb") as out:
            out.write(_lines(calls))
        self.positions.extend(place for place, _ in calls)

    def done(self) -> Path:
        """The file under the name that it has whenever these calls are in it."""
        name = f"{_STEM}-{self.positions[0]:012d}-{self.positions[-1]:012d}.jsonl"
        self.file = self.file.replace(self.file.with_name(name))
        return self.file


def _add(parts: dict[str, _Part], calls: Sequence[tuple[int, Arrived]], work_dir: Path) -> None:
    """Put calls into the files of their sources."""
    by_source: dict[str, list[tuple[int, Arrived]]] = {}
    for one in calls:
        by_source.setdefault(one[1].source, []).append(one)
    work_dir.mkdir(parents=True, exist_ok=True)
    for source, some in by_source.items():
        if source not in parts:
            parts[source] = _Part(work_dir / f"{_STEM}-{len(parts)}.part")
        parts[source].add(some)


def written(file: Path, calls: Sequence[tuple[int, Arrived]]) -> None:
    """Write calls of a source as its archive would hold them.

    Raises:
        OSError: the file cannot be written.
    """
    file.write_bytes(_lines(calls))


def _lines(calls: Sequence[tuple[int, Arrived]]) -> bytes:
    return b"\n".join(_line(*call) for call in calls) + b"\n"


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
