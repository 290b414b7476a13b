"""A file or a directory of JSON Lines that is followed, through rotation and restarts.

As `tail -F` does it: a file that is moved away is read to its end while its successor is begun, one
that is emptied is begun anew, one that is not there is waited for. Of a directory the files of
their known names are followed, in their order.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.access import checked_source
from shoal.domain.errors import UsageError
from shoal.domain.time import Clock, system_clock
from shoal.events.collected import BodyError
from shoal.workflows.followed_file import FollowedFile, Place, place_of
from shoal.workflows.importing import Group

if TYPE_CHECKING:
    from shoal.events.private_calls import PrivateCalls

#: Files of a directory that are followed.
NAMES: Final = re.compile(r"[^._].*\.(jsonl|ndjson|json)(\.gz)?", re.IGNORECASE)
_NAMED: Final = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})=(.+)", re.DOTALL)
#: Seconds for which a file that was moved away may still be written to.
GRACE_S: Final = 10.0

#: Calls, and the file that they were read from.
Read = tuple[FollowedFile, Group]


def followed(told: str) -> tuple[str, Path]:
    """The source and the path of `NAME=PATH`, or of a path whose name is the source's.

    Raises:
        UsageError: `usage`, the file's name is none that a source can have.

    >>> followed("web=logs/access.jsonl"), followed("logs/Shop Events.jsonl")[0]
    (('web', PosixPath('logs/access.jsonl')), 'shop-events')
    """
    if named := _NAMED.fullmatch(told):
        return named[1], Path(named[2])
    path = Path(told)
    stem = path.name.partition(".")[0].lower()
    name = re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:64]
    try:
        return checked_source(name), path
    except UsageError as error:
        raise UsageError(
            "usage", f"{told!r} gives no name for the source of what is followed", where=told,
            hint=f"Say it: --follow NAME={told or 'PATH'}.",
        ) from error  # fmt: skip


class Feed:
    """What is followed under one source.

    Args:
        source: of its calls.
        path: a file or a directory; it may come later.
        places: up to where its files were in when it was followed last, by `Place.key`.
        longest: bytes that a line may have.
        ticks: seconds that only ever go up.
        private: hides ids and what is personal; None: nothing is hidden.
    """

    def __init__(
        self,
        source: str,
        path: Path,
        places: Mapping[str, Place],
        *,
        longest: int,
        clock: Clock = system_clock,
        ticks: Callable[[], float] = time.monotonic,
        private: PrivateCalls | None = None,
    ) -> None:
        self.source, self.path = source, path.absolute()
        self._places = dict(places)
        self._longest, self._clock, self._ticks = longest, clock, ticks
        self._private = private
        self._open: dict[str, FollowedFile] = {}
        #: Since when a file that is open was no more where it is looked for, or grew last.
        self._gone: dict[str, tuple[float, int]] = {}
        #: Why files cannot be read, by path.
        self._faults: dict[str, tuple[str, str]] = {}
        self._begun = False

    def told(self) -> dict[str, Any]:
        """How it stands: `following`, `missing`, `unreadable` or `damaged`, and why."""
        behind = sum(file.behind_bytes for file in self._open.values())
        state, message = next(iter(self._faults.values()), ("following", ""))
        return {
            "source": self.source, "path": str(self.path), "state": state, "message": message,
            "files": len(self._open), "behind_bytes": behind,
        }  # fmt: skip

    def close(self) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def poll(self) -> Iterator[Read]:
        """What came since: groups of calls, each to be `taken` once it is in the inbox.

        What cannot be read is told (`told`), and tried again the next time.
        """
        there = self._there()
        if not self._begun:
            self._begun = True
            self._open_moved(there)
        # What was moved away comes before what took its place.
        for key in [key for key in self._open if key not in there]:
            yield from self._last_of(key)
        for key, (path, found) in there.items():
            self._gone.pop(key, None)
            if (file := self._file(key, path, found)) is not None:
                yield from self._of(file)

    def taken(self, file: FollowedFile, group: Group) -> Place:
        """The group is in the inbox; the place that is to be kept."""
        place = file.taken(group)
        self._places[place.key] = place
        return place

    # -- which files -------------------------------------------------------------------------------

    def _there(self) -> dict[str, tuple[Path, os.stat_result]]:
        """The files to follow, by key, in order of their names."""
        self._faults = {
            path: fault for path, fault in self._faults.items() if fault[0] == "damaged"
        }
        found: dict[str, tuple[Path, os.stat_result]] = {}
        with self._noted(self.path):
            paths = [self.path]
            if self.path.is_dir():
                paths = [one for one in sorted(self.path.iterdir()) if NAMES.fullmatch(one.name)]
            for path in paths:
                with self._noted(path):
                    told = path.stat()
                    if stat.S_ISREG(told.st_mode):
                        found[f"{told.st_dev}:{told.st_ino}"] = (path, told)
                    elif path == self.path:
                        self._faults[str(path)] = ("unreadable", "It is no regular file.")
        return found

    def _file(self, key: str, path: Path, found: os.stat_result) -> FollowedFile | None:
        """The file, open where it was left; None where it cannot be read."""
        with self._noted(path):
            file = self._open.get(key)
            if file is None:
                place = self._places.get(key) or self._first(path, found)
                file = FollowedFile(path, place, self._longest, self._clock, self._private)
                self._open[key] = file
            file.path = path
            if file.changed():
                if self._faults.pop(str(path), None) is not None:
                    file.again()
                if not file.goes_on():
                    file.anew(self._first(path, found))
            return file
        return None

    def _first(self, path: Path, found: os.stat_result) -> Place:
        """The place of a file that was not met before, or is another one by now."""
        before = [one.generation for one in self._places.values() if one.path == str(path)]
        place = place_of(path, found, max(before, default=0) + 1)
        self._places[place.key] = place
        return place

    def _open_moved(self, there: Mapping[str, object]) -> None:
        """Open what was moved away, but not far, while nobody followed it."""
        wanted = {key: place for key, place in self._places.items() if key not in there}
        folder = self.path if self.path.is_dir() else self.path.parent
        with suppress(OSError):
            for path in sorted(folder.iterdir() if wanted else ()):
                found = path.stat()
                place = wanted.get(f"{found.st_dev}:{found.st_ino}")
                if place is None or not stat.S_ISREG(found.st_mode):
                    continue
                with suppress(OSError):
                    file = FollowedFile(path, place, self._longest, self._clock, self._private)
                    if file.goes_on() and file.behind_bytes:
                        self._open[place.key] = file
                    else:
                        file.close()

    # -- what they say -----------------------------------------------------------------------------

    def _of(self, file: FollowedFile, *, last: bool = False) -> Iterator[Read]:
        if self._faults.get(str(file.path), ("",))[0] == "damaged":
            return
        with self._noted(file.path):
            for group in file.groups(last=last):
                yield file, group

    def _last_of(self, key: str) -> Iterator[Read]:
        """What a file that is no more where it was still says; after a while it is let go."""
        file, now = self._open[key], self._ticks()
        yield from self._of(file)
        end = file.place.end + file.behind_bytes
        since, before = self._gone.get(key, (now, end))
        if end != before:
            since = now
        self._gone[key] = (since, end)
        if now - since < GRACE_S:
            return
        yield from self._of(file, last=True)
        file.close()
        self._faults.pop(str(file.path), None)
        del self._open[key], self._gone[key]

    def _noted(self, path: Path) -> _Noted:
        return _Noted(self._faults, str(path))


class _Noted:
    """Notes why a path cannot be read, and goes on."""

    def __init__(self, faults: dict[str, tuple[str, str]], path: str) -> None:
        self._faults, self._path = faults, path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            self._faults[self._path] = ("missing", "There is nothing there yet.")
        elif isinstance(error, OSError):
            self._faults[self._path] = ("unreadable", error.strerror or str(error))
        elif isinstance(error, BodyError):
            self._faults[self._path] = ("damaged", error.message)
        else:
            return False
        return True
