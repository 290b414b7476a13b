"""The Delta Lake log of the event table: what is in it, and one commit at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Transaction
from deltalake.schema import PrimitiveType

from shoal.adapters.bucket_files import DataFile, sync
from shoal.adapters.delta_actions import add_action, data_file, remove_action
from shoal.adapters.failures import translated
from shoal.adapters.log_files import LOG_DIR, LogFiles, remove_before
from shoal.domain.errors import OperationError, UsageError
from shoal.domain.time import system_clock, to_us
from shoal.events.schema import BUCKET, SCHEMA_VERSION, TABLE_SCHEMA

#: Directory of what is not committed yet; readers of Delta tables skip names with an underscore.
STAGING: Final = "_staging"

#: Where a commit of ours keeps what it says of itself.
SHOAL: Final = "shoal"

_SCHEMA_SETTING: Final = "shoal.schema"
_BUCKETS_SETTING: Final = "shoal.buckets"

#: Delta's names of the types that columns of a later schema may have.
_DELTA_TYPES: Final = {"int64": "long", "int32": "integer", "string": "string", "double": "double"}

# Delta drops log entries of its own accord after 30 days; ours tell which files belong to which
# unit, so they stay until something removes them on purpose. Every checkpoint would name each file
# that was removed in the last week, a hundred thousand of them in a busy shop; nothing here asks.
_CONFIGURATION: Final = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.deletedFileRetentionDuration": "interval 1 days",
}


class DeltaLog:
    """The log of one table; every method sees the table's latest state.

    Args:
        root: the table's directory; the table is made by the first commit.
        buckets: number of customer buckets; fixed when the table is made.
        migrating: take a table of an older schema, to bring it to this one.
    """

    def __init__(self, root: Path, buckets: int, *, migrating: bool = False) -> None:
        self.root = root
        self._buckets = buckets
        self._migrating = migrating
        self._table: DeltaTable | None = None
        #: Files of the version that was asked for last: a version never has others.
        self._listed: tuple[int, tuple[DataFile, ...]] = (-1, ())
        self._lock = threading.Lock()

    def version(self) -> int:
        """The latest version; -1 when there is no table yet."""
        table = self._latest()
        return -1 if table is None else table.version()

    def files(self, version: int | None = None) -> list[DataFile]:
        """The files of the table at a version, in order of bucket and path.

        Raises:
            UsageError: `bad_setting`, the table has no such version.
            OperationError: `shop_damaged`.
        """
        table = self._latest()
        if version is not None:
            table = self._at(table, version)
        if table is None:
            return []
        at, found = self._listed
        if at != table.version():
            with self._told():
                actions = pa.table(table.get_add_actions(flatten=True))
            files = [data_file(row) for row in actions.to_pylist()]
            found = tuple(sorted(files, key=lambda file: (file.bucket, file.path)))
            self._listed = table.version(), found
        return list(found)

    def committed(self, unit: str) -> bool:
        """Whether a commit carried this unit's transaction."""
        table = self._latest()
        return table is not None and table.transaction_version(unit) is not None

    def commit(
        self,
        added: Sequence[DataFile],
        removed: Sequence[DataFile],
        said: Mapping[str, Any],
        *,
        unit: str | None = None,
    ) -> int:
        """Make files appear and disappear in one new version; returns it.

        Args:
            added: closed files under the root, already synchronised to disk.
            removed: files of the latest version.
            said: kept in the commit under `shoal`; plain JSON values.
            unit: the transaction this commit is; None for a rearrangement that adds no event.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        with self._told():
            table = self._latest() or self._create()
            now_ms = to_us(system_clock()) // 1000
            adds = [add_action(file, now_ms, unit is not None) for file in added]
            removes = [remove_action(file, now_ms, unit is not None) for file in removed]
            table.create_write_transaction(
                [*adds, *removes],
                mode="append",
                schema=TABLE_SCHEMA,
                partition_by=[BUCKET],
                commit_properties=CommitProperties(
                    custom_metadata={SHOAL: dict(said)},
                    app_transactions=[Transaction(unit, 1)] if unit is not None else None,
                ),
            )
            return self._synchronise(table)

    def paths(self, version: int) -> list[str]:
        """Paths of the files of a version, of whatever schema it has.

        Raises:
            OperationError: `shop_damaged`.
        """
        with self._told():
            table = DeltaTable(str(self.root), version=version)
            found: list[str] = pa.table(table.get_add_actions())["path"].to_pylist()
        return found

    def oldest(self) -> int:
        """The oldest version that can be read; -1 when there is no table yet."""
        latest = self.version()
        return min(LogFiles.of(self.root).oldest(latest), latest)

    def oldest_entry(self) -> int:
        """The first version from which on every commit can be read; 0 unless some were removed.

        Entries leave that a checkpoint has made dispensable: the table stands, what each of those
        commits did is no longer told.
        """
        return LogFiles.of(self.root).first_entry(self.version())

    def entries(self, after: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """(version, actions) of every commit after a version, in order.

        Raises:
            OperationError: `shop_damaged`, an entry is missing or is not JSON.
        """
        latest = self.version()
        if after < latest and not self._entry(after + 1).exists():
            raise OperationError(
                "shop_damaged",
                f"the log of the event table no longer tells what was committed after version "
                f"{after}; it begins with version {self.oldest_entry()}",
                where=str(self._entry(after + 1)),
                hint="Make the customers' states anew from the whole table, or restore the "
                "directory from a backup.",
            )
        for version in range(after + 1, latest + 1):
            with self._told():
                lines = self._entry(version).read_text(encoding="utf-8").splitlines()
                yield version, [json.loads(line) for line in lines if line]

    def moment_us(self, version: int) -> int | None:
        """When a version was committed, by the clock of then; None where its entry does not say.

        Raises:
            OperationError: `shop_damaged`, the entry is missing or is not JSON.
        """
        with self._told():
            for line in self._entry(version).read_text(encoding="utf-8").splitlines():
                if line.startswith('{"commitInfo"'):
                    told = json.loads(line)["commitInfo"].get("timestamp")
                    return None if told is None else int(told) * 1000
        return None

    def begin_with(self, version: int) -> int:
        """Let the log begin with a version: earlier entries and checkpoints are removed.

        Which units were committed is still known; what each of those commits did is not. Safe to
        repeat after a kill at any point. Returns how many entries went.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        with self._told():
            if version > 0 and version not in LogFiles.of(self.root).checkpoints:
                DeltaTable(str(self.root), version=version).create_checkpoint()
            gone = remove_before(self.root, version)
            self._table = None  # what was read of the old entries is not asked again
            return gone

    def truncate(self) -> None:
        """Let the log begin with its latest version; see `begin_with`.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        latest = self.version()
        if latest >= 0:
            self.begin_with(latest)

    def schema_version(self) -> int:
        """The schema that the table was made or migrated with; this program's if there is none."""
        table = self._latest()
        if table is None:
            return SCHEMA_VERSION
        return int(table.metadata().configuration.get(_SCHEMA_SETTING, 0))

    def add_columns(self) -> None:
        """Add the columns of this program's schema that the table does not have, all nullable.

        Raises:
            OperationError: `disk_full`, `no_permission`, `shop_damaged`.
        """
        table = self._latest()
        assert table is not None
        with self._told():
            known = {field.name for field in table.schema().fields}
            fields = [
                Field(field.name, PrimitiveType(_DELTA_TYPES[str(field.type)]), nullable=True)
                for field in TABLE_SCHEMA
                if field.name not in known
            ]
            if fields:
                table.alter.add_columns(fields)
                self._synchronise(table)

    def set_schema_version(self) -> None:
        """Say that the table has this program's schema: the last step of a migration."""
        table = self._latest()
        assert table is not None
        with self._told():
            table.alter.set_table_properties(
                {_SCHEMA_SETTING: str(SCHEMA_VERSION)}, raise_if_not_exists=False
            )
            self._synchronise(table)

    def _synchronise(self, table: DeltaTable) -> int:
        """See the newest version, its entry safe on disk; returns it."""
        table.update_incremental()
        version = int(table.version())
        entry = self._entry(version)
        sync(entry)
        checkpoint = entry.with_suffix(".checkpoint.parquet")
        if checkpoint.exists():  # the library makes one every hundred commits
            sync(checkpoint)
        sync(entry.parent)
        return version

    def _entry(self, version: int) -> Path:
        return self.root / LOG_DIR / f"{version:020d}.json"

    def _latest(self) -> DeltaTable | None:
        with self._lock, self._told():
            if self._table is not None:
                self._table.update_incremental()
                return self._table
            if not self._entry(0).parent.is_dir() or not DeltaTable.is_deltatable(str(self.root)):
                self._refuse_lost_log()
                return None
            table = DeltaTable(str(self.root))
            self._check(table.metadata().configuration)
            self._table = table
            return table

    def _refuse_lost_log(self) -> None:
        """Without a log there is no table yet: so every data file must be staged still."""
        staging = self.root / STAGING
        stems = [entry.name for entry in staging.iterdir()] if staging.is_dir() else []
        for file in self.root.glob("bucket=*/*.parquet"):
            if not any(file.name.startswith(f"{stem}-") for stem in stems):
                raise OperationError(
                    "shop_damaged",
                    "the event table has files but no log",
                    where=str(self.root / LOG_DIR),
                    hint="Restore the directory from a backup, or make a new shop and ingest the "
                    "sources again.",
                )

    def _at(self, latest: DeltaTable | None, version: int) -> DeltaTable:
        newest = -1 if latest is None else latest.version()
        if not 0 <= version <= newest:
            has = f"versions 0 to {newest}" if newest >= 0 else "no version yet"
            raise UsageError(
                "bad_setting",
                f"the event table has no version {version}; it has {has}",
                where=str(self.root),
                hint="Give a version that `shoal status` lists, or none for the latest.",
            )
        if latest is not None and version == newest:
            return latest
        try:
            with self._told():
                table = DeltaTable(str(self.root), version=version)
        except OperationError as error:
            oldest = self.oldest()
            if version >= oldest:
                raise
            raise UsageError(
                "bad_setting",
                f"version {version} of the event table is not kept any more; the oldest that is "
                f"kept is {oldest}",
                where=str(self.root),
                hint="Versions are kept for so many days as [table] keep_days says, and none from "
                "before an erasure. Ask for a later one.",
            ) from error
        written = table.metadata().configuration.get(_SCHEMA_SETTING, "none")
        if written != str(SCHEMA_VERSION):
            raise UsageError(
                "bad_setting",
                f"version {version} of the event table has schema {written}; "
                f"this Shoal reads schema {SCHEMA_VERSION}",
                where=str(self.root),
                hint="The table was migrated later. Ask for a version after the migration, or read "
                "a copy that was made before it with the Shoal that wrote it.",
            )
        return table

    def _create(self) -> DeltaTable:
        self.root.mkdir(parents=True, exist_ok=True)
        table = DeltaTable.create(
            str(self.root),
            TABLE_SCHEMA,
            partition_by=[BUCKET],
            configuration={
                **_CONFIGURATION,
                _SCHEMA_SETTING: str(SCHEMA_VERSION),
                _BUCKETS_SETTING: str(self._buckets),
            },
            raise_if_key_not_exists=False,
        )
        sync(self._entry(0))
        self._table = table
        return table

    def _check(self, configuration: Mapping[str, str]) -> None:
        written = configuration.get(_SCHEMA_SETTING, "none")
        if written.isdigit() and int(written) > SCHEMA_VERSION:
            raise OperationError(
                "shop_newer",
                f"the event table has schema {written}, this Shoal knows up to {SCHEMA_VERSION}",
                where=str(self.root),
                hint="Upgrade Shoal; an older one would read the events wrongly.",
            )
        buckets = configuration.get(_BUCKETS_SETTING, "none")
        older = written.isdigit() and 1 <= int(written) < SCHEMA_VERSION
        if older and not self._migrating:
            raise OperationError(
                "shop_older",
                f"the event table has schema {written}, this Shoal needs {SCHEMA_VERSION}",
                where=str(self.root),
                hint="Copy the shop's directory as a backup, then run: "
                f"shoal migrate {self.root.parent}",
            )
        if older:
            written = str(SCHEMA_VERSION)
        if written != str(SCHEMA_VERSION) or buckets != str(self._buckets):
            raise OperationError(
                "shop_damaged",
                f"the event table was made with schema {written} and {buckets} buckets, "
                f"the shop expects schema {SCHEMA_VERSION} and {self._buckets} buckets",
                where=str(self.root),
                hint="The number of buckets is fixed when a shop is made: restore `buckets` in "
                "shop.toml, or make a new shop and ingest the sources again.",
            )

    def _told(self) -> Any:
        return translated(self.root, damaged="the event table")
