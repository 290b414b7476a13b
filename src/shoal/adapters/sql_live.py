"""Events between the inbox and the event table, in the SQL state store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_rows import asked
from shoal.adapters.sql_schema import LIVE, META, upsert
from shoal.ports import LiveBatch

Connected = Callable[[], AbstractContextManager[sa.Connection]]

#: Row of `meta` with the position of the inbox up to which calls are in batches.
_POSITION: Final = "live_position"


class SqlLive:
    """`LiveStore` in a SQL database, inside the transactions of the store it belongs to."""

    def __init__(self, engine: sa.Engine, reading: Connected, writing: Connected) -> None:
        self._engine = engine
        self._reading = reading
        self._writing = writing

    def add(self, batch: LiveBatch) -> int:
        """Keep a batch; returns its number."""
        row = {
            "source": batch.source,
            "events": packed(batch.events),
            "quarantined": packed(batch.quarantined),
            "account": json.dumps(dict(batch.account), sort_keys=True),
        }
        with self._writing() as connection:
            found = connection.execute(sa.insert(LIVE).returning(LIVE.c.number), row)
            return int(found.scalar_one())

    def numbers(self) -> list[tuple[int, str]]:
        """(number, source) of every batch, oldest first."""
        query = sa.select(LIVE.c.number, LIVE.c.source).order_by(LIVE.c.number)
        with self._reading() as connection:
            return [(row.number, row.source) for row in connection.execute(query)]

    def accounts(self) -> list[tuple[int, str, Mapping[str, Any]]]:
        """(number, source, account) of every batch, oldest first."""
        query = sa.select(LIVE.c.number, LIVE.c.source, LIVE.c.account).order_by(LIVE.c.number)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [(row.number, row.source, json.loads(row.account)) for row in rows]

    def read(self, numbers: Sequence[int]) -> list[LiveBatch]:
        """Some batches, in the order asked for; `KeyError` where one is not there any more."""
        found: dict[int, LiveBatch] = {}
        with self._reading() as connection:
            for part in asked(numbers):
                rows = connection.execute(sa.select(LIVE).where(LIVE.c.number.in_(part)))
                found |= {row.number: _batch(row) for row in rows}
        return [found[number] for number in numbers]

    def drop(self, source: str, upto: int) -> None:
        """Remove the batches of a source up to a number."""
        gone = sa.and_(LIVE.c.source == source, LIVE.c.number <= upto)
        with self._writing() as connection:
            connection.execute(sa.delete(LIVE).where(gone))

    def position(self) -> int:
        """Up to which position of the inbox calls are in batches or in the event table."""
        query = sa.select(META.c.value).where(META.c.key == _POSITION)
        with self._reading() as connection:
            return int(connection.scalar(query) or 0)

    def set_position(self, position: int) -> None:
        row = {"key": _POSITION, "value": str(position)}
        with self._writing() as connection:
            connection.execute(upsert(self._engine, META, "key"), row)


def packed(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _batch(row: Any) -> LiveBatch:
    events, quarantined = (
        pa.ipc.open_stream(body).read_all() for body in (row.events, row.quarantined)
    )
    return LiveBatch(row.source, events, quarantined, json.loads(row.account))
