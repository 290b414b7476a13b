"""Files on their way in: opened in order, the next one read while the one in hand is settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.events.reading import RawChunk, Source, open_source
from shoal.workflows import units
from shoal.workflows.ingest_errors import told
from shoal.workflows.pipeline import ahead
from shoal.workflows.statements import label

if TYPE_CHECKING:
    from shoal.events.clean import Cleaned
    from shoal.events.mapping import SourceMapping

#: What cleans a chunk of a file.
Clean = Callable[[RawChunk, "SourceMapping", str], "Cleaned"]


@dataclass
class Arrival:
    """A file, or the parts of one export, opened.

    Args:
        path: what a person calls it.
        mapping: how to read it.
        sources: its parts.
        name: of the unit that it is to be.
    """

    path: Path
    mapping: SourceMapping
    sources: tuple[Source, ...]
    name: str
    _running: ExitStack = field(default_factory=ExitStack, repr=False)
    _ready: Iterator[tuple[Cleaned, int]] | None = field(default=None, repr=False)

    @property
    def size_bytes(self) -> int:
        return sum(source.size_bytes for source in self.sources)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all parts."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.columns))

    def start(self, clean: Clean) -> None:
        """Begin to read and clean, each in a thread; both wait when they are a little ahead."""
        if self._ready is None:
            raw = self._running.enter_context(ahead(self._raw()))
            cleaned = ((clean(chunk, self.mapping, str(part)), grown) for part, chunk, grown in raw)
            self._ready = self._running.enter_context(ahead(cleaned, depth=1))

    def chunks(self, clean: Clean) -> Iterator[tuple[Cleaned, int]]:
        """Each cleaned chunk, and how many more bytes of the file have been read with it."""
        self.start(clean)
        assert self._ready is not None
        yield from self._ready

    def close(self) -> None:
        """Stop what is running."""
        self._running.close()

    def _raw(self) -> Iterator[tuple[Path, RawChunk, int]]:
        for source in self.sources:
            seen = 0
            for chunk in source.chunks():
                yield source.path, chunk, chunk.bytes_read - seen
                seen = chunk.bytes_read


class Arrivals:
    """The files of a call, in order.

    Args:
        files: each the parts of one unit.
        mapping: how to read them, or what chooses that for each source.
        clean: cleans a chunk; called in one thread at a time.
        known: whether the shop has the unit of that name, so that nothing of it need be read.
    """

    def __init__(
        self,
        files: Sequence[tuple[Path, ...]],
        mapping: SourceMapping | Callable[[Source], SourceMapping],
        clean: Clean,
        known: Callable[[str], bool],
    ) -> None:
        self._files = files
        self._mapping = mapping
        self._clean = clean
        self._known = known
        self._taken = 0
        self._next: Arrival | Exception | None = None
        self._current: Arrival | None = None

    def take(self) -> Arrival:
        """The next file; what went wrong when it was opened is raised here."""
        found = self._next or self._opened()
        self._taken += 1
        self._next = None
        if isinstance(found, Exception):
            raise found
        self._current = found
        return found

    def read_ahead(self) -> None:
        """Open the file after the one taken last and begin to read it, unless the shop has it."""
        if self._next is not None or self._taken >= len(self._files):
            return
        self._next = found = self._opened()
        if isinstance(found, Exception) or self._known(found.name):
            return
        # The same content twice: known as soon as the one in hand is in.
        if self._current is None or found.name != self._current.name:
            found.start(self._clean)

    def close(self) -> None:
        """Stop what is running."""
        for one in (self._current, self._next):
            if isinstance(one, Arrival):
                one.close()

    def _opened(self) -> Arrival | Exception:
        parts = self._files[self._taken]
        path = label(parts)
        try:
            with told(path):
                given = self._mapping
                mapping = given(open_source(parts[0])) if callable(given) else given
                sources = tuple(open_source(part, mapping) for part in parts)
                return Arrival(path, mapping, sources, units.name_of(parts, mapping.fingerprint))
        except Exception as error:  # told when its turn comes, whatever it is
            return error
