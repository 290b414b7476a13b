"""Data that benches run on: simulated worlds and public sets, ingested once, features kept.

Everything lies in a cache folder under a name that holds what it was made of: digest of the world,
customers, days, seed, difficulty and dials, and the fingerprint of the feature catalog. A folder
counts as made when its `made.json` exists.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("SHOAL_BENCH_CACHE", Path(tempfile.gettempdir()) / "shoal-bench"))
DATA = Path(os.environ.get("SHOAL_DATA", ROOT.parent / "shared" / "data"))

#: Columns of the log whose names get shares in `Source.features`: most names of each, and the
#: share of events that a name needs.
FACETS = ("category", "channel", "device", "payment")
_MOST_NAMES = 12
_LEAST_SHARE = 0.01
_CUSTOMER = "customer_id"
#: Raised when what lies in the cache changes its form.
_FORM = 2
#: Beginning of the names of the shares' columns.
TASTE = "taste:"


class MissingDataError(Exception):
    """A data set or world is not there; the bench says so in its row."""


@dataclass(frozen=True)
class WorldSpec:
    """A simulated world, told by everything that its bytes depend on."""

    name: str
    customers: int
    days: int
    seed: int
    difficulty: float | None = None
    dials: tuple[tuple[str, float], ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}-{self.seed}"


@dataclass(frozen=True)
class PublicSpec:
    """A public data set: preset, file under SHOAL_DATA, and the kind that is worth something."""

    name: str
    preset: str
    file: str
    value_event: str = ""


PUBLIC = {
    "online_retail": PublicSpec(
        "online_retail", "online-retail", "online_retail/transactions.parquet"
    ),
    "cdnow": PublicSpec("cdnow", "cdnow", "cdnow/transactions.parquet"),
    "amazon_beauty": PublicSpec(
        "amazon_beauty", "amazon-reviews", "amazon_beauty/actions.parquet", "review"
    ),
}


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
        rows = pc.index_in(known[_CUSTOMER], features[_CUSTOMER].combine_chunks())
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


def world(spec: WorldSpec, cache: Path | None = None) -> SimulatedWorld:
    """The simulated world, made (about 5 s for 100,000 events) or found in the cache.

    Raises:
        MissingDataError: this Shoal has no such world.
    """
    from shoal.domain.errors import UsageError
    from shoal.events import worlds

    try:
        digest = worlds.load(spec.name).digest()
    except UsageError as error:
        raise MissingDataError(f"no world {spec.name!r}: {error.message}") from error
    told = json.dumps([_FORM, asdict(spec), digest], sort_keys=True)
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    folder = (cache or CACHE) / f"{spec.name}-{spec.customers}-{spec.days}-{spec.seed}-{key}"
    if not (folder / "made.json").exists():
        _make_world(spec, digest, folder)
    return SimulatedWorld(folder, json.loads((folder / "made.json").read_text()))


def public(name: str, cache: Path | None = None) -> Source:
    """A public set, ingested or found in the cache.

    Raises:
        MissingDataError: its file is not under SHOAL_DATA.
    """
    spec = PUBLIC[name]
    file = DATA / spec.file
    if not file.exists():
        raise MissingDataError(f"{name}: no file {spec.file} under SHOAL_DATA")
    size = file.stat().st_size
    key = hashlib.sha256(json.dumps([_FORM, asdict(spec), size]).encode()).hexdigest()[:12]
    folder = (cache or CACHE) / f"{name}-{key}"
    if not (folder / "made.json").exists():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        fresh(folder)
        ingest(folder, [file], spec.preset, spec.value_event)
        finish(folder, {"spec": asdict(spec), "digest": digest})
    return Source(folder, json.loads((folder / "made.json").read_text()))


def _make_world(spec: WorldSpec, digest: str, folder: Path) -> None:
    from shoal.workflows.simulate import simulate

    fresh(folder)
    more: dict[str, Any] = {}
    if spec.difficulty is not None:
        more["difficulty"] = spec.difficulty
    if spec.dials:
        more["dials"] = dict(spec.dials)
    home = folder / "world"
    simulate(
        home, customers=spec.customers, days=spec.days, world=spec.name, seed=spec.seed, **more
    )
    ingest(folder, [home], "shoal")
    segments = pq.read_table(home / "_truth" / "segments.parquet")
    document = json.loads((home / "_truth" / "world.json").read_text())
    facts = {
        "spec": asdict(spec), "digest": document["world_digest"],
        "version": document["world_version"], "planted": _planted_at_start(segments),
    }  # fmt: skip
    finish(folder, facts)


def _planted_at_start(segments: pa.Table) -> int:
    if "exists_from" not in segments.column_names:
        return segments.num_rows
    since = segments["exists_from"]
    first = pc.min(since)
    there = pc.or_kleene(pc.is_null(since), pc.equal(since, first))
    return int(pc.sum(there).as_py())


def fresh(folder: Path) -> None:
    """An empty folder, whatever a killed run left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def ingest(folder: Path, files: list[Path], preset: str, value_event: str = "") -> None:
    """Make the folder's shop and bring the files into it."""
    import shoal
    from shoal.config import Config, ShopConfig

    config = Config(shop=ShopConfig(value_event=value_event)) if value_event else None
    with shoal.init(folder / "shop", config) as shop:
        shop.ingest(files, preset=preset, confirm=lambda _: True)


def finish(folder: Path, facts: dict[str, Any]) -> None:
    """Write the log and, last, what is known of it: from now on the folder counts as made."""
    log = _log(folder)
    pq.write_table(log, folder / "log.parquet")
    first, last = (pc.min(log["event_time"]).as_py(), pc.max(log["event_time"]).as_py())
    facts |= {
        "events": log.num_rows, "start": _day(first).isoformat(),
        "end": (_day(last) + timedelta(days=1)).isoformat(),
        "names": facts.get("names") or _frequent(log),
    }  # fmt: skip
    part = folder / "made.part"
    part.write_text(json.dumps(facts, indent=1) + "\n")
    part.replace(folder / "made.json")


def _log(folder: Path) -> pa.Table:
    """The stored events of customers: what the bench counts and times."""
    from deltalake import DeltaTable

    names = [_CUSTOMER, "kind", "event_time", *FACETS]
    table = DeltaTable(str(folder / "shop" / "events")).to_pyarrow_table(columns=names)
    table = table.filter(
        pc.and_(pc.is_valid(table[_CUSTOMER]), pc.not_equal(table["kind"], "item"))
    ).sort_by("event_time")
    text = table["category"].cast(pa.string())
    place = table.schema.get_field_index("category")
    return table.set_column(place, "category", pc.replace_substring_regex(text, "/.*$", ""))


def _frequent(log: pa.Table) -> dict[str, list[str]]:
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


def _day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _us(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
