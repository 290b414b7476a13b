"""Files that name customers: remembered before they are written, and true to who was forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from shoal.domain.errors import InputError, UsageError
from shoal.domain.time import system_clock
from shoal.ports import ErasureStore

T = TypeVar("T")


@contextmanager
def remembered(erasures: ErasureStore, path: Path, kind: str) -> Iterator[None]:
    """Remember a file first, so that a kill while it is written leaves none that nobody knows of.

    Where nothing was written (a wrong call, too little data) what was known before stands.
    """
    where = str(path.resolve())
    before = {known: told for known, told, _ in erasures.exports()}.get(where)
    erasures.note_export(where, kind, system_clock())
    try:
        yield
    except BaseException as error:
        if isinstance(error, (UsageError, InputError)) or not path.exists():
            if before is None:
                erasures.drop_exports([where])
            else:
                erasures.note_export(where, before, system_clock())
        raise


def without_forgotten(
    erasures: ErasureStore, write: Callable[[], T], file_of: Callable[[T], Path]
) -> T:
    """Let `write` make a file that names customers; what it returns.

    What was worked out before a person was forgotten, and written after the lists had been cleaned
    of the person, is made anew. Nobody has to wait for anybody: the file is looked at afterwards.
    """
    from shoal.workflows.forget_lists import cleanings

    stale: Path | None = None
    while True:
        seen = cleanings(erasures)
        try:
            written = write()
        except BaseException:
            if stale is not None:
                stale.unlink(missing_ok=True)
                erasures.drop_exports([str(stale.resolve())])
            raise
        if cleanings(erasures) == seen:
            return written
        stale = file_of(written)
