"""The state store in memory: for tests and notebooks, held to the same contract as the SQL one."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.adapters.memory_carries import CarryRows, MemoryCarries
from shoal.adapters.memory_erasures import ErasureRows, MemoryErasures
from shoal.adapters.memory_flags import MemoryFlags, Rows
from shoal.adapters.memory_keys import MemoryKeys
from shoal.adapters.memory_live import LiveRows, MemoryLive
from shoal.adapters.memory_people import LinkRows, MemoryPeople
from shoal.adapters.memory_standings import MemoryStandings
from shoal.adapters.store_schema import LOG_SCHEMA, STATES_SCHEMA, as_memberships
from shoal.domain.access import Key
from shoal.domain.errors import OperationError
from shoal.segments.assign import MEMBERSHIPS_SCHEMA


@dataclass
class _Contents:
    """All that a transaction may change, so that it can be copied and put back."""

    settings: dict[str, str] = field(default_factory=dict)
    applied_version: int = -1
    states: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    units: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: With the position of each row.
    memberships: tuple[pa.Table, ...] = ()
    positions: int = 0
    pointers: dict[str, list[tuple[str, datetime]]] = field(default_factory=dict)
    flags: Rows = field(default_factory=dict)
    links: LinkRows = field(default_factory=dict)
    carries: CarryRows = field(default_factory=dict)
    erasures: ErasureRows = field(default_factory=ErasureRows)
    keys: dict[str, Key] = field(default_factory=dict)
    live: LiveRows = field(default_factory=LiveRows)

    def copied(self) -> _Contents:
        """A copy that later writes do not reach; states, many and immutable, are shared."""
        return _Contents(
            dict(self.settings),
            self.applied_version,
            dict(self.states),
            copy.deepcopy(self.units),
            self.memberships,
            self.positions,
            {name: list(history) for name, history in self.pointers.items()},
            dict(self.flags),
            dict(self.links),
            dict(self.carries),
            self.erasures.copied(),
            dict(self.keys),
            self.live.copied(),
        )


class MemoryStateStore:
    """`StateStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._contents = _Contents()
        self._writer = threading.RLock()
        self._depth = 0
        self.flags = MemoryFlags(lambda: self._contents.flags)
        self.people = MemoryPeople(lambda: self._contents.links)
        self.carries = MemoryCarries(lambda: self._contents.carries, lambda: self._contents.states)
        self.erasures = MemoryErasures(lambda: self._contents.erasures)
        self.keys = MemoryKeys(lambda: self._contents.keys)
        self.live = MemoryLive(lambda: self._contents.live)
        self.standings = MemoryStandings(self._log, lambda: self._contents.states)

    def close(self) -> None:
        """Nothing to give back."""

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the single-writer lease; entering it again in the same thread is allowed."""
        if not self._writer.acquire(blocking=False):
            raise OperationError(
                "shop_locked",
                "another thread has been writing to the shop",
                "memory",
                "Wait until it has finished.",
            )
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside is kept together or not at all."""
        with self._writer:
            before = self._contents.copied() if self._depth == 0 else None
            self._depth += 1
            try:
                yield
            except BaseException:
                if before is not None:
                    self._contents = before
                raise
            finally:
                self._depth -= 1

    def get_settings(self) -> dict[str, str]:
        return dict(self._contents.settings)

    def put_setting(self, key: str, value: str) -> None:
        self._contents.settings[key] = value

    def applied_version(self) -> int:
        return self._contents.applied_version

    def set_applied_version(self, version: int) -> None:
        self._contents.applied_version = version

    def get_states(self, customers: Sequence[str]) -> pa.Table:
        """Rows (`customer_id`, `version`, `body`) of the known ones asked for, by customer."""
        return self._table(sorted(set(customers) & self._contents.states.keys()))

    def put_states(self, states: pa.Table) -> None:
        """Insert or replace states (`customer_id`, `version`, `body`)."""
        for row in states.select(STATES_SCHEMA.names).to_pylist():
            self._contents.states[row["customer_id"]] = (row["version"], row["body"])

    def delete_states(self, customers: Sequence[str]) -> None:
        """Remove states, and every model's carries of these customers."""
        self.carries.forget(customers)
        for customer in customers:
            self._contents.states.pop(customer, None)

    def count_states(self) -> int:
        return len(self._contents.states)

    def customers_after(self, customer: str, most: int) -> list[str]:
        """The next customers with a state; see the port."""
        return sorted(name for name in self._contents.states if name > customer)[:most]

    def iter_states(self, rows_per_batch: int = 50_000) -> Iterator[pa.Table]:
        """All states in order of customer, in bounded batches."""
        customers = sorted(self._contents.states)
        for start in range(0, len(customers), rows_per_batch):
            yield self._table(customers[start : start + rows_per_batch])

    def _table(self, customers: Sequence[str]) -> pa.Table:
        states = [self._contents.states[customer] for customer in customers]
        columns = [customers, [version for version, _ in states], [body for _, body in states]]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, STATES_SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=STATES_SCHEMA)

    def put_unit(self, unit: str, document: Mapping[str, Any]) -> None:
        self._contents.units[unit] = copy.deepcopy(dict(document))

    def get_unit(self, unit: str) -> dict[str, Any] | None:
        return copy.deepcopy(self._contents.units.get(unit))

    def units(self) -> list[dict[str, Any]]:
        """All units, oldest first, each document with its name as `unit`."""
        units = self._contents.units.items()
        return [{**copy.deepcopy(document), "unit": unit} for unit, document in units]

    def units_after(self, position: int) -> list[tuple[int, dict[str, Any]]]:
        """Units that came behind a position, each with its own; see the port."""
        return list(enumerate(self.units(), 1))[position:]

    def last_unit_number(self) -> int:
        """The highest `number` of a unit; 0 where there is none."""
        return max((one.get("number", 0) for one in self._contents.units.values()), default=0)

    def put_memberships(self, memberships: pa.Table) -> None:
        """Append memberships; nothing older is touched."""
        held, rows = self._contents, as_memberships(memberships)
        places = pa.array(range(held.positions + 1, held.positions + 1 + rows.num_rows), pa.int64())
        held.memberships += (rows.append_column("position", places),)
        held.positions += rows.num_rows

    def get_memberships(
        self,
        segmentation: str | Sequence[str],
        *,
        customers: Sequence[str] | None = None,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """The latest membership of each customer, by customer; see the port."""
        wanted = [segmentation] if isinstance(segmentation, str) else list(segmentation)
        rows = self.membership_history(customers, segmentations=wanted)
        if as_of is not None:
            rows = rows.filter(pc.less_equal(rows["since"], pa.scalar(as_of, rows["since"].type)))
        placed = rows.append_column("position", pa.array(range(rows.num_rows), pa.int64()))
        latest = placed.group_by("customer_id").aggregate([("position", "max")])
        return rows.take(latest["position_max"]).sort_by("customer_id")

    def membership_history(
        self,
        customers: str | Sequence[str] | None = None,
        *,
        segmentations: Sequence[str] | None = None,
        upto: int | None = None,
    ) -> pa.Table:
        """Every membership of some customers, in some segmentations, as written."""
        rows = self._log()
        if upto is not None:
            rows = rows.filter(pc.less_equal(rows["position"], upto))
        rows = rows.select(MEMBERSHIPS_SCHEMA.names)
        names = [customers] if isinstance(customers, str) else customers
        for column, wanted in (("customer_id", names), ("segmentation_id", segmentations)):
            if wanted is not None:
                known = pa.array(sorted(set(wanted)), pa.string())
                rows = rows.filter(pc.is_in(rows[column], value_set=known))
        return rows

    def last_membership(self) -> int:
        """The highest position that a row was ever given; 0: none was."""
        return self._contents.positions

    def membership_log(
        self, after: int, rows: int, line_of: Callable[[str], Sequence[str]]
    ) -> pa.Table:
        """The next rows of the log, each with the segment before it; see the port."""
        latest: dict[tuple[str, frozenset[str]], tuple[str, datetime]] = {}
        told: list[dict[str, Any]] = []
        for row in self._log().sort_by("position").to_pylist():
            key = (row["customer_id"], frozenset(line_of(row["segmentation_id"])))
            if row["position"] > after and len(told) < rows:
                before, since = latest.get(key, (None, None))
                told.append({**row, "before": before, "before_since": since})
            latest[key] = (row["segment_id"], row["since"])
        return pa.Table.from_pylist(told, schema=LOG_SCHEMA)

    def _log(self) -> pa.Table:
        empty = LOG_SCHEMA.empty_table().select([*MEMBERSHIPS_SCHEMA.names, "position"])
        return pa.concat_tables([empty, *self._contents.memberships])

    def forget(self, ids: Sequence[str]) -> dict[str, int]:
        """Remove states, carries, memberships and flags of some ids; how many rows, by table."""
        held, wanted = self._contents, set(ids)
        states = [name for name in held.states if name in wanted]
        for name in states:
            del held.states[name]
        gone = {"states": len(states), "carries": self.carries.forget(ids)}
        gone["memberships"] = self._forget_memberships(wanted)
        gone["flags"] = self.flags.flags(ids).num_rows
        self.flags.delete(ids)
        return gone

    def _forget_memberships(self, ids: set[str]) -> int:
        held = self._contents
        before = sum(table.num_rows for table in held.memberships)
        theirs = pc.is_in(pc.field("customer_id"), pa.array(sorted(ids), pa.string()))
        held.memberships = tuple(table.filter(~theirs) for table in held.memberships)
        return int(before - sum(table.num_rows for table in held.memberships))

    def scrub(self, traces: Sequence[str] | None = None) -> None:
        """Nothing lies in files."""

    def get_pointer(self, name: str) -> str | None:
        history = self._contents.pointers.get(name)
        return history[-1][0] if history else None

    def set_pointer(self, name: str, target: str, moment: datetime) -> None:
        self._contents.pointers.setdefault(name, []).append((target, moment))

    def pointers(self) -> dict[str, str]:
        """Every pointer and what it names now; an empty text: nothing any more."""
        held = self._contents.pointers.items()
        return {name: history[-1][0] for name, history in held if history}

    def pointer_history(self, name: str) -> list[tuple[str, datetime]]:
        """What a pointer has named, oldest first, each with the moment it was set."""
        return list(self._contents.pointers.get(name, ()))
