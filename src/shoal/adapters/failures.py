"""From what the machine says to what a person is told: one translation for every store."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from shoal.domain.errors import OperationError, ShoalError

#: What DuckDB makes of Ctrl-C while a query runs.
_INTERRUPTED = ("Query interrupted", "INTERRUPT Error: Interrupted!")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FULL = "no space left on device"
_REFUSED = ("permission denied", "read-only file system", "operation not permitted")


@contextmanager
def translated(
    where: str | os.PathLike[str],
    *,
    damaged: str = "",
    unreadable: tuple[type[Exception], ...] = (Exception,),
) -> Iterator[None]:
    """Raise what goes wrong inside the block as an `OperationError` about `where`.

    Args:
        where: the directory or file that the block works on.
        damaged: what to say the thing is (for example "the event table") when the failure is
            neither a full disk nor a refusal, and so means that it cannot be read; when empty,
            such failures pass unchanged.
        unreadable: the exceptions that mean so.

    Raises:
        OperationError: `disk_full`, `no_permission`, or `shop_damaged`.
        KeyboardInterrupt: a library told of it as an error of its own.
    """
    try:
        yield
    except (ShoalError, MemoryError, AssertionError):
        raise
    except Exception as error:
        if str(error) in _INTERRUPTED:
            raise KeyboardInterrupt from error
        said = damaged if isinstance(error, unreadable) else ""
        told = operation_error(error, os.fspath(where), said)
        if told is None:
            raise
        raise told from error


def operation_error(error: Exception, where: str, damaged: str = "") -> OperationError | None:
    """What to tell a person about a failure of a store; None when it is not a store's failure."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    if number in (errno.ENOSPC, errno.EDQUOT) or _FULL in text:
        return OperationError(
            "disk_full",
            "no space is left on the device while writing to the shop",
            where=where,
            hint="Nothing of the file in hand was stored. Free some space, then run it again.",
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS) or any(s in text for s in _REFUSED):
        return OperationError(
            "no_permission",
            "the operating system refused access to the shop's files",
            where=where,
            hint="The user running Shoal must own this directory or have read and write access.",
        )
    if damaged:
        return OperationError(
            "shop_damaged",
            f"{damaged} cannot be read: {_first_line(error)}",
            where=where,
            hint="A file is missing or was changed by something else. Restore the directory from "
            "a backup, or make a new shop and ingest the sources again.",
        )
    return None


def _first_line(error: Exception) -> str:
    plain = _COLOUR.sub("", str(error)).strip()
    return (plain.splitlines() or [type(error).__name__])[0][:300]
