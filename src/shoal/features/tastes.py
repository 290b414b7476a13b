"""Tastes: which categories, channels, devices and ways to pay a customer turns to.

A shop's own names cannot be columns of a fixed catalog. So the counts by name that customer states
keep anyway (their grains) are turned into one column a name at the moment a segmentation is made:
`Vocabulary` freezes the commonest names of each facet, and `shares` gives each customer's share of
events with that name, pulled toward the shop's mean where little is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.time import Zone
from shoal.features.fold import Fold
from shoal.ports import Relation

#: facet -> (grain of a customer's partials, its key)
FACETS: Final = {
    "category": ("category", "top_category"),
    "brand": ("brand", "brand"),
    "channel": ("touch", "channel"),
    "device": ("touch", "device"),
    "payment": ("payment", "payment"),
}

#: `customer_id`, `facet`, `value` (the name) and `n` events with it.
COUNTS_SCHEMA: Final = pa.schema(
    [
        pa.field("customer_id", pa.string()),
        pa.field("facet", pa.string()),
        pa.field("value", pa.string()),
        pa.field("n", pa.int64()),
    ]
)


def counts(partials: Mapping[str, pa.Table]) -> pa.Table:
    """The counts by name of some customers' partials (`COUNTS_SCHEMA`)."""
    parts = [COUNTS_SCHEMA.empty_table()]
    for facet, (grain, key) in FACETS.items():
        table = partials.get(grain)
        if table is None or not table.num_rows:
            continue
        table = table.select(["customer_id", key, "n"]).filter(pc.field(key).is_valid())
        table = table.group_by(["customer_id", key]).aggregate([("n", "sum")])
        parts.append(
            pa.table(
                [
                    table["customer_id"],
                    pa.repeat(facet, table.num_rows),
                    table[key],
                    table["n_sum"],
                ],
                schema=COUNTS_SCHEMA,
            )
        )
    return pa.concat_tables(parts)


@dataclass(frozen=True)
class Vocabulary:
    """The names of each facet that become columns, and the shop's mean share of each.

    `prior` is how many events' worth of the shop's mean a customer starts with: the share of
    somebody with two events says little and stays near the mean.
    """

    names: tuple[tuple[str, str], ...]
    means: tuple[float, ...]
    prior: float = 1.0

    @classmethod
    def of(
        cls,
        table: pa.Table,
        *,
        facets: tuple[str, ...] = tuple(FACETS),
        most: int = 16,
        least_share: float = 0.01,
        prior: float = 1.0,
    ) -> Self:
        """The commonest names of each facet, at most `most`, each with `least_share` of events.

        A facet with a single name says nothing and is left out.
        """
        names: list[tuple[str, str]] = []
        means: list[float] = []
        for facet in facets:
            own = table.filter(pc.field("facet") == facet)
            totals = own.group_by("value").aggregate([("n", "sum")])
            ranked = sorted(
                zip(totals["value"].to_pylist(), totals["n_sum"].to_pylist(), strict=True),
                key=lambda pair: (-pair[1], pair[0]),
            )
            whole = sum(count for _, count in ranked)
            kept = [pair for pair in ranked[:most] if pair[1] >= least_share * whole]
            if len(ranked) < 2:
                continue
            names += [(facet, value) for value, _ in kept]
            means += [count / whole for _, count in kept]
        return cls(tuple(names), tuple(means), prior)

    @property
    def columns(self) -> tuple[str, ...]:
        """`category:electronics`, ...: names of the columns of `shares`."""
        return tuple(f"{facet}:{value}" for facet, value in self.names)

    def shares(self, customers: pa.ChunkedArray, table: pa.Table) -> npt.NDArray[np.float64]:
        """(n, names) share of each customer's events of the facet that have the name."""
        found, wholes = self._counted(customers, table)
        shrunk: npt.NDArray[np.float64] = (found + self.prior * np.array(self.means)) / (
            wholes + self.prior
        )
        return shrunk

    def observed(self, customers: pa.ChunkedArray, table: pa.Table) -> npt.NDArray[np.float64]:
        """(n, names) the shares as counted, NaN for a customer without an event of the facet."""
        found, wholes = self._counted(customers, table)
        return np.where(wholes > 0, found / np.maximum(wholes, 1), np.nan)

    def events(self, customers: pa.ChunkedArray, table: pa.Table) -> npt.NDArray[np.float64]:
        """(n, names) number of each customer's events with the name."""
        return self._counted(customers, table)[0]

    def _counted(
        self, customers: pa.ChunkedArray, table: pa.Table
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(n, names) events with the name, and with any name of its facet."""
        found = np.zeros((len(customers), len(self.names)))
        wholes = np.zeros((len(customers), len(self.names)))
        rows = pc.index_in(table["customer_id"], value_set=_one_chunk(customers))
        table = table.append_column("row", rows).filter(pc.is_valid(rows))
        for facet in sorted({facet for facet, _ in self.names}):
            own = table.filter(pc.field("facet") == facet)
            places = [place for place, (name, _) in enumerate(self.names) if name == facet]
            row, n = own["row"].to_numpy(), own["n"].to_numpy().astype(np.float64)
            known = pa.array([self.names[place][1] for place in places], pa.string())
            place = pc.fill_null(pc.index_in(own["value"], value_set=known), -1).to_numpy()
            hit = place >= 0
            np.add.at(found, (row[hit], np.array(places)[place[hit]]), n[hit])
            wholes[:, places] = np.bincount(row, n, minlength=len(customers))[:, None]
        return found, wholes

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "names": [list(name) for name in self.names],
            "means": list(self.means),
            "prior": self.prior,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` wrote."""
        names = tuple((facet, value) for facet, value in document["names"])
        return cls(names, tuple(document["means"]), document["prior"])


def _one_chunk(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def counts_at(fold: Fold, events: Relation, as_of: datetime) -> pa.Table:
    """The counts by name of events before a moment (`COUNTS_SCHEMA`), straight from events.

    The same numbers as `counts` of the partials of those events.
    """
    wanted = dict.fromkeys(grain for grain, _ in FACETS.values())
    # The grains of tastes have no window, so the zone does not matter.
    partials = {name: fold.grain_at(name, events, as_of, Zone()) for name in wanted}
    return counts(partials)
