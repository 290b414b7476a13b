"""SQLite files of a shop as files: copied while others write, and looked at for damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from shoal.adapters.bucket_files import sync
from shoal.adapters.failures import translated
from shoal.adapters.high_water import mark_of, marked
from shoal.adapters.sql_schema import failure
from shoal.domain.faults import Fault

_ENDING: Final = ".sqlite"
#: Complaints of one file that are told.
_TOLD: Final = 5
#: How far a database was written, by its table: what is counted, and the query.
_WRITTEN: Final = {
    "meta": ("transactions", "SELECT value FROM meta WHERE key = 'written'"),
    "inbox": ("calls", "SELECT seq FROM sqlite_sequence WHERE name = 'inbox'"),
    "audit": ("entries", "SELECT max(number) FROM audit"),
}
#: High-water marks, by the table that must be there.
_NUMBERS: Final = {
    "meta": {
        "store_version": "SELECT value FROM meta WHERE key = 'store_version'",
        "transactions": "SELECT value FROM meta WHERE key = 'written'",
    },
    "memberships": {
        "memberships": "SELECT seq FROM sqlite_sequence WHERE name = 'memberships'",
        "membership_rows": "SELECT count(*) FROM memberships",
    },
    "inbox": {
        "inbox": "SELECT seq FROM sqlite_sequence WHERE name = 'inbox'",
        "inbox_drained": "SELECT value FROM inbox_meta WHERE key = 'drained'",
        "inbox_waiting": "SELECT count(*) FROM inbox",
    },
}
_GAPS: Final = (
    "SELECT before + 1, position - 1 FROM "
    "(SELECT position, lag(position, 1, 0) OVER (ORDER BY position) AS before FROM memberships) "
    f"WHERE position > before + 1 LIMIT {_TOLD}"
)


def databases(directory: Path, last: str) -> list[Path]:
    """The databases of a shop; `last` is the name of the one that others must not be behind of."""
    return sorted(directory.glob(f"*{_ENDING}"), key=lambda path: (path.name == last, path.name))


def copy(source: Path, target: Path, *, at_rest: bool = False) -> None:
    """Copy a database and its mark as of one moment; nobody who writes waits for it.

    Who writes to the original is not taken over: the copy is held by nobody.

    Args:
        at_rest: nobody has it open, and nothing may be written beside it.

    Raises:
        OperationError: `shop_damaged`, `disk_full`, `no_permission`.
    """
    with _told(source), translated(target):
        if mark_of(source).exists():  # read first: the database may be ahead of it, never behind
            shutil.copy(mark_of(source), mark_of(target))
        with closing(_reading(source, at_rest)) as original, closing(_plain(target)) as made:
            made.execute("PRAGMA synchronous = OFF")
            original.backup(made)
            if _has(made, "lease"):
                made.execute("DELETE FROM lease")
        shutil.copymode(source, target)
        for file in (target, mark_of(target)):
            if file.exists():
                sync(file)


def faults(path: Path, shown: Path) -> list[Fault]:
    """What is wrong with a database at rest, by itself and beside its mark.

    Args:
        shown: the file that messages name, of which this is a copy.
    """
    with closing(_reading(path, at_rest=True)) as connection:
        try:
            complaints = [
                str(row[0])
                for row in connection.execute(f"PRAGMA integrity_check({_TOLD})")
                if row[0] != "ok"
            ]
            lost = _lost(connection, path, shown) if not complaints else []
        except sqlite3.DatabaseError as error:
            complaints, lost = [str(error)], []
    return lost + [
        Fault(
            "shop_damaged",
            f"{shown.name} is damaged: {' '.join(one.split())}",
            str(shown),
            "Restore the shop from a backup (shoal restore), and look at the disk's health.",
        )
        for one in complaints
    ]


def numbers(path: Path) -> dict[str, int]:
    """The high-water marks that a database at rest holds."""
    found = {}
    with closing(_reading(path, at_rest=True)) as connection:
        for table, asked in _NUMBERS.items():
            if _has(connection, table):
                for name, query in asked.items():
                    found[name] = _number(connection, query)
    return found


def gaps(path: Path) -> list[tuple[int, int]]:
    """The first gaps in the positions of the membership log, each (first, last) that is missing."""
    with closing(_reading(path, at_rest=True)) as connection:
        return [(int(first), int(last)) for first, last in connection.execute(_GAPS)]


def _lost(connection: sqlite3.Connection, path: Path, shown: Path) -> list[Fault]:
    """Whether a database lacks what its mark says was written."""
    for table, (what, query) in _WRITTEN.items():
        if not _has(connection, table):
            continue
        now, before = _number(connection, query), marked(path)
        if now < before:
            return [
                Fault(
                    "shop_damaged",
                    f"{shown.name} holds {now:,} {what}, and {before:,} were acknowledged: "
                    f"{before - now:,} are lost with its write-ahead log",
                    str(shown),
                    "Restore the shop from a backup (shoal restore), or have the clients send "
                    f"again; to go on without them, remove {mark_of(shown)}",
                )
            ]
    return []


def _number(connection: sqlite3.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _has(connection: sqlite3.Connection, table: str) -> bool:
    asked = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(asked, (table,)).fetchone() is not None


def _reading(path: Path, at_rest: bool) -> sqlite3.Connection:
    """A connection that writes nothing: not even a damaged log of writes is folded in."""
    if path.with_name(f"{path.name}-wal").exists():
        mode = "mode=ro"
    elif at_rest or not os.access(path.parent, os.W_OK):
        mode = "immutable=1"
    else:
        mode = "mode=rw"  # there is nothing to fold in, and closing it leaves no files behind
    return _plain(f"{path.absolute().as_uri()}?{mode}")


def _plain(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, uri=isinstance(path, str), isolation_level=None, timeout=30.0)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise what the database driver says as an error that a person can act on."""
    try:
        yield
    except sqlite3.Error as error:
        told = failure(error, str(path))
        if told is None:
            raise
        raise told from error
