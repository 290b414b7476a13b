"""One file of JSON Lines that grows: read on from where it was, however often it is begun again.

Where a file is read up to (`Place`) is kept after its lines are in the inbox, not with them. Killed
in between, lines are read twice, and are the same calls: by their `messageId`, or by an id that
follows from the file, the place in it and their text.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from shoal.domain.time import Clock
from shoal.events.collected import BodyError
from shoal.events.lines import GZIP, Expanding, Lines
from shoal.workflows.importing import Group

if TYPE_CHECKING:
    from shoal.events.private_calls import PrivateCalls

#: Bytes at the beginning of a file by which it is known again.
HEAD: Final = 4096
_PIECE: Final = 1 << 18
#: A compressed file may become so large; it is never held.
_MOST: Final = 1 << 50


@dataclass(frozen=True)
class Place:
    """Up to where a file is in the inbox.

    Args:
        path: under which it was met first; part of the ids that its lines are given.
        generation: how many files stood at that path before it, emptied ones included.
        device, inode: by which the system knows it, whatever it is called.
        end: bytes of its text up to the end of the last line that is in.
        lines: lines up to there.
        head, head_bytes: a digest of its beginning, and of how much of it.
        whole: size of a compressed file that is in to its end; 0: it is not, or not compressed.
    """

    path: str
    generation: int
    device: int
    inode: int
    end: int = 0
    lines: int = 0
    head: str = ""
    head_bytes: int = 0
    whole: int = 0

    @property
    def key(self) -> str:
        """By which it is kept."""
        return f"{self.device}:{self.inode}"

    def as_text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Place:
        found: dict[str, Any] = json.loads(text)
        return cls(**found)


class FollowedFile:
    """A file that is open.

    Args:
        path: where it is now.
        place: up to where it is in.
        longest: bytes that a line may have.
        private: hides ids and what is personal; None: nothing is hidden.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(
        self,
        path: Path,
        place: Place,
        longest: int,
        clock: Clock,
        private: PrivateCalls | None = None,
    ) -> None:
        self.path, self.place = path, place
        self._private = private
        self._longest, self._clock = longest, clock
        self._handle: BinaryIO = path.open("rb")
        self._seen: tuple[int, int] | None = None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._handle.close()

    def again(self) -> None:
        """Read on from what is in: groups that were made since then are not."""
        self._begin()

    @property
    def behind_bytes(self) -> int:
        """Bytes of the file that were not read yet."""
        return max(os.fstat(self._handle.fileno()).st_size - self._raw, 0)

    def changed(self) -> bool:
        """Whether it was written to since this was asked last."""
        found = os.fstat(self._handle.fileno())
        seen, self._seen = self._seen, (found.st_size, found.st_mtime_ns)
        return seen != self._seen

    def goes_on(self) -> bool:
        """Whether it is still the file of its place: not emptied, nor written anew."""
        if os.fstat(self._handle.fileno()).st_size < self._raw:
            return False
        return _head(self._handle, self.place.head_bytes) == self.place.head

    def anew(self, place: Place) -> None:
        """Read it from its beginning, as another file."""
        self.place = place
        self._begin()

    def groups(self, *, last: bool = False) -> Iterator[Group]:
        """Calls of the lines that came; each group counts once it is `taken`.

        Args:
            last: nothing comes any more, so that a line without an end is one as well.

        Raises:
            OSError: it cannot be read.
            BodyError: `bad_encoding`, it is compressed and damaged.
        """
        if not self._raw:  # an empty file does not say yet whether it is compressed
            self._begin()
        group = Group(self._clock(), private=self._private)
        while piece := self._handle.read(_PIECE):
            self._raw += len(piece)
            for part in self._text(piece):
                for line in self._lines.feed(part):
                    group.add(line, self._named(line.start))
                    if group.full:
                        yield group
                        group = Group(self._clock(), private=self._private)
        if (last or self._ended()) and (rest := self._lines.rest()) is not None:
            group.add(rest, self._named(rest.start))
        if group.end:
            yield group

    def taken(self, group: Group) -> Place:
        """The group is in the inbox: up to where the file is in now."""
        place = replace(self.place, end=group.end, lines=group.last)
        if place.head_bytes < HEAD:
            size = min(self._raw if self._expanding else group.end, HEAD)
            place = replace(place, head=_head(self._handle, size), head_bytes=size)
        if self._ended() and group.end == self._lines.read:
            place = replace(place, whole=self._raw)
        self.place = place
        return place

    # -- how it is read ----------------------------------------------------------------------------

    def _begin(self) -> None:
        place = self.place
        self._lines = Lines(self._longest, start=place.end, number=place.lines)
        self._handle.seek(0)
        compressed = self._handle.read(len(GZIP)) == GZIP
        self._expanding = Expanding(_MOST) if compressed else None
        self._skip = place.end if compressed else 0
        self._raw = 0 if compressed else place.end
        if compressed and place.whole == os.fstat(self._handle.fileno()).st_size:
            self._raw, self._skip = place.whole, 0  # all of it is in
        self._handle.seek(self._raw)

    def _text(self, piece: bytes) -> Iterator[bytes]:
        """What a piece of the file says behind what is in already."""
        if self._expanding is None:
            yield piece
            return
        for part in self._expanding.feed(piece):
            known = min(self._skip, len(part))
            self._skip -= known
            yield part[known:]

    def _ended(self) -> bool:
        """Whether it is compressed and there to its end."""
        if self._expanding is None or not self._raw:
            return False
        try:
            self._expanding.finish()
        except BodyError:
            return False
        return True

    def _named(self, start: int) -> str:
        return f"{self.place.path}\n{self.place.generation}\n{start}"


def place_of(path: Path, found: os.stat_result, generation: int) -> Place:
    """The beginning of a file that was not met before."""
    return Place(str(path), generation, found.st_dev, found.st_ino)


def _head(handle: BinaryIO, size: int) -> str:
    """A digest of the first bytes of a file; empty: of none."""
    if not size:
        return ""
    return hashlib.sha256(os.pread(handle.fileno(), size, 0)).hexdigest()[:32]
