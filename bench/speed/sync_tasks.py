"""Measured pieces of a day's sync: a shop grown to several lengths, one more day, its steps.

The history is one simulated log told again and again, each time after the last: the same customers,
the same events a day, however long it is. The day is the same at every length.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: The day of the log that comes once more, after the end.
_THE_DAY: Final = 150
_IDS: Final = ("event_id", "order_id", "session_id")


def grow(
    *, directory: str, customers: int, days: int, lengths: list[int], on: str, seed: int
) -> dict[str, Any]:
    """Simulate a log and make a shop of each number of lengths of it, segmented after the first.

    Returns:
        By length: events, and seconds that the first refresh took, which makes what is kept.
    """
    from shoal import shop as face
    from shoal.workflows.simulate import simulate

    home = Path(directory)
    if not (home / "events.parquet").exists():
        simulate(home, customers=customers, days=days, seed=seed)
    log = pq.read_table(home / "events.parquet")
    told: dict[str, Any] = {"customers": customers, "days": days, "shops": {}}
    shutil.rmtree(home / "shop", ignore_errors=True)
    with face.init(home / "shop"):
        pass
    for place in range(max(lengths)):
        with face.open(home / "shop") as shop:
            _ingest(shop, home / "part.parquet", _later(log, place, days))
            if not place:
                if on != "features":
                    _publish(shop)
                shop.segment(k=8, aim="style", on=on)
        if place + 1 in lengths:
            with face.open(home / "shop") as shop:
                start = time.perf_counter()
                read = shop.refresh().segmentations[0]["read"]
                seconds = time.perf_counter() - start
                events = sum(shop._parts.warehouse.bucket_counts().values())
            copy = home / f"shop-{place + 1}"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(home / "shop", copy)
            told["shops"][str(place + 1)] = {"events": events, "first": seconds, "read": read}
    in_day = pc.equal(_day_of(log), _THE_DAY % days)
    shift = days * max(lengths) - _THE_DAY % days
    day = _moved(log.filter(in_day), timedelta(days=shift + 1), "day")
    pq.write_table(day, home / "day.parquet")
    told["day"] = day.num_rows
    return told


def _day_of(log: pa.Table) -> pa.ChunkedArray:
    return pc.days_between(pc.min(log["event_time"]), log["event_time"])


def _later(log: pa.Table, place: int, days: int) -> pa.Table:
    """The log told again, so many lengths later; facts of items are told once."""
    if not place:
        return log
    events = log.filter(pc.not_equal(log["kind"], "item"))
    return _moved(events, timedelta(days=place * days), f"r{place}")


def _moved(events: pa.Table, by: timedelta, mark: str) -> pa.Table:
    for name in _IDS:
        if name in events.column_names:
            ids = pc.binary_join_element_wise(f"{mark}-", events[name].cast(pa.string()), "")
            events = events.set_column(events.column_names.index(name), name, ids)
    when = events["event_time"]
    moved = pc.add(when, pa.scalar(by, pa.duration("us"))).cast(when.type)
    return events.set_column(events.column_names.index("event_time"), "event_time", moved)


def _ingest(shop: Any, path: Path, events: pa.Table) -> Any:
    pq.write_table(events, path)
    result = shop.ingest([path], preset="shoal")
    path.unlink()
    return result


def _publish(shop: Any) -> None:
    """An untrained model of the recipe `laptop`: what it costs does not depend on its weights."""
    import torch

    from shoal.domain.time import iso, system_clock
    from shoal.features.snapshot import latest_moment
    from shoal.features.tokens import Tokenizer
    from shoal.model import artefact
    from shoal.model.behaviour import BehaviourModel
    from shoal.model.config import recipe

    parts = shop._parts
    until = latest_moment(parts.warehouse)
    events = parts.admission.at(until).events()
    tokenizer = Tokenizer.learn(parts.engine, events, until=until, rules=parts.fold.rules)
    torch.manual_seed(0)
    items = tokenizer.items
    model = BehaviourModel(
        recipe("laptop").model, tokenizer.sizes,
        {**items.codes, "price": items.price, "texts": items.texts}, tokenizer.text.to_document(),
    )  # fmt: skip
    document = {"trained_until": iso(until), "created_at": iso(system_clock())}
    with parts.store.lease():
        name = artefact.write(
            parts.registry, model, tokenizer.to_document(), tokenizer.to_arrays(), document, "# -\n"
        )
        parts.store.set_pointer(artefact.MAIN, name, system_clock())


def day(*, directory: str, length: int, read: str, turn: int) -> dict[str, Any]:
    """One more day into a copy of a grown shop: each step's seconds and greatest memory.

    Args:
        read: `states`, as refresh does; `events` reads the event table, as it did before.
    """
    from shoal import shop as face
    from shoal.workflows import ingest as ingesting
    from shoal.workflows import refresh as refreshing

    home = Path(directory)
    shop_dir = home / "today"
    shutil.rmtree(shop_dir, ignore_errors=True)
    shutil.copytree(home / f"shop-{length}", shop_dir)
    if read == "events":
        refreshing.why_not_states = lambda *_: "asked for by the bench"
    found: dict[str, Any] = {}
    within = [0.0]
    catch_up = ingesting.catch_up

    def timed(**given: Any) -> int:
        start = time.perf_counter()
        try:
            return catch_up(**given)
        finally:
            within[0] += time.perf_counter() - start

    ingesting.catch_up = timed
    with face.open(shop_dir) as shop:
        with _measured(found, "ingest"):
            shop.ingest([home / "day.parquet"], preset="shoal")
        with _measured(found, "refresh"):
            told = shop.refresh().segmentations
    shutil.rmtree(shop_dir)
    if any(one["read"] != read for one in told):
        raise RuntimeError(f"read {[(one['read'], one['because']) for one in told]}, not {read}")
    found["catch_up_seconds"] = within[0]
    found["customers"], found["changed"] = told[0]["customers"], told[0]["changed"]
    return found


def memberships(*, customers: int, turn: int) -> dict[str, Any]:
    """The membership step alone: everybody recorded, then one in a hundred changes."""
    import tempfile

    import numpy as np

    from shoal.adapters.sql import SqlStateStore
    from shoal.domain.time import from_us
    from shoal.segments.assign import MEMBERSHIPS_SCHEMA, assign, places_of

    ids = tuple(f"s{place:02d}" for place in range(8))
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(8, 0.2), customers)
    found: dict[str, Any] = {"customers": customers}
    with tempfile.TemporaryDirectory() as folder:
        store = SqlStateStore(f"sqlite:///{folder}/shop.sqlite")
        places = pa.array(weights.argmax(1))
        moment = pa.scalar(from_us(0), MEMBERSHIPS_SCHEMA.field("since").type)
        columns = [
            pa.array([f"c{number:08d}" for number in range(customers)]),
            pa.repeat("kmeans-0001", customers), pa.array(ids).take(places),
            pa.array(weights.max(1)), pa.repeat(moment, customers), pa.repeat("version", customers),
            pa.array(np.zeros(customers)),
        ]  # fmt: skip
        table = pa.table(columns, schema=MEMBERSHIPS_SCHEMA)
        with _measured(found, "record_all"):
            store.put_memberships(table)
        some = rng.choice(customers, customers // 100, replace=False)
        weights[some] = np.roll(weights[some], 1, axis=1)
        with _measured(found, "read"):
            recorded = store.get_memberships("kmeans-0001")
        with _measured(found, "decide"):
            rows = pc.index_in(table["customer_id"], recorded["customer_id"].combine_chunks())
            before = places_of(recorded["segment_id"].take(rows), ids)
            moved = assign(weights, before, margin=0.1, segment_ids=ids).moved
        with _measured(found, "record_changes"):
            store.put_memberships(table.filter(pa.array(moved)))
        found["changed"] = int(moved.sum())
        store.close()
    return found


@contextmanager
def _measured(found: dict[str, Any], name: str) -> Iterator[None]:
    """Note the seconds of a block, wall and of all cores, and the greatest memory inside it."""
    _forget_peak()
    start, cpu = time.perf_counter(), time.process_time()
    yield
    found[f"{name}_seconds"] = time.perf_counter() - start
    found[f"{name}_cpu"] = time.process_time() - cpu
    found[f"{name}_mib"] = _peak_mib()


def _forget_peak() -> None:
    """Let Linux count the greatest resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task for task in (grow, day, memberships)
}
