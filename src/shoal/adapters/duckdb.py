"""The engine of a laptop: DuckDB in memory, over the event table's current files."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import duckdb
import pyarrow as pa

from shoal.adapters import kept_queries
from shoal.adapters.duckdb_plans import Plans
from shoal.adapters.failures import translated
from shoal.adapters.process_memory import memory_mib
from shoal.ports import ParquetFiles, Relation

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.expr.operations import Node

_BUCKET = "bucket"
_COPY_WARNING = "Arrow output on a DB-API result"
_GLOB = re.compile(r"[*?\[\]]")
#: Compiled queries that are remembered: more than the whole program asks.
_KEPT = 500
#: Of one of several processes, however many they are.
_LEAST_MEMORY_MIB = 256


class DuckEngine:
    """Runs queries in an in-memory DuckDB: nothing is kept on disk but what spills.

    Times are UTC, extensions are never downloaded, and rows come in no promised order unless the
    query orders them. Any thread may call any method: each call has a cursor of its own, so two
    calls may bind different relations under one name.

    Args:
        threads: worker threads; None for one a core.
        memory_mib: what DuckDB may hold before it spills, in MiB; None for half of what this
            process may have (`process_memory`), at most 3 GiB.
        spill: directory of spilled data; None for `duckdb-spill` in the system's temporary one.

    >>> engine = DuckEngine(threads=1)
    >>> engine.run("SELECT sum(x) AS s FROM t", {"t": pa.table({"x": [1, 2]})}).to_pylist()
    [{'s': 3}]
    """

    dialect = "duckdb"

    #: What was compiled in this process, which engines share: queries, the latest last, and of each
    #: query its Arrow schema.
    _compiled: ClassVar[dict[Node, str]] = {}
    _schemas: ClassVar[dict[str, pa.Schema]] = {}
    #: Compiled queries as DuckDB parses them, a third of the time of a long one over few rows.
    _parsed: ClassVar[dict[str, duckdb.Statement]] = {}
    _compiling: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        threads: int | None = None,
        memory_mib: int | None = None,
        spill: str | os.PathLike[str] | None = None,
    ) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Without it the rows of `execute` come unordered whatever the query orders.
            "preserve_insertion_order": True,
            "memory_limit": f"{memory_mib or _default_memory_mib()}MiB",
            "temp_directory": os.fspath(spill) if spill else str(_default_spill()),
        }
        if threads:
            settings["threads"] = threads
        warnings.filterwarnings("ignore", message=_COPY_WARNING)  # see `_rows`
        self._connection = duckdb.connect(":memory:", config=settings)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._connection.execute("SET GLOBAL parquet_metadata_cache = true")
        self._lock = threading.Lock()
        self._plans = Plans(self._cursor)

    @classmethod
    def one_of(cls, processes: int) -> DuckEngine:
        """The engine of one of several processes: with its part of the cores and of the memory."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return cls(
            threads=max((cores or 1) // processes, 1),
            memory_mib=max(_default_memory_mib() // processes, _LEAST_MEMORY_MIB),
        )

    def compile(self, expr: ir.Table) -> str:
        """SQL of an expression over unbound tables; compiled once in a process and kept.

        Rows of a compiled query have exactly the types of its expression.
        """
        import ibis  # takes longer to load than `shoal status` may take in all

        node = expr.op()
        with self._compiling:
            known = self._compiled.pop(node, None)
            if known is None:
                known = str(ibis.to_sql(expr, dialect=self.dialect, pretty=False))
                self._schemas[known] = expr.schema().to_pyarrow()
            self._compiled[node] = known
            if len(self._compiled) > _KEPT:
                del self._compiled[next(iter(self._compiled))]
            return known

    def compiled(self, name: str, definition: Callable[[], ir.Table]) -> str:
        """SQL of the expression that a definition gives, kept from process to process by a name."""
        name = f"{self.dialect} {duckdb.__version__} {version('ibis-framework')} {name}"
        kept = kept_queries.read(name)
        if kept is None:
            query = self.compile(definition())
            kept_queries.write(name, query, self._schemas[query])
            return query
        query, schema = kept
        with self._compiling:
            self._schemas.setdefault(query, schema)
        return query

    def run(self, query: str, inputs: Mapping[str, Relation]) -> pa.Table:
        """Rows of a query, with each named table bound to a relation, as one Arrow table.

        A sum of int64 is int64 again (an overflow is an error), times are in UTC.

        Raises:
            OperationError: `shop_damaged` when a file cannot be read, `disk_full` when spilling
                finds no space.
        """
        with _told(inputs):
            table = self._plans.run(query, inputs) if query in self._schemas else None
            if table is None:
                with self._bound(inputs) as cursor:
                    table = _rows(cursor, self._statement(query))
        wanted = self._schema(query, table.schema)
        return table if table.schema.equals(wanted) else table.cast(wanted)

    def stream(
        self, query: str, inputs: Mapping[str, Relation], rows_per_batch: int = 100_000
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a query as `run` gives them, in batches of at most `rows_per_batch` rows."""
        with self._bound(inputs) as cursor, _told(inputs):
            reader = cursor.sql(query).to_arrow_reader(rows_per_batch)
            schema = self._schema(query, reader.schema)
            for batch in reader:
                for start in range(0, batch.num_rows, rows_per_batch):
                    yield batch.slice(start, rows_per_batch).cast(schema)

    def spool(
        self, query: str, inputs: Mapping[str, Relation], directory: Path, schema: pa.Schema
    ) -> ParquetFiles:
        """Write a query's rows as Parquet files under `directory/bucket=N/`, in bounded memory."""
        columns = ", ".join(_name(name) for name in schema.names)
        options = "FORMAT parquet, COMPRESSION lz4, PARTITION_BY (bucket), OVERWRITE_OR_IGNORE"
        target = _literal(str(directory))
        with self._bound(inputs) as cursor, _told(inputs):
            cursor.execute(f"COPY (SELECT {columns} FROM ({query})) TO {target} ({options})")
        paths = sorted(str(path) for path in directory.glob("bucket=*/*.parquet"))
        return ParquetFiles(tuple(paths), schema)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            return self._connection.cursor()

    def _bound(self, inputs: Mapping[str, Relation]) -> duckdb.DuckDBPyConnection:
        cursor = self._cursor()
        for name, relation in inputs.items():
            if isinstance(relation, ParquetFiles) and relation.paths:
                with _told(inputs):
                    cursor.execute(f"CREATE TEMP VIEW {_name(name)} AS {scan(relation)}")
            else:
                empty = isinstance(relation, ParquetFiles)
                cursor.register(name, relation.schema.empty_table() if empty else relation)
        return cursor

    def _statement(self, query: str) -> str | duckdb.Statement:
        """A compiled query as it was parsed before; another as it is."""
        if query not in self._schemas:
            return query
        with self._compiling:
            parsed = self._parsed.pop(query, None)
            if parsed is None:
                (parsed,) = duckdb.extract_statements(query)
            self._parsed[query] = parsed
            if len(self._parsed) > _KEPT:
                del self._parsed[next(iter(self._parsed))]
            return parsed

    def _schema(self, query: str, got: pa.Schema) -> pa.Schema:
        wanted = self._schemas.get(query)
        if wanted is not None and wanted.names == got.names:
            return wanted
        return pa.schema([field.with_type(_plain(field.type)) for field in got])


def _rows(cursor: duckdb.DuckDBPyConnection, query: str | duckdb.Statement) -> pa.Table:
    """The query's rows, bound once.

    A relation is bound when it is made and again when it runs: of the feature catalog over a
    million events that is a tenth of the time. Against it, rows are copied once, of which DuckDB
    would warn at every call.
    """
    return cursor.execute(query).to_arrow_table()


def scan(
    files: ParquetFiles, *, located: bool = False, numbers: Sequence[int] | None = None
) -> str:
    """The SELECT that reads Parquet files, with `bucket` taken from their directory.

    The rest of a file's path never becomes a column, whatever the directories above are called.

    Args:
        files: at least one.
        located: also give `locator`, the place of each row: number of the file in `files.paths`
            x 2^32 + number of the row in its file.
        numbers: the files' numbers, where they are not 0, 1, ...
    """
    paths = ", ".join(_literal(_escaped(path)) for path in files.paths)
    columns = [_name(name) for name in files.schema.names if name != _BUCKET]
    options = "hive_partitioning = false"
    if _BUCKET not in files.schema.names:
        pass
    elif any("=" in str(Path(path).parent.parent) for path in files.paths):
        columns.append(
            r"regexp_extract(filename, 'bucket=(-?\d+)[/\\][^/\\]*$', 1)::INTEGER AS bucket"
        )
        options += ", filename = true"
    else:
        columns.append("bucket")
        options = "hive_partitioning = true, hive_types = {'bucket': INTEGER}"
    if located:
        number = "file_index" if numbers is None else f"{list(numbers)}[file_index::BIGINT + 1]"
        columns.append(f"({number}::BIGINT << 32) + file_row_number AS locator")
    return f"SELECT {', '.join(columns)} FROM read_parquet([{paths}], {options})"


def _plain(kind: pa.DataType) -> pa.DataType:
    """Arrow type of the event table for one that DuckDB returns."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, tz="UTC")
    if pa.types.is_decimal(kind) and kind.scale == 0:
        return pa.int64()
    return kind


def _told(inputs: Mapping[str, Relation]) -> AbstractContextManager[None]:
    """Tell failures of the files that a query reads; a mistake in the query itself passes."""
    for relation in inputs.values():
        if isinstance(relation, ParquetFiles) and relation.paths:
            return translated(
                Path(relation.paths[0]).parent,
                damaged="a file of the event table",
                unreadable=(duckdb.IOException, duckdb.InvalidInputException),
            )
    return translated("")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escaped(path: str) -> str:
    return _GLOB.sub(lambda found: f"[{found.group()}]", path)


def _default_memory_mib() -> int:
    return min(3 * 1024, memory_mib() // 2)


def _default_spill() -> Path:
    import tempfile

    return Path(tempfile.gettempdir()) / "duckdb-spill"
