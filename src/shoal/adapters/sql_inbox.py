"""The inbox in a SQLite file of its own: accepted calls, on disk before anybody is told so.

A file of its own, because a micro-batch that moves customers may hold the state store's right to
write for longer than a client waits for its answer.

A write-ahead log that was damaged can open without a complaint and lack its last transactions. So
the highest position is also kept beside the database, in a file that is synced after each commit:
an inbox that knows less than that file refuses to open.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.failures import translated
from shoal.adapters.sql_schema import begin, connect
from shoal.domain.errors import OperationError
from shoal.ports import Arrived

#: Raised whenever a table below changes.
INBOX_VERSION: Final = 2
#: Of the mark: digits of the position, so that a new one is written over the old one in one piece.
_DIGITS: Final = 20

_METADATA = sa.MetaData()
INBOX: Final = sa.Table(
    "inbox",
    _METADATA,
    sa.Column("position", sa.Integer, primary_key=True),
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
    _METADATA,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Index("seen_received", "received_us"),
    sqlite_with_rowid=False,
)
META: Final = sa.Table(
    "inbox_meta",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)
#: Up to where files are read that are followed.
BOOKMARKS: Final = sa.Table(
    "bookmarks",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
_DRAINED: Final = "drained"
_PLANNED: Final = "planned"
#: Ids that are new, of a JSON list of [source, id, received]; one statement for the whole batch.
_NEW_IDS: Final = (
    "INSERT OR IGNORE INTO seen (source, message_id, received_us) "
    "SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) "
    "RETURNING source, message_id"
)
_APPEND: Final = (
    "INSERT INTO inbox (source, message_id, received_us, fault, line) VALUES (?, ?, ?, ?, ?)"
)
_KEEP_HIGHEST: Final = (
    "INSERT INTO inbox_meta (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)"
)


class SqlInbox:
    """`Inbox` in a SQLite file; every method is safe to call from several threads.

    Args:
        path: of the database; it is made if there is none. The mark stands beside it.

    Raises:
        OperationError: `shop_damaged`, calls that were acknowledged are not there; `shop_newer`,
            `no_permission`, `disk_full`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._engine = connect(f"sqlite:///{path}")
        self._create()
        self._mark = os.open(_mark_of(path), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._hold_mark()
            self.written = self.last()
        except BaseException:
            self.close()
            raise

    def append(self, arrived: Sequence[Arrived]) -> list[bool]:
        if not arrived:
            return []
        with self._writing:
            with begin(self._engine, write=True) as connection:
                new = _which_are_new(connection, arrived)
                rows = [
                    (one.source, one.message_id, one.received_us, one.fault, one.line)
                    for one, fresh in zip(arrived, new, strict=True)
                    if fresh
                ]
                if rows:
                    connection.exec_driver_sql(_APPEND, rows)
                last = _last(connection)
            if rows:
                self._write_mark(last)
                self.written = last
        return new

    def after(self, position: int, limit: int) -> list[tuple[int, Arrived]]:
        wanted = (
            sa.select(INBOX).where(INBOX.c.position > position).order_by(INBOX.c.position)
        ).limit(limit)
        with begin(self._engine, write=False) as connection:
            return [
                (row.position, Arrived(row.source, row.message_id, row.received_us, row.line,
                                       row.fault))
                for row in connection.execute(wanted)
            ]  # fmt: skip

    def last(self) -> int:
        with begin(self._engine, write=False) as connection:
            return _last(connection)

    def drained(self) -> int:
        return self._known(_DRAINED)

    def planned(self) -> int:
        return self._known(_PLANNED)

    def plan(self, position: int) -> None:
        with self._writing, begin(self._engine, write=True) as connection:
            connection.exec_driver_sql(_KEEP_HIGHEST, (_PLANNED, position))

    def drain(self, position: int) -> None:
        with self._writing, begin(self._engine, write=True) as connection:
            connection.execute(sa.delete(INBOX).where(INBOX.c.position <= position))
            connection.exec_driver_sql(_KEEP_HIGHEST, (_DRAINED, position))

    def waiting(self) -> int:
        with begin(self._engine, write=False) as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(INBOX)) or 0)

    def forget_ids(self, before_us: int) -> int:
        old = sa.delete(SEEN).where(SEEN.c.received_us < before_us)
        with self._writing, begin(self._engine, write=True) as connection:
            return int(connection.execute(old).rowcount)

    def bookmarks(self, beginning: str) -> dict[str, str]:
        wanted = sa.select(BOOKMARKS).where(BOOKMARKS.c.name.startswith(beginning, autoescape=True))
        with begin(self._engine, write=False) as connection:
            return {row.name: row.text for row in connection.execute(wanted)}

    def keep_bookmark(self, name: str, text: str) -> None:
        with self._writing, begin(self._engine, write=True) as connection:
            connection.exec_driver_sql(
                "INSERT INTO bookmarks (name, text) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET text = excluded.text",
                (name, text),
            )

    def close(self) -> None:
        """Give back the connections; SQLite then folds its write-ahead log into the file."""
        self._engine.dispose()
        if self._mark >= 0:
            os.close(self._mark)
            self._mark = -1

    def _known(self, key: str) -> int:
        with begin(self._engine, write=False) as connection:
            return int(connection.scalar(sa.select(META.c.value).where(META.c.key == key)) or 0)

    # -- what must hold ----------------------------------------------------------------------------

    def _create(self) -> None:
        with begin(self._engine, write=True) as connection:
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
            if version > INBOX_VERSION:
                raise OperationError(
                    "shop_newer",
                    f"the shop's inbox has schema version {version}, this program knows up to "
                    f"{INBOX_VERSION}",
                    str(self._path),
                    "Use the newer version of Shoal that wrote it.",
                )
            _METADATA.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {INBOX_VERSION}")

    def _hold_mark(self) -> None:
        """Refuse an inbox that lacks calls which were acknowledged.

        Raises:
            OperationError: `shop_damaged`.
        """
        told = os.pread(self._mark, _DIGITS, 0)
        marked = int(told) if told.strip().isdigit() else 0
        last = self.last()
        if last < marked:
            raise OperationError(
                "shop_damaged",
                f"the inbox holds calls up to number {last:,}, and calls up to {marked:,} were "
                "acknowledged: its file or its write-ahead log was damaged",
                str(self._path),
                "Restore the inbox from a backup, or have the clients send again what they sent "
                f"last; to go on without the {marked - last:,} that are lost, remove "
                f"{_mark_of(self._path)}",
            )

    def _write_mark(self, position: int) -> None:
        with translated(_mark_of(self._path), damaged="the inbox's mark"):
            os.pwrite(self._mark, b"%020d" % position, 0)
            os.fdatasync(self._mark)


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.mark")


def _which_are_new(connection: sa.Connection, arrived: Sequence[Arrived]) -> list[bool]:
    """Of each call whether its id did not come before; of several of one id the first is new."""
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
    row = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'").first()
    return int(row[0]) if row else 0
