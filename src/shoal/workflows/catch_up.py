"""Customer states follow the event table: fold what was committed since, or everything anew.

There is one path, whether or not a process was killed: the state store knows which version of the
event table its states hold, and states and that version change in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from shoal.domain.errors import OperationError
from shoal.domain.kinds import PURCHASE
from shoal.events.schema import BUCKET, NO_CUSTOMER, TABLE_SCHEMA
from shoal.ports import CommittedUnit, ParquetFiles, StateStore, Warehouse
from shoal.workflows.pipeline import ahead
from shoal.workflows.progress import NoProgress, Progress

if TYPE_CHECKING:
    from shoal.features.fold import Fold

    #: Makes the fold of a value event and a currency ("" for none), when there is need of one.
    FoldFactory = Callable[[str, str], Fold]

#: Setting with the kind of event that counts as buying, declared by the first source.
VALUE_EVENT: Final = "value_event"
#: Setting with the main currency of the first priced events.
CURRENCY: Final = "currency"
#: Setting with the fingerprint of the fold that made the stored states.
FOLD_FINGERPRINT: Final = "fold"

#: Events folded at once. A compiled fold costs about 0.2 s a call; partials need about 100 bytes
#: an event; up to three groups are in memory.
EVENTS_PER_FOLD: Final = 500_000
#: Customers whose states are in memory at once, 1-2 KB each.
CUSTOMERS_PER_MERGE: Final = 50_000
#: Beyond this many customers with replaced events, reading them one by one costs more than all.
CUSTOMERS_REREAD: Final = 20_000


def catch_up(
    *,
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold | FoldFactory,
    progress: Progress | None = None,
) -> int:
    """Bring the stored states to the event table's latest version; returns that version.

    Cheap when there is nothing to do. States made by another fold (other catalog, value event or
    state layout) are rebuilt from the table.

    Raises:
        OperationError: `shop_locked`, or what a store raises; the states are then as they were.
    """
    latest = warehouse.version()
    applied = store.applied_version()
    with store.lease():
        made = _make(fold, store) if applied != latest or not callable(fold) else None
        if applied == latest and (made is None or _same_fold(made, store)):
            return latest
        assert made is not None
        units = _units_since(warehouse, applied, latest)
        if units is None or not _same_fold(made, store):
            return _rebuild(warehouse, store, made, latest, progress or NoProgress())
        with store.transaction():
            _apply(warehouse, store, made, units, latest, progress or NoProgress())
            store.set_applied_version(latest)
    return latest


def rebuild(
    *,
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold | FoldFactory,
    progress: Progress | None = None,
) -> int:
    """Make all states anew from the event table, in bounded memory; returns its version."""
    with store.lease():
        made = _make(fold, store)
        return _rebuild(warehouse, store, made, warehouse.version(), progress or NoProgress())


def _make(fold: Fold | FoldFactory, store: StateStore) -> Fold:
    if not callable(fold):
        return fold
    settings = store.get_settings()
    return fold(settings.get(VALUE_EVENT, PURCHASE), settings.get(CURRENCY, ""))


def _same_fold(fold: Fold, store: StateStore) -> bool:
    return store.get_settings().get(FOLD_FINGERPRINT, fold.fingerprint) == fold.fingerprint


def _units_since(warehouse: Warehouse, applied: int, latest: int) -> list[CommittedUnit] | None:
    """The units to fold on top of the applied version; None when all states must be made anew."""
    if applied < 0 or applied > latest:
        return None
    try:
        units = list(warehouse.since(applied))
    except OperationError as error:
        if error.code != "shop_damaged":
            raise
        return None  # a unit's own files are gone (vacuumed); the table as it is still has all
    rewritten = {customer for unit in units for customer in unit.rewritten_customers}
    return units if len(rewritten) <= CUSTOMERS_REREAD else None


def _rebuild(
    warehouse: Warehouse, store: StateStore, fold: Fold, version: int, progress: Progress
) -> int:
    with store.transaction():
        for batch in store.iter_states():
            store.delete_states(batch["customer_id"].to_pylist())
        files = warehouse.events(version=version if version >= 0 else None).paths
        _fold_files("all customer states", files, frozenset(), store, fold, progress)
        store.set_applied_version(version)
        store.put_setting(FOLD_FINGERPRINT, fold.fingerprint)
    return version


def _apply(
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold,
    units: Sequence[CommittedUnit],
    version: int,
    progress: Progress,
) -> None:
    rewritten = frozenset(name for unit in units for name in unit.rewritten_customers)
    files = [path for unit in units for path in unit.added.paths]
    _fold_files("customer states", files, rewritten, store, fold, progress)
    if rewritten:
        store.delete_states(sorted(rewritten))
        events = _events_of(warehouse, sorted(rewritten), version)
        if events.num_rows:
            store.put_states(_encode(fold.partials(events)))


def _events_of(warehouse: Warehouse, customers: Sequence[str], version: int) -> pa.Table:
    """All events of some customers, read from the files of the event table."""
    files = warehouse.events(version=version).paths
    scheme = ds.partitioning(pa.schema([TABLE_SCHEMA.field(BUCKET)]), flavor="hive")
    data = ds.dataset(list(files), schema=TABLE_SCHEMA, format="parquet", partitioning=scheme)
    return data.to_table(filter=pc.field("customer_id").isin(pa.array(customers, pa.string())))


def _fold_files(
    label: str,
    files: Sequence[str],
    left_out: frozenset[str],
    store: StateStore,
    fold: Fold,
    progress: Progress,
) -> None:
    """Fold the events of files into the stored states, inside the caller's transaction."""
    groups = list(_groups(files))
    progress.start(label, sum(rows for _, rows in groups), "events")
    try:
        partials = (fold.partials(ParquetFiles(tuple(paths), TABLE_SCHEMA)) for paths, _ in groups)
        with ahead(partials, depth=1) as ready:
            for (_, rows), found in zip(groups, ready, strict=True):
                for part in _by_customers(found, left_out):
                    _merge(part, store, fold)
                progress.advance(rows)
    finally:
        progress.done()


