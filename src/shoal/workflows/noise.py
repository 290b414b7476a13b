"""Pace flags follow the event table: which visitors browse too fast to be people, and since when.

Flags depend on a visitor's events alone, not on the order or the files in which they came. An added
event can only complete evidence, never take it away, and only within `Pace.reach_us` after itself;
so of all visitors of new files few need to be looked at, and those are judged anew by all their
events. Flags of switched-off rules are kept too: switching is a matter of reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import NoiseConfig
from shoal.domain.time import DAY_US
from shoal.ports import ParquetFiles, StateStore, Warehouse

if TYPE_CHECKING:
    from shoal.features.pace import Pace

#: Visitors judged at once; robots are few, and so are their files.
_AT_ONCE: Final = 20_000


def update_flags(
    warehouse: Warehouse,
    store: StateStore,
    files: ParquetFiles,
    version: int | None,
    settings: NoiseConfig,
    *,
    rewritten: Sequence[str] = (),
) -> pa.Array:
    """Let the stored flags follow new files, inside the caller's transaction.

    Args:
        files: of the event table, added since the flags were last kept.
        version: of the event table, with those files in it; None: all there is.
        rewritten: visitors (raw ids) of whom stored events were replaced or withdrawn.

    Returns:
        Visitors (raw ids, distinct, sorted) whose flags changed.

    Raises:
        OperationError: `shop_damaged`, a file cannot be read.
    """
    suspects = _suspects(warehouse, files, version, _pace(settings))
    judged = pa.chunked_array([suspects, pa.array(list(rewritten), pa.string())]).unique().sort()
    return _judge(warehouse, store, judged, version, settings)


def rebuild(
    warehouse: Warehouse, store: StateStore, version: int | None, settings: NoiseConfig
) -> pa.Array:
    """Make all flags anew from the event table, inside the caller's transaction.

    Returns:
        Visitors (raw ids, distinct, sorted) whose flags changed.
    """
    if version is not None and version < 0:
        known = store.flags.flags()["visitor_id"].combine_chunks()
        store.flags.delete(None)
        return known.unique()
    table = warehouse.events(version=version)
    suspects = _crowded(warehouse, table, _pace(settings))
    known = store.flags.flags()["visitor_id"].combine_chunks()
    judged = pa.chunked_array([suspects, known]).unique().sort()
    return _judge(warehouse, store, judged, version, settings)


def _pace(settings: NoiseConfig) -> Pace:
    from shoal.features.pace import Pace  # loads the query language, which takes its time

    return Pace(settings.rate_events, settings.run_events, settings.think_seconds)


def _suspects(
    warehouse: Warehouse, files: ParquetFiles, version: int | None, pace: Pace
) -> pa.Array:
    """Visitors of the files who may have evidence that they had not before."""
    from shoal.features import pace as rules

    none = pa.array([], pa.string())
    if not files.paths:
        return none
    table = warehouse.events(version=version)
    if set(files.paths) == set(table.paths):
        return _crowded(warehouse, table, pace)
    engine = warehouse.engine
    fresh = engine.run(engine.compile(rules.fresh()), {"events": files})
    if not fresh.num_rows:
        return none
    # Whole days, so that few different queries are compiled.
    first = pc.min(fresh["first_us"]).as_py() - pace.reach_us
    last = pc.max(fresh["last_us"]).as_py() + pace.reach_us
    window = (first // DAY_US * DAY_US, -(-last // DAY_US) * DAY_US)
    query = engine.compile(rules.crowded(pace, of_visitors=True, window=window))
    near = _in_buckets(table, files.paths)
    found = engine.run(query, {"events": near, "visitors": fresh.select(["visitor_id"])})
    return found["visitor_id"].combine_chunks()


def _crowded(warehouse: Warehouse, table: ParquetFiles, pace: Pace) -> pa.Array:
    from shoal.features import pace as rules

    engine = warehouse.engine
    found = engine.run(engine.compile(rules.crowded(pace)), {"events": table})
    return found["visitor_id"].combine_chunks()


def _in_buckets(table: ParquetFiles, paths: Sequence[str]) -> ParquetFiles:
    """The table's files in the same buckets as some others: a visitor's events lie in one."""
    wanted = {Path(path).parent.name for path in paths}
    near = tuple(path for path in table.paths if Path(path).parent.name in wanted)
    return ParquetFiles(near, table.schema)


def _judge(
    warehouse: Warehouse,
    store: StateStore,
    visitors: pa.Array,
    version: int | None,
    settings: NoiseConfig,
) -> pa.Array:
    """Flag visitors by all their events; those whose flags are others than before."""
    from shoal.features import pace as rules

    changed: list[pa.Array] = []
    engine = warehouse.engine
    for start in range(0, len(visitors), _AT_ONCE):
        some = visitors.slice(start, _AT_ONCE)
        names = some.to_pylist()
        asked = pa.table([some], schema=rules.VISITORS_SCHEMA)
        inputs = {"events": warehouse.events(version=version), "visitors": asked}
        flags = engine.run(engine.compile(rules.flagged(_pace(settings))), inputs)
        before = store.flags.flags(names)
        if before.num_rows or flags.num_rows:
            store.flags.replace(names, flags)
            changed.append(_differing(before, flags))
    found = pa.chunked_array(changed, pa.string()).combine_chunks()
    return found.unique().sort()


def _differing(before: pa.Table, after: pa.Table) -> pa.Array:
    """Visitors of flags that are in one of two tables only."""
    both = pa.concat_tables([before, after.cast(before.schema)])
    counted = both.group_by(both.column_names).aggregate([([], "count_all")])
    single = counted.filter(pc.equal(counted["count_all"], 1))
    return single["visitor_id"].combine_chunks()
