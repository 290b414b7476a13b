"""Shoal's embeddings by its public face, and two controls that take something from the events.

A model is trained on what lies before T - H in a copy of the log's shop, and embeds customers as of
T - H and as of T. The controls show it another log:

- shuffled: what happened stands at another of the customer's moments, at random; the moments stay;
- no time: every event lies one day after the one before it and the last one a day before the moment
  of embedding; the order stays. Of longer histories the last `LONGEST` events are there.

Were the events of [T - H, T) altered and stored beside the others before training, shuffling would
carry them into the past. So the histories as of T come into the shop after training, whole and
altered anew, as customers of other names.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.harness.source import CUSTOMER
from bench.harness.splits import refuse_later
from bench.users.sets import Opened, as_file, stored_events

RECIPE = "laptop"
SHUFFLED, NO_TIME = CONTROLS = ("shuffled", "no-time")
LONGEST = 1_000
_DAY_US = 86_400_000_000
#: Before the names of customers (and events) that come after training.
_LATER = "later:"


@dataclass(frozen=True)
class Embedded:
    """`before` (n, d) of the learning customers as of T - H, `at` (m, d) of those known at T."""

    before: npt.NDArray[np.float64]
    at: npt.NDArray[np.float64]
    facts: dict[str, Any]


def embedded(
    opened: Opened, *, budget_s: float, seed: int, control: str = "", recipe: str = RECIPE
) -> Embedded:
    """Train for so many seconds and embed everybody at both moments.

    Raises:
        LeakError: the model says it was trained on later events.
        ValueError: a customer with events has no embedding.
    """
    import shoal

    folder = Path(tempfile.mkdtemp(prefix="shoal-bench-"))
    try:
        if control:
            made = _altered_shop(opened, folder, control)
        else:
            made = opened.source.copy_shop(folder / "shop")
        with shoal.open(made) as shop:
            # the verbs of the model
            face: Any = shop
            trained = face.train(
                recipe=recipe, until=opened.before, minutes=budget_s / 60, seed=seed
            )  # fmt: skip
            told = dict(trained.document)
            until = datetime.fromisoformat(str(told["trained_until"]))
            refuse_later(until, opened.before, "Shoal's model")
            before = face.embed(as_of=opened.before)
            if control:
                file = folder / "later.parquet"
                rows = altered(_known(opened, opened.moment), opened.moment, control, seed)
                pq.write_table(as_file(_renamed(rows)), file)
                shop.ingest([file], preset="shoal")
            at = face.embed(as_of=opened.moment)
        prefix = _LATER if control else ""
        return Embedded(
            _matrix(before, opened.customers(opened.before)),
            _matrix(at, [prefix + name for name in opened.customers(opened.moment)]),
            {
                "train_seconds": told["fit"]["seconds"], "steps": told["fit"]["steps"],
                "loss": told["fit"]["losses"].get("total"), "stopped": told["fit"]["stopped"],
            },
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _matrix(table: pa.Table, customers: list[str]) -> npt.NDArray[np.float64]:
    """(n, d) embeddings of customers in their order."""
    names = [name for name in table.column_names if name != CUSTOMER]
    place = pc.index_in(pa.array(customers, pa.string()), table[CUSTOMER].cast(pa.string()))
    if place.null_count:
        raise ValueError(f"{place.null_count} of {len(customers)} customers have no embedding")
    found = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64)
    return found[place.to_numpy()]


# --- Controls -------------------------------------------------------------------------------------


def _altered_shop(opened: Opened, folder: Path, control: str) -> Path:
    """A shop of the altered histories as of T - H, with the facts of items."""
    from bench.harness.data import ingest

    rows = altered(_known(opened, opened.before), opened.before, control, opened.log.seed)
    stored = stored_events(opened.source.shop_dir)
    items = stored.filter(pc.equal(stored["kind"], "item"))
    file = folder / "events.parquet"
    pq.write_table(as_file(pa.concat_tables([items, rows])), file)
    ingest(folder, [file], "shoal", opened.source.facts["value_event"])
    return folder / "shop"


def _known(opened: Opened, moment: datetime) -> pa.Table:
    """Customers' events before the moment, sorted by customer and time."""
    stored = stored_events(opened.source.shop_dir)
    early = pc.less(stored["event_time"], pa.scalar(moment, stored["event_time"].type))
    return stored.filter(pc.and_(early, pc.is_valid(stored[CUSTOMER])))


def altered(rows: pa.Table, moment: datetime, control: str, seed: int) -> pa.Table:
    """Histories before the moment without their order, or without their times.

    Args:
        rows: events sorted by customer and time; so they come back.
    """
    ids = np.asarray(rows[CUSTOMER].to_pylist(), dtype=str)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])) if len(ids) else ids
    lengths = np.diff(np.append(starts, len(ids)))
    if control == SHUFFLED:
        customer = np.repeat(np.arange(len(starts)), lengths)
        random = np.random.default_rng(seed).random(len(ids))
        shuffled = rows.take(pa.array(np.lexsort([random, customer])))
        for name in (CUSTOMER, "event_time", "sequence", "event_id"):
            place = rows.schema.get_field_index(name)
            shuffled = shuffled.set_column(place, name, rows[name])
        return shuffled
    if control != NO_TIME:
        raise ValueError(f"no control {control!r}; there are {', '.join(CONTROLS)}")
    left = np.repeat(lengths, lengths) - (np.arange(len(ids)) - np.repeat(starts, lengths))
    last = pa.scalar(moment, rows["event_time"].type).cast(pa.int64()).as_py()
    times = pa.array(last - left * _DAY_US, pa.int64()).cast(rows["event_time"].type)
    place = rows.schema.get_field_index("event_time")
    return rows.set_column(place, "event_time", times).filter(pa.array(left <= LONGEST))


def _renamed(rows: pa.Table) -> pa.Table:
    for name in (CUSTOMER, "event_id"):
        place = rows.schema.get_field_index(name)
        told = pc.binary_join_element_wise(_LATER, rows[name].cast(pa.string()), "")
        rows = rows.set_column(place, name, told)
    return rows
