"""Number and digest of an audit log's last entry, in a file of its own beside the database.

It tells of entries that were taken from the log's end, and of an older log put in its place.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from shoal.domain.audit import DONE, Act, Recorded, Who
from shoal.domain.errors import OperationError

#: Digits of the number, a space, the digest; always written in one piece.
_DIGITS: Final = 20
_MARK: Final = 85


class AuditMark:
    """The mark of one log; several processes may write it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[int, str] | None:
        """Number and digest; None: there is no mark."""
        try:
            return _marked(self.path.read_bytes())
        except FileNotFoundError:
            return None

    def write(self, last: Recorded, synced: bool) -> None:
        """Other processes write entries too: the mark only ever goes up."""
        with _locked(self.path) as mark:
            told = _marked(os.pread(mark, _MARK, 0))
            if told is None or told[0] < last.number:
                os.pwrite(mark, b"%020d %s" % (last.number, last.digest.encode()), 0)
            if synced:
                os.fdatasync(mark)

    def broken(self, number: int, there: bool, where: str) -> OperationError:
        """What to tell of a log that does not have the marked entry."""
        return OperationError(
            "audit_broken",
            f"the audit log does not end as it did: entry {number:,} was acknowledged and "
            f"is {'another one' if there else 'not there'}",
            where,
            "See shoal audit SHOP --verify. Restore the log from a backup; or, to go on "
            f"without what is lost, remove {self.path}: the log then says so.",
        )


def of_lost_mark(act: Act) -> Act:
    """What the log says where there was no mark: entries before may be gone from its end."""
    return replace(
        Act(act.at, Who("local"), "audit.mark_missing", DONE),
        facts={"says": "there was no mark: entries may be missing before this one"},
    )


def no_secret(where: str) -> OperationError:
    """What to tell of a log that cannot hide ids any more."""
    return OperationError(
        "shop_damaged", "the audit log has no secret to hide ids with", where,
        "Restore the file from a backup.",
    )  # fmt: skip


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """An open file that no other process has like this; it is made if there is none."""
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened
    finally:
        os.close(opened)


def _marked(told: bytes) -> tuple[int, str] | None:
    if len(told) < _MARK or not told[:_DIGITS].isdigit():
        return None
    return int(told[:_DIGITS]), told[_DIGITS + 1 : _MARK].decode("ascii", "replace")
