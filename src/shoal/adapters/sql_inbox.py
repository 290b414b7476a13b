"""The inbox: accepted calls, on disk before anybody is told so.

In SQLite it has a file of its own, because a micro-batch that moves customers may hold the state
store's right to write for longer than a client waits for its answer.

A write-ahead log that was damaged can open without a complaint and lack its last transactions. So
the highest position is also kept beside the database, in a file that is synced after each commit:
an inbox that knows less than that file refuses to open. So does one in a PostgreSQL database that
was put back, or lost what a standby never got; its writers wait for one another too.

Several processes may write to one inbox. They take turns by a lock on the mark's file, which the
system gives back when a process ends: waiting for SQLite's own lock is trying again and again, and
whoever comes just then goes first.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters import sqlite_inbox
from shoal.adapters.failures import translated
from shoal.adapters.high_water import mark_of
from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_schema import _SERIAL, begin, connect, failures_told, place
from shoal.adapters.sql_versions import prepare
from shoal.domain.errors import OperationError
from shoal.ports import Arrived

#: Raised whenever a table below changes.
INBOX_VERSION: Final = 2
#: Of the mark: digits of the position, so that a new one is written over the old one in one piece.
_DIGITS: Final = 20

INBOX_TABLES: Final = sa.MetaData()
INBOX: Final = sa.Table(
    "inbox",
    INBOX_TABLES,
    sa.Column("position", _SERIAL, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Column("fault", sa.Text),
    sa.Column("line", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
#: Which ids came; they stay when their calls are in the log.
SEEN: Final = sa.Table(
    "seen",
    INBOX_TABLES,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Index("seen_received", "received_us"),
    sqlite_with_rowid=False,
)
META: Final = sa.Table(
    "inbox_meta",
    INBOX_TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", _SERIAL, nullable=False),
)
#: Up to where files are read that are followed.
BOOKMARKS: Final = sa.Table(
    "bookmarks",
    INBOX_TABLES,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
_DRAINED: Final = "drained"
_PLANNED: Final = "planned"
#: The highest position ever given, where the database does not keep it: a sequence of PostgreSQL
#: would leave gaps, and give positions in another order than that in which they can be seen.
GIVEN: Final = "given"
#: Ids that are new, of a JSON list of [source, id, received]; one statement for the whole batch.
_NEW_IDS: Final = (
    "INSERT INTO seen (source, message_id, received_us) "
    "SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT) "
    "FROM json_array_elements(CAST(%s AS json)) "
    "ON CONFLICT DO NOTHING RETURNING source, message_id"
)
_ADD: Final = (
    "INSERT INTO inbox (position, source, message_id, received_us, fault, line) "
    "VALUES (%s, %s, %s, %s, %s, %s)"
)
#: As `Arrived` has them. Read from the driver's cursor: a backlog is a million rows.
_AFTER: Final = (
    "SELECT position, source, message_id, received_us, line, fault FROM inbox "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
_KEEP_HIGHEST: Final = (
    "INSERT INTO inbox_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = "
    "CASE WHEN excluded.value > inbox_meta.value THEN excluded.value ELSE inbox_meta.value END"
)
_BOOKMARK: Final = (
    "INSERT INTO bookmarks (name, text) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET text = excluded.text"
)


class SqlInbox:
    """`Inbox` in a SQL database; every method is safe to call from several threads and processes.

    Args:
        where: the SQLite file, which is made if there is none, and the mark stands beside it; or
            the shop's schema of a PostgreSQL database.

    Raises:
        OperationError: `shop_damaged`, calls that were acknowledged are not there; `shop_newer`,
            `no_permission`, `disk_full`, `store_unreachable`.
    """

    def __init__(self, where: Path | Namespace) -> None:
        self._writing, self._telling = threading.Lock(), threading.Lock()
        self._mark = -1
        #: A connection to SQLite that appends, in the turn of whoever does.
        self._own: sqlite3.Connection | None = None
        #: Where the mark is known to stand on disk, at least.
        self._marked = 0
        if isinstance(where, Namespace):
            self._engine = connect(where, "inbox")
            self._mark_path = where.mark("inbox")
        else:
            self._engine = connect(f"sqlite:///{where}")
            self._mark_path = mark_of(where)
        try:
            prepare(self._engine, "inbox", INBOX_TABLES, INBOX_VERSION)
            if self._engine.dialect.name == "sqlite":
                self._own = _connection(self._engine)
            self._mark = os.open(self._mark_path, os.O_RDWR | os.O_CREAT, 0o600)
            self._hold_mark()
            self.written = self.last()
        except BaseException:
            self.close()
            raise

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        if not arrived:
            return []
        with self._turn():
            # Calls that are not new were taken by now, maybe by another process.
            new, last = self._append(arrived)
            owed = last > self._marked
            if owed:
                self._write_mark(last)
        if owed:
            self._sync_mark()  # who writes next need not wait for it
        with self._telling:
            self._marked = max(self._marked, last)
            self.written = max(self.written, last)
        return new

    def after(self, position: int, limit: int) -> list[tuple[int, Arrived]]:
        with begin(self._engine, write=False) as connection:
            found = connection.exec_driver_sql(_in_style(connection, _AFTER), (position, limit))
            rows = found.cursor.fetchall()
        return [(place, Arrived(*call)) for place, *call in rows]

    def last(self) -> int:
        with begin(self._engine, write=False) as connection:
            return _last(connection)

    def drained(self) -> int:
        return self._known(_DRAINED)

    def planned(self) -> int:
        return self._known(_PLANNED)

    def plan(self, position: int) -> None:
        with self._turn(), begin(self._engine, write=True) as connection:
            _keep_highest(connection, _PLANNED, position)

    def drain(self, position: int) -> None:
        with self._turn(), begin(self._engine, write=True) as connection:
            connection.execute(sa.delete(INBOX).where(INBOX.c.position <= position))
            _keep_highest(connection, _DRAINED, position)

    def waiting(self) -> int:
        with begin(self._engine, write=False) as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(INBOX)) or 0)

    def forget_ids(self, before_us: int) -> int:
        old = sa.delete(SEEN).where(SEEN.c.received_us < before_us)
        with self._turn(), begin(self._engine, write=True) as connection:
            return int(connection.execute(old).rowcount)

    def bookmarks(self, beginning: str) -> dict[str, str]:
        wanted = sa.select(BOOKMARKS).where(BOOKMARKS.c.name.startswith(beginning, autoescape=True))
        with begin(self._engine, write=False) as connection:
            return {row.name: row.text for row in connection.execute(wanted)}

    def keep_bookmark(self, name: str, text: str) -> None:
        with self._turn(), begin(self._engine, write=True) as connection:
            connection.exec_driver_sql(_in_style(connection, _BOOKMARK), (name, text))

    def close(self) -> None:
        """Give back the connections; SQLite then folds its write-ahead log into the file."""
        if self._own is not None:
            self._own.close()
            self._own = None
        self._engine.dispose()
        if self._mark >= 0:
            os.close(self._mark)
            self._mark = -1

    def _known(self, key: str) -> int:
        with begin(self._engine, write=False) as connection:
            return int(connection.scalar(sa.select(META.c.value).where(META.c.key == key)) or 0)

    # -- what must hold ----------------------------------------------------------------------------

    def _hold_mark(self) -> None:
        """Refuse an inbox that lacks calls which were acknowledged.

        Raises:
            OperationError: `shop_damaged`.
        """
        marked = self._marked = self._read_mark()  # first: others write it after what it stands for
        last = self.last()
        if last < marked:
            raise OperationError(
                "shop_damaged",
                f"the inbox holds calls up to number {last:,}, and calls up to {marked:,} were "
                "acknowledged: its file or its write-ahead log was damaged",
                place(self._engine),
                "Restore the inbox from a backup, or have the clients send again what they sent "
                f"last; to go on without the {marked - last:,} that are lost, remove "
                f"{self._mark_path}",
            )

    def _read_mark(self) -> int:
        told = os.pread(self._mark, _DIGITS, 0)
        return int(told) if told.strip().isdigit() else 0

    def _append(self, arrived: Sequence[Arrived]) -> tuple[list[bool], int]:
        """Write calls that are new; of each whether it is, and the highest position there is."""
        if self._own is None:
            with begin(self._engine, write=True) as connection:
                new = _which_are_new(connection, arrived)
                rows = [one for one, fresh in zip(arrived, new, strict=True) if fresh]
                return new, _append(connection, rows) if rows else _last(connection)
        with failures_told(self._engine):
            new, position = sqlite_inbox.append(self._own, arrived)
        return new, self.last() if position is None else position

    def _write_mark(self, position: int) -> None:
        """Write a position to the mark if it stands before it; in one's turn.

        Written also where another process wrote it: whether that one could sync it is not known.
        """
        with translated(self._mark_path, damaged="the inbox's mark"):
            reached = max(position, self._read_mark())
            os.pwrite(self._mark, b"%0*d" % (_DIGITS, reached), 0)

    def _sync_mark(self) -> None:
        """Have the mark on disk."""
        with translated(self._mark_path, damaged="the inbox's mark"):
            os.fdatasync(self._mark)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A block in which no other thread or process writes to the inbox."""
        with self._writing:
            with translated(self._mark_path, damaged="the inbox's mark"):
                fcntl.flock(self._mark, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._mark, fcntl.LOCK_UN)


