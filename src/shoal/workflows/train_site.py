"""Directories of trainings under way: what a killed one left is found again, and gone on with.

SHOP/work/train-<key>/
    training.json    what is trained: what was asked for, and all settings that decide the result
    lock             held by the process that is at it, for as long as it lives
    data/            vocabularies and sequences of events (customers' ids among them)
    fit/             checkpoints
    tune/            trials

Whoever is forgotten is in all of it, so an erasure removes every one of these directories; a
process that is at one notices (`Site.check`) and stops.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import iso
from shoal.ports import EventTable

SCHEMA: Final = "shoal.training/1"
_PREFIX: Final = "train-"
_DOCUMENT: Final = "training.json"
_LOCK: Final = "lock"


@dataclass(frozen=True)
class Site:
    """The directory of one training.

    Args:
        call: what was asked for, every default filled in, the moment settled.
        settings: all that decides the result.
    """

    directory: Path
    call: Mapping[str, Any]
    settings: Mapping[str, Any]
    started_at: str

    @property
    def key(self) -> str:
        return self.directory.name.removeprefix(_PREFIX)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def fit(self) -> Path:
        """Of the checkpoints; made when asked for."""
        path = self.directory / "fit"
        path.mkdir(exist_ok=True)
        return path

    @property
    def tune(self) -> Path:
        """Of the trials; made when asked for."""
        path = self.directory / "tune"
        path.mkdir(exist_ok=True)
        return path

    def check(self) -> None:
        """Stop where an erasure has removed what is trained on.

        Raises:
            OperationError: `interrupted`.
        """
        if (self.directory / _DOCUMENT).exists():
            return
        self.remove()  # what was written since
        raise OperationError(
            "interrupted",
            "somebody was forgotten while the model was trained on their events: nothing of this "
            "training is kept",
            hint="Start it again: shoal train SHOP",
        )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A block that works in the directory; if it fails because that is gone, `check` says so.

        Raises:
            OperationError: `interrupted`, `disk_full`.
        """
        try:
            yield
        except OSError as error:
            self.check()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OperationError(
                "disk_full",
                "no space is left on the device",
                where=str(error.filename or self.directory),
                hint="Free some space, then go on with: shoal train SHOP --resume",
            ) from error
        self.check()

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.directory, ignore_errors=True)


def key_of(settings: Mapping[str, Any]) -> str:
    """12 hex digits of settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def begun(
    work_dir: Path, call: Mapping[str, Any], settings: Mapping[str, Any], now: datetime
) -> Iterator[Site]:
    """A new directory, locked; what an earlier training of these settings left is removed.

    Raises:
        OperationError: `shop_locked`, another process trains with the same settings.
    """
    site = Site(work_dir / f"{_PREFIX}{key_of(settings)}", dict(call), dict(settings), iso(now))
    site.directory.mkdir(parents=True, exist_ok=True)
    with _locked(site):
        for entry in site.directory.iterdir():
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        document = {
            "schema": SCHEMA, "started_at": site.started_at, "call": site.call,
            "settings": site.settings,
        }  # fmt: skip
        aside = site.directory / f".{_DOCUMENT}"
        aside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        aside.replace(site.directory / _DOCUMENT)
        yield site


@contextmanager
def gone_on_with(site: Site) -> Iterator[Site]:
    """An unfinished training's directory, locked.

    Raises:
        OperationError: `shop_locked`, another process is at it.
    """
    with _locked(site):
        yield site


def unfinished(work_dir: Path) -> list[Site]:
    """Trainings that were begun and not finished, oldest first; some may be under way."""
    found = []
    for path in work_dir.glob(f"{_PREFIX}*/{_DOCUMENT}"):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if told.get("schema") == SCHEMA:
            found.append(Site(path.parent, told["call"], told["settings"], told["started_at"]))
    return sorted(found, key=lambda site: (site.started_at, site.key))


def matching(work_dir: Path, asked: Mapping[str, Any]) -> Site:
    """The one unfinished training that agrees with all that is asked for.

    Raises:
        UsageError: `nothing_to_resume`: there is none, none agrees (what differs), or several do.
    """
    known = unfinished(work_dir)
    if not known:
        raise UsageError(
            "nothing_to_resume",
            "there is no unfinished training to go on with",
            where=str(work_dir),
            hint="Start one without --resume: shoal train SHOP",
        )
    agree = [site for site in known if not _differences(asked, site.call)]
    if len(agree) == 1:
        return agree[0]
    if agree:
        raise UsageError(
            "nothing_to_resume",
            f"{len(agree)} unfinished trainings are like the one to go on with",
            where=str(work_dir),
            hint="Say which one by its settings:\n" + "\n".join(_told(site) for site in agree),
        )
    latest = known[-1]
    differs = ", ".join(
        f"{name} is {latest.call[name]}, received {asked[name]}"
        for name in _differences(asked, latest.call)
    )
    raise UsageError(
        "nothing_to_resume",
        f"the unfinished training is another one: {differs}",
        where=str(latest.directory),
        hint="Go on with it by the same settings, or start a new one without --resume.",
    )


def refuse_changed(site: Site, settings: Mapping[str, Any]) -> None:
    """Refuse to go on with a training where the same call would train something else now.

    Raises:
        UsageError: `nothing_to_resume`, naming what differs.
    """
    differs = _differences(json.loads(json.dumps(settings)), site.settings)
    if not differs:
        return
    raise UsageError(
        "nothing_to_resume",
        f"what decides the unfinished training has changed since: {', '.join(differs)}",
        where=str(site.directory),
        hint="Start it anew without --resume, or undo the change.",
    )


def refuse_gone(site: Site, version: int, table: EventTable) -> None:
    """Refuse to go on with a training whose version of the event table is not kept any more.

    Raises:
        UsageError: `nothing_to_resume`.
    """
    try:
        table.events(version=version)
    except UsageError as error:
        raise UsageError(
            "nothing_to_resume",
            f"the unfinished training cannot go on: {error.message}",
            where=str(site.directory),
            hint="Start it anew without --resume.",
        ) from error


def remove_all(work_dir: Path) -> int:
    """Remove what trainings hold of customers' events, also of those under way; how many."""
    found = list(work_dir.glob(f"{_PREFIX}*")) if work_dir.is_dir() else []
    for directory in found:
        # away first: a process that is at it can then write nothing more there, and notices
        gone = directory.with_name(f"{_PREFIX}gone-{uuid.uuid4().hex}")
        directory.rename(gone)
        shutil.rmtree(gone)
    return len(found)


def _differences(these: Mapping[str, Any], those: Mapping[str, Any]) -> list[str]:
    return [name for name, value in these.items() if those.get(name) != value]


def _told(site: Site) -> str:
    said = ", ".join(f"{name} {value}" for name, value in site.call.items() if value is not None)
    return f"{site.started_at}: {said}"


@contextmanager
def _locked(site: Site) -> Iterator[None]:
    """Hold the directory's lock; the system releases it when the process ends, however it does."""
    with (site.directory / _LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise OperationError(
                "shop_locked",
                f"process {file.read().strip() or '?'} is at the same training",
                where=str(site.directory),
                hint="Wait until it has finished, or end it and go on with: shoal train SHOP "
                "--resume",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
