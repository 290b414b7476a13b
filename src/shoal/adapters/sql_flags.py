"""Flags of the pace rules in the SQL state store: a small table, replaced visitor by visitor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from shoal.adapters.sql_rows import asked
from shoal.adapters.sql_schema import _METADATA, NAME
from shoal.features.admission import FLAGS_SCHEMA

FLAGS: Final = sa.Table(
    "flags",
    _METADATA,
    sa.Column("visitor_id", NAME, primary_key=True),
    sa.Column("told_us", sa.BigInteger, primary_key=True),
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("to_us", sa.BigInteger, primary_key=True),
    sa.Column("from_us", sa.BigInteger, nullable=False),
)

Connected = Callable[[], AbstractContextManager[sa.Connection]]


class SqlFlags:
    """`FlagStore` in a SQL database, inside the transactions of the store it belongs to."""

    def __init__(self, reading: Connected, writing: Connected) -> None:
        self._reading = reading
        self._writing = writing

    def flags(self, visitors: Sequence[str] | None = None) -> pa.Table:
        """Flags (`FLAGS_SCHEMA`) of some visitors, or of all, by visitor, `told_us` and rule."""
        query = sa.select(*(FLAGS.c[name] for name in FLAGS_SCHEMA.names))
        with self._reading() as connection:
            rows = [
                tuple(row)
                for condition in _conditions(visitors)
                for row in connection.execute(query.where(*condition))
            ]
        columns = list(zip(*rows, strict=True)) or [()] * len(FLAGS_SCHEMA)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, FLAGS_SCHEMA, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=FLAGS_SCHEMA)
        return table.sort_by([(n, "ascending") for n in ("visitor_id", "told_us", "rule", "to_us")])

    def replace(self, visitors: Sequence[str] | None, flags: pa.Table) -> None:
        """Let these be the flags of some visitors, or (None) of all there are."""
        with self._writing() as connection:
            self.delete(visitors)
            rows = flags.select(FLAGS_SCHEMA.names).to_pylist()
            if rows:
                connection.execute(sa.insert(FLAGS), rows)

    def delete(self, visitors: Sequence[str] | None) -> None:
        """Forget the flags of some visitors, or (None) of all there are."""
        with self._writing() as connection:
            for condition in _conditions(visitors):
                connection.execute(sa.delete(FLAGS).where(*condition))


def _conditions(visitors: Sequence[str] | None) -> list[tuple[Any, ...]]:
    """One condition for each query that together ask for the visitors."""
    if visitors is None:
        return [()]
    return [(FLAGS.c.visitor_id.in_(part),) for part in asked(visitors)]
