"""Undoing a join: a cut, told like any other event; it has a date, and history is put back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from shoal.domain.account import RowAccount
from shoal.domain.errors import UsageError
from shoal.domain.kinds import CUSTOM
from shoal.domain.time import Clock, from_us, iso, system_clock, to_us
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.noise import IDENTITY
from shoal.events.presets import load
from shoal.events.schema import NOISE
from shoal.workflows import units
from shoal.workflows.catch_up import catch_up
from shoal.workflows.identity_view import Identity, Person
from shoal.workflows.ingest import commit

#: When something happened last by the clock, and when one of the statements was told last.
_LATEST: Final = """
SELECT max(epoch_us(e.event_time))
           FILTER (e.kind <> 'item' AND epoch_us(e.event_time) <= {now_us}) AS happened,
       max(epoch_us(e.event_time)) FILTER (c.id IS NOT NULL) AS told
FROM events AS e
LEFT JOIN cuts AS c ON c.id = e.anonymous_id AND c.customer_id = e.customer_id
"""


def unmerge(
    shop: Identity, raw_id: str, other: str, *, clock: Clock = system_clock
) -> dict[str, Any]:
    """Undo that `other` is the person of `raw_id`, and put history back.

    Every statement that joins the two is cut. On a device that several use, only this person is
    taken off. Which of the two is the customer makes no difference.

    Returns:
        The view (`shoal.identity/1`) of the id that was taken off as it is now; of the customer,
        where that id has no event of its own.

    Raises:
        UsageError: `usage`, the two are not joined.
        InputError: `too_little_data`, the shop holds no event.
    """
    with shop.store.lease():
        person, off = _sides(shop, raw_id, other)
        cuts = _joining(shop, person, off) if off in person.ids[1:] else []
        if not cuts:
            raise UsageError(
                "usage",
                f"{other!r} is not joined to {raw_id!r}",
                where=other,
                hint=f"shoal identity SHOP {raw_id} shows what is joined to it and why.",
            )
        _tell(shop, cuts, clock())
        catch_up(
            warehouse=shop.warehouse, store=shop.store, fold=shop.fold, admission=shop.admission
        )
    try:
        return shop.view(off)
    except UsageError as error:
        if error.code != "unknown_customer":
            raise
        return shop.view(person.owner)  # an alias alone told of the other id


def _sides(shop: Identity, raw_id: str, other: str) -> tuple[Person, str]:
    """The person, and the id that is to be taken off, whichever of two ids is the person's own."""
    person = shop.person(raw_id)
    if other not in person.ids[1:]:
        turned = shop.person(other)
        if turned.owner == other and raw_id in turned.ids[1:]:
            return turned, raw_id
    return person, other


def _joining(shop: Identity, person: Person, other: str) -> list[tuple[str, str]]:
    """Pairs (id, customer) of the standing statements that join `other` to a person."""
    from shoal.features.people import standing

    merged = {row["id"] for row in person.own if row["merged"]} | {person.owner}
    told = standing(shop.store.people.links(ids=[other, person.owner]))
    pairs = zip(told["id"].to_pylist(), told["customer_id"].to_pylist(), strict=True)
    # In a circle of aliases the customer was told to be the other one, too.
    return [
        (name, customer)
        for name, customer in dict.fromkeys(pairs)
        if (name == other and customer in merged) or (name, customer) == (person.owner, other)
    ]


def _date(shop: Identity, cuts: Sequence[tuple[str, str]], now: datetime) -> datetime:
    """A microsecond after the latest event, and in any case after the statements that are cut.

    Events that are still to come say nothing of now: one clock that is wrong would let the cut
    void all that is told until then.
    """
    ids, customers = ([pair[place] for pair in cuts] for place in (0, 1))
    told = pa.table({"id": pa.array(ids, pa.string()), "customer_id": customers})
    inputs = {"events": shop.warehouse.events(), "cuts": told}
    found = shop.warehouse.engine.run(_LATEST.format(now_us=to_us(now)), inputs).to_pylist()[0]
    links = shop.store.people.links(ids=sorted(set(ids)))
    pairs = set(cuts)
    moments = [
        row["from_us"] for row in links.to_pylist() if (row["id"], row["customer_id"]) in pairs
    ]
    moments += [us for us in (found["happened"], found["told"]) if us is not None]
    return from_us(max(moments) + 1)


def _tell(shop: Identity, cuts: Sequence[tuple[str, str]], now: datetime) -> None:
    """Bring the cuts in by the front door, as a unit of their own."""
    from shoal.features import people

    moment = iso(_date(shop, cuts, now))
    rows = [
        {
            "event_id": f"unmerge-{_digest(moment, name, customer)}", "source": people.OWN_SOURCE,
            "kind": CUSTOM, "event_time": moment, "customer_id": customer, "anonymous_id": name,
            "properties": people.CUT_PROPERTIES,
        }
        for name, customer in cuts
    ]  # fmt: skip
    chunk = RawChunk(pa.Table.from_pylist(rows))
    cleaned = clean(chunk, load("shoal"), zone=shop.zone, buckets=shop.buckets, file="unmerge")
    unit_name = f"unmerge-{_digest(*(row['event_id'] for row in rows))}"
    writer = shop.warehouse.unit(unit_name)
    place = cleaned.events.schema.get_field_index(NOISE)
    mark = pa.array([IDENTITY] * len(rows), pa.string())  # it tells of ids, it is no behaviour
    writer.append(cleaned.events.set_column(place, NOISE, mark))
    found = writer.resolve()
    account = RowAccount(
        read=len(rows), stored=found["stored"], duplicate=found["duplicate"],
        conflicting=found["conflicting"],
    )  # fmt: skip
    unit = units.Unit(unit_name, units.STAGED, "shoal identity --unmerge", "shoal", account)
    commit(shop.warehouse, shop.store, writer, unit)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
