"""Whose is what: all that belongs to the persons who are to be forgotten, and to nobody else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.event import NO_IDS
from shoal.features.admission import ALIAS, EVER_US, LINK, NEVER_US, PEOPLE_SCHEMA
from shoal.ports import StateStore
from shoal.workflows import identity

#: Crowded ids are told apart before their stretches are asked for.
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

    def owners(self) -> list[tuple[str, str]]:
        """The own ids, each with the customer whose it was."""
        own = set(self.own)
        return [(r["id"], r["customer_id"]) for r in self.people.to_pylist() if r["id"] in own]

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
        shared_by: the most customers that an id may have. Of an id with more, which is nobody's,
            the stretches after the person's sign-ins go and nothing else: neither what came before
            the first sign-in nor anything because an alias says so.

    Raises:
        UsageError: `usage`, an id is that of a device of several persons.
    """
    owners = list(dict.fromkeys(_owner(store, name, shared_by) for name in ids))
    links = identity.followed(store, sorted(identity.leading_to(store, set(owners))))
    from shoal.features.people import standing

    known = standing(links)
    if not known.num_rows:
        return _with_owners(store, owners, [], list(owners), [])
    crowded = _crowded(known, shared_by)
    resolved: dict[str, list[dict[str, Any]]] = {}
    for row in _stretches(known, crowded):
        resolved.setdefault(row["id"], []).append(row)
    first = dict(zip(reversed(known["id"].to_pylist()), reversed(known["from_us"].to_pylist()),
                     strict=True))  # fmt: skip
    persons = _customers_among(store, resolved.keys() - set(owners))
    rows: list[dict[str, Any]] = []
    own = list(owners)
    shared = []
    for name, spans in resolved.items():
        theirs = [span for span in spans if span["customer_id"] in owners]
        if name in owners or not theirs:
            continue
        merged = any(span["merged"] for span in spans)
        alone = len(theirs) == len(spans) and name not in crowded
        if alone and (merged or name not in persons):
            own.append(name)
            rows.append({**theirs[0], "from_us": EVER_US, "to_us": NEVER_US, "merged": merged})
            continue
        shared.append(name)
        for span in theirs:
            begins = first[name] if name in crowded else EVER_US
            rows.append({**span, "from_us": max(span["from_us"], begins)})
    return _with_owners(store, owners, rows, own, shared)


def belongings_of(
    store: StateStore, own: Sequence[str], stretches: Sequence[tuple[str, int, int]]
) -> Belongings:
    """All that belongs to ids that were forgotten before.

    Args:
        own: ids of which everything goes.
        stretches: (id, from, to) of devices of others, of which what has no customer goes.
    """
    rows = [
        {"id": name, "from_us": first, "to_us": last, "customer_id": None, "merged": False}
        for name, first, last in stretches
    ]
    return _with_owners(store, own, rows, own, sorted({name for name, _, _ in stretches}))


def _crowded(known: pa.Table, shared_by: int) -> dict[str, int]:
    """How many customers those ids have that are nobody's for it.

    Args:
        known: links that stand, at least one.
    """
    from shoal.features.people import customers_an_id

    names = known["id"].unique().to_pylist()
    counts = customers_an_id(known).tolist()
    return {name: n for name, n in zip(names, counts, strict=True) if n > shared_by}


def _stretches(known: pa.Table, crowded: Collection[str]) -> list[dict[str, Any]]:
    """Whose the events of ids are, on crowded ones from sign-in to sign-in.

    An alias of a crowded id takes it from whoever signed in before, and gives it to nobody.
    """
    from shoal.features.people import resolve

    many = pc.is_in(known["id"], value_set=pa.array(sorted(crowded), pa.string()))
    void = pc.and_(many, pc.equal(known["says"], ALIAS))
    for name, value in (("customer_id", None), ("says", LINK)):
        column = pc.if_else(void, pa.scalar(value, pa.string()), known[name])
        known = known.set_column(known.schema.get_field_index(name), known.schema.field(name),
                                 column)  # fmt: skip
    return resolve(known, NEVER_US, _UNLIMITED).to_pylist()


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


def _owner(store: StateStore, name: str, shared_by: int) -> str:
    """The customer whom an id means: itself, the one it was merged into, or whose device it is."""
    from shoal.features.people import standing

    known = standing(identity.followed(store, [name]))
    if not known.num_rows:
        return name
    crowded = _crowded(known, shared_by)
    mine = [span for span in _stretches(known, crowded) if span["id"] == name]
    owner = name
    if name not in crowded:
        if not mine or (not mine[0]["merged"] and _customers_among(store, {name})):
            return name
        owners = sorted({span["customer_id"] for span in mine})
        if len(owners) > 1:
            raise _of_several(name, len(owners), owners)
        owner = str(owners[0])
    if owner in crowded:
        told = known.filter(pc.equal(known["id"], owner))["customer_id"].unique()
        raise _of_several(owner, crowded[owner], sorted(told.to_pylist()))
    return owner


def _of_several(name: str, count: int, owners: Sequence[str]) -> UsageError:
    return UsageError(
        "usage",
        f"{name!r} is a device on which {count} customers signed in",
        where=name,
        hint="Give the customer's own id: of the device only that person's part is removed. "
        "They are: " + ", ".join(owners[:5]) + (", ..." if len(owners) > 5 else "."),
    )


def _customers_among(store: StateStore, names: set[str]) -> set[str]:
    """Those of some ids that are customers in their own right."""
    wanted = sorted(names)
    signed_in = store.people.links(customers=wanted)["customer_id"].to_pylist()
    return {*store.get_states(wanted)["customer_id"].to_pylist(), *signed_in}
