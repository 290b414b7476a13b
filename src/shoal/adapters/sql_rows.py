"""Many rows or many ids in one go: what every part of the SQL state store does alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

Id = TypeVar("Id", str, int)

#: Ids in one `IN (...)`; SQLite allows 32,766 parameters.
ASKED: Final = 5_000
#: Rows handed to the driver at once.
WRITTEN: Final = 20_000


def write_many(
    connection: sa.Connection, statement: Any, columns: Mapping[str, Sequence[Any]]
) -> None:
    """Run an insert for many rows, past SQLAlchemy's work per value (as dear as the insert)."""
    if not any(map(len, columns.values())):  # a chunk of a table may be empty
        return
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    if compiled.positiontup is not None:
        ordered = [columns[name] for name in compiled.positiontup]
        connection.exec_driver_sql(str(compiled), list(zip(*ordered, strict=True)))
        return
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    connection.exec_driver_sql(str(compiled), [dict(zip(names, r, strict=True)) for r in rows])


def number_on(connection: sa.Connection, table: sa.Table, least: int = 0) -> None:
    """Let numbers go on behind the highest one, after rows were written with numbers of their own.

    SQLite does so by itself.

    Args:
        least: and behind this one.
    """
    (column,) = table.primary_key.columns
    if connection.dialect.name == "sqlite":
        return
    highest = max(least, int(connection.scalar(sa.select(sa.func.max(column))) or 0))
    if highest:
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(sa.select(sa.func.setval(sequence, highest)))


def asked(ids: Iterable[Id], most: int = ASKED) -> Iterator[list[Id]]:
    """Some ids, each once and sorted, in runs for one `IN (...)` each.

    A run is filled up with its last id to one of four lengths an octave. A statement of another
    length is another one, and each of the 128 statements that a connection to SQLite keeps prepared
    holds what was bound to it: with lengths as they come a stream of a thousand events a second
    kept some hundred thousand ids in memory, and prepared each statement anew.

    >>> list(asked("hgfedcbaa", 5))
    [['a', 'b', 'c', 'd', 'e'], ['f', 'g', 'h']]
    >>> [len(one) for one in asked(range(1_000))]
    [1024]
    """
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), most):
        run = wanted[start : start + most]
        quarter = 1 << max(0, len(run).bit_length() - 3)
        missing = min(most, -(-len(run) // quarter) * quarter) - len(run)
        yield run + run[-1:] * missing


def views(bodies: pa.Array) -> list[memoryview]:
    """Each value of a binary array as a view into its buffer: nothing is copied."""
    bodies = bodies.cast(pa.large_binary())
    _, offsets_buffer, data = bodies.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[bodies.offset :][: len(bodies) + 1].tolist()
    view = memoryview(data) if data is not None else memoryview(b"")
    return [view[start:end] for start, end in pairwise(offsets)]
