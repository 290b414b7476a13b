"""The shop's single-writer lease: one row that says which process may write."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters import process
from shoal.adapters.directory_lock import DirectoryLock
from shoal.adapters.sql_schema import LEASE, begin, failures_told, place, upsert
from shoal.domain.errors import OperationError
from shoal.domain.time import Clock, from_us, iso, to_us

#: A holder on another machine that has not been heard of for so long is taken over.
EXPIRY: Final = timedelta(seconds=120)
#: How often a holder says that it lives.
HEARTBEAT: Final = timedelta(seconds=30)
_ROW: Final = 1
#: Beginning of the token of a holder that has the directory's lock too.
_LOCKED: Final = "locked-"
#: A holder that is about to leave has no row any more, and its lock for a moment still.
_LEAVING_S: Final = 2.0


class Lease:
    """Held by one process at a time; entering it again in the same process is allowed.

    Whether a holder on this machine lives is asked of the operating system, so a killed one is
    taken over at once and a slow one never: by the lock that a holder has on the directory of its
    SQLite file, in whatever container it is, or where there are no such locks by process number and
    start time. Of a holder on another machine only its heartbeat is known.

    A PostgreSQL database is asked whether the holder's connection lives, wherever it is; one on
    this machine that lives and lost its connection has time to get it again. The row then says who
    it was, and keeps out a holder that was taken over.

    Args:
        lock: the number of the advisory lock that a holder's connection has in PostgreSQL.
    """

    def __init__(self, engine: sa.Engine, clock: Clock, lock: int | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._name = self._token = uuid.uuid4().hex
        self._guard = threading.RLock()
        self._depth = 0
        self._session = None if lock is None else LockedSession(engine, lock)
        file = engine.url.database if lock is None else None
        self._directory = DirectoryLock(Path(file).parent if file else None)
        #: Whether who held it before never gave it back.
        self.taken_over = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the lease for the length of the block.

        Raises:
            OperationError: `shop_locked`, another living process holds it.
        """
        with self._guard:
            if self._depth == 0:
                self._acquire()
            self._depth += 1
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        if self._depth == 1:
            beat.start()
        try:
            yield
        finally:
            stop.set()
            if beat.ident is not None:
                beat.join()
            with self._guard:
                self._depth -= 1
                if self._depth == 0:
                    self._release()

    def confirm(self, connection: sa.Connection) -> None:
        """Inside a writing transaction: the lease is still ours, and is renewed with it.

        Raises:
            OperationError: `shop_locked`, another process took the lease over.
        """
        if self._depth == 0:
            return
        renewed = connection.execute(
            sa.update(LEASE).where(LEASE.c.token == self._token).values(expires_us=self._expiry())
        )
        if renewed.rowcount != 1:
            raise OperationError(
                "shop_locked",
                "this process was not heard of for too long and another took over the shop",
                place(self._engine),
                "Nothing of the work in hand was kept. Do the same again.",
            )

    def _acquire(self) -> None:
        # Look before asking for the right to write: a holder in a long transaction has that right,
        # and waiting for it would end in a message that cannot name the holder.
        try:
            locked = self._look()
            self._token = _LOCKED + self._name if locked else self._name
            with begin(self._engine, write=True) as connection:
                self.taken_over = self._refuse_if_held(connection)
                self._write_row(connection)
        except BaseException:
            self._let_go()
            raise

    def _look(self) -> bool | None:
        """Whether the directory's lock is ours, where nobody holds the lease; None: it has none.

        Raises:
            OperationError: `shop_locked`.
        """
        until = time.monotonic() + _LEAVING_S
        while True:
            locked = self._directory.take()
            with begin(self._engine, write=False) as connection:
                left = self._refuse_if_held(connection)
            if left or locked is not False or time.monotonic() > until:
                return locked
            time.sleep(0.02)

    def _write_row(self, connection: sa.Connection) -> None:
        pid = os.getpid()
        row = {
            "id": _ROW,
            "token": self._token,
            "pid": pid,
            "host": socket.gethostname(),
            "process_started": process.started(pid) or "",
            "since_us": to_us(self._clock()),
            "expires_us": self._expiry(),
        }
        connection.execute(upsert(self._engine, LEASE, "id"), row)

    def _refuse_if_held(self, connection: sa.Connection) -> bool:
        """Whether somebody who is gone left the lease behind."""
        row = connection.execute(sa.select(LEASE).where(LEASE.c.id == _ROW)).mappings().first()
        if self._session is not None:
            if self._session.take():
                if row is None or row["token"] == self._token or not self._lives_here(row):
                    return row is not None
                self._session.let_go()  # the database was restarted, and the holder lives
        elif row is None or not self._alive(row):
            return row is not None
        who, since = "another process", ""
        if row is not None:
            who = f"process {row['pid']} on {row['host']}"
            since = f" since {iso(from_us(row['since_us']))}"
        raise OperationError(
            "shop_locked",
            f"{who} has been writing to the shop{since}",
            place(self._engine),
            "Wait until it has finished, or end it; a process that died is taken over by itself.",
        )

    @staticmethod
    def _lives_here(row: Any) -> bool:
        here = row["host"] == socket.gethostname()
        return here and bool(process.started(row["pid"]) == row["process_started"])

    def _alive(self, row: Any) -> bool:
        if row["token"].startswith(_LOCKED) and process.of_this_boot(row["process_started"]):
            locked = self._directory.take()
            if locked is not None:
                return not locked
        if row["host"] == socket.gethostname():
            return self._lives_here(row)
        return bool(row["expires_us"] > to_us(self._clock()))

    def _release(self) -> None:
        try:
            with begin(self._engine, write=True) as connection:
                connection.execute(sa.delete(LEASE).where(LEASE.c.token == self._token))
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._directory.let_go()
        if self._session is not None:
            self._session.let_go()

    def _expiry(self) -> int:
        return to_us(self._clock() + EXPIRY)

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(HEARTBEAT.total_seconds()):
            try:
                with failures_told(self._engine), begin(self._engine, write=True) as connection:
                    self.confirm(connection)
                    if self._session is not None:
                        self._session.take()  # again, where the database was restarted meanwhile
            except OperationError:
                # Our own long transaction has the right to write, and renews the lease itself; a
                # lease that was lost is told to the thread that works, by its next `confirm`.
                continue


class LockedSession:
    """A connection of its own that holds an advisory lock for as long as it lives."""

    def __init__(self, engine: sa.Engine, lock: int) -> None:
        self._engine = engine
        self._lock = lock
        self._connection: sa.Connection | None = None

    def take(self) -> bool:
        """Whether this process has the lock; it is asked for where it has not."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
                return True
            except sa.exc.DBAPIError:
                self.let_go()
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            asked = connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (self._lock,))
            if asked.scalar():
                connection.detach()  # it is not one of those that others are given
                self._connection = connection
                return True
        finally:
            if self._connection is None:
                connection.close()
        return False

    def let_go(self) -> None:
        """Give the lock back, and end the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        # The server notices the end of a connection a moment later than this process.
        with suppress(sa.exc.DBAPIError):
            connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (self._lock,))
        connection.close()
