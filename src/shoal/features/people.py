"""Identity: what events tell of ids, and whose an id's events are as of a moment.

An event that carries both a customer and another id tells that this id is the customer, from its
time on. Of one id's statements only those are kept at which something changes, so what is kept of
the events before a moment is the beginning of what is kept of all.

- The first customer who signed in on an anonymous id also gets what happened on it before.
- From a later sign-in of another customer on, the id's events are that customer's: a shared device
  hands nobody's past to anybody else.
- An alias says that an id was always that customer: its whole history goes to the latest target.
  Chains are followed to their end; of a circle the target of its latest alias remains.
- A cut makes every earlier statement that the id is that customer void.
- An id on which more customers signed in than `shared_by` is nobody's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from shoal.domain import kinds
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import (
    ALIAS,
    CUT,
    EVER_US,
    LINK,
    LINKS_SCHEMA,
    NEVER_US,
    PEOPLE_SCHEMA,
)
from shoal.features.algebra import epoch_us
from shoal.features.queries import unbound

#: What is read of the event table.
READ_SCHEMA: Final = pa.schema(
    [
        TABLE_SCHEMA.field(name)
        for name in (
            "customer_id", "anonymous_id", "event_time", "sequence", "event_id", "kind", "source",
            "properties",
        )
    ]
)  # fmt: skip
IDS_SCHEMA: Final = pa.schema([pa.field("id", pa.string())])

#: Source of the events that this program writes itself.
OWN_SOURCE: Final = "shoal"
#: How the properties of an alias and of an un-merging event begin; they are canonical JSON.
_SAYS_ALIAS: Final = '"alias":true'
_SAYS_CUT: Final = '"identity":"unmerge"'
CUT_PROPERTIES: Final = "{" + _SAYS_CUT + "}"

_ORDER: Final = ("id", "from_us", "sequence", "event_id", "source")

Ints = npt.NDArray[np.int64]


@lru_cache(maxsize=2)
def links_query(of_ids: bool) -> ir.Table:
    """The links of `events`; with `of_ids`, those of the ids in the one-column table `ids`."""
    events = unbound(READ_SCHEMA, "events")
    if of_ids:
        wanted = unbound(IDS_SCHEMA, "ids")
        events = events.semi_join(wanted, events.anonymous_id == wanted.id)
    both = events.filter(
        _.customer_id.notnull(), _.anonymous_id.notnull(), _.customer_id != _.anonymous_id
    )
    cut = (
        (both.source == OWN_SOURCE)
        & (both.kind == kinds.CUSTOM)
        & both.properties.contains(_SAYS_CUT)
    ).fill_null(False)
    alias = both.properties.contains(_SAYS_ALIAS).fill_null(False)
    told = both.select(
        "event_id", "customer_id", "source", "kind", "sequence",
        id=both.anonymous_id,
        from_us=epoch_us(both.event_time),
        says=ibis.ifelse(cut, CUT, ibis.ifelse(alias, ALIAS, LINK)),
    )  # fmt: skip
    order = ibis.window(group_by="id", order_by=list(_ORDER[1:]))
    near = told.mutate(
        customer_before=_.customer_id.lag().over(order), said_before=_.says.lag().over(order)
    )
    changes = near.filter(
        _.said_before.isnull() | (_.customer_id != _.customer_before) | (_.says != _.said_before)
    )
    return changes.select(*LINKS_SCHEMA.names).order_by(list(_ORDER))


@lru_cache(maxsize=1)
def told_of_query() -> ir.Table:
    """The ids (column `id`, distinct) of which `events` tell something."""
    events = unbound(READ_SCHEMA, "events")
    both = events.filter(
        _.customer_id.notnull(), _.anonymous_id.notnull(), _.customer_id != _.anonymous_id
    )
    return both.select(id=_.anonymous_id).distinct()


def resolve(links: pa.Table, before_us: int, shared_by: int) -> pa.Table:
    """Whose the events of ids are (`PEOPLE_SCHEMA`, by id and `from_us`).

    Args:
        links: `LINKS_SCHEMA`, any order.
        before_us: the moment T; only links told before it count.
        shared_by: the most customers that an id may have before it is nobody's.
    """
    links = standing(links, before_us)
    if not links.num_rows:
        return PEOPLE_SCHEMA.empty_table()
    ids = links["id"].combine_chunks().dictionary_encode()
    place = ids.indices.to_numpy().astype(np.int64)
    shared = customers_an_id(links) > shared_by
    aliases = np.flatnonzero(pc.equal(links["says"], ALIAS).to_numpy() & ~shared[place])
    latest = np.full(len(shared), -1, np.int64)
    latest[place[aliases]] = aliases  # ordered by time, so the latest of each id stays
    remaining = _remaining(links.take(pa.array(latest[latest >= 0])))
    first = np.flatnonzero(np.diff(place, prepend=-1))
    whole = shared | (latest >= 0)
    chosen = np.flatnonzero(~whole[place])
    rows = np.sort(np.concatenate([chosen, first[whole]]))
    single = whole[place[rows]]
    from_us = links["from_us"].to_numpy()
    next_us = np.append(from_us[1:], NEVER_US)
    next_us[np.append(first[1:] - 1, len(place) - 1)] = NEVER_US
    begins = np.where(np.isin(rows, first), EVER_US, from_us[rows])
    ends = np.where(single, NEVER_US, next_us[rows])
    merged = latest[place[rows]] >= 0
    told = np.where(merged, latest[place[rows]], rows)
    targets = links["customer_id"].take(pa.array(told)).to_pylist()
    nobody = shared[place[rows]]
    owners = [
        None if none else remaining.get(target, target)
        for target, none in zip(targets, nobody.tolist(), strict=True)
    ]
    columns = [links["id"].take(pa.array(rows)), pa.array(begins), pa.array(ends),
               pa.array(owners, pa.string()), pa.array(merged)]  # fmt: skip
    return pa.table(columns, schema=PEOPLE_SCHEMA)


def standing(links: pa.Table, before_us: int = NEVER_US) -> pa.Table:
    """The links and aliases told before a moment that no cut made void, in order."""
    links = links.filter(pc.less(links["from_us"], before_us))
    links = links.sort_by([(name, "ascending") for name in _ORDER]).combine_chunks()
    cut = pc.equal(links["says"], CUT).to_numpy()
    if not cut.any():
        return links
    pair = pc.binary_join_element_wise(links["id"], links["customer_id"], "\x1f")
    code = pair.combine_chunks().dictionary_encode().indices.to_numpy()
    last_cut = np.full(code.max() + 1, -1, np.int64)
    last_cut[code[cut]] = np.flatnonzero(cut)
    stands = ~cut & (np.arange(len(code)) > last_cut[code])
    return links.filter(pa.array(stands))


def customers_an_id(links: pa.Table) -> Ints:
    """How many customers each id has, in the order in which ids first occur."""
    ids = links["id"].combine_chunks().dictionary_encode()
    pairs = pa.table([ids.indices, links["customer_id"]], ["place", "customer_id"])
    counted = pairs.group_by("place").aggregate([("customer_id", "count_distinct")])
    found = np.zeros(len(ids.dictionary), np.int64)
    found[counted["place"].to_numpy()] = counted["customer_id_count_distinct"].to_numpy()
    return found


def _remaining(aliases: pa.Table) -> dict[str, str]:
    """For each id that was merged, the id that remains at the end of its chain.

    Args:
        aliases: the latest alias of each id.
    """
    edges: dict[str, tuple[str, tuple[int, int, str, str]]] = {
        row["id"]: (
            row["customer_id"],
            (row["from_us"], row["sequence"], row["event_id"], row["source"]),
        )
        for row in aliases.to_pylist()
    }
    found: dict[str, str] = {}
    for start in edges:
        path: dict[str, int] = {}
        name = start
        while name in edges and name not in found and name not in path:
            path[name] = len(path)
            name = edges[name][0]
        end = found.get(name, name)
        if name in path:
            circle = list(path)[path[name] :]
            end = edges[max(circle, key=lambda one: edges[one][1])][0]
        found |= dict.fromkeys(path, end)
    return found
