"""How a person came together: their ids, since when each is theirs, and which event told so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import UsageError
from shoal.domain.time import Zone, from_us, iso, to_us
from shoal.events.identity import bucket_of
from shoal.features.admission import EVER_US, NEVER_US
from shoal.features.snapshot import latest_moment
from shoal.features.traits import traits_of
from shoal.ports import StateStore, Warehouse
from shoal.workflows.admission import Admission

if TYPE_CHECKING:
    from shoal.workflows.catch_up import FoldFactory

SCHEMA: Final = "shoal.identity/1"

#: Which stored events are a person's: of each raw id the stretch from `from_us` to `to_us`, in it
#: the events with a customer (`signed`), those without one (`unsigned`), or both.
SPANS_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("from_us", pa.int64()),
        pa.field("to_us", pa.int64()),
        pa.field("signed", pa.bool_()),
        pa.field("unsigned", pa.bool_()),
    ]
)
_OWN: Final = """
FROM events AS e JOIN spans AS s
  ON coalesce(e.customer_id, e.anonymous_id) = s.id
 AND epoch_us(e.event_time) >= s.from_us AND epoch_us(e.event_time) < s.to_us
 AND CASE WHEN e.customer_id IS NULL THEN s.unsigned ELSE s.signed END
"""
_BROUGHT: Final = f"""
SELECT s.id, count(*) AS events, bool_or(e.customer_id IS NOT NULL) AS signed,
       min(e.event_time) AS first, max(e.event_time) AS last,
       array_agg(DISTINCT e.device ORDER BY e.device) FILTER (e.device IS NOT NULL) AS devices
{_OWN} GROUP BY s.id ORDER BY s.id
"""
_NOTHING: Final[Mapping[str, Any]] = {
    "events": 0,
    "signed": False,
    "first": None,
    "last": None,
    "devices": None,
}


@dataclass(frozen=True)
class Person:
    """A person's ids as of a moment.

    Args:
        owner: the id that stands for the person.
        ids: all of them, `owner` first.
        people: whose events of these ids, and of a few more, are; as
            `shoal.features.admission.PEOPLE_SCHEMA`.
        moment: only what came before it counts.
    """

    owner: str
    ids: tuple[str, ...]
    people: pa.Table
    moment: datetime

    @property
    def own(self) -> list[dict[str, Any]]:
        """The rows of `people` that give something to this person."""
        return self.people.filter(pc.equal(self.people["customer_id"], self.owner)).to_pylist()

    def spans(self) -> pa.Table:
        """Which stored events are the person's (`SPANS_SCHEMA`)."""
        ends = to_us(self.moment)
        rows = [
            {"id": row["id"], "from_us": row["from_us"], "to_us": min(row["to_us"], ends),
             "signed": row["merged"], "unsigned": True}
            for row in self.own
        ]  # fmt: skip
        theirs = self.people.filter(pc.equal(self.people["id"], self.owner)).to_pylist()
        if not any(row["merged"] for row in theirs):
            # Events without a customer whose id is this one are those of a device of that name.
            given = any(row["customer_id"] is not None for row in theirs)
            rows.append({"id": self.owner, "from_us": EVER_US, "to_us": ends, "signed": True,
                         "unsigned": not given})  # fmt: skip
        return pa.Table.from_pylist(rows, schema=SPANS_SCHEMA)


