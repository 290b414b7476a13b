"""One commit unit of the event table: staged, settled, made visible in one version."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.adapters.bucket_files import BucketFiles, DataFile, describe, sync
from shoal.adapters.compacting import tidy
from shoal.adapters.delta_log import STAGING, DeltaLog
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.failures import translated
from shoal.adapters.numbering import numbered
from shoal.adapters.places import KEYS_SCHEMA, Spool
from shoal.adapters.rewriting import Edit, rewrite
from shoal.adapters.settling import Settlement, settle
from shoal.events.identity import ids_as_came
from shoal.events.schema import CONTENT_KEY, EVENT_KEY, SCOPE_KEY, SCOPE_VERSION, TABLE_SCHEMA
from shoal.ports import RESTATED

#: Column beside `TABLE_SCHEMA`: the row came without an id and was given one.
GENERATED: Final = "generated_id"

#: So many rows wait before any is encoded. A unit that is no larger is numbered in memory, so that
#: no file of it is written twice.
HELD_ROWS: Final = 262_144

_KEYS: Final = "keys.parquet"
_WORKERS: Final = 2


class DeltaUnit:
    """Writes one commit unit. One thread at a time may use it.

    A directory under `_staging`, named like the files of the unit, stands from the first row to
    the commit: if the process dies, it tells which files nobody refers to.

    Args:
        log: the table's log.
        engine: runs the queries that settle the unit.
        name: the unit's name, its transaction in the log.
        joining: its rows belong to statements of scopes that were made before.
    """

    def __init__(
        self, log: DeltaLog, engine: DuckEngine, name: str, *, joining: bool = False
    ) -> None:
        self._joining = joining
        self._scoped = False
        self._log = log
        self._engine = engine
        self._name = name
        self._stem = f"{slug(name)}-{uuid.uuid4().hex[:8]}"
        self._staging = log.root / STAGING / self._stem
        self._files: BucketFiles | None = None
        self._held: list[pa.Table] | None = []
        self._as_came: dict[int, str] = {}
        self._keys: Spool | None = None
        self._counts: dict[str, int] | None = None
        self._settlement: Settlement | None = None
        self._paths: list[str] = []
        self._added: list[DataFile] = []
        self._replaced: list[tuple[DataFile, DataFile | None]] = []
        self._failed = False
        self._committing = False

    def append(self, events: pa.Table) -> None:
        """Stage valid events: a bounded chunk of `TABLE_SCHEMA` and a bool `generated_id`.

        The column `shoal.events.identity.AS_CAME` may stand beside them.

        Raises:
            OperationError: `disk_full`, `no_permission`.
        """
        if self._counts is not None:
            raise RuntimeError("a unit takes no more events once it is resolved")
        wanted = TABLE_SCHEMA.append(pa.field(GENERATED, pa.bool_()))
        with self._unfailing():
            if self._files is None:
                self._begin()
            self._as_came |= ids_as_came(events, GENERATED)
            self._take(events.select(wanted.names).cast(wanted))

    def resolve(self) -> Mapping[str, int]:
        """Settle occurrences, scopes, duplicates and conflicts; how many rows of each outcome.

        Every appended row is one of `stored`, `duplicate` (the same event with the same content is
        in the table or earlier in the unit), `conflicting` (the same event with other content;
        the one with the smaller content key stays, whichever came first, and a row that takes the
        place of a stored one counts as conflicting too) and `older`.

        Where rows have a scope, the unit states that scope as a whole (see `restating`) and the
        counts of `RESTATED` are given too. The table's rows are the sum of `stored` less
        `withdrawn` over its units.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        with self._unfailing():
            if self._counts is None:
                self._counts = self._resolved()
        return self._counts

    def stated(self) -> Sequence[int] | None:
        """Scope keys of which the unit's statement counts, in order; None if they are very many."""
        self.resolve()
        return self._settlement.stated if self._settlement else ()

    def commit(self, info: Mapping[str, Any]) -> int:
        """Make the unit visible in one table version; returns it. A committed unit is not repeated.

        Args:
            info: plain JSON values, kept in the commit and given back by `Warehouse.since`.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        self.resolve()
        if self._log.committed(self._name):
            self.discard()
            return self._log.version()
        with self._unfailing():
            rewritten = [new for _, new in self._replaced if new is not None]
            added = [*self._added, *rewritten]
            _synchronised(self._log.root, added)
        customers = self._settlement.customers if self._settlement else ()
        said = {
            "unit": self._name,
            "info": dict(info),
            "rewritten_customers": list(customers),
            "rewritten_files": [file.path for file in rewritten],
        }
        self._committing = True
        version = self._log.commit(added, [old for old, _ in self._replaced], said, unit=self._name)
        shutil.rmtree(self._staging, ignore_errors=True)
        return version

    def discard(self) -> None:
        """Remove everything staged; the table is as it was. A unit that was committed stays.

        Raises:
            OperationError: `shop_damaged`: the log cannot tell whether it was.
        """
        if self._committing and self._log.committed(self._name):
            shutil.rmtree(self._staging, ignore_errors=True)
            return
        if self._files is not None:
            self._files.abandon()
        if self._keys is not None:
            self._keys.close()
        self._files = self._keys = self._held = None
        remove_staged(self._log.root, self._stem)

    @contextmanager
    def _unfailing(self) -> Iterator[None]:
        """A step of the work; a unit of which one step failed can only be discarded."""
        if self._failed:
            raise RuntimeError("a step of this unit has failed; discard it and begin again")
        self._failed = True
        with translated(self._log.root):
            yield
        self._failed = False

    def _begin(self) -> None:
        tidy(self._log, self._engine)  # before anything is staged: settling looks into every file
        self._staging.mkdir(parents=True)
        (self._staging / "unit.json").write_text(json.dumps({"unit": self._name}))
        self._keys = Spool(self._staging / _KEYS, KEYS_SCHEMA)
        self._files = BucketFiles(self._log.root, self._stem, self._note_keys, workers=_WORKERS)

    def _take(self, events: pa.Table) -> None:
        """Hold the first rows; hand all on as soon as there are too many to hold."""
        assert self._files is not None
        if self._held is None:
            self._files.append(events)
            return
        self._held.append(events)
        if sum(held.num_rows for held in self._held) > HELD_ROWS:
            held, self._held = self._held, None
            for rows in held:
                self._files.append(rows)

    def _note_keys(self, rows: pa.Table, file: int, position: int) -> None:
        first = (file << 32) + position
        locator = pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64))
        names = (EVENT_KEY, CONTENT_KEY, GENERATED, SCOPE_KEY, SCOPE_VERSION)
        columns = [locator, *(rows[name] for name in names)]
        self._scoped |= rows[SCOPE_KEY].null_count < rows.num_rows
        assert self._keys is not None
        self._keys.append(pa.table(columns, schema=KEYS_SCHEMA))

    def _resolved(self) -> dict[str, int]:
        if self._files is None or self._keys is None:
            return {"stored": 0, "duplicate": 0, "conflicting": 0}
        if self._held:
            for rows in numbered(self._held, GENERATED, self._as_came):
                self._files.append(rows)
        self._held = None
        self._files.close()
        keys = self._keys.close()
        root = self._log.root
        table = self._log.files()
        self._paths = self._files.paths
        self._files = self._keys = None
        found = settle(
            self._engine,
            keys,
            self._staging,
            [str(root / path) for path in self._paths],
            [str(root / file.path) for file in table],
            scoped=self._scoped,
            joining=self._joining,
            as_came=self._as_came,
        )
        self._settlement = found
        with ThreadPoolExecutor(_WORKERS) as pool:
            staged = pool.map(self._settled_file, range(len(self._paths)))
            self._added = [file for file in staged if file is not None]
            numbers = found.files_to_change()
            kept = pool.map(lambda n: self._changed_file(n, table[n]), numbers)
            self._replaced = [(table[n], new) for n, new in zip(numbers, kept, strict=True)]
        named = ("stored", "duplicate", "conflicting", *(RESTATED if self._scoped else ()))
        return {name: getattr(found, name) for name in named} | dict(found.thinned)

    def _settled_file(self, number: int) -> DataFile | None:
        """The staged file after settling; None when nothing of it is left."""
        assert self._settlement is not None
        edit = self._settlement.staged_edit(number)
        path = self._paths[number]
        if edit is None:
            return describe(self._log.root, path)
        edited = self._rewritten(path, f"{self._stem}-s{number:05d}.parquet", edit)
        (self._log.root / path).unlink()
        return edited

    def _changed_file(self, number: int, file: DataFile) -> DataFile | None:
        """A copy of a file of the table without the rows that go; None when none are left."""
        assert self._settlement is not None
        edit = self._settlement.table_edit(number)
        return self._rewritten(file.path, f"{self._stem}-t{number:05d}.parquet", edit)

    def _rewritten(self, path: str, name: str, edit: Edit) -> DataFile | None:
        root = self._log.root
        if len(edit.drop) == pq.read_metadata(root / path).num_rows:
            return None
        new_path = f"{path.split('/', 1)[0]}/{name}"
        rewrite(root, path, new_path, edit)
        return describe(root, new_path)


def slug(name: str) -> str:
    """A unit's name as part of a file's name.

    >>> slug("a/b c.csv")
    'a-b-c-csv'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "unit"


