"""Customer states follow the event table: fold what was committed since, or everything anew.

There is one path, whether or not a process was killed: the state store knows which version of the
event table its states hold, and states and that version change in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from shoal.workflows.admission import Admission
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
#: Setting with the fingerprint of the admission by which they were made.
ADMISSION: Final = "admission"

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
    admission: Admission | None = None,
    progress: Progress | None = None,
) -> int:
    """Bring the stored states to the event table's latest version; returns that version.

    Cheap when there is nothing to do. States made by another fold (other catalog, value event or
    state layout) or by other settings of admission (identity, noise, currency rates) are rebuilt
    from the table.

    Args:
        admission: what decides which events count; None: the defaults, without currency rates.

    Raises:
        OperationError: `shop_locked`, or what a store raises; the states are then as they were.
    """
    latest = warehouse.version()
    admission = admission or Admission(warehouse, store)
    with store.lease():
        applied = store.applied_version()
        made = _make(fold, store) if applied != latest or not callable(fold) else None
        same = admission.fingerprint == _setting(store, ADMISSION, admission.fingerprint)
        if applied == latest and same and (made is None or states_are_of(made, store)):
            return latest
        made = made or _make(fold, store)
        job = _Job(warehouse, store, made, admission, latest, progress or NoProgress())
        units = units_since(warehouse, applied, latest)
        if units is None or not same or not states_are_of(made, store) or not job.apply(units):
            job.rebuild()
    return latest


def behind(
    warehouse: Warehouse, store: StateStore, admission: Admission, fold: Fold | None = None
) -> bool:
    """Whether the stored states lack events, or were made by other settings (or another fold)."""
    made_by = _setting(store, ADMISSION, admission.fingerprint)
    other = fold is not None and not states_are_of(fold, store)
    lacking = warehouse.version() > store.applied_version()
    return lacking or other or made_by != admission.fingerprint


def states_are_of(fold: Fold, store: StateStore) -> bool:
    """Whether a fold made the stored states: the same features, covariates and settings."""
    return _setting(store, FOLD_FINGERPRINT, fold.fingerprint) == fold.fingerprint


def rebuild(
    *,
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold | FoldFactory,
    admission: Admission | None = None,
    progress: Progress | None = None,
) -> int:
    """Make all states anew from the event table, in bounded memory; returns its version."""
    latest = warehouse.version()
    admission = admission or Admission(warehouse, store)
    with store.lease():
        made = _make(fold, store)
        _Job(warehouse, store, made, admission, latest, progress or NoProgress()).rebuild()
    return latest


def refold(
    *,
    warehouse: Warehouse,
    store: StateStore,
    fold: Fold | FoldFactory,
    admission: Admission,
    customers: pa.Array,
) -> None:
    """Make the states of some customers anew from the event table."""
    with store.lease():
        made = _make(fold, store)
        job = _Job(warehouse, store, made, admission, warehouse.version(), NoProgress())
        with store.transaction():
            job.fold_anew(customers)


def _make(fold: Fold | FoldFactory, store: StateStore) -> Fold:
    if not callable(fold):
        return fold
    settings = store.get_settings()
    return fold(settings.get(VALUE_EVENT, PURCHASE), settings.get(CURRENCY, ""))


def _setting(store: StateStore, key: str, default: str) -> str:
    return store.get_settings().get(key, default)


def units_since(warehouse: Warehouse, applied: int, latest: int) -> list[CommittedUnit] | None:
    """The units to fold on top of the applied version; None when all states must be made anew."""
    if applied < 0 or applied > latest:
        return None
    try:
        return list(warehouse.since(applied))
    except OperationError as error:
        if error.code != "shop_damaged":
            raise
        return None  # a unit's own files are gone (vacuumed); the table as it is still has all


@dataclass(frozen=True)
class _Job:
    """One catching up, to one version of the event table."""

    warehouse: Warehouse
    store: StateStore
    fold: Fold
    admission: Admission
    version: int
    progress: Progress

    def rebuild(self) -> None:
        """All states anew, with links, flags and facts of items."""
        with self.store.transaction():
            for batch in self.store.iter_states():
                self.store.delete_states(batch["customer_id"].to_pylist())
            self.admission.rebuild(None if self.version >= 0 else self.version)
            files = self.warehouse.events()
            self._fold_files("all customer states", files, frozenset())
            self.store.set_applied_version(self.version)
            self.store.put_setting(FOLD_FINGERPRINT, self.fold.fingerprint)
            self.store.put_setting(ADMISSION, self.admission.fingerprint)

    def apply(self, units: Sequence[CommittedUnit]) -> bool:
        """Fold units on top of the states; False, and nothing done, where that costs more than all.

        Customers whose stored events changed, or whose history now counts otherwise, are folded
        from the table; everybody else's new events are merged.
        """
        paths = tuple(path for unit in units for path in unit.added.paths)
        rewritten = sorted({name for unit in units for name in unit.rewritten_customers})
        added = ParquetFiles(paths, TABLE_SCHEMA)
        try:
            with self.store.transaction():
                restating = any(unit.restating for unit in units)
                moved = self.admission.update(added, rewritten, None, restating=restating)
                if len(moved) > CUSTOMERS_REREAD:
                    raise _TooManyError
                self._fold_files("customer states", added, frozenset(moved.to_pylist()))
                if len(moved):
                    self.fold_anew(moved)
                self.store.set_applied_version(self.version)
        except _TooManyError:
            return False
        return True

    def fold_anew(self, customers: pa.Array) -> None:
        """The states of some customers from their events, inside the caller's transaction."""
        fold_anew(self.warehouse, self.store, self.fold, self.admission, customers)

    def _fold_files(self, label: str, files: ParquetFiles, left_out: frozenset[str]) -> None:
        """Fold the events of files into the stored states, inside the caller's transaction."""
        if not files.paths:
            return
        with self.admission.admitted(files, self.admission.decisions()) as admitted:
            assert isinstance(admitted, ParquetFiles)
            groups = list(_groups(admitted.paths))
            self.progress.start(label, sum(rows for _, rows in groups), "events")
            try:
                schema = admitted.schema
                partials = (self.fold.partials(ParquetFiles(tuple(p), schema)) for p, _ in groups)
                with ahead(partials, depth=1) as ready:
                    for (_, rows), found in zip(groups, ready, strict=True):
                        for part in by_customers(found, left_out):
                            merge_into(self.store, self.fold, part)
                        self.progress.advance(rows)
            finally:
                self.progress.done()


