"""Customers' states in memory that follow a log in the order of time, for a replay.

Each advance folds the events since the last one and merges them into the states of the customers
who had any, as the states of a shop follow its events: a cut costs its own events and the finishing
of features, not the whole log before it. It gives what a snapshot of the events before the moment
gives, number for number.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from shoal.domain.errors import InputError
from shoal.domain.time import Zone, iso
from shoal.events.schema import BUCKET, NO_CUSTOMER, TABLE_SCHEMA
from shoal.features.algebra import CUSTOMER
from shoal.features.fold import Fold
from shoal.features.queries import EVENTS_SCHEMA, PARTIAL_SCHEMAS, TAIL
from shoal.features.snapshot import stamped
from shoal.features.tastes import counts
from shoal.ports import ParquetFiles
from shoal.workflows.known import Known

#: Events read from the table's files at once; every reading passes over all files.
EVENTS_AHEAD: Final = 500_000
#: Logs of more events are not followed: the states of all customers are in memory, about 0.4 KB for
#: each event of a log with 40 events a customer.
MOST_EVENTS: Final = 4_000_000

_TIME: Final = "event_time"
_MOMENT: Final = TABLE_SCHEMA.field(_TIME).type

Codes = npt.NDArray[np.int64]


class Following:
    """States of all customers by the events before a moment that only moves on.

    Args:
        files: of the event table, as the events count at every moment there will be.
        total: the events in them, and `begins`, `ends`, the times of the first and the last.
    """

    def __init__(
        self,
        fold: Fold,
        zone: Zone,
        files: ParquetFiles,
        total: int,
        begins: datetime,
        ends: datetime,
    ) -> None:
        self._fold = fold
        self._zone = zone
        mark = f"{BUCKET}={NO_CUSTOMER}/"
        self._paths = [path for path in files.paths if mark not in path]
        self._read_until = self.moment = begins
        portions = max(1, -(-total // EVENTS_AHEAD))
        self._ends = ends
        self._portion = (ends - begins) / portions
        self._ahead = EVENTS_SCHEMA.empty_table()
        self._customers = pa.array([], pa.string())
        self._partials = {name: schema.empty_table() for name, schema in PARTIAL_SCHEMAS.items()}
        self._codes = {name: np.empty(0, np.int64) for name in PARTIAL_SCHEMAS}

    def known(self, moment: datetime, items: pa.Table | None) -> Known:
        """All customers with an event before a moment, after those that are folded already.

        Args:
            moment: not before the last one asked for (`self.moment`).
            items: the frozen reference; None knows no item.

        Raises:
            InputError: `too_little_data`, there is none.
        """
        while self.moment < moment:
            self._step(min(moment, self._next_reading()))
        if not len(self._customers):
            raise InputError(
                "too_little_data",
                f"no customer has an event before {iso(moment)}",
                hint="Give a later moment, or ingest earlier events.",
            )
        features = self._fold.finish(self._partials, moment, self._zone, items)
        return Known(moment, stamped(features, self._fold, moment), counts(self._partials))

    def _next_reading(self) -> datetime:
        """Read on where all that was read is folded; the moment up to which events are there."""
        if self.moment >= self._read_until:
            until = self._read_until + self._portion
            if until >= self._ends:
                until = datetime.max.replace(tzinfo=UTC)
            self._ahead = self._events(self._read_until, until)
            self._read_until = until
        return self._read_until

    def _events(self, since: datetime, until: datetime) -> pa.Table:
        if not self._paths:
            return EVENTS_SCHEMA.empty_table()
        time = pc.field(_TIME)
        inside = (time >= pa.scalar(since, _MOMENT)) & (time < pa.scalar(until, _MOMENT))
        data = ds.dataset(self._paths, schema=TABLE_SCHEMA, format="parquet")
        return data.to_table(columns=EVENTS_SCHEMA.names, filter=inside).sort_by(_TIME)

    def _step(self, until: datetime) -> None:
        """Fold the events up to a moment that have been read."""
        times = self._ahead[_TIME].cast(pa.int64()).to_numpy()
        stop = int(np.searchsorted(times, pa.scalar(until, _MOMENT).cast(pa.int64()).as_py()))
        events, self._ahead = self._ahead.slice(0, stop), self._ahead.slice(stop)
        self.moment = until
        if not events.num_rows:
            return
        new = self._without_tail(self._fold.partials(events))
        names = new["customer"][CUSTOMER].combine_chunks()
        if not len(names):
            return
        active = self._coded(names)
        mine = np.zeros(len(self._customers), bool)
        mine[active] = True
        own, rest = {}, {}
        for name, table in self._partials.items():
            theirs = mine[self._codes[name]]
            own[name], rest[name] = table.filter(pa.array(theirs)), table.filter(pa.array(~theirs))
            self._codes[name] = self._codes[name][~theirs]
        merged = self._without_tail(self._fold.merge(own, new))
        for name, table in merged.items():
            self._partials[name] = pa.concat_tables([rest[name], table]).combine_chunks()
            self._codes[name] = np.append(self._codes[name], self._coded(table[CUSTOMER]))

    def _coded(self, names: pa.Array | pa.ChunkedArray) -> Codes:
        """Numbers of customers; new ones get the next."""
        one = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
        found = pc.index_in(one, value_set=self._customers)
        if found.null_count:
            new = one.filter(pc.is_null(found)).unique()
            self._customers = pa.concat_arrays([self._customers, new])
            found = pc.index_in(one, value_set=self._customers)
        return np.asarray(found.to_numpy(), np.int64)

    @staticmethod
    def _without_tail(partials: dict[str, pa.Table]) -> dict[str, pa.Table]:
        """Nothing that is finished reads the last events themselves."""
        return {**partials, TAIL: PARTIAL_SCHEMAS[TAIL].empty_table()}
