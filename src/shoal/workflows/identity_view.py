"""How a person came together, and undoing it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.account import RowAccount
from shoal.domain.errors import UsageError
from shoal.domain.kinds import CUSTOM
from shoal.domain.time import Zone, from_us, iso, to_us
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.noise import IDENTITY
from shoal.events.presets import load
from shoal.events.schema import NOISE
from shoal.features.admission import EVER_US, NEVER_US
from shoal.features.snapshot import latest_moment
from shoal.ports import StateStore, Warehouse
from shoal.workflows import units
from shoal.workflows.admission import Admission
from shoal.workflows.catch_up import catch_up
from shoal.workflows.ingest import commit

if TYPE_CHECKING:
    from shoal.workflows.catch_up import FoldFactory

SCHEMA: Final = "shoal.identity/1"

_BROUGHT: Final = """
SELECT coalesce(customer_id, anonymous_id) AS id, count(*) AS events,
       min(event_time) AS first, max(event_time) AS last
FROM events SEMI JOIN ids ON coalesce(events.customer_id, events.anonymous_id) = ids.id
WHERE epoch_us(event_time) < {before} GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Identity:
    """What identity needs of a shop."""

    warehouse: Warehouse
    store: StateStore
    admission: Admission
    fold: FoldFactory
    zone: Zone
    buckets: int

    def view(self, raw_id: str, as_of: datetime | None = None) -> dict[str, Any]:
        """The JSON document `shoal.identity/1`: the person's ids, how each was joined, since when.

        Args:
            raw_id: a customer, one that was merged, or an anonymous id.
            as_of: only what was told before it counts.

        Raises:
            UsageError: `unknown_customer`, no event of that id.
        """
        moment = as_of or latest_moment(self.warehouse)
        people = self.admission.decisions(as_of).people
        owner = self.admission.customer_of(raw_id, as_of)
        own = people.filter(pc.equal(people["customer_id"], owner))
        ids = list(dict.fromkeys([owner, *own["id"].to_pylist(), raw_id]))
        links = self.store.people.links(ids=ids)
        links = links.filter(pc.less(links["from_us"], to_us(moment)))
        brought = self._brought(ids, moment)
        if not brought:
            raise UsageError(
                "unknown_customer",
                f"the shop knows no id {raw_id!r}" + ("" if as_of is None else " at that moment"),
                where=raw_id,
                hint="Ids are case-sensitive texts; shoal memberships lists the customers.",
            )
        shared = people.filter(pc.and_(pc.is_null(people["customer_id"]), pc.is_in(
            people["id"], value_set=pa.array(ids, pa.string()))))  # fmt: skip
        return {
            "schema": SCHEMA,
            "asked": raw_id,
            "customer_id": owner,
            "as_of": iso(moment),
            "ids": [self._of_id(name, owner, own, links, brought) for name in ids],
            "shared": sorted(set(shared["id"].to_pylist())),
            "told": [_told(row) for row in links.sort_by("from_us").to_pylist()],
        }

    def _of_id(
        self,
        name: str,
        owner: str,
        own: pa.Table,
        links: pa.Table,
        brought: Mapping[str, dict[str, Any]],
    ) -> dict[str, Any]:
        spans = own.filter(pc.equal(own["id"], name)).to_pylist()
        others = sorted(
            set(links.filter(pc.equal(links["id"], name))["customer_id"].to_pylist()) - {owner}
        )
        known = brought.get(name, {"events": 0, "first": None, "last": None})
        return {
            "id": name,
            "role": "customer" if name == owner else "merged" if any(
                span["merged"] for span in spans) else "anonymous",
            "spans": [
                {
                    "from": None if span["from_us"] <= EVER_US else iso(from_us(span["from_us"])),
                    "to": None if span["to_us"] >= NEVER_US else iso(from_us(span["to_us"])),
                }
                for span in spans
            ],
            "shared_with": others,
            "events": known["events"],
            "first": None if known["first"] is None else iso(known["first"]),
            "last": None if known["last"] is None else iso(known["last"]),
        }  # fmt: skip

    def _brought(self, ids: list[str], moment: datetime) -> dict[str, dict[str, Any]]:
        asked = pa.table({"id": pa.array(ids, pa.string())})
        found = self.warehouse.engine.run(
            _BROUGHT.format(before=to_us(moment)),
            {"events": self.warehouse.events(), "ids": asked},
        )
        return {row["id"]: row for row in found.to_pylist()}

    def unmerge(self, raw_id: str, other: str) -> dict[str, Any]:
        """Undo that `other` is the person of `raw_id`, and put history back; the view of `other`.

        The cut is an event like any other, told by the source `shoal` at the shop's now.

        Raises:
            UsageError: `usage`, the two are not linked.
        """
        owner = self.admission.customer_of(raw_id)
        links = self.store.people.links(ids=[other])
        targets = [
            row["customer_id"]
            for row in links.to_pylist()
            if self.admission.customer_of(row["customer_id"]) == owner
            or row["customer_id"] in (owner, raw_id)
        ]
        if not targets or self.admission.customer_of(other) != owner:
            raise UsageError(
                "usage",
                f"{other!r} is not joined to {raw_id!r}",
                where=other,
                hint="shoal identity SHOP ID shows what is joined and why.",
            )
        with self.store.lease():
            for target in dict.fromkeys(targets):
                self._tell(target, other)
            catch_up(
                warehouse=self.warehouse, store=self.store, fold=self.fold,
                admission=self.admission,
            )  # fmt: skip
        return self.view(other)

    def _tell(self, customer: str, other: str) -> None:
        """Bring the cut in by the front door, as a unit of its own."""
        from shoal.features import people

        moment = latest_moment(self.warehouse)
        name = hashlib.sha256(f"{customer}\x1f{other}\x1f{iso(moment)}".encode()).hexdigest()[:24]
        row = {
            "event_id": f"unmerge-{name}", "source": people.OWN_SOURCE, "kind": CUSTOM,
            "event_time": iso(moment), "customer_id": customer, "anonymous_id": other,
            "properties": people.CUT_PROPERTIES,
        }  # fmt: skip
        chunk = RawChunk(pa.table({key: [value] for key, value in row.items()}))
        cleaned = clean(chunk, load("shoal"), zone=self.zone, buckets=self.buckets, file="unmerge")
        unit_name = f"unmerge-{name}"
        writer = self.warehouse.unit(unit_name)
        place = cleaned.events.schema.get_field_index(NOISE)
        mark = pa.array([IDENTITY], pa.string())  # it tells of ids, it is no behaviour
        writer.append(cleaned.events.set_column(place, NOISE, mark))
        found = writer.resolve()
        account = RowAccount(
            read=1, stored=found["stored"], duplicate=found["duplicate"],
            conflicting=found["conflicting"],
        )  # fmt: skip
        unit = units.Unit(unit_name, units.STAGED, "shoal identity --unmerge", "shoal", account)
        commit(self.warehouse, self.store, writer, unit)


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "time": iso(from_us(row["from_us"])), "id": row["id"], "says": row["says"],
        "customer_id": row["customer_id"], "source": row["source"], "kind": row["kind"],
        "event_id": row["event_id"],
    }  # fmt: skip