def fold_anew(
    warehouse: Warehouse, store: StateStore, fold: Fold, admission: Admission, customers: pa.Array
) -> None:
    """Make the states of some customers anew from their events, in the caller's transaction."""
    store.delete_states(customers.to_pylist())
    for states in folded(warehouse, None, fold, admission, customers):
        store.put_states(states)


def folded(
    warehouse: Warehouse,
    version: int | None,
    fold: Fold,
    admission: Admission,
    customers: pa.Array,
) -> Iterator[pa.Table]:
    """The states of some customers as their events tell them, in bounded parts, not stored.

    Args:
        version: of the event table; None: all events there are.
    """
    decisions = admission.decisions()
    events = events_of(warehouse, version, decisions.ids_of(customers))
    with admission.admitted(events, decisions) as admitted:
        partials = fold.partials(admitted)
    for part in by_customers(partials, only=customers):
        yield _encode(part)


def events_of(
    warehouse: Warehouse,
    version: int | None,
    ids: pa.Array,
    buckets: Sequence[int] | None = None,
) -> pa.Table:
    """All events of some customers and anonymous visitors, from the event table's files.

    Args:
        version: of the event table; None: all events there are.
        buckets: in which they lie; None: not known.
    """
    files = warehouse.events(version=version, buckets=buckets).paths
    scheme = ds.partitioning(pa.schema([TABLE_SCHEMA.field(BUCKET)]), flavor="hive")
    data = ds.dataset(list(files), schema=TABLE_SCHEMA, format="parquet", partitioning=scheme)
    who = pc.coalesce(pc.field("customer_id"), pc.field("anonymous_id"))
    return data.to_table(filter=who.isin(ids))


class _TooManyError(Exception):
    """So many customers' histories changed that making all states anew costs less."""


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


def by_customers(
    partials: dict[str, pa.Table],
    left_out: frozenset[str] = frozenset(),
    only: pa.Array | None = None,
) -> Iterator[dict[str, pa.Table]]:
    """Partials split into groups of customers, without those left out, or of those named alone."""
    customers = partials["customer"]["customer_id"].unique().sort()
    wanted = customers
    if left_out:
        absent = pa.array(sorted(left_out), pa.string())
        wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=absent)))
    if only is not None:
        wanted = wanted.filter(pc.is_in(wanted, value_set=only))
    if len(wanted) == len(customers) <= CUSTOMERS_PER_MERGE:
        if len(customers):
            yield partials
        return
    ordered = {name: _in_order_of(table, wanted) for name, table in partials.items()}
    for start in range(0, len(wanted), CUSTOMERS_PER_MERGE):
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


def merge_into(store: StateStore, fold: Fold, partials: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Let the states of customers hold partials of more events too; returns what they are now."""
    from shoal.features.state import decode

    customers = partials["customer"]["customer_id"].to_pylist()
    stored = store.get_states(customers)
    if stored.num_rows:
        partials = fold.merge(decode(stored), partials)
    store.put_states(_encode(partials))
    return partials


def _encode(partials: dict[str, pa.Table]) -> pa.Table:
    from shoal.features.state import encode

    return encode(partials)
