"""Categories and brands of items follow the event table, for events that do not tell them.

Kept as a version each time they change, the one that counts by a pointer, which moves in one
transaction with the customers' states.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError
from shoal.domain.time import system_clock
from shoal.features.admission import FILLED, ITEMS_SCHEMA
from shoal.ports import ParquetFiles, Registry, StateStore, Warehouse

KIND: Final = "items"
#: Pointer to the facts that count.
POINTER: Final = "items"

_FILE: Final = "items.parquet"


def current(store: StateStore, registry: Registry) -> pa.Table:
    """The facts by which the states were made (`ITEMS_SCHEMA`); none where none is known.

    Raises:
        OperationError: `artefact_damaged`.
    """
    chosen = store.get_pointer(POINTER)
    if chosen is None:
        return ITEMS_SCHEMA.empty_table()
    try:
        home = registry.path(KIND, chosen)
    except OperationError as error:
        if error.code == "artefact_damaged":
            error.hint = (
                f"Delete the directory {registry.directory(KIND, chosen)}: the next command makes "
                "it anew from the event table."
            )
        raise
    return pq.read_table(home / _FILE).cast(ITEMS_SCHEMA)


def lost(store: StateStore, registry: Registry) -> bool:
    """Whether the facts by which the states were made are not there any more."""
    chosen = store.get_pointer(POINTER)
    return chosen is not None and not registry.directory(KIND, chosen).is_dir()


def update(
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    files: ParquetFiles,
    version: int | None,
    *,
    restating: bool,
) -> pa.Array:
    """Let the facts follow new files, inside the caller's transaction.

    Args:
        files: of the event table, added since the facts were last kept.
        version: of the event table, with those files in it; None: all there is.
        restating: whether stored rows were replaced or withdrawn besides.

    Returns:
        Visitors (raw ids, distinct, sorted) whose events take something else now.
    """
    from shoal.features.items import tells_items, visitors_touched

    known = restating and store.get_pointer(POINTER) is not None
    if not known and not (files.paths and tells_items(warehouse.engine, files)):
        return pa.array([], pa.string())
    before = current(store, registry)
    after = rebuild(warehouse, store, registry, version)
    return visitors_touched(warehouse.engine, warehouse.events(version=version), before, after)


def rebuild(
    warehouse: Warehouse, store: StateStore, registry: Registry, version: int | None
) -> pa.Table:
    """Make the facts anew from the event table, inside the caller's transaction; returns them."""
    from shoal.features.items import facts_history, tells_items

    found = ITEMS_SCHEMA.empty_table()
    there = version is None or version >= 0
    events = warehouse.events(version=version) if there else None
    if events is not None and tells_items(warehouse.engine, events):
        found = facts_history(warehouse.engine, events, attributes=FILLED)
    chosen = store.get_pointer(POINTER)
    with suppress(OperationError):  # damaged: it is made anew
        if found.equals(current(store, registry)):
            return found
    with registry.create(KIND, "items") as directory:
        pq.write_table(found, directory / _FILE, compression="zstd")
    store.set_pointer(POINTER, directory.name, system_clock())
    # The one before stays: another process may be reading it, and this one may yet be undone.
    for name in registry.list(KIND):
        if name not in (chosen, directory.name):
            registry.remove(KIND, name)
    return found
