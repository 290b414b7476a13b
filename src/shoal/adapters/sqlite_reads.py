"""Reading a SQLite file beside SQLAlchemy, for questions that are asked hundreds of times a second.

What SQLAlchemy does for a transaction of one statement takes ten times as long as SQLite.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa


class QuickReads:
    """Connections to the file of an engine; given back when the engine is disposed of.

    Args:
        engine: of a SQLite file. Others write to it; nothing is written here.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._path = engine.url.database or ""
        self._idle: deque[sqlite3.Connection] = deque()
        self._era = 0
        sa.event.listen(engine, "engine_disposed", lambda _: self._end())

    def rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        """Rows of one statement.

        Raises:
            sqlite3.Error: the file cannot be read.
        """
        era = self._era
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connected()
        found = None
        try:
            found = connection.execute(statement, parameters).fetchall()
        finally:
            if found is not None and era == self._era:
                self._idle.append(connection)
            else:
                connection.close()
        return found

    def _connected(self) -> sqlite3.Connection:
        found = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        found.execute("PRAGMA query_only = ON")
        return found

    def _end(self) -> None:
        self._era += 1
        while self._idle:
            self._idle.pop().close()
