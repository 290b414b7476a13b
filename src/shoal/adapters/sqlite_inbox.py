"""How calls are written to an inbox in SQLite: in few statements, each of few steps.

Python lets other threads run at every step of a statement, and waits for its turn again after each.
Written row by row, a batch waited thirty times behind the thread that answers clients, and whoever
else writes to the inbox waited with it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from shoal.ports import Arrived

#: Which of a JSON list of [source, id, received] came before, by their places in it.
_KNOWN: Final = (
    "SELECT json_group_array(one.key) FROM json_each(?) AS one CROSS JOIN seen "
    "ON seen.source = one.value ->> 0 AND seen.message_id = one.value ->> 1"
)
_ADD_IDS: Final = (
    "INSERT INTO seen (source, message_id, received_us) "
    "SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)"
)
_ADD_CALLS: Final = "INSERT INTO inbox (source, message_id, received_us, fault, line) VALUES "
#: Calls that one statement adds; each has five values, and older versions of SQLite take 999.
_AT_ONCE: Final = 190


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that may write from its beginning; undone where the block or the commit fails.

    Raises:
        sqlite3.Error: as the database says it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def append(
    connection: sqlite3.Connection, arrived: Sequence[Arrived]
) -> tuple[list[bool], int | None]:
    """Write those of some calls that are new, in a transaction of the caller's.

    Returns:
        Of each call whether it is new, and the position of the last that is; None: none is.
    """
    ids = _ids(connection, arrived)
    new = [one.message_id is None or place in ids for place, one in enumerate(arrived)]
    if ids:
        connection.execute(_ADD_IDS, (json.dumps(list(ids.values())),))
    calls = [one for one, fresh in zip(arrived, new, strict=True) if fresh]
    last = None
    for first in range(0, len(calls), _AT_ONCE):
        some = calls[first : first + _AT_ONCE]
        rows = ", ".join(("(?, ?, ?, ?, ?)",) * len(some))
        values: list[Any] = []
        for one in some:
            values += (one.source, one.message_id, one.received_us, one.fault, one.line)
        last = connection.execute(_ADD_CALLS + rows, values).lastrowid
    return new, last


def _ids(
    connection: sqlite3.Connection, arrived: Sequence[Arrived]
) -> dict[int, tuple[str, str, int]]:
    """The ids that are new, by the place of the first call that has each."""
    places, told, met = list[int](), list[tuple[str, str, int]](), set[tuple[str, str]]()
    for place, one in enumerate(arrived):
        if one.message_id is None or (one.source, one.message_id) in met:
            continue
        met.add((one.source, one.message_id))
        places.append(place)
        told.append((one.source, one.message_id, one.received_us))
    if not told:
        return {}
    row = connection.execute(_KNOWN, (json.dumps(told),)).fetchone()
    known = frozenset(json.loads(row[0]))
    return {
        place: one
        for number, (place, one) in enumerate(zip(places, told, strict=True))
        if number not in known
    }
