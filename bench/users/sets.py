"""The logs of the bench: a sample of a set's customers, and the two windows of its split.

What is known before T foretells [T, T + H). Models of customers are pre-trained on what lies before
T - H. Heads learn the outcomes of [T - H, T) from inputs as of T - H; the period that is scored,
[T, T + H), is foretold from inputs as of T and seen once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.harness import data
from bench.harness.data import MissingDataError
from bench.harness.source import CUSTOMER, Source
from bench.harness.splits import horizon, refuse_unordered
from bench.segments.sets import (
    CANNOT,
    CUSTOMERS,
    DAYS,
    DAYS_TO_NEXT,
    HORIZON_DAYS,
    WORLD_HORIZON_DAYS,
)
from bench.segments.sets import QUICK_CUSTOMERS as QUICK_WORLD
from bench.segments.sets import QUICK_DAYS as QUICK_WORLD_DAYS
from bench.users.settings import MOST_CUSTOMERS, QUICK_CUSTOMERS, REPORTED, TUNING

#: Simulated worlds: name -> world and dials. In `one_visit` four of five customers were there on a
#: single day before T.
WORLDS: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "steady": ("steady", ()),
    "awkward": ("awkward", ()),
    "one_visit": ("steady", (("one_off", 0.75),)),
}
SETS = ("online_retail", "cdnow", "amazon_beauty", *WORLDS)

ACTIVE, ORDERS, SPEND, MIX = TASKS = ("active", "orders", "spend", "mix")

#: Raised when a sample's shop changes its form.
_FORM = 1


def cannot(name: str) -> dict[str, str]:
    """Why a set cannot carry an outcome, by outcome."""
    return {task: why for task, why in CANNOT.get(name, {}).items() if task != DAYS_TO_NEXT}


@dataclass(frozen=True)
class Log:
    """One set at one cut.

    Args:
        set: one of `SETS`.
        seed: of the world, the sample, and the methods.
        back: how many horizons before the end the foretold window ends. Of a public set each seed
            has another cut; of a world each seed is another world.
        main: it also takes part in the controls and the comparison with text.
        quick: the small form.
    """

    set: str
    seed: int
    back: int = 0
    main: bool = False
    quick: bool = False

    @property
    def label(self) -> str:
        return f"{self.set}-{self.seed}"

    @property
    def arguments(self) -> dict[str, Any]:
        return asdict(self)

    def open(self, cache: Path | None = None) -> Opened:
        """The log, made or found in the cache.

        Raises:
            MissingDataError: the set is not there, or ends before this cut.
        """
        if self.set in data.PUBLIC:
            whole, days = data.public(self.set, cache), HORIZON_DAYS[self.set]
        else:
            world, dials = WORLDS[self.set]
            customers, length = (QUICK_WORLD, QUICK_WORLD_DAYS) if self.quick else (CUSTOMERS, DAYS)
            spec = data.WorldSpec(world, customers, length, self.seed, dials=dials)
            whole, days = data.world(spec, cache), WORLD_HORIZON_DAYS
        days = horizon(whole.start, whole.end, days)
        moment = whole.end - timedelta(days=(1 + self.back) * days)
        before = moment - timedelta(days=days)
        if before - whole.start < timedelta(days=days):
            raise MissingDataError(f"{self.label}: less than {days} days before its windows")
        most = QUICK_CUSTOMERS if self.quick else MOST_CUSTOMERS
        source = _sampled(whole, moment, most, self.seed, cache or data.CACHE, self.set)
        return Opened(self, source, moment, days)


@dataclass(frozen=True)
class Opened:
    """A log that is there: `moment` is the cut T, outcomes are those of [T, T + horizon)."""

    log: Log
    source: Source
    moment: datetime
    horizon_days: int

    def __post_init__(self) -> None:
        refuse_unordered([self.source.start, self.before, self.moment, self.until])

    @property
    def before(self) -> datetime:
        """T - H: until then models of customers are trained; from then heads learn."""
        return self.moment - timedelta(days=self.horizon_days)

    @property
    def until(self) -> datetime:
        return self.moment + timedelta(days=self.horizon_days)

    def customers(self, moment: datetime) -> list[str]:
        """Those with an event before the moment, sorted."""
        log = self.source.events
        known = log.filter(pc.less(log["event_time"], pa.scalar(moment, log["event_time"].type)))
        return sorted(pc.unique(known[CUSTOMER]).to_pylist())

    @cached_property
    def once(self) -> float:
        """Share of the customers known at T who were there on one day alone."""
        log = self.source.events
        known = log.filter(
            pc.less(log["event_time"], pa.scalar(self.moment, log["event_time"].type))
        )
        days = pa.table({"who": known[CUSTOMER], "day": known["event_time"].cast(pa.date32())})
        each = days.group_by(["who", "day"]).aggregate([]).group_by("who").aggregate(
            [("day", "count")]
        )  # fmt: skip
        return float(pc.mean(pc.equal(each["day_count"], 1).cast(pa.float64())).as_py())


def logs(sets: Sequence[str], seeds: Sequence[int], quick: bool = False) -> list[Log]:
    """Every set with every seed; the first reported seed and the first for tuning are main ones.

    Of a public set the first reported seed has the latest cut, the next one a horizon earlier;
    seeds for tuning have cuts before all of these. What a seed is does not depend on which others
    are asked for.
    """
    order = (*REPORTED, *TUNING)
    return [
        Log(
            name, seed, order.index(seed) if name in data.PUBLIC else 0,
            seed in (REPORTED[0], TUNING[0]), quick,
        )
        for name in sets
        for seed in seeds
    ]  # fmt: skip


# --- The sample -----------------------------------------------------------------------------------


def _sampled(
    whole: Source, moment: datetime, most: int, seed: int, cache: Path, name: str
) -> Source:
    """A shop of the sampled customers' events and the facts of items, and of nobody else's."""
    told = json.dumps([_FORM, str(whole.facts), moment.isoformat(), most, seed], sort_keys=True)
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    folder = cache / "users-logs" / f"{name}-{seed}-{key}"
    if not (folder / "made.json").exists():
        data.fresh(folder)
        rows, drawn = _rows(whole, moment, most, seed)
        pq.write_table(as_file(rows), folder / "events.parquet")
        value_event = data.PUBLIC[name].value_event if name in data.PUBLIC else ""
        data.ingest(folder, [folder / "events.parquet"], "shoal", value_event)
        facts = {"digest": whole.digest, "sampled": drawn, "value_event": value_event}
        data.finish(folder, facts)
    return Source(folder, json.loads((folder / "made.json").read_text()))


def _rows(whole: Source, moment: datetime, most: int, seed: int) -> tuple[pa.Table, int]:
    """The stored events of a random sample of the customers with an event before the moment."""
    table = stored_events(whole.shop_dir)
    early = pc.less(table["event_time"], pa.scalar(moment, table["event_time"].type))
    known = pc.unique(table.filter(early)[CUSTOMER]).drop_null().to_pylist()
    names = np.array(sorted(known), dtype=object)
    drawn = np.random.default_rng(seed).permutation(len(names))[:most]
    chosen = pa.array(sorted(names[drawn].tolist()), pa.string())
    mine = pc.is_in(table[CUSTOMER], chosen)
    return table.filter(pc.or_(mine, pc.equal(table["kind"], "item"))), len(chosen)


def stored_events(shop_dir: Path) -> pa.Table:
    """Canonical columns of the events of customers and of items, sorted by customer and time."""
    from deltalake import DeltaTable

    from shoal.domain.event import CANONICAL
    from shoal.events.schema import NOISE, ORDER

    table = DeltaTable(str(shop_dir / "events")).to_pyarrow_table(columns=[*CANONICAL, NOISE])
    of_use = pc.or_(pc.is_valid(table[CUSTOMER]), pc.equal(table["kind"], "item"))
    table = table.filter(pc.and_(of_use, pc.is_null(table[NOISE]))).select(list(CANONICAL))
    return table.sort_by([(name, "ascending") for name in (CUSTOMER, *ORDER)])


def as_file(rows: pa.Table) -> pa.Table:
    """Stored events as a file of Shoal's own columns: money in units, columns of nulls left out.

    Who is who was settled when they were stored, so anonymous ids stay behind.
    """
    from shoal.domain.event import MONEY_COLUMNS
    from shoal.domain.money import MICROS

    for name in MONEY_COLUMNS:
        place = rows.schema.get_field_index(name)
        units = pc.divide(rows[name].cast(pa.float64()), float(MICROS))
        rows = rows.set_column(place, name, units)
    kept = [
        name
        for name in rows.column_names
        if name != "anonymous_id" and rows[name].null_count < rows.num_rows
    ]
    return rows.select(kept)
