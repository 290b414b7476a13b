"""How calls are written to an inbox in SQLite: in few statements, each of few steps.

Python lets other threads run at every step of a statement, and waits for its turn again after each.
Written row by row, a batch waited thirty times behind the thread that answers clients, and whoever
else writes to the inbox waited with it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from shoal.adapters.sqlite_writes import transaction
from shoal.ports import Arrived

#: Which of a JSON list of [source, id, received] came before, by their places in it.
_KNOWN: Final = (
    "SELECT json_group_array(one.key) FROM json_each(?) AS one CROSS JOIN seen "
    "ON seen.source = one.value ->> 0 AND seen.message_id = one.value ->> 1"
)
_ADD_IDS: Final = (
    "INSERT INTO seen (source, message_id, received_us) "
    "SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true "
    "ON CONFLICT DO NOTHING"
)
_ADD_CALLS: Final = "INSERT INTO inbox (source, message_id, received_us, fault, line) VALUES "
#: Calls that one statement adds; each has five values, and older versions of SQLite take 999.
_AT_ONCE: Final = 190

#: Source, id, and when it was received.
_Id = tuple[str, str, int]


def append(
    connection: sqlite3.Connection, arrived: Sequence[Arrived]
) -> tuple[list[bool], int | None]:
    """Write those of some calls that are new, in a transaction.

    Returns:
        Of each call whether it is new, and the position of the last that is; None: none is.

    Raises:
        sqlite3.Error: as the database says it; nothing was written.
    """
    ids = _ids(arrived)
    with transaction(connection):
        ids = _added(connection, ids)
        new = [one.message_id is None or place in ids for place, one in enumerate(arrived)]
        calls = [one for one, fresh in zip(arrived, new, strict=True) if fresh]
        last = None
        for first in range(0, len(calls), _AT_ONCE):
            last = _add(connection, calls[first : first + _AT_ONCE])
    return new, last


def _ids(arrived: Sequence[Arrived]) -> dict[int, _Id]:
    """The ids of calls, by the place of the first call that has each."""
    found = dict[tuple[str, str], int]()
    for place, one in enumerate(arrived):
        if one.message_id is not None:
            found.setdefault((one.source, one.message_id), place)
    return {place: (*told, arrived[place].received_us) for told, place in found.items()}


def _added(connection: sqlite3.Connection, ids: dict[int, _Id]) -> dict[int, _Id]:
    """Write ids that did not come before; which these are.

    Mostly all of them: whether one came before is looked up only where not all went in, in a
    transaction begun anew.
    """
    if not ids:
        return ids
    told = json.dumps(list(ids.values()))
    if connection.execute(_ADD_IDS, (told,)).rowcount == len(ids):
        return ids
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    [row] = connection.execute(_KNOWN, (told,))
    known = frozenset(json.loads(row[0]))
    new = {place: one for n, (place, one) in enumerate(ids.items()) if n not in known}
    if new:
        connection.execute(_ADD_IDS, (json.dumps(list(new.values())),))
    return new


def _add(connection: sqlite3.Connection, calls: Sequence[Arrived]) -> int | None:
    """Write calls; the position of the last."""
    values: list[Any] = []
    for one in calls:
        values += (one.source, one.message_id, one.received_us, one.fault, one.line)
    rows = ", ".join(("(?, ?, ?, ?, ?)",) * len(calls))
    return connection.execute(_ADD_CALLS + rows, values).lastrowid
