"""Embeddings of all customers as one sorted file, in bounded memory, resumable after a kill.

Each group of buckets becomes a part of its own in the shop's work directory. A part is complete or
absent, and it is used again where model, moment, version of the event table and all that decides
which events count are the same; parts of anything else are removed. When all are there, the engine
sorts them into the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.features.algebra import CUSTOMER
from shoal.features.queries import Rules
from shoal.features.sequences import EVENTS_AT_ONCE
from shoal.features.snapshot import bucket_groups, latest_moment
from shoal.ports import Engine, EventTable, ParquetFiles, Registry, StateStore, Warehouse
from shoal.workflows.admission import Admission
from shoal.workflows.embed import (
    Embedder,
    current,
    known,
    late_warning,
    nothing_before,
    tokenizer_of,
)
from shoal.workflows.forget_lists import cleanings
from shoal.workflows.forgotten import hidden
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.model.artefact import ModelArtefact

SCHEMA: Final = "shoal.embed/1"
ENDINGS: Final = (".parquet", ".arrow")

#: Directories of parts, each named by what its parts depend on.
_PREFIX: Final = "embedding-"
_ROWS_A_BATCH: Final = 50_000


@dataclass(frozen=True)
class WrittenEmbeddings:
    """A written file: `rows` customers, `dimensions` numbers each, `reused` parts of `parts`."""

    path: Path
    rows: int
    dimensions: int
    model_id: str
    as_of: datetime
    parts: int
    reused: int
    warnings: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.embed/1`."""
        return {
            "schema": SCHEMA,
            "path": str(self.path),
            "customers": self.rows,
            "dimensions": self.dimensions,
            "model_id": self.model_id,
            "as_of": iso(self.as_of),
            "parts": self.parts,
            "reused_parts": self.reused,
            "warnings": list(self.warnings),
        }


def write_embeddings(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    rules: Rules,
    admission: Admission,
    work_dir: Path,
    out: Path,
    as_of: datetime | None = None,
    model: str | None = None,
    version: int | None = None,
    text_cache: Path | None = None,
    progress: Progress | None = None,
    events_at_once: int = EVENTS_AT_ONCE,
) -> WrittenEmbeddings:
    """Write a row a customer with an event before the moment, sorted by customer.

    Args:
        out: Parquet, or an Arrow file where its name ends in `.arrow`.
        as_of: T, aware; None for just after the latest event.
        model: its id; None for the current one.
        version: of the event table; None for the latest.
        text_cache: as of `embed.tokenizer_of`.
        events_at_once: events that are in memory at once, or those of one bucket.

    Raises:
        UsageError: `unknown_model`; `unknown_format`, another ending.
        InputError: `too_little_data`, no customer has an event before the moment.
        OperationError: `artefact_damaged`, `model_mismatch`, `missing_extra`; `no_permission`,
            `disk_full`: what was embedded is used when it is run again.
    """
    _check(out)
    found = current(store, registry, model)
    at_version = warehouse.version() if version is None else version
    moment = as_of or latest_moment(warehouse, version=version)
    counted = admission.at(moment, version=version)
    tokenizer = tokenizer_of(found, text_cache=text_cache)
    embedder = Embedder(found, tokenizer, rules, moment, progress or NoProgress())
    key = _key(found, embedder, at_version, admission, store)
    parts = _Parts(work_dir / f"{_PREFIX}{key}", counted, embedder, events_at_once, at_version)
    sweep(work_dir, parts.directory)
    reused = parts.write()
    rows = parts.into(out, counted.engine)
    shutil.rmtree(parts.directory, ignore_errors=True)
    dimensions = len(embedder.schema) - 1
    return WrittenEmbeddings(
        out, rows, dimensions, found.model_id, moment, len(parts.groups), reused,
        late_warning(found, moment),
    )  # fmt: skip


def sweep(work_dir: Path, but: Path | None = None) -> None:
    """Remove the parts that killed calls left; an erasure calls it, for parts name customers."""
    for entry in work_dir.glob(f"{_PREFIX}*") if work_dir.is_dir() else ():
        if entry != but:
            shutil.rmtree(entry, ignore_errors=True)


def _check(out: Path) -> None:
    if out.suffix.lower() not in ENDINGS:
        raise UsageError(
            "unknown_format",
            f"embeddings are written as {' or '.join(ENDINGS)}, received {out.name!r}",
            where=str(out),
            hint=f"Give --out a name that ends in {' or '.join(ENDINGS)}.",
        )


def _key(
    found: ModelArtefact, embedder: Embedder, version: int, admission: Admission, store: StateStore
) -> str:
    """16 hex digits of all that decides what is in the parts."""
    told = (
        found.model_id, found.document["created_at"], embedder.tokenizer.fingerprint,
        iso(embedder.moment), version, repr(embedder.rules), admission.fingerprint,
        sorted(hidden(store)), cleanings(store.erasures),
    )  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


class _Parts:
    """The parts of one call, and those that an earlier one left."""

    def __init__(
        self, directory: Path, counted: EventTable, embedder: Embedder, at_once: int, version: int
    ) -> None:
        self.directory = directory
        self.groups = bucket_groups(counted.bucket_counts(), at_once) if known(counted) else []
        self._counted = counted
        self._embedder = embedder
        self._version = version

    def write(self) -> int:
        """Write the parts that are missing; how many were there."""
        missing = [group for group in self.groups if not self._path(group).exists()]
        if not missing:
            return len(self.groups)
        self._embedder.start(self._counted, missing)
        try:
            for group in missing:
                self._write(group)
        finally:
            self._embedder.progress.done()
        return len(self.groups) - len(missing)

    def _write(self, group: Sequence[int]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self._path(group)
        aside = path.with_suffix(f".{os.getpid()}")
        tables = self._embedder.tables(self._counted, group, version=self._version)
        with pq.ParquetWriter(aside, self._embedder.schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
        aside.replace(path)

    def _path(self, group: Sequence[int]) -> Path:
        return self.directory / f"{group[0]:05d}-{group[-1]:05d}.parquet"

    def into(self, out: Path, engine: Engine) -> int:
        """Sort the parts into one file, which is there whole or not at all; returns its rows.

        Raises:
            InputError: `too_little_data`, there is nothing in the parts.
        """
        paths = [self._path(group) for group in self.groups]
        if not sum(pq.read_metadata(path).num_rows for path in paths):
            raise nothing_before(self._embedder.moment)
        schema = self._embedder.schema
        parts = ParquetFiles(tuple(str(path) for path in paths), schema)
        told = ibis.table(ibis.Schema.from_pyarrow(schema), name="parts")
        query = engine.compile(told.order_by(CUSTOMER))
        aside = out.with_name(f".{out.name}.part")
        rows = 0
        try:
            with _writer(out, aside, schema) as writer:
                for batch in engine.stream(query, {"parts": parts}, _ROWS_A_BATCH):
                    writer.write_batch(batch.cast(schema))
                    rows += batch.num_rows
            aside.replace(out)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
        return rows


def _writer(out: Path, aside: Path, schema: pa.Schema) -> pq.ParquetWriter | pa.RecordBatchWriter:
    if out.suffix.lower() == ".arrow":
        return pa.ipc.new_file(str(aside), schema)
    return pq.ParquetWriter(aside, schema, compression="zstd")
