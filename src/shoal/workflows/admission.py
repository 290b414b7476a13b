"""Admission kept and applied: links and flags follow the event table, every fold reads what counts.

`Admission` knows a shop's settings and stores. Catching up tells it of new files (`update`);
whoever reads events for features asks for the table as it counts at a moment (`at`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.config import IdentityConfig, NoiseConfig
from shoal.domain.time import to_us
from shoal.events.noise import PACE_RULES
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.admission import (
    EVER_US,
    ITEMS_SCHEMA,
    NEVER_US,
    PEOPLE_SCHEMA,
    RATES_SCHEMA,
    Decisions,
)
from shoal.ports import Engine, EventTable, ParquetFiles, Registry, Relation, StateStore, Warehouse
from shoal.workflows import identity, item_facts, noise, rates
from shoal.workflows.admitted import AdmittedTable, workspace
from shoal.workflows.forgotten import hidden

#: Days for which the last known rate of a currency goes on to count.
RATE_AGE_DAYS: Final = 7

#: Part of the fingerprint: changes when the same settings come to decide otherwise.
_VERSION: Final = 2


class Admission:
    """What decides which events count, for one shop.

    Args:
        warehouse, store: the shop's.
        registry: where currency rates and facts of items are kept; None: there are none.
        currency: the shop's, into which amounts are converted.
        people: settings of identity.
        pace: settings of noise.
        buckets: number of customer buckets.
        work_dir: where admitted events are written for as long as they are read; None: in the
            system's temporary directory.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        store: StateStore,
        registry: Registry | None = None,
        *,
        currency: str = "",
        people: IdentityConfig | None = None,
        pace: NoiseConfig | None = None,
        buckets: int = 16,
        work_dir: Path | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._store = store
        self._registry = registry
        self._currency = currency
        self._people = people or IdentityConfig()
        self._pace = pace or NoiseConfig()
        self._buckets = buckets
        self._work_dir = work_dir

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the settings and rates that decide; states of another are made anew."""
        lost = self._registry is not None and item_facts.lost(self._store, self._registry)
        parts = (_VERSION, self._people, self._pace, self._currency, self._rates_id(), lost)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    # -- kept -------------------------------------------------------------------------------------

    def update(
        self,
        files: ParquetFiles,
        rewritten: Sequence[str],
        version: int | None,
        *,
        restating: bool = False,
    ) -> pa.Array:
        """Let links, flags and facts of items follow new files.

        Inside the caller's transaction.

        Args:
            files: what was added since they were last kept.
            rewritten: visitors of whom stored events were replaced or withdrawn.
            version: of the event table, with those files in it; None: all there is.
            restating: whether any stored events were replaced or withdrawn, visitors' or not.

        Returns:
            Customers (distinct texts) whose states cannot be had by merging the new files' events.
        """
        before = self.decisions()
        moved = identity.update_links(
            self._warehouse, self._store, files, version, rewritten=rewritten
        )
        flagged = noise.update_flags(
            self._warehouse, self._store, files, version, self._pace, rewritten=rewritten
        )
        parts = [moved, flagged, pa.array(list(rewritten), pa.string())]
        if self._registry is not None:
            parts.append(
                item_facts.update(
                    self._warehouse, self._store, self._registry, files, version,
                    restating=restating,
                )
            )  # fmt: skip
        ids = pa.concat_arrays(parts).unique()
        if not len(ids):
            return ids
        after = self.decisions()
        return pa.concat_arrays([before.owners_of(ids), after.owners_of(ids)]).unique()

    def judge(self, visitors: Sequence[str], version: int | None) -> pa.Array:
        """Flag visitors by what is left of their events; those whose flags are others than before.

        Inside the caller's transaction.
        """
        flagged = self._store.flags.flags(visitors)["visitor_id"].unique().to_pylist()
        if not flagged:
            return pa.array([], pa.string())
        return self.judge_some(flagged, version)

    def judge_some(self, visitors: Sequence[str], version: int | None = None) -> pa.Array:
        """Judge the pace of visitors by all their events; those whose flags are others than before.

        Inside the caller's transaction.

        Args:
            version: of the event table; None: all events there are.
        """
        nothing = ParquetFiles((), TABLE_SCHEMA)
        return noise.update_flags(
            self._warehouse, self._store, nothing, version, self._pace, rewritten=visitors
        )

    def flag(self, files: ParquetFiles) -> pa.Array:
        """Let flags follow new files; visitors whose flags are others than before.

        Inside the caller's transaction.
        """
        return noise.update_flags(self._warehouse, self._store, files, None, self._pace)

    def rebuild(self, version: int | None) -> None:
        """Make links, flags and facts of items anew, inside the caller's transaction.

        Args:
            version: of the event table; None: of all there is.
        """
        identity.rebuild(self._warehouse, self._store, version)
        noise.rebuild(self._warehouse, self._store, version, self._pace)
        if self._registry is not None:
            item_facts.rebuild(self._warehouse, self._store, self._registry, version)

    # -- applied ----------------------------------------------------------------------------------

    def decisions(self, moment: datetime | None = None) -> Decisions:
        """The decisions as of a moment; None: by all that is known."""
        at_us = NEVER_US if moment is None else to_us(moment)
        people = identity.people_at(self._store, at_us, self._people.shared_by)
        return Decisions(
            people=_without_owners(people, hidden(self._store)),
            flags=self._on(self._store.flags.flags(), at_us),
            rates=self._daily_rates(),
            currency=self.currency,
            items=self.items,
        )

    def decisions_among(
        self, raw_ids: Sequence[str], items: pa.Table, *, around: bool = False
    ) -> Decisions:
        """The decisions by all that is known that events of some ids meet: what it costs does not
        depend on how many customers there are.

        Args:
            items: the facts of items that these events may take.
            around: also what else belongs to the owners of these ids.
        """
        read = identity.people_around if around else identity.people_among
        people = read(self._store, raw_ids, NEVER_US, self._people.shared_by)
        theirs = {*raw_ids, *people["id"].to_pylist()} if around else raw_ids
        return Decisions(
            people=_without_owners(people, hidden(self._store)),
            flags=self._on(self._store.flags.flags(list(theirs)), NEVER_US),
            rates=self._daily_rates(),
            currency=self.currency,
            items=items,
        )

    def settled_at(self, moment: datetime) -> bool:
        """Whether events count at a moment as they do by all that is known: nothing is told later.

        States are made by all that is known.
        """
        told = (
            self._store.people.links()["from_us"],
            self._store.flags.flags()["told_us"],
        )
        latest = [pc.max(one).as_py() for one in told if len(one)]
        return all(one < to_us(moment) for one in latest)

    @property
    def shared_by(self) -> int:
        """The most customers that a device may have before it is nobody's."""
        return self._people.shared_by

    def customer_of(self, raw_id: str, moment: datetime | None = None) -> str:
        """The customer to whom the latest events of an id belong; the id itself where none does."""
        return self.owner_among(self.people_about(raw_id, moment), raw_id)

    def people_about(self, raw_id: str, moment: datetime | None = None) -> pa.Table:
        """The rows of `decisions().people` that say who an id is and what else is theirs."""
        at_us = NEVER_US if moment is None else to_us(moment)
        people = identity.people_about(self._store, raw_id, at_us, self._people.shared_by)
        return _without_owners(people, hidden(self._store))

    def owner_among(self, people: pa.Table, raw_id: str) -> str:
        """`customer_of`, by decisions (`PEOPLE_SCHEMA`) that the caller has.

        A customer whose id is also that of a device on which others signed in is that customer.
        """
        own = people.filter(pc.equal(people["id"], raw_id)).sort_by("from_us").to_pylist()
        if not own or own[-1]["customer_id"] is None:
            return raw_id
        if not own[-1]["merged"] and self._is_customer(raw_id):
            return raw_id
        return str(own[-1]["customer_id"])

    def _is_customer(self, raw_id: str) -> bool:
        known = self._store.get_states([raw_id]).num_rows
        return bool(known or self._store.people.links(customers=[raw_id]).num_rows)

    @property
    def rates(self) -> pa.Table:
        """The shop's rates for every day (`RATES_SCHEMA`); none where it has none."""
        return self._daily_rates()

    @property
    def currency(self) -> str:
        """The shop's currency: the one set, else the most frequent of its first priced events."""
        return self._currency or self._store.get_settings().get("currency", "")

    @property
    def stored(self) -> EventTable:
        """The event table as it is stored, everybody's events and nobody's."""
        return self._warehouse

    def at(self, moment: datetime | None = None, *, version: int | None = None) -> EventTable:
        """The event table as it counts at a moment, to be read only.

        Args:
            moment: None: by all that is known.
            version: of the event table; None for the latest.
        """
        decisions = self.decisions(moment)
        if decisions.none:
            return self._warehouse
        events = self._warehouse.events(version=version)
        decisions = self._at_work(events, decisions)
        if decisions.none:
            return self._warehouse
        directory = self.workspace()
        files = _admit(self._warehouse.engine, events, decisions, directory, self._buckets)
        return AdmittedTable(self._warehouse, files, directory)

    @contextmanager
    def admitted(self, events: Relation, decisions: Decisions) -> Iterator[Relation]:
        """Some files or rows of the event table as they count, for as long as the block lasts."""
        decisions = self._at_work(events, decisions)
        if decisions.none:
            yield events
            return
        directory = self.workspace()
        try:
            yield _admit(self._warehouse.engine, events, decisions, directory, self._buckets)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def workspace(self) -> Path:
        """A new empty directory for events that are being read; the caller removes it."""
        return workspace(self._work_dir)

    def _at_work(self, events: Relation, decisions: Decisions) -> Decisions:
        """The decisions without item facts where the events tell all of it themselves."""
        if not decisions.items.num_rows:
            return decisions
        from shoal.features.items import takes_any

        if takes_any(self._warehouse.engine, events, decisions.items):
            return decisions
        return replace(decisions, items=ITEMS_SCHEMA.empty_table())

    def admitted_rows(self, events: pa.Table, decisions: Decisions) -> pa.Table:
        """As `admitted`, of few events in memory."""
        decisions = self._at_work(events, decisions)
        if decisions.none:
            return events
        from shoal.features.admit import admit_rows

        return admit_rows(self._warehouse.engine, events, decisions, buckets=self._buckets)

    def _on(self, flags: pa.Table, at_us: int) -> pa.Table:
        """The flags that count at a moment."""
        on = [rule for rule in PACE_RULES if rule in self._pace.rules]
        known = pc.and_(
            pc.less(flags["told_us"], at_us),
            pc.is_in(flags["rule"], value_set=pa.array(on, pa.string())),
        )
        return flags.filter(known)

    @property
    def items(self) -> pa.Table:
        """Facts of items for events that do not tell them (`ITEMS_SCHEMA`)."""
        if self._registry is None:
            return ITEMS_SCHEMA.empty_table()
        return item_facts.current(self._store, self._registry)

    def _rates_id(self) -> str | None:
        return None if self._registry is None else self._store.get_pointer(rates.POINTER)

    def _daily_rates(self) -> pa.Table:
        if self._registry is None or self._rates_id() is None or not self.currency:
            return RATES_SCHEMA.empty_table()
        return rates.daily_rates(self._store, self._registry, RATE_AGE_DAYS, self.currency)


def _without_owners(people: pa.Table, names: Sequence[str]) -> pa.Table:
    """Nothing belongs any more to some customers, whose erasure is under way."""
    if not names:
        return people
    gone = set(names)
    rows = [
        {**row, "customer_id": None} if row["customer_id"] in gone else row
        for row in people.to_pylist()
        if row["id"] not in gone
    ]
    rows += [
        {"id": name, "from_us": EVER_US, "to_us": NEVER_US, "customer_id": None, "merged": True}
        for name in sorted(gone)
    ]
    return pa.Table.from_pylist(rows, schema=PEOPLE_SCHEMA)


def _admit(
    engine: Engine, events: Relation, decisions: Decisions, directory: Path, buckets: int
) -> ParquetFiles:
    from shoal.features.admit import admit  # the queries take longer to load than most verbs

    return admit(engine, events, decisions, directory, buckets=buckets)