def remove_staged(root: Path, stem: str) -> int:
    """Remove the files of a stem and its staging directory; returns how many files went."""
    files = list(root.glob(f"bucket=*/{stem}-*.parquet"))
    for file in files:
        file.unlink(missing_ok=True)
    shutil.rmtree(root / STAGING / stem, ignore_errors=True)
    return len(files)


def remove_orphans(log: DeltaLog) -> int:
    """Remove what dead processes staged and never committed; returns the files removed."""
    staging = log.root / STAGING
    removed = 0
    with translated(log.root):
        stems = [entry.name for entry in staging.iterdir()] if staging.is_dir() else []
        if not stems:
            return 0
        named = _ever_named(log)
        for stem in stems:
            if any(Path(path).name.startswith(f"{stem}-") for path in named):
                shutil.rmtree(staging / stem)
            else:
                removed += remove_staged(log.root, stem)
    return removed


def _ever_named(log: DeltaLog) -> set[str]:
    """Files that a version names or, as far back as the log tells, has named."""
    entries = log.entries(log.oldest_entry() - 1)
    named = {a["add"]["path"] for _, actions in entries for a in actions if "add" in a}
    return named | {file.path for file in log.files()}


def _synchronised(root: Path, files: list[DataFile]) -> None:
    paths = [root / file.path for file in files]
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(sync, paths))
        list(pool.map(sync, {path.parent for path in paths}))
    if paths:
        sync(root)
