"""The Parquet files of a simulated shop: the same rows give the same bytes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS_PER_GROUP: Final = 131_072


class TableWriter:
    """A Parquet file written table by table. Text columns are plain texts to every reader."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> TableWriter:
        return self

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            ids = [n for n in ("event_id", "sequence") if n in table.column_names]
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", compression_level=1,
                use_dictionary=[n for n in table.column_names if n not in ids],
                store_schema=False,
            )  # fmt: skip
        self._writer.write_table(table, row_group_size=_ROWS_PER_GROUP)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def write_table(table: pa.Table, path: Path) -> None:
    with TableWriter(path) as writer:
        writer.write(table)


class TableFiles:
    """Tables by name, each written piece by piece to a file of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, TableWriter] = {}
        self._stack = ExitStack()

    def __enter__(self) -> TableFiles:
        return self

    def write(self, name: str, table: pa.Table) -> None:
        """Append rows to the table of that name."""
        if name not in self._writers:
            path = self._folder / f"{name}.parquet"
            self._writers[name] = self._stack.enter_context(TableWriter(path))
        self._writers[name].write(table)

    def __exit__(self, *_: object) -> None:
        self._stack.close()
