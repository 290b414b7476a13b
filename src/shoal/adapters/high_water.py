"""A number beside a database that says how far it was written, so that a loss is noticed.

A write-ahead log that was damaged or cut can open without a complaint and lack its last
transactions. A database that knows of less than the file beside it has lost some.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from shoal.adapters.sql_schema import META
from shoal.domain.errors import OperationError

#: What the file beside a database is called.
ENDING: Final = ".mark"
#: Of the number, so that a new one is written over the old one in one piece.
_DIGITS: Final = 20
#: Row of `meta` that counts the transactions of the state store.
WRITTEN: Final = "written"
_COUNT: Final = (
    "INSERT INTO meta (key, value) VALUES ('written', '1') ON CONFLICT (key) DO UPDATE "
    "SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value"
)


def mark_of(database: Path) -> Path:
    """The file beside a database."""
    return database.with_name(f"{database.name}{ENDING}")


def marked(database: Path) -> int:
    """The number beside a database; 0: none is there yet."""
    return told(mark_of(database))


def told(mark: Path) -> int:
    """The number in a mark; 0: it is not there yet."""
    try:
        found = mark.read_bytes()[:_DIGITS]
    except FileNotFoundError:
        return 0
    return int(found) if found.strip().isdigit() else 0


def count_up(connection: sa.Connection) -> int:
    """Count a transaction of the state store, inside it; returns the number that it has."""
    return int(connection.exec_driver_sql(_COUNT).scalar() or 0)


def counted(connection: sa.Connection) -> int:
    """The number of the state store's last transaction; 0 in a store that never counted."""
    return int(connection.scalar(sa.select(META.c.value).where(META.c.key == WRITTEN)) or 0)


class HighWater:
    """The mark of a state store, written after each of its transactions.

    It is not synced: what a power cut takes of it makes the check weaker and never wrong, and a
    second sync would double what a small transaction costs.
    """

    def __init__(self, mark: Path) -> None:
        self._path = mark
        self._file = -1

    def rise(self, number: int) -> None:
        """Remember a transaction that was committed."""
        # The transaction stands, whatever becomes of its mark.
        with suppress(OSError):
            if self._file < 0:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._file, b"%0*d" % (_DIGITS, number), 0)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def lacking(where: str, mark: Path, before: int, now: int) -> OperationError:
    """What to tell of a state store that lacks transactions which were committed."""
    return OperationError(
        "shop_damaged",
        f"the state store holds {now:,} transactions, and {before:,} were committed: its file or "
        "its write-ahead log was damaged, or only a part of it, or an older one, was copied",
        where,
        "Restore the shop from a backup (shoal restore). To go on without what is lost "
        f"(memberships, settings, keys; states follow the event table), remove {mark}",
    )
