"""Files that list customers and that the shop knows of: its exports, reports, and files outside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.ports import ErasureStore
from shoal.workflows.forget_files import ASIDE, READABLE, held, without

#: Pages of the shop's own; a verb makes them again.
_PAGE: Final = ".html"
#: Kind of a file that tells all of one person; fingerprints of the person's ids follow, by commas.
PERSON: Final = "person:"
#: Says in a request's journal that its lists are being cleaned.
CLEANING: Final = "cleaning"
#: Queries that `shoal export --format sql` wrote: they name nobody.
_QUERY: Final = ".sql"
_YOURS: Final = "if the file names the person, remove the person there"
_UNREADABLE: Final = (OSError, ValueError, pa.ArrowException)


def cleanings(erasures: ErasureStore) -> int:
    """How many erasures, since the shop was made, have come to their lists.

    A list that was begun before one and written after it may name persons of whom nothing is left.
    """
    begun = sum(bool(document.get(CLEANING)) for _, document in erasures.pending())
    return len(erasures.receipts()) + begun


@dataclass(frozen=True)
class _List:
    """A file, whether it lies in the shop, and whether it is all about one of the persons."""

    path: Path
    own: bool
    theirs: bool = False

    @property
    def kind(self) -> str:
        """The ending, in small letters."""
        return self.path.suffix.lower()

    @property
    def page(self) -> bool:
        return self.kind == _PAGE


@dataclass(frozen=True)
class Lists:
    """The lists of a shop, for the ids of persons who go.

    Args:
        directory: the shop's.
        exports: its directory of exports.
        outside: (path, kind, moment) of files written elsewhere, and of what `shoal person` wrote.
        ids: of the persons.
        stones: fingerprints of ids of which a file that tells all of one is theirs.
    """

    directory: Path
    exports: Path
    outside: Sequence[tuple[str, str, datetime]]
    ids: frozenset[str]
    stones: frozenset[str] = frozenset()

    def planned(self) -> list[dict[str, Any]]:
        """What will become of each file that names one of the ids."""
        found = []
        for one in self._lists():
            entries = self._held(one)
            goes = one.theirs or one.page
            if entries and (one.own or one.theirs or not goes):
                what = "removed" if goes else "written anew"
                found.append({"file": self._said(one.path), "entries": entries, "what": what})
        return found

    def clean(self, planned: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, str]]:
        """Take the ids out of every file; those that only a person can clean, and why.

        Args:
            planned: what `planned` gave; what was removed then is no longer missed.
        """
        done = {one["file"] for one in planned}
        for path in self.exports.rglob(f".*{ASIDE}"):  # a kill left it, and the file is done again
            path.unlink(missing_ok=True)
        left = []
        for one in self._lists():
            said = self._said(one.path)
            why = self._cleaned(one, said in done)
            if why:
                left.append({"file": said, "why": why})
        return left

    def names_them(self) -> list[str]:
        """Remembered paths that are about the persons, or hold one of the ids as text."""
        return [
            path
            for path, kind, _ in self.outside
            if self._theirs(kind) or self._said(Path(path)) != str(Path(path))
        ]

    def _cleaned(self, one: _List, done: bool) -> str:
        try:
            if one.theirs:
                one.path.unlink()
            elif one.kind not in READABLE:
                one.path.stat()
                return f"no {one.kind or 'file without ending'} can be looked through: {_YOURS}"
            elif not one.page:
                without(one.path, self.ids)
            elif held(one.path, self.ids):
                if not one.own:
                    return "names the person: make it anew, or remove it"
                one.path.unlink()
        except FileNotFoundError:
            done = done or (one.own and one.page)
            return "" if done else "not there any more: where it was moved to, remove the person"
        except _UNREADABLE as error:
            return f"cannot be read or written ({type(error).__name__}): remove the person there"
        return ""

    def _held(self, one: _List) -> int:
        if one.theirs:
            return int(one.path.is_file())
        try:
            return held(one.path, self.ids)
        except _UNREADABLE:
            return 0

    def _lists(self) -> Iterator[_List]:
        told = {Path(path): kind for path, kind, _ in self.outside}
        inside = [path for path in self.directory.glob("*") if path.suffix.lower() == _PAGE]
        if self.exports.is_dir():
            inside += [path for path in self.exports.rglob("*") if _listing(path)]
        for path in sorted(path for path in inside if path.resolve() not in told):
            yield _List(path, True)
        home = self.directory.resolve()
        for path, kind in told.items():
            theirs, own = self._theirs(kind), path.is_relative_to(home)
            if theirs or not kind.startswith(PERSON):
                yield _List(path, own, theirs)

    def _theirs(self, kind: str) -> bool:
        if not kind.startswith(PERSON):
            return False
        return not self.stones.isdisjoint(kind.removeprefix(PERSON).split(","))

    def _said(self, path: Path) -> str:
        """The path, for a receipt: without the ids, should a name hold one."""
        text = str(path)
        for name in sorted(self.ids, key=len, reverse=True):
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "[id]", text)
        return text


def _listing(path: Path) -> bool:
    """Whether a file among the exports may list customers: not a query, nor a system's own file."""
    kind = path.suffix.lower()
    return path.is_file() and kind != _QUERY and (kind in READABLE or path.name[0] != ".")
