"""The audit log in a SQLite file of its own: a service that writes customers does not hold it up.

Who changes the file with a tool of the database is noticed by the chain; who takes entries from its
end, or puts an older file in its place, by the mark beside it: number and digest of the last entry,
in a file of its own.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shoal.adapters.audit_mark import AuditMark, no_secret, of_lost_mark
from shoal.adapters.failures import translated
from shoal.adapters.sql_schema import failure
from shoal.adapters.sqlite_writes import transaction
from shoal.domain.audit import Act, Recorded, chained
from shoal.domain.errors import OperationError

#: Raised whenever a table below changes.
AUDIT_VERSION: Final = 1
#: Seconds in which another process that writes is waited for.
_WAIT_S: Final = 10.0
_COLUMNS: Final = "number INTEGER PRIMARY KEY, entry TEXT NOT NULL, digest TEXT NOT NULL"
#: The triggers are against mistakes alone: whoever means it drops them, and the chain tells.
_GROWS: Final = tuple(
    f"CREATE TRIGGER IF NOT EXISTS audit_no_{what.lower()} BEFORE {what} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    for what in ("UPDATE", "DELETE")
)
AUDIT_SCHEMA: Final = (
    f"CREATE TABLE IF NOT EXISTS audit ({_COLUMNS})",
    "CREATE TABLE IF NOT EXISTS audit_meta (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
    *_GROWS,
    f"PRAGMA user_version = {AUDIT_VERSION}",
)
_NEW_SECRET: Final = "INSERT OR IGNORE INTO audit_meta (key, value) VALUES ('secret', ?)"
_SECRET: Final = "SELECT value FROM audit_meta WHERE key = 'secret'"
_APPEND: Final = "INSERT INTO audit (number, entry, digest) VALUES (?, ?, ?)"
_LAST: Final = "SELECT number, entry, digest FROM audit ORDER BY number DESC LIMIT 1"
_AFTER: Final = "SELECT number, entry, digest FROM audit WHERE number > ? ORDER BY number LIMIT ?"
_CUT: Final = "DELETE FROM audit WHERE number <= ?"
_DIGEST: Final = "SELECT digest FROM audit WHERE number = ?"


class SqlAudit:
    """`AuditLog` in a SQLite file; several threads and processes may write to it.

    Written with the database's own driver: an entry is written for every call that reads a
    customer, and building its statements would cost several times what they do.

    Args:
        path: of the database; it is made if there is none. The mark stands beside it.

    Raises:
        OperationError: `shop_newer`, `shop_damaged`, `no_permission`, `disk_full`.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._mark = path, AuditMark(path.with_name(f"{path.name}.mark"))
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._synced = True
        with self._told(), translated(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._writer = _connected(path)
            self._reader = _connected(path)
            self._create()

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        if not acts:
            return []
        return self._write(acts, synced)

    def cut(self, act: Act, upto: int) -> int:
        return self._write([act], True, upto)[-1]

    def _write(self, acts: Sequence[Act], synced: bool, cut: int = 0) -> list[int]:
        """Add entries, and take out those up to a number."""
        with self._writing, self._told(), translated(self._path):
            if synced != self._synced:
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                self._synced = synced
            with transaction(self._writer):
                missed = self._hold()
                given = [of_lost_mark(acts[0]), *acts] if missed else acts
                entries = chained(given, _last(self._writer))
                rows = [(one.number, one.text, one.digest) for one in entries]
                self._writer.executemany(_APPEND, rows)
                if cut:
                    self._cut(cut)
            self._mark.write(entries[-1], synced)
        return [one.number for one in entries[-len(acts) :]]

    def hold(self) -> None:
        with self._writing, self._told(), transaction(self._writer):
            self._hold()

    def after(self, number: int, limit: int) -> list[Recorded]:
        with self._reading, self._told():
            return [Recorded(*row) for row in self._reader.execute(_AFTER, (number, limit))]

    def last(self) -> Recorded | None:
        with self._reading, self._told():
            return _last(self._reader)

    def mark(self) -> tuple[int, str] | None:
        return self._mark.read()

    def secret(self) -> bytes:
        with self._reading, self._told():
            row = self._reader.execute(_SECRET).fetchone()
        if row is None:
            raise no_secret(str(self._path))
        return bytes(row[0])

    def close(self) -> None:
        """Give back the connections; SQLite then folds its write-ahead log into the file."""
        self._reader.close()
        self._writer.close()

    def _cut(self, upto: int) -> None:
        """The trigger comes back in the transaction in which it goes."""
        self._writer.execute("DROP TRIGGER IF EXISTS audit_no_delete")
        self._writer.execute(_CUT, (upto,))
        for statement in _GROWS:
            self._writer.execute(statement)

    # -- what must hold ----------------------------------------------------------------------------

    def _create(self) -> None:
        version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
        if version == AUDIT_VERSION:
            return
        if version > AUDIT_VERSION:
            self.close()
            raise OperationError(
                "shop_newer",
                f"the shop's audit log has schema version {version}, this program knows up to "
                f"{AUDIT_VERSION}",
                str(self._path),
                "Use the newer version of Shoal that wrote it.",
            )
        with transaction(self._writer):
            for statement in AUDIT_SCHEMA:
                self._writer.execute(statement)
            self._writer.execute(_NEW_SECRET, (secrets.token_bytes(32),))

    def _hold(self) -> bool:
        """Refuse a log that lacks its end; whether there are entries and no mark.

        Asked with the right to write: marks are written after their entries, so nobody's is ahead.
        """
        mark = self.mark()
        if mark is None:
            return _last(self._writer) is not None
        found = self._writer.execute(_DIGEST, (mark[0],)).fetchone()
        if found == (mark[1],):
            return False
        raise self._mark.broken(mark[0], found is not None, str(self._path))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what the driver says as an error that a person can act on."""
        try:
            yield
        except sqlite3.Error as error:
            told = failure(error, str(self._path))
            if told is None:
                raise
            if told.code == "shop_damaged":
                told.hint = "Restore the audit log from a backup (shoal restore)."
            told.message = told.message.replace("state store", "audit log")
            raise told from error


def _connected(path: Path) -> sqlite3.Connection:
    found = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
    found.execute("PRAGMA journal_mode = WAL")
    found.execute("PRAGMA synchronous = FULL")
    return found


def _last(connection: sqlite3.Connection) -> Recorded | None:
    row = connection.execute(_LAST).fetchone()
    return None if row is None else Recorded(*row)
