"""Lines of a text that comes in pieces: bounded, counted, and none before its end is there.

JSON Lines of any length are read in pieces, from a network or from a file that grows. A line that
is longer than it may be is told with its beginning alone and costs no more memory than that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shoal.events.collected import BodyError

#: What is kept of a line that is too long.
KEPT: Final = 1 << 16
#: Compressed text is expanded in pieces of that size.
_PIECE: Final = 1 << 18
GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text.

    Args:
        number: from 1.
        start: bytes of the text before it.
        end: bytes of the text up to the next line.
        content: without its end; of one that is too long its beginning.
        too_long: whether it is longer than it may be.
    """

    number: int
    start: int
    end: int
    content: bytes
    too_long: bool = False


class Lines:
    """Cuts pieces of a text into lines.

    Args:
        most: bytes that a line may have.
        start, number: where the text begins in a longer one: bytes and lines before it.

    >>> lines = Lines(8)
    >>> [line.content for line in lines.feed(b"one\\ntw")]
    [b'one']
    >>> [(line.content, line.start, line.too_long) for line in lines.feed(b"o\\n0123456789\\nx")]
    [(b'two', 4, False), (b'0123456789', 8, True)]
    >>> lines.rest()
    Line(number=4, start=19, end=20, content=b'x', too_long=False)
    """

    def __init__(self, most: int, *, start: int = 0, number: int = 0) -> None:
        self._most = most
        self._number = number
        #: Where the line begins of which the end is not there yet, and how far its text was read.
        self.start = self.read = start
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that end in the next piece."""
        at = 0
        while (end := piece.find(b"\n", at)) >= 0:
            self._hold(piece[at:end])
            self.read += 1
            yield self._line()
            at = end + 1
        self._hold(piece[at:])

    def rest(self) -> Line | None:
        """The last line, which nothing ends; None: there is none."""
        return self._line() if self.read > self.start else None

    def _hold(self, part: bytes) -> None:
        self.read += len(part)
        self._size += len(part)
        if self._size <= self._most:
            self._held.append(part)
        elif sum(map(len, self._held)) < KEPT:
            self._held.append(part[:KEPT])

    def _line(self) -> Line:
        too_long = self._size > self._most
        content = b"".join(self._held)
        content = content[:KEPT] if too_long else content.removesuffix(b"\r")
        self._number += 1
        found = Line(self._number, self.start, self.read, content, too_long)
        self._held, self._size, self.start = [], 0, self.read
        return found


class Expanding:
    """A text that may have been compressed, as it was before; gzip is told by its first bytes.

    Args:
        most: bytes that it may have once it is expanded.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._begun = b""
        self._unpacker: zlib._Decompress | None = None
        self._plain: bool | None = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The next of the text, in pieces of a bounded size.

        Raises:
            BodyError: `too_large`, `bad_encoding`.
        """
        if self._plain is None:
            self._begun += piece
            if len(self._begun) < len(GZIP):
                return
            piece, self._begun = self._begun, b""
            self._plain = not piece.startswith(GZIP)
        yield from self._counted(iter([piece]) if self._plain else self._unpacked(piece))

    def finish(self) -> bytes:
        """What a text of one byte has; most have nothing more.

        Raises:
            BodyError: `bad_encoding`, it was cut off.
        """
        if self._unpacker is not None and not self._unpacker.eof:
            raise BodyError("bad_encoding", "The gzip body ends before its end: it was cut off.")
        return self._begun

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._size += len(piece)
            if self._size > self._most:
                raise BodyError(
                    "too_large",
                    f"The body is larger than {self._most:,} bytes once it is expanded. Send it "
                    "in parts.",
                )
            yield piece

    def _unpacked(self, piece: bytes) -> Iterator[bytes]:
        rest, full = piece, False
        try:
            while rest or full:
                if self._unpacker is None or self._unpacker.eof:
                    if not rest.strip(b"\0"):  # what fills up a block of a tape or a disk
                        return
                    self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
                found = self._unpacker.decompress(rest, _PIECE)
                yield found
                rest = self._unpacker.unconsumed_tail or self._unpacker.unused_data
                full = len(found) == _PIECE
        except zlib.error as error:
            raise BodyError(
                "bad_encoding", f"The body says that it is gzip and is not: {error}."
            ) from None
