"""Undoing a join: a cut, told like any other event; it has a date, and history is put back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shoal.domain.account import RowAccount
from shoal.domain.errors import UsageError
from shoal.domain.kinds import CUSTOM
from shoal.domain.time import iso
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.noise import IDENTITY
from shoal.events.presets import load
from shoal.events.schema import NOISE
from shoal.features.snapshot import latest_moment
from shoal.workflows import units
from shoal.workflows.catch_up import catch_up
from shoal.workflows.identity_view import Identity, Person
from shoal.workflows.ingest import commit


def unmerge(shop: Identity, raw_id: str, other: str) -> dict[str, Any]:
    """Undo that `other` is the person of `raw_id`, and put history back.

    Every statement that joins the two is cut at the shop's now. On a device that several use, only
    this person is taken off.

    Returns:
        The view of `other` (`shoal.identity/1`) as it is now.

    Raises:
        UsageError: `usage`, the two are not joined.
        InputError: `too_little_data`, the shop holds no event.
    """
    with shop.store.lease():
        person = shop.person(raw_id)
        cuts = _joining(shop, person, other) if other in person.ids[1:] else []
        if not cuts:
            raise UsageError(
                "usage",
                f"{other!r} is not joined to {raw_id!r}",
                where=other,
                hint=f"shoal identity SHOP {raw_id} shows what is joined to it and why.",
            )
        _tell(shop, cuts)
        catch_up(
            warehouse=shop.warehouse, store=shop.store, fold=shop.fold, admission=shop.admission
        )
    return shop.view(other)


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


def _tell(shop: Identity, cuts: Sequence[tuple[str, str]]) -> None:
    """Bring the cuts in by the front door, as a unit of their own."""
    from shoal.features import people

    moment = iso(latest_moment(shop.warehouse))
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
