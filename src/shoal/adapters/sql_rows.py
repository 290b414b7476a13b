"""Many rows or many ids in one go: what every part of the SQL state store does alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

#: Customers in one `IN (...)`; SQLite allows 32,766 parameters.
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


def parts(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The values in runs of at most `size`.

    >>> list(parts("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(values), size):
        yield values[start : start + size]


def views(bodies: pa.Array) -> list[memoryview]:
    """Each value of a binary array as a view into its buffer: nothing is copied."""
    bodies = bodies.cast(pa.large_binary())
    _, offsets_buffer, data = bodies.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[bodies.offset :][: len(bodies) + 1].tolist()
    view = memoryview(data) if data is not None else memoryview(b"")
    return [view[start:end] for start, end in pairwise(offsets)]
