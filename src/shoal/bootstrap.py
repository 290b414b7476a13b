"""The only place that chooses adapters."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from shoal.config import FILE_NAME, Config, StoreConfig, read, render
from shoal.domain import kinds
from shoal.domain.errors import OperationError, ShoalError, UsageError
from shoal.events.noise import ROW_RULES

if TYPE_CHECKING:
    from shoal.adapters.duckdb import DuckEngine
    from shoal.adapters.live_table import LiveTable
    from shoal.adapters.postgres import Namespace
    from shoal.adapters.shop_files import ShopFiles
    from shoal.events.privacy import Privacy
    from shoal.events.privacy_reading import Reading
    from shoal.features.covariates import Covariates
    from shoal.features.fold import Fold
    from shoal.ports import AuditLog, Inbox, Registry, StateStore, Warehouse, WebhookStore
    from shoal.workflows.admission import Admission

STORE_FILE: Final = "shop.sqlite"
INBOX_FILE: Final = "inbox.sqlite"
WEBHOOKS_FILE: Final = "webhooks.sqlite"
AUDIT_FILE: Final = "audit.sqlite"
#: What the file of each store is called, of a shop in SQLite and of every backup.
FILES: Final = MappingProxyType(
    {"store": STORE_FILE, "inbox": INBOX_FILE, "webhooks": WEBHOOKS_FILE, "audit": AUDIT_FILE}
)
EVENTS_DIR: Final = "events"
QUARANTINE_DIR: Final = "quarantine"
ARTEFACTS_DIR: Final = "artefacts"
EXPORTS_DIR: Final = "exports"
#: Events as they count, for as long as somebody reads them.
WORK_DIR: Final = "work"


class Parts:
    """The adapters of one shop directory, each made when first asked for.

    Args:
        store: a copy of the state store to be asked instead of the shop's own.
        work_dir: where events are written while they are read; None: in the shop.
        one_of: processes that query the shop at once and share cores and memory.
    """

    def __init__(
        self,
        directory: Path,
        config: Config,
        *,
        store: StateStore | None = None,
        work_dir: Path | None = None,
        one_of: int = 1,
    ) -> None:
        self.directory = directory
        self.config = config
        self._store = store
        self._work_dir = work_dir or directory / WORK_DIR
        self._one_of = one_of
        self._fold: tuple[tuple[str, str], Fold] | None = None

    @cached_property
    def store(self) -> StateStore:
        if self._store is not None:
            return self._store
        from shoal.adapters.sql import SqlStateStore

        return SqlStateStore(self.namespace or f"sqlite:///{self.directory / STORE_FILE}")

    @cached_property
    def namespace(self) -> Namespace | None:
        """The schema of a PostgreSQL database that holds the shop's state; None: SQLite files do.

        Raises:
            UsageError: `bad_setting`, nothing says where the database is.
        """
        if not self.config.store.namespace:
            return None
        from shoal.adapters.postgres import namespace_of

        return namespace_of(self.config.store, self.directory)

    def inbox(self) -> Inbox:
        """The inbox; whoever opens it closes it."""
        from shoal.adapters.sql_inbox import SqlInbox

        return SqlInbox(self.namespace or self.directory / INBOX_FILE)

    def webhook_store(self) -> WebhookStore:
        """The store of webhooks; whoever opens it closes it."""
        from shoal.adapters.sql_webhooks import SqlWebhooks

        return SqlWebhooks(self.namespace or self.directory / WEBHOOKS_FILE)

    def audit_log(self) -> AuditLog:
        """The audit log; whoever opens it closes it."""
        if self.namespace is not None:
            from shoal.adapters.postgres_audit import PostgresAudit

            return PostgresAudit(self.namespace)
        return audit_file(self.directory)

    def begun(self, part: str) -> bool:
        """Whether one of the stores named in `FILES` may hold anything."""
        return self.namespace is not None or (self.directory / FILES[part]).exists()

    @property
    def killed(self) -> bool:
        """Whether the service that ran last did not end well; asked before its inbox is opened."""
        if self.namespace is not None:
            return bool(getattr(self.store, "taken_over", False))
        log = self.directory / f"{INBOX_FILE}-wal"
        return log.exists() and log.stat().st_size > 0  # who closes an inbox leaves none

    @cached_property
    def engine(self) -> DuckEngine:
        from shoal.adapters.duckdb import DuckEngine

        return DuckEngine.one_of(self._one_of) if self._one_of > 1 else DuckEngine()

    @cached_property
    def table(self) -> Warehouse:
        """The event table alone; the state store is not opened for it."""
        from shoal.adapters.deltalake import DeltaWarehouse

        return DeltaWarehouse(
            self.directory / EVENTS_DIR, buckets=self.config.shop.buckets, engine=self.engine
        )

    @cached_property
    def warehouse(self) -> LiveTable:
        """The event table, with what states hold of it already."""
        from shoal.adapters.live_table import LiveTable
        from shoal.workflows.live_flush import begun

        return LiveTable(self.table, self.store.live, lambda: begun(self.store), self._work_dir)

    @cached_property
    def registry(self) -> Registry:
        from shoal.adapters.files import FileRegistry

        return FileRegistry(self.directory / ARTEFACTS_DIR)

    @property
    def fold(self) -> Fold:
        """The fold of the shop's value event, currency, traits and tail.

        The first source that says what counts as buying, and the first amount, settle it for all:
        a process that is there before them must not go on with what it knew.
        """
        settings = self.store.get_settings()
        told = settings.get("value_event", ""), settings.get("currency", "")
        kept = self._fold
        if kept is None or kept[0] != told:
            kept = self._fold = told, self.fold_of(*told)
        return kept[1]

    @cached_property
    def admission(self) -> Admission:
        """What decides which stored events count, as whose, and for how much."""
        from shoal.workflows.admission import Admission

        return Admission(
            self.warehouse,
            self.store,
            self.registry,
            currency=self.config.shop.currency,
            people=self.config.identity,
            pace=self.config.noise,
            buckets=self.config.shop.buckets,
            work_dir=self._work_dir,
        )

    @cached_property
    def privacy(self) -> Privacy | None:
        """What is hidden of all that comes in, with the environment's keys; None: nothing.

        Raises:
            UsageError: `no_secret`, `bad_secret`, `wrong_secret`, `privacy_changed`.
        """
        from shoal.workflows.hiding import privacy_of

        def holds_events() -> bool:
            return self.warehouse.version() >= 0 or bool(self.store.units())

        return privacy_of(self.config.privacy, self.store, os.environ, holds_events)

    @cached_property
    def reading(self) -> Reading | None:
        """What opens what was hidden, as far as the environment's keys do; None: nothing was."""
        from shoal.workflows.hiding import reading_of

        return reading_of(self.config.privacy, self.store, os.environ)

    def files(self, *, at_rest: bool = False) -> ShopFiles:
        """The stores as files; `at_rest`: it is a backup, and nothing is written into it."""
        from shoal.adapters.shop_files import ShopFiles

        if self.namespace is not None and not at_rest:
            from shoal.adapters.postgres_files import PostgresFiles

            buckets = self.config.shop.buckets
            return PostgresFiles(self.namespace, dict(FILES), EVENTS_DIR, buckets)
        return ShopFiles(
            self.directory, STORE_FILE, EVENTS_DIR, self.config.shop.buckets, at_rest=at_rest
        )

    def fold_of(self, declared: str, currency: str = "") -> Fold:
        """The fold where a source declares a value event and its events carry a currency.

        The shop's configuration wins over both; without any, buying is `purchase`.
        """
        from shoal.features.catalog import CATALOG
        from shoal.features.fold import Fold

        shop = self.config.shop
        return Fold(
            CATALOG,
            self.engine,
            value_event=shop.value_event or declared or kinds.PURCHASE,
            currency=shop.currency or currency or None,
            traits=self.config.features.traits,
            tail=shop.tail_events,
            noise=tuple(rule for rule in ROW_RULES if rule in self.config.noise.rules),
            order_sources=shop.order_sources,
            covariates=self._covariates(),
        )

    def _covariates(self) -> Covariates | None:
        """The covariates that the shop declares."""
        names = self.config.features.covariates
        if not names:
            return None
        from shoal.workflows.covariates import declared

        return declared(self.store, self.registry, names)

    def close(self) -> None:
        """Release what was opened."""
        for name in ("warehouse", "store", "engine"):
            part = self.__dict__.get(name)
            if part is not None and hasattr(part, "close"):
                part.close()