@dataclass(frozen=True)
class Identity:
    """What identity needs of a shop."""

    warehouse: Warehouse
    store: StateStore
    admission: Admission
    fold: FoldFactory
    zone: Zone
    buckets: int

    def person(self, raw_id: str, as_of: datetime | None = None) -> Person:
        """The person to whom the latest events of an id belong.

        Raises:
            InputError: `too_little_data`, the shop holds no event.
        """
        moment = as_of or latest_moment(self.warehouse)
        people = self.admission.people_about(raw_id, as_of)
        owner = self.admission.owner_among(people, raw_id)
        own = people.filter(pc.equal(people["customer_id"], owner))
        ids = tuple(dict.fromkeys([owner, *own["id"].to_pylist()]))
        return Person(owner, ids, people, moment)

    def events_of(self, person: Person, select: str, where: str = "") -> pa.Table:
        """Columns `select` (of `e`, the events) of the stored events that are a person's."""
        order = "ORDER BY e.event_time, e.sequence, e.event_id, e.source"
        return self._run(f"SELECT {select} {_OWN} {where} {order}", person)

    def page(
        self, person: Person, select: str, where: str, given: Mapping[str, Any], limit: int
    ) -> pa.Table:
        """The latest stored events that are a person's, newest first.

        Args:
            where: a condition over `e`, the events, and `p`, one row of `given`.
        """
        order = (
            "ORDER BY e.event_time DESC, coalesce(e.sequence, 0) DESC, e.event_id DESC, "
            f"coalesce(e.source, '') DESC LIMIT {int(limit)}"
        )
        query = f"SELECT {select} {_OWN} CROSS JOIN given AS p {where} {order}"
        return self._run(query, person, given=pa.Table.from_pylist([dict(given)]))

    def view(self, raw_id: str, as_of: datetime | None = None) -> dict[str, Any]:
        """The JSON document `shoal.identity/1`: the person's ids, how each was joined, since when.

        Args:
            raw_id: a customer, one that was merged, or an anonymous id.
            as_of: only what was told before it counts.

        Raises:
            UsageError: `unknown_customer`, no event of that id.
            InputError: `too_little_data`, the shop holds no event.
        """
        person = self.person(raw_id, as_of)
        brought = {row["id"]: row for row in self._run(_BROUGHT, person).to_pylist()}
        if not brought:
            raise UsageError(
                "unknown_customer",
                f"the shop knows no id {raw_id!r}"
                + ("" if as_of is None else f" with an event before {iso(as_of)}"),
                where=raw_id,
                hint="Ids are case-sensitive texts; shoal memberships lists the customers.",
            )
        links = self._links(person)
        return {
            "schema": SCHEMA,
            "asked": raw_id,
            "customer_id": person.owner,
            "as_of": iso(person.moment),
            "ids": [_of_id(name, person, links, brought) for name in person.ids],
            "refused": self._refused(person, links),
            "told": [_told(row) for row in links],
            "traits": self.traits(person),
        }

    def traits(self, person: Person) -> list[dict[str, Any]]:
        """What `profile` events of the person's own part of each id say."""
        names = ("customer_id", "anonymous_id", "kind", "event_time", "sequence", "event_id",
                 "source", "properties")  # fmt: skip
        told = self.events_of(
            person, ", ".join(f"e.{name}" for name in names), "WHERE e.kind = 'profile'"
        )
        ids = pa.array(person.ids, pa.string())
        return traits_of(self.warehouse.engine, told, ids, person.moment)

    def _run(self, query: str, person: Person, **more: pa.Table) -> pa.Table:
        """A query over the person's `spans` and the `events` of the buckets that hold them."""
        spans = person.spans()
        buckets = sorted({bucket_of(name, self.buckets) for name in person.ids})
        events = self.warehouse.events(buckets=buckets)
        return self.warehouse.engine.run(query, {"events": events, "spans": spans, **more})

    def _links(self, person: Person) -> list[dict[str, Any]]:
        """What was told of the person's ids, and of others that they are the person, by time."""
        ids = list(person.ids)
        links = self.store.people.links(ids=ids, customers=ids)
        rows = links.filter(pc.less(links["from_us"], to_us(person.moment))).to_pylist()
        return sorted(rows, key=lambda row: (row["from_us"], row["sequence"], row["event_id"]))

    def _refused(self, person: Person, links: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Ids of which somebody told that they are the person, but of too many others as well."""
        from shoal.features.people import customers_an_id, standing

        named = sorted({row["id"] for row in links})
        found = standing(self.store.people.links(ids=named), to_us(person.moment))
        if not found.num_rows:
            return []
        counted = customers_an_id(found).tolist()
        pairs = zip(found["id"].unique().to_pylist(), counted, strict=True)
        return [
            {"id": name, "customers": count}
            for name, count in pairs
            if count > self.admission.shared_by
        ]


def _of_id(
    name: str,
    person: Person,
    links: Iterable[Mapping[str, Any]],
    brought: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    spans = [row for row in person.own if row["id"] == name]
    others = {row["customer_id"] for row in links if row["id"] == name} - {person.owner}
    known = brought.get(name, _NOTHING)
    return {
        "id": name,
        "role": _role(name, person, spans, bool(known["signed"])),
        "spans": [
            {
                "from": None if span["from_us"] <= EVER_US else iso(from_us(span["from_us"])),
                "to": None if span["to_us"] >= NEVER_US else iso(from_us(span["to_us"])),
            }
            for span in spans
        ],
        "shared_with": sorted(others),
        "events": known["events"],
        "first": None if known["first"] is None else iso(known["first"]),
        "last": None if known["last"] is None else iso(known["last"]),
        "devices": known["devices"] or [],
    }


def _role(name: str, person: Person, spans: Iterable[Mapping[str, Any]], signed: bool) -> str:
    """`customer`, `merged` or `anonymous`."""
    if any(span["merged"] for span in spans):
        return "merged"
    known = signed or len(person.ids) > 1
    return "customer" if name == person.owner and known else "anonymous"


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "time": iso(from_us(row["from_us"])), "id": row["id"], "says": row["says"],
        "customer_id": row["customer_id"], "source": row["source"], "kind": row["kind"],
        "event_id": row["event_id"],
    }  # fmt: skip
