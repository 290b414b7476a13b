"""Whose is what: all that belongs to the persons who are to be forgotten, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from shoal.domain.errors import UsageError
from shoal.domain.event import NO_IDS
from shoal.features.admission import ALIAS, EVER_US, NEVER_US, PEOPLE_SCHEMA
from shoal.ports import StateStore

#: No device has so many customers that its stretches are nobody's.
_UNLIMITED: Final = 2**62

NAMED_SCHEMA: Final = pa.schema([pa.field("id", pa.string()), pa.field("customer_id", pa.string())])


@dataclass(frozen=True)
class Belongings:
    """What goes.

    Args:
        people: `PEOPLE_SCHEMA`: whose events go, and of which stretches of time.
        own: ids that were theirs alone; nothing of them stays.
        shared: devices that others used too; only the persons' stretches go.
        named: `NAMED_SCHEMA`: events of a customer who stays carry an own id as their anonymous id
            (they were once taken for one person); there it is emptied.
    """

    people: pa.Table = field(default_factory=PEOPLE_SCHEMA.empty_table)
    own: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    named: pa.Table = field(default_factory=NAMED_SCHEMA.empty_table)

    def as_document(self) -> dict[str, Any]:
        return {
            "people": self.people.to_pylist(),
            "own": list(self.own),
            "shared": list(self.shared),
            "named": self.named.to_pylist(),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Belongings:
        return cls(
            pa.Table.from_pylist(document["people"], schema=PEOPLE_SCHEMA),
            tuple(document["own"]),
            tuple(document["shared"]),
            pa.Table.from_pylist(document["named"], schema=NAMED_SCHEMA),
        )


def belongings(store: StateStore, ids: Sequence[str], shared_by: int) -> Belongings:
    """All that belongs to the persons to whom some ids belong.

    A person is a customer, the ids that were merged with it, the anonymous ids that were nobody
    else's, and of other devices the stretches from a sign-in of the person to that of the next. An
    id that nobody knows belongs to a person of that id.

    Args:
        shared_by: the most customers of a device whose past, before the first sign-in, is that
            customer's.

    Raises:
        UsageError: `usage`, an id is that of a device of several persons.
    """
    owners = list(dict.fromkeys(_owner(store, name) for name in ids))
    links = store.people.links(ids=sorted(_leading_to(store, owners)))
    if not links.num_rows:
        return _alone(store, owners)
    from shoal.features.people import customers_an_id, resolve, standing

    resolved: dict[str, list[dict[str, Any]]] = {}
    for row in resolve(links, NEVER_US, _UNLIMITED).to_pylist():
        resolved.setdefault(row["id"], []).append(row)
    known = standing(links)
    first = dict(zip(reversed(known["id"].to_pylist()), reversed(known["from_us"].to_pylist()),
                     strict=True))  # fmt: skip
    names = known["id"].unique().to_pylist()
    crowded = {n for n, c in zip(names, customers_an_id(known), strict=True) if c > shared_by}
    persons = _customers_among(store, resolved.keys() - set(owners))
    rows: list[dict[str, Any]] = []
    own = list(owners)
    shared = []
    for name, spans in resolved.items():
        theirs = [span for span in spans if span["customer_id"] in owners]
        if name in owners or not theirs:
            continue
        merged = any(span["merged"] for span in spans)
        if len(theirs) == len(spans) and (merged or name not in persons):
            own.append(name)
            rows.append({**theirs[0], "from_us": EVER_US, "to_us": NEVER_US, "merged": merged})
            continue
        shared.append(name)
        for span in theirs:
            begins = first[name] if name in crowded else EVER_US
            rows.append({**span, "from_us": max(span["from_us"], begins)})
    return _with_owners(store, owners, rows, own, shared)


def check_id(name: str) -> None:
    """Refuse what is no id: it would name every row that has none.

    Raises:
        UsageError: `usage`.
    """
    if name.strip().lower() in {"", *NO_IDS}:
        raise UsageError(
            "usage",
            f"{name!r} is nobody's id",
            where=name,
            hint="No event is stored under it, so there is nothing to forget. Give a customer's id "
            "or an anonymous id.",
        )
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            "usage",
            f"{name!r} is no text in UTF-8",
            hint="Give the id as it stands in shoal memberships, or in a UTF-8 file with --file.",
        ) from error


def _alone(store: StateStore, owners: Sequence[str]) -> Belongings:
    return _with_owners(store, owners, [], list(owners), [])


def _with_owners(
    store: StateStore,
    owners: Sequence[str],
    rows: Iterable[dict[str, Any]],
    own: Sequence[str],
    shared: Sequence[str],
) -> Belongings:
    whole = [
        {"id": one, "from_us": EVER_US, "to_us": NEVER_US, "customer_id": one, "merged": True}
        for one in owners
    ]
    told = store.people.links(ids=own).select(["id", "customer_id"]).to_pylist()
    mine = set(own)
    pairs = {(row["id"], row["customer_id"]) for row in told if row["customer_id"] not in mine}
    named = [{"id": name, "customer_id": customer} for name, customer in sorted(pairs)]
    return Belongings(
        pa.Table.from_pylist([*whole, *rows], schema=PEOPLE_SCHEMA),
        tuple(own),
        tuple(shared),
        pa.Table.from_pylist(named, schema=NAMED_SCHEMA),
    )


def _owner(store: StateStore, name: str) -> str:
    """The customer whom an id means: itself, the one it was merged into, or whose device it is."""
    links = _followed(store, name)
    if not links.num_rows:
        return name
    from shoal.features.people import resolve

    spans = resolve(links, NEVER_US, _UNLIMITED).to_pylist()
    mine = [span for span in spans if span["id"] == name]
    if not mine or (not mine[0]["merged"] and _customers_among(store, {name})):
        return name
    owners = sorted({span["customer_id"] for span in mine})
    if len(owners) > 1:
        raise UsageError(
            "usage",
            f"{name!r} is a device on which {len(owners)} customers signed in",
            where=name,
            hint="Give the customer's own id: of the device only that person's part is removed. "
            "They are: " + ", ".join(owners[:5]) + (", ..." if len(owners) > 5 else "."),
        )
    return str(owners[0])


def _customers_among(store: StateStore, names: set[str]) -> set[str]:
    """Those of some ids that are customers in their own right."""
    wanted = sorted(names)
    signed_in = store.people.links(customers=wanted)["customer_id"].to_pylist()
    return {*store.get_states(wanted)["customer_id"].to_pylist(), *signed_in}


def _followed(store: StateStore, name: str) -> pa.Table:
    """The links of an id, and of every id that it leads to."""
    seen: set[str] = set()
    front = {name}
    found = []
    while front:
        links = store.people.links(ids=sorted(front))
        found.append(links)
        seen |= front
        front = set(links["customer_id"].to_pylist()) - seen
    return pa.concat_tables(found)


def _leading_to(store: StateStore, owners: Sequence[str]) -> set[str]:
    """Every id that leads to some customers, themselves among them."""
    seen = set(owners)
    front = set(owners)
    while front:
        links = store.people.links(customers=sorted(front))
        further = set(links["id"].to_pylist()) - seen
        seen |= further
        # Only what was merged leads on: what signs in on a device is not the device.
        front = {r["id"] for r in links.to_pylist() if r["says"] == ALIAS} & further
    return seen