def create(directory: Path, config: Config) -> Parts:
    """Make a shop directory.

    Raises:
        UsageError: `shop_exists`, the directory holds a shop or other files.
        OperationError: `no_permission` or `disk_full`.
    """
    if (directory / FILE_NAME).exists():
        raise UsageError(
            "shop_exists",
            f"{directory} already holds a shop",
            where=str(directory / FILE_NAME),
            hint="Choose another directory, or go on with: shoal ingest",
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            "shop_exists",
            f"{directory} exists and is not an empty directory",
            where=str(directory),
            hint="Choose a directory that is new or empty.",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        parts = Parts(directory, config)
        if parts.namespace is not None:
            from shoal.adapters.postgres import claim

            claim(parts.namespace)
        _ = parts.store  # makes the database
        (directory / FILE_NAME).write_text(render(config), encoding="utf-8")
    except OSError as error:
        raise as_operation_error(error) from error
    return parts


def attach(directory: Path, *, copied: bool = False, one_of: int = 1) -> Parts:
    """The adapters of an existing shop.

    Args:
        copied: it is a backup, whose stores are SQLite files whatever the shop's are.
        one_of: as of `Parts`.

    Raises:
        UsageError: `not_a_shop` or a bad setting.
    """
    config = read(directory)
    used = replace(config, store=StoreConfig()) if copied else config
    return Parts(directory, used, one_of=one_of)


def audit_file(directory: Path) -> AuditLog:
    """The audit log that lies as a file in a directory; whoever opens it closes it."""
    from shoal.adapters.sql_audit import SqlAudit

    return SqlAudit(directory / AUDIT_FILE)


def settle(directory: Path, store: StoreConfig | None) -> None:
    """Bring the state of a shop that was just restored, which lies in files, to where it belongs.

    Args:
        store: where that is, which is written into its `shop.toml`; None: where that says.

    Raises:
        UsageError: `shop_exists`, the schema has tables; `bad_setting`.
        OperationError: what the database raises.
    """
    config = read(directory)
    if store is not None and store != config.store:
        config = replace(config, store=store)
        (directory / FILE_NAME).write_text(render(config), encoding="utf-8")
    namespace = Parts(directory, config).namespace
    if namespace is not None:
        from shoal.adapters.postgres_files import load
        from shoal.adapters.sql_migration import migrate_store

        migrate_store(f"sqlite:///{directory / STORE_FILE}")
        load(namespace, dict(FILES))


def unsettle(directory: Path) -> None:
    """Undo what `settle` did, of a shop that could not be restored after all."""
    namespace = attach(directory).namespace
    if namespace is not None:
        from shoal.adapters.postgres import give_up

        give_up(namespace)


def is_older(store_version: int) -> bool:
    """Whether a state store of a version must be migrated before this program can use it."""
    from shoal.adapters.sql_schema import STORE_VERSION

    return store_version < STORE_VERSION


def go_back(directory: Path, version: int) -> dict[str, object]:
    """Bring a shop's state store to an older schema version, for an older Shoal.

    Raises:
        UsageError: `not_a_shop`; `usage`, there is no such version, or events would be lost.
        OperationError: as `migrate`.
    """
    from shoal.adapters.sql_migration import migrate_store

    where = attach(directory).namespace or f"sqlite:///{directory / STORE_FILE}"
    return {"state_store": {"from": migrate_store(where, to=version), "to": version}}


def migrate(directory: Path) -> dict[str, object]:
    """Bring the stores of a shop that an older Shoal made to this one's form.

    Returns what `shoal migrate` tells of the stores. Killed at any moment and run again, it
    finishes. The customers' states must be made anew afterwards.

    Raises:
        UsageError: `not_a_shop`.
        OperationError: `shop_newer`, `shop_locked`, `shop_damaged`, `disk_full`, `no_permission`.
    """
    from shoal.adapters.migrating import migrate_table, table_schema
    from shoal.adapters.sql_migration import migrate_store
    from shoal.adapters.sql_schema import STORE_VERSION
    from shoal.events.schema import SCHEMA_VERSION

    parts = attach(directory)
    root, buckets = directory / EVENTS_DIR, parts.config.shop.buckets
    try:
        table_schema(root, buckets)  # a table that cannot be migrated is told before a step is made
        store_before = migrate_store(parts.namespace or f"sqlite:///{directory / STORE_FILE}")
        with parts.store.lease():
            if table_schema(root, buckets) < SCHEMA_VERSION:
                parts.store.set_applied_version(-1)
            table = migrate_table(root, buckets)
    finally:
        parts.close()
    return {
        "state_store": {"from": store_before, "to": STORE_VERSION},
        "event_table": {"from": table.before, "to": SCHEMA_VERSION},
        "events": table.events,
        "moved": table.moved,
        "table_version": table.version,
    }


def as_operation_error(error: Exception) -> ShoalError:
    """An unexpected failure as an error a person can act on."""
    if isinstance(error, ShoalError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OperationError(
            "disk_full",
            "no space is left on the device",
            where=str(error.filename or ""),
            hint="Free some space and run the same command again; what was committed stays.",
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OperationError(
            "no_permission",
            f"the operating system refused access: {error.strerror}",
            where=str(error.filename or ""),
            hint="Give this user access to the path, or choose another.",
        )
    if isinstance(error, MemoryError):
        return OperationError(
            "internal", "out of memory", hint="Run it on a machine with more memory."
        )
    return OperationError(
        "internal",
        f"unexpected {type(error).__name__}: {error}",
        hint="Nothing that was committed is lost. Run it again with --debug to see the details.",
    )
