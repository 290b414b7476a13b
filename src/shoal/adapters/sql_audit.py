"""The audit log in a SQLite file of its own: a service that writes customers does not hold it up.

Who changes the file with a tool of the database is noticed by the chain; who takes entries from its
end, or puts an older file in its place, by the mark beside it: number and digest of the last entry,
in a file of its own.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.sql_schema import begin, connect
from shoal.domain.audit import DONE, Act, Recorded, Who, chained
from shoal.domain.errors import OperationError

#: Raised whenever a table below changes.
AUDIT_VERSION: Final = 1
#: Of the mark: digits of the number, a space, the digest; always written in one piece.
_DIGITS: Final = 20
_MARK: Final = 85
_SECRET: Final = "secret"

_METADATA = sa.MetaData()
AUDIT: Final = sa.Table(
    "audit",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)
META: Final = sa.Table(
    "audit_meta",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
#: Against mistakes alone: whoever means it drops them, and the chain tells.
_KEPT: Final = tuple(
    f"CREATE TRIGGER IF NOT EXISTS audit_no_{what.lower()} BEFORE {what} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    for what in ("UPDATE", "DELETE")
)
_APPEND: Final = "INSERT INTO audit (number, entry, digest) VALUES (?, ?, ?)"


class SqlAudit:
    """`AuditLog` in a SQLite file; several threads and processes may write to it.

    Args:
        path: of the database; it is made if there is none. The mark stands beside it.

    Raises:
        OperationError: `shop_newer`, `shop_damaged`, `no_permission`, `disk_full`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._synced = connect(f"sqlite:///{path}")
        self._kept = connect(f"sqlite:///{path}")
        sa.event.listen(self._kept, "connect", _without_sync)
        self._create()

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        if not acts:
            return []
        with self._writing:
            with begin(self._synced if synced else self._kept, write=True) as connection:
                missed = self._hold(connection)
                given = [_of_lost_mark(acts[0]), *acts] if missed else acts
                entries = chained(given, _last(connection))
                rows = [(one.number, one.text, one.digest) for one in entries]
                connection.exec_driver_sql(_APPEND, rows)
            self._write_mark(entries[-1], synced)
        return [one.number for one in entries[-len(acts) :]]

    def hold(self) -> None:
        with begin(self._synced, write=True) as connection:
            self._hold(connection)

    def after(self, number: int, limit: int) -> list[Recorded]:
        wanted = sa.select(AUDIT).where(AUDIT.c.number > number).order_by(AUDIT.c.number)
        with begin(self._synced, write=False) as connection:
            return [Recorded(*row) for row in connection.execute(wanted.limit(limit))]

    def last(self) -> Recorded | None:
        with begin(self._synced, write=False) as connection:
            return _last(connection)

    def mark(self) -> tuple[int, str] | None:
        try:
            return _marked(_mark_of(self._path).read_bytes())
        except FileNotFoundError:
            return None

    def secret(self) -> bytes:
        with begin(self._synced, write=False) as connection:
            found = connection.scalar(sa.select(META.c.value).where(META.c.key == _SECRET))
        if found is None:
            raise OperationError(
                "shop_damaged", "the audit log has no secret to hide ids with", str(self._path),
                "Restore the file from a backup.",
            )  # fmt: skip
        return bytes(found)

    def close(self) -> None:
        """Give back the connections; SQLite then folds its write-ahead log into the file."""
        self._kept.dispose()
        self._synced.dispose()

    # -- what must hold ----------------------------------------------------------------------------

    def _create(self) -> None:
        with begin(self._synced, write=False) as connection:
            version = _version(connection)
        if version == AUDIT_VERSION:
            return
        if version > AUDIT_VERSION:
            raise OperationError(
                "shop_newer",
                f"the shop's audit log has schema version {version}, this program knows up to "
                f"{AUDIT_VERSION}",
                str(self._path),
                "Use the newer version of Shoal that wrote it.",
            )
        with begin(self._synced, write=True) as connection:
            _METADATA.create_all(connection)
            for trigger in _KEPT:
                connection.exec_driver_sql(trigger)
            connection.exec_driver_sql(
                "INSERT OR IGNORE INTO audit_meta (key, value) VALUES (?, ?)",
                (_SECRET, secrets.token_bytes(32)),
            )
            connection.exec_driver_sql(f"PRAGMA user_version = {AUDIT_VERSION}")

    def _hold(self, connection: sa.Connection) -> bool:
        """Refuse a log that lacks its end; whether there are entries and no mark.

        Asked with the right to write: marks are written after their entries, so nobody's is ahead.
        """
        mark = self.mark()
        if mark is None:
            return _last(connection) is not None
        found = connection.scalar(sa.select(AUDIT.c.digest).where(AUDIT.c.number == mark[0]))
        if found == mark[1]:
            return False
        raise OperationError(
            "audit_broken",
            f"the audit log does not end as it did: entry {mark[0]:,} was acknowledged and "
            f"is {'not there' if found is None else 'another one'}",
            str(self._path),
            "See shoal audit SHOP --verify. Restore the log from a backup; or, to go on "
            f"without what is lost, remove {_mark_of(self._path)}: the log then says so.",
        )

    def _write_mark(self, last: Recorded, synced: bool) -> None:
        """Other processes write entries too: the mark only ever goes up."""
        with _locked(_mark_of(self._path)) as mark:
            told = _marked(os.pread(mark, _MARK, 0))
            if told is None or told[0] < last.number:
                os.pwrite(mark, b"%020d %s" % (last.number, last.digest.encode()), 0)
            if synced:
                os.fdatasync(mark)


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


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.mark")


def _of_lost_mark(act: Act) -> Act:
    """What the log says where there was no mark: entries before may be gone from its end."""
    return replace(
        Act(act.at, Who("local"), "audit.mark_missing", DONE),
        facts={"says": "there was no mark: entries may be missing before this one"},
    )


def _without_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _version(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)


def _last(connection: sa.Connection) -> Recorded | None:
    row = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(1)).first()
    return None if row is None else Recorded(*row)
