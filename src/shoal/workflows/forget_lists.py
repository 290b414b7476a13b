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
from shoal.workflows.forget_files import held, without

#: Pages of the shop's own; a verb makes them again.
_PAGE: Final = ".html"
#: Kind of a file that tells all of one person; fingerprints of the person's ids follow, by commas.
PERSON: Final = "person:"
#: Says in a request's journal that its lists are being cleaned.
CLEANING: Final = "cleaning"
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
            goes = one.theirs or one.path.suffix == _PAGE
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
            elif one.path.suffix != _PAGE:
                without(one.path, self.ids)
            elif held(one.path, self.ids):
                if not one.own:
                    return "names the person: make it anew, or remove it"
                one.path.unlink()
        except FileNotFoundError:
            done = done or (one.own and one.path.suffix == _PAGE)
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
        inside = [*self.directory.glob("*.html")]
        if self.exports.is_dir():
            inside += [path for path in self.exports.rglob("*") if path.is_file()]
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
