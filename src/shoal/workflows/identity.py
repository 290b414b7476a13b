"""Links of identity follow the event table: what is told of an id is kept where it changes.

Links depend on the events of their id alone, not on the order or the files in which these came:
the ids of which new files tell something are read anew from the whole table.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shoal.features.admission import ALIAS, PEOPLE_SCHEMA
from shoal.ports import ParquetFiles, StateStore, Warehouse


def update_links(
    warehouse: Warehouse,
    store: StateStore,
    files: ParquetFiles,
    version: int | None,
    *,
    rewritten: Sequence[str] = (),
) -> pa.Array:
    """Let the stored links follow new files, inside the caller's transaction.

    Args:
        files: of the event table, added since the links were last kept.
        version: of the event table, with those files in it; None: all there is.
        rewritten: visitors (raw ids) of whom stored events were replaced or withdrawn.

    Returns:
        Ids (distinct, sorted) whose links changed.

    Raises:
        OperationError: `shop_damaged`, a file cannot be read.
    """
    from shoal.features import people  # loads the query language, which takes its time

    engine = warehouse.engine
    told = pa.array([], pa.string())
    if files.paths:
        found = engine.run(engine.compile(people.told_of_query()), {"events": files})
        told = found["id"].combine_chunks()
    lost = list(rewritten)
    if lost:
        affected = store.people.links(ids=lost, customers=lost)["id"].combine_chunks()
        told = pa.concat_arrays([told, affected, pa.array(lost, pa.string())])
    ids = told.unique().sort()
    if not len(ids):
        return ids
    before = store.people.links(ids=ids.to_pylist())
    table = warehouse.events(version=version)
    asked = pa.table([ids], schema=people.IDS_SCHEMA)
    after = engine.run(
        engine.compile(people.links_query(of_ids=True)), {"events": table, "ids": asked}
    )
    changed = _differing(before, after.cast(before.schema))
    if len(changed):
        own = after.filter(pc.is_in(after["id"], value_set=changed))
        store.people.replace_links(changed.to_pylist(), own)
    return changed


def rebuild(warehouse: Warehouse, store: StateStore, version: int | None) -> None:
    """Make all links anew from the event table, inside the caller's transaction."""
    from shoal.features import people

    if version is not None and version < 0:
        store.people.replace_links(None, store.people.links(ids=[]))
        return
    engine = warehouse.engine
    query = engine.compile(people.links_query(of_ids=False))
    store.people.replace_links(
        None, engine.run(query, {"events": warehouse.events(version=version)})
    )


def people_at(store: StateStore, before_us: int, shared_by: int) -> pa.Table:
    """Whose the events of ids are (`PEOPLE_SCHEMA`), by what was told before a moment."""
    links = store.people.links()
    if not links.num_rows:
        return PEOPLE_SCHEMA.empty_table()
    from shoal.features import people

    return people.resolve(links, before_us, shared_by)


def people_about(store: StateStore, raw_id: str, before_us: int, shared_by: int) -> pa.Table:
    """The rows of `people_at` that say who an id is and what else is theirs, and a few more.

    Only what leads to or from the id is read, so it takes no longer in a shop of many.
    """
    return people_around(store, [raw_id], before_us, shared_by)


def people_among(
    store: StateStore, raw_ids: Sequence[str], before_us: int, shared_by: int
) -> pa.Table:
    """The rows of `people_at` that say who some ids are, and a few more; what else is theirs is
    not told."""
    links = followed(store, raw_ids)
    if not links.num_rows:
        return PEOPLE_SCHEMA.empty_table()
    from shoal.features import people

    return people.resolve(links, before_us, shared_by)


def people_around(
    store: StateStore, raw_ids: Sequence[str], before_us: int, shared_by: int
) -> pa.Table:
    """The rows of `people_at` that say who some ids are and what else is theirs, and a few more."""
    from shoal.features import people

    ahead = followed(store, raw_ids)
    found = people.resolve(ahead, before_us, shared_by)
    mine = pc.is_in(found["id"], value_set=pa.array(list(raw_ids), pa.string()))
    owners = found.filter(mine)["customer_id"].drop_null().to_pylist()
    leading = leading_to(store, {*raw_ids, *owners})
    return people.resolve(followed(store, sorted(leading)), before_us, shared_by)


def followed(store: StateStore, names: Sequence[str]) -> pa.Table:
    """The links of some ids, and of every id to which these lead."""
    seen, front = set(names), set(names)
    found = [store.people.links(ids=[])]
    while front:
        links = store.people.links(ids=sorted(front))
        found.append(links)
        front = set(links["customer_id"].to_pylist()) - seen
        seen |= front
    return pa.concat_tables(found)


def leading_to(store: StateStore, names: set[str]) -> set[str]:
    """Some ids and every id that leads to them."""
    seen, front = set(names), set(names)
    while front:
        links = store.people.links(customers=sorted(front))
        seen |= set(links["id"].to_pylist())
        # A sign-in says whose the device is; what is told of the device's name leads no further.
        merged = links.filter(pc.equal(links["says"], ALIAS))
        front = set(merged["id"].to_pylist()) - names
        names = names | front
    return seen


def _differing(before: pa.Table, after: pa.Table) -> pa.Array:
    """Ids of links that are in one of two tables only, sorted."""
    both = pa.concat_tables([before, after])
    counted = both.group_by(both.column_names).aggregate([([], "count_all")])
    single = counted.filter(pc.equal(counted["count_all"], 1))
    return single["id"].combine_chunks().unique().sort()
