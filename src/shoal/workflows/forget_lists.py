"""Files that list customers and that the shop knows of: its exports, reports, and files outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shoal.workflows.forget_files import held, without

#: Pages of the shop's own; a verb makes them again.
_PAGE: Final = ".html"
_UNREADABLE: Final = (OSError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class Lists:
    """The lists of a shop, for the ids of persons who go.

    Args:
        directory: the shop's.
        exports: its directory of exports.
        outside: (path, kind, moment) of files written elsewhere.
        ids: of the persons.
    """

    directory: Path
    exports: Path
    outside: Sequence[tuple[str, str, datetime]]
    ids: frozenset[str]

    def planned(self) -> list[dict[str, Any]]:
        """What will become of each file that names one of the ids."""
        found = []
        for path, own in self._paths():
            entries = self._held(path, own)
            if entries and (own or path.suffix != _PAGE):
                what = "removed" if path.suffix == _PAGE else "written anew"
                found.append({"file": self._said(path), "entries": entries, "what": what})
        return found

    def clean(self) -> list[dict[str, str]]:
        """Take the ids out of every file; those that only a person can clean, and why.

        Raises:
            OSError, ValueError: a file of the shop's own cannot be read or written.
        """
        left = []
        for path, own in self._paths():
            why = self._cleaned(path, own)
            if why:
                left.append({"file": self._said(path), "why": why})
        return left

    def _cleaned(self, path: Path, own: bool) -> str:
        try:
            if path.suffix != _PAGE:
                without(path, self.ids)
            elif held(path, self.ids):
                if not own:
                    return "names the person: make it anew, or remove it"
                path.unlink()
        except FileNotFoundError:
            return "not there any more: where it was moved to, remove the person"
        except _UNREADABLE as error:
            if own:
                raise
            return f"cannot be read or written ({type(error).__name__}): remove the person there"
        return ""

    def _held(self, path: Path, own: bool) -> int:
        try:
            return held(path, self.ids)
        except FileNotFoundError:
            return 0
        except _UNREADABLE:
            if own:
                raise
            return 0

    def _paths(self) -> Iterator[tuple[Path, bool]]:
        """Each file, and whether it lies in the shop."""
        inside = [*self.directory.glob("*.html")]
        if self.exports.is_dir():
            inside += [path for path in self.exports.rglob("*") if path.is_file()]
        for path in sorted(inside):
            yield path, True
        for name, _, _ in self.outside:
            yield Path(name), False

    def _said(self, path: Path) -> str:
        """The path, for a receipt: without the ids, should a name hold one."""
        text = str(path)
        for name in sorted(self.ids, key=len, reverse=True):
            if len(name) > 2:
                text = text.replace(name, "[id]")
        return text
