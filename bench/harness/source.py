"""A log that benches read: a shop of its own, its features at any moment, the truth of a world."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Columns of the log whose names get shares in `Source.features`: most names of each, and the
#: share of events that a name needs.
FACETS = ("category", "channel", "device", "payment")
_MOST_NAMES = 12
_LEAST_SHARE = 0.01
CUSTOMER = "customer_id"
#: Beginning of the names of the shares' columns.
TASTE = "taste:"


@dataclass
class Source:
    """A log in a shop of its own, read-only: work that writes does so in a copy (`copy_shop`)."""

    folder: Path
    facts: Mapping[str, Any]
    _shop: Any = field(default=None, repr=False)

    @property
    def start(self) -> datetime:
        """The day of the first event, 00:00 UTC."""
        return datetime.fromisoformat(self.facts["start"])

    @property
    def end(self) -> datetime:
        """The day after the last event, 00:00 UTC."""
        return datetime.fromisoformat(self.facts["end"])

    @property
    def digest(self) -> str:
        """What the log is made of; results quote it."""
        return str(self.facts["digest"])

    @property
    def shop_dir(self) -> Path:
        return self.folder / "shop"

    def copy_shop(self, to: Path) -> Path:
        """A copy of the shop that may be written to."""
        shutil.copytree(self.shop_dir, to)
        return to

    def features(self, as_of: datetime) -> pa.Table:
        """Features of every customer with an event before the moment, sorted by customer.

        The columns of `shop.features(as_of=T)`, then `taste:<facet>:<name>`: the customer's share
        of events before T in each of the shop's commonest top-level categories, channels, devices
        and ways to pay (those common in the log's first quarter), starting from one event of the
        shop's mean, so that every peer has the information that Shoal's own segments have.
        """
        name = as_of.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        path = self.folder / "features" / f"{catalog_fingerprint()}-{name}.parquet"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            started = time.perf_counter()
            table = self._with_tastes(self._opened().features(as_of=as_of), as_of)
            took = {b"bench.seconds": str(time.perf_counter() - started).encode()}
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), **took})
            part = path.with_suffix(f".{os.getpid()}.part")
            pq.write_table(table, part)
            part.replace(path)
        return pq.read_table(path)

    def feature_seconds(self, as_of: datetime) -> float:
        """Seconds that `features(as_of)` took when it was made, all customers from all events."""
        return float(self.features(as_of).schema.metadata[b"bench.seconds"])

    def events_between(self, since: datetime, until: datetime) -> int:
        """Events with `since <= event_time < until`."""
        times = self.events["event_time"].cast(pa.int64()).to_numpy()
        low, high = np.searchsorted(times, [_us(since), _us(until)])
        return int(high - low)

    @cached_property
    def events(self) -> pa.Table:
        """customer_id, kind, event_time and the facets, sorted by time."""
        return pq.read_table(self.folder / "log.parquet")

    def _opened(self) -> Any:
        if self._shop is None:
            import shoal

            self._shop = shoal.open(self.shop_dir)
        return self._shop

    def _with_tastes(self, features: pa.Table, as_of: datetime) -> pa.Table:
        log = self.events
        known = log.filter(pc.less(log["event_time"], pa.scalar(as_of, log["event_time"].type)))
        rows = pc.index_in(known[CUSTOMER], features[CUSTOMER].combine_chunks())
        for facet, names in self.facts["names"].items():
            places = pc.index_in(known[facet], pa.array(names))
            counted = pc.and_(pc.is_valid(rows), pc.is_valid(places))
            counts = np.zeros((features.num_rows, len(names)))
            row, place = (np.asarray(side.filter(counted).to_numpy()) for side in (rows, places))
            np.add.at(counts, (row.astype(np.int64), place.astype(np.int64)), 1)
            for name, share in zip(names, smoothed_shares(counts).T, strict=True):
                features = features.append_column(f"{TASTE}{facet}:{name}", pa.array(share))
        return features


class SimulatedWorld(Source):
    """A simulated world with its truth."""

    def truth(self, name: str) -> pa.Table | None:
        """A table of `_truth/`, such as `spells`; None where this world has none."""
        path = self.folder / "world" / "_truth" / f"{name}.parquet"
        return pq.read_table(path) if path.exists() else None

    @property
    def planted(self) -> int:
        """The number of planted segments at the log's start."""
        return int(self.facts["planted"])


def smoothed_shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, c) shares of each row, starting from one event's worth of the mean of all rows.

    >>> smoothed_shares(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    total = counts.sum()
    mean = counts.sum(axis=0) / total if total else np.full(counts.shape[1], 1 / counts.shape[1])
    return (counts + mean) / (counts.sum(axis=1, keepdims=True) + 1)


def catalog_fingerprint() -> str:
    """16 hex digits that change when the definition of a feature changes."""
    from shoal.features.catalog import CATALOG

    return CATALOG.fingerprint


def log_of(folder: Path) -> pa.Table:
    """The stored events of customers: what the bench counts and times."""
    from deltalake import DeltaTable

    names = [CUSTOMER, "kind", "event_time", *FACETS]
    table = DeltaTable(str(folder / "shop" / "events")).to_pyarrow_table(columns=names)
    table = table.filter(
        pc.and_(pc.is_valid(table[CUSTOMER]), pc.not_equal(table["kind"], "item"))
    ).sort_by("event_time")
    text = table["category"].cast(pa.string())
    place = table.schema.get_field_index("category")
    return table.set_column(place, "category", pc.replace_substring_regex(text, "/.*$", ""))


def frequent_names(log: pa.Table) -> dict[str, list[str]]:
    """The commonest names of each facet in the log's first quarter, sorted; facets with two.

    Taken from the start, so that no later cut knows of names that were still to come.
    """
    early = log.slice(0, max(1, log.num_rows // 4))
    found = {}
    for facet in FACETS:
        counts = early[facet].drop_null().value_counts().to_pylist()
        counts.sort(key=lambda one: (-one["counts"], one["values"]))
        least = _LEAST_SHARE * sum(one["counts"] for one in counts)
        names = sorted(one["values"] for one in counts[:_MOST_NAMES] if one["counts"] >= least)
        if len(names) > 1:
            found[facet] = names
    return found


def _us(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
