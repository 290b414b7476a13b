"""A directory that is there whole or not at all: filled aside, synced, and renamed into place."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ENDING: Final = ".unfinished"
_HOLDER: Final = re.compile(rf"\.(?P<name>.+)\.(?P<host>[^.]+)-(?P<pid>\d+){re.escape(_ENDING)}")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A directory to fill that becomes `target` when the block ends well.

    If the block raises, nothing of it remains; if the process is killed, a hidden directory that
    ends in `.unfinished` does, until the next one beside it is begun on the same machine.

    Args:
        target: does not exist, or is an empty directory.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    host = socket.gethostname().replace(".", "-")
    aside = target.parent / f".{target.name}.{host}-{os.getpid()}{_ENDING}"
    aside.mkdir()
    try:
        yield aside
        for directory, _, _ in os.walk(aside):
            sync(Path(directory))
        aside.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def files_below(directory: Path) -> list[str]:
    """Every file below a directory, by its path relative to it, sorted."""
    found = (file for file in directory.rglob("*") if file.is_file())
    return sorted(file.relative_to(directory).as_posix() for file in found)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Make a file's or a directory's content survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(home: Path) -> None:
    """Remove what processes of this machine that are gone left half made."""
    host = socket.gethostname().replace(".", "-")
    for entry in home.glob(f".*{_ENDING}"):
        found = _HOLDER.fullmatch(entry.name)
        if found and found["host"] == host and not _alive(int(found["pid"])):
            shutil.rmtree(entry, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