def _connection(engine: sa.Engine) -> sqlite3.Connection:
    """A connection to SQLite for oneself, as the engine makes them."""
    made = engine.raw_connection()
    found: Any = made.driver_connection
    made.detach()
    assert isinstance(found, sqlite3.Connection)
    return found


def _which_are_new(connection: sa.Connection, arrived: Sequence[Arrived]) -> list[bool]:
    """Of each call, in PostgreSQL, whether its id is new; of several of one the first is."""
    told = [
        [one.source, one.message_id, one.received_us]
        for one in arrived
        if one.message_id is not None
    ]
    fresh = set[tuple[str, str]]()
    if told:
        rows: Iterable[Any] = connection.exec_driver_sql(_NEW_IDS, (json.dumps(told),))
        fresh = {(row[0], row[1]) for row in rows}
    found = []
    for one in arrived:
        if one.message_id is None:
            found.append(True)
            continue
        key = (one.source, one.message_id)
        found.append(key in fresh)
        fresh.discard(key)
    return found


def _last(connection: sa.Connection) -> int:
    """The highest position ever given, also of calls that went."""
    query: Any = sa.select(META.c.value).where(META.c.key == GIVEN)
    if connection.dialect.name == "sqlite":
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'")
    return int(connection.scalar(query) or 0)


def _append(connection: sa.Connection, arrived: Sequence[Arrived]) -> int:
    """Write calls that are new, in PostgreSQL; returns the position of the last of them."""
    before = _last(connection)
    rows = [
        (place, one.source, one.message_id, one.received_us, one.fault, one.line)
        for place, one in enumerate(arrived, before + 1)
    ]
    _keep_highest(connection, GIVEN, before + len(rows))
    connection.exec_driver_sql(_ADD, rows)
    return before + len(rows)


def _keep_highest(connection: sa.Connection, key: str, position: int) -> None:
    connection.exec_driver_sql(_in_style(connection, _KEEP_HIGHEST), (key, position))


def _in_style(connection: sa.Connection, statement: str) -> str:
    """A statement with its places for values as the driver wants them."""
    return statement if connection.dialect.name == "sqlite" else statement.replace("?", "%s")
