"""Calls by the line: JSON Lines from a body or a file, judged as collection judges them.

A line is what a request of collection has as its body: a call, or a batch of calls. A call without
a `messageId` is given one that follows from its text and its place, so that the same lines, sent
again after a connection broke or read again after a process was killed, are the same calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.time import Clock, system_clock
from shoal.events.collected import MAX_CALL, BodyError, Envelope, Judged, judge, opened
from shoal.events.lines import Expanding, Line, Lines
from shoal.events.reasons import REASONS
from shoal.workflows.collecting import GIVEN

if TYPE_CHECKING:
    from shoal.events.private_calls import PrivateCalls

#: Calls, and bytes of lines, that are handed on together.
_GROUP: Final = 1_000
_GROUP_BYTES: Final = 1 << 20
#: Bad lines that are named in an answer.
NAMED: Final = 20


@dataclass
class Group:
    """Calls that are handed on together.

    Args:
        received_at: when they were read.
        lines: of each call the line that it stood in.
        end, last: bytes and lines of the text up to the end of its last line.
        private: hides ids and what is personal; None: nothing is hidden.
    """

    received_at: datetime
    judged: list[Judged] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    size: int = 0
    end: int = 0
    last: int = 0
    private: PrivateCalls | None = None

    @property
    def full(self) -> bool:
        return len(self.judged) >= _GROUP or self.size >= _GROUP_BYTES

    def add(self, line: Line, place: str) -> None:
        """Judge the calls of a line; a blank line has none.

        Args:
            place: of the line, the same whenever it is read.
        """
        self.end, self.last = line.end, line.number
        self.size += len(line.content)
        found = judged_line(line, self.received_at, self.private)
        for number, one in enumerate(found):
            self.judged.append(_named(one, line, f"{place}.{number}", self.private))
            self.lines.append(line)


class Import:
    """One body of JSON Lines, plain or gzip, in pieces as they come.

    Args:
        most: bytes that it may have once it is expanded.
        longest: bytes that a line may have.
        private: hides ids and what is personal; None: nothing is hidden.
    """

    def __init__(
        self,
        most: int,
        longest: int,
        clock: Clock = system_clock,
        private: PrivateCalls | None = None,
    ) -> None:
        self._private = private
        self._expanding = Expanding(most)
        self._lines = Lines(longest)
        self._clock = clock
        self._group = Group(clock(), private=private)

    def feed(self, piece: bytes) -> Iterator[Group]:
        """The groups that are full with the next piece, one after the other.

        Raises:
            BodyError: `too_large`, `bad_encoding`; lines before it are in groups (`rest`).
        """
        for part in self._expanding.feed(piece):
            yield from self._cut(part)

    def finish(self) -> Iterator[Group]:
        """What is left when the body is at its end.

        Raises:
            BodyError: `bad_encoding`, it was cut off.
        """
        yield from self._cut(self._expanding.finish())
        if (last := self._lines.rest()) is not None:
            self._group.add(last, str(last.number))
        yield from self.rest()

    def rest(self) -> Iterator[Group]:
        """Whole lines that no group holds yet."""
        if self._group.judged:
            yield self._group
        self._group = Group(self._clock(), private=self._private)

    def _cut(self, part: bytes) -> Iterator[Group]:
        for line in self._lines.feed(part):
            self._group.add(line, str(line.number))
            if self._group.full:
                yield from self.rest()


@dataclass
class Imported:
    """What became of calls; received = stored + duplicates + quarantined."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    bad_lines: list[dict[str, Any]] = field(default_factory=list)

    def count(self, group: Group, new: Sequence[bool]) -> None:
        """Add a group that is on disk; of each call whether it is new."""
        self.received += len(new)
        for one, line, fresh in zip(group.judged, group.lines, new, strict=True):
            if one.fault is None:
                self.stored += fresh
                self.duplicates += not fresh
                continue
            self.quarantined += 1
            if len(self.bad_lines) < NAMED:
                code, words = one.fault
                self.bad_lines.append({"line": line.number, "code": code, "message": words})

    def as_document(self) -> dict[str, Any]:
        """The answer to the client."""
        return {
            "received": self.received, "stored": self.stored, "duplicates": self.duplicates,
            "quarantined": self.quarantined, "bad_lines": self.bad_lines,
        }  # fmt: skip


def judged_line(
    line: Line, received_at: datetime, private: PrivateCalls | None = None
) -> list[Judged]:
    """The calls of a line; none where it is blank, one with a fault where it cannot be read."""
    found = _read(line)
    if isinstance(found, Envelope):
        sound = judge if private is None else private.judge
        return [sound(call, found.sent_at, received_at) for call in found.calls]
    return found if private is None else [private.refused(one) for one in found]


def _read(line: Line) -> Envelope | list[Judged]:
    """What a line says; if nothing can be read, that it is refused, or nothing."""
    if line.too_long:
        words = f"{line.end - line.start:,} bytes; a line has fewer"
        return [Judged(None, _told(line.content), ("call_too_large", words))]
    if not line.content.strip():
        return []
    try:
        return opened(line.content)
    except BodyError as error:
        code = error.code if error.code in REASONS else "bad_call"
        return [Judged(None, _told(line.content), (code, error.message))]


def _named(one: Judged, line: Line, place: str, private: PrivateCalls | None) -> Judged:
    """A call under an id that it has whenever it comes.

    One that is refused does not take the id of its client: that is for the call once it is mended.
    """
    if one.message_id is not None and one.fault is None:
        return one
    if private is not None:
        told = private.digest(place, line.content)
    else:
        digest = hashlib.sha256(place.encode())
        digest.update(b"\n")
        digest.update(line.content)
        told = digest.hexdigest()
    return replace(one, message_id=f"{GIVEN}{told[:40]}")


def _told(content: bytes) -> bytes:
    """A line that cannot be read as one that can be kept: its beginning, in ASCII."""
    text = content.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    return text.encode("ascii", "backslashreplace")[:MAX_CALL]
