"""The door to an engine that runs queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:  # names only: the ports load no library
    import ibis.expr.types as ir
    import pyarrow as pa


@dataclass(frozen=True)
class ParquetFiles:
    """Files an engine can scan as one relation, with hive-style `bucket=` directories."""

    paths: tuple[str, ...]
    schema: pa.Schema


Relation: TypeAlias = "pa.Table | ParquetFiles"


class Engine(Protocol):
    """Runs compiled queries over named relations."""

    dialect: str

    def compile(self, expr: ir.Table) -> str:
        """SQL, in `dialect`, of an expression over unbound `ibis.table(schema, name=...)`."""

    def compiled(self, name: str, definition: Callable[[], ir.Table]) -> str:
        """The same of the expression that a definition gives.

        Args:
            name: holds all that decides the expression, its code too; an engine may keep what it
                compiled under it, and then asks for no expression.
        """

    def run(self, query: str, inputs: Mapping[str, Relation]) -> pa.Table:
        """Run compiled SQL with each named table bound to a relation; rows as one Arrow table."""

    def stream(
        self, query: str, inputs: Mapping[str, Relation], rows_per_batch: int = 100_000
    ) -> Iterator[pa.RecordBatch]:
        """As `run`, in bounded batches."""

    def spool(
        self, query: str, inputs: Mapping[str, Relation], directory: Path, schema: pa.Schema
    ) -> ParquetFiles:
        """Write a query's rows as Parquet files under `directory/bucket=N/`, in bounded memory.

        The query's columns are those of `schema`, `bucket` among them.
        """