def _groups(files: Sequence[str]) -> Iterator[tuple[list[str], int]]:
    """Files of customers, in order of bucket, with their rows: about as many as a fold takes.

    A bucket whose files do not fit into one group is folded in several; the later ones find the
    states of the earlier ones in the store.
    """
    mark = f"{BUCKET}={NO_CUSTOMER}/"
    wanted = sorted((path for path in files if mark not in path), key=_bucket_of)
    group: list[str] = []
    rows = 0
    for path in wanted:
        more = pq.read_metadata(path).num_rows
        if group and rows + more > EVENTS_PER_FOLD:
            yield group, rows
            group, rows = [], 0
        group.append(path)
        rows += more
    if group:
        yield group, rows


def _bucket_of(path: str) -> tuple[int, str]:
    """Order of files: all of a bucket together.

    >>> _bucket_of("events/bucket=12/part-0.parquet")
    (12, 'events/bucket=12/part-0.parquet')
    """
    number = path.rpartition(f"{BUCKET}=")[2].partition("/")[0]
    return int(number), path


def _by_customers(
    partials: dict[str, pa.Table], left_out: frozenset[str]
) -> Iterator[dict[str, pa.Table]]:
    """Partials split into groups of customers, without those left out."""
    customers = partials["customer"]["customer_id"].unique().sort()
    if left_out:
        absent = pa.array(sorted(left_out), pa.string())
        customers = customers.filter(pc.invert(pc.is_in(customers, value_set=absent)))
    if len(customers) <= CUSTOMERS_PER_MERGE and not left_out:
        if len(customers):
            yield partials
        return
    ordered = {name: _in_order_of(table, customers) for name, table in partials.items()}
    for start in range(0, len(customers), CUSTOMERS_PER_MERGE):
        yield {
            name: table.slice(
                first := int(np.searchsorted(place, start)),
                int(np.searchsorted(place, start + CUSTOMERS_PER_MERGE)) - first,
            )
            for name, (table, place) in ordered.items()
        }


def _in_order_of(
    table: pa.Table, customers: pa.Array
) -> tuple[pa.Table, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Rows of the given customers in their order, and the place of each row's customer."""
    found = pc.index_in(table["customer_id"], value_set=customers)
    place = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    order = np.argsort(place, kind="stable")
    order = order[np.searchsorted(place[order], 0) :]
    return table.take(pa.array(order)), place[order]


def _merge(partials: dict[str, pa.Table], store: StateStore, fold: Fold) -> None:
    from shoal.features.state import decode

    customers = partials["customer"]["customer_id"].to_pylist()
    stored = store.get_states(customers)
    if stored.num_rows:
        partials = fold.merge(decode(stored), partials)
    store.put_states(_encode(partials))


def _encode(partials: dict[str, pa.Table]) -> pa.Table:
    from shoal.features.state import encode

    return encode(partials)
