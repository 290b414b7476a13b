"""The measured pieces of work. Each prints one JSON object with `seconds` and `peak_mib`.

`python -m bench.speed.tasks NAME ARGUMENTS` runs one; imports are not timed, everything else is.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.speed import sync_tasks

PEERS = {"sql": "sql", "polars": "polars_", "pandas": "pandas_"}


def prepare(*, directory: str, events: int, days: int, seed: int, csv: bool) -> dict[str, Any]:
    """Simulate a shop, ingest it, freeze its reference.

    Kept for the next run are the log while its world stays, and the shop while the code stays.
    """
    from shoal import shop as face
    from shoal.domain.time import Zone, to_us
    from shoal.events import worlds
    from shoal.features import reference
    from shoal.features.snapshot import latest_moment
    from shoal.workflows.simulate import simulate

    home = Path(directory)
    done = home / "prepared.json"
    known = json.loads(done.read_text()) if done.exists() else {}
    world, code = worlds.load("steady"), _code_digest()
    if known.get("code") == code:
        return dict(known)
    if known.get("digest") != world.digest():
        simulate(home, customers=max(1, round(events / (0.233 * days))), days=days, seed=seed)
        if csv:
            _to_csv(home / "events.parquet", home / "events.csv")
    shutil.rmtree(home / "shop", ignore_errors=True)
    with face.init(home / "shop") as shop:
        shop.ingest([home / "events.parquet"], preset="shoal")
        warehouse, fold = shop._parts.warehouse, shop._parts.fold
        moment = latest_moment(warehouse)
        pq.write_table(
            reference.build(fold.engine, warehouse.events(), moment), home / "reference.parquet"
        )
        document = {
            "code": code,
            "digest": world.digest(),
            "events": pq.read_metadata(home / "events.parquet").num_rows,
            "customers": pq.read_metadata(home / "_truth" / "customers.parquet").num_rows,
            "world": f"{world.name} {world.version}, {world.digest()[:12]}",
            "files": [path for path in warehouse.events().paths if "bucket=-1" not in path],
            "moment": moment.isoformat(),
            "now_us": to_us(moment),
            "today": Zone("UTC").local_day(moment - timedelta(microseconds=1)),
        }
    done.write_text(json.dumps(document))
    return document


def _code_digest() -> str:
    """Changes with any line of Shoal: a shop made by other code may not be read."""
    import shoal

    root = Path(str(shoal.__file__)).parent
    sources = sorted(root.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def simulate_only(
    *, directory: str, events: int, days: int, seed: int, turn: int
) -> dict[str, Any]:
    """Simulate a shop and write it."""
    from shoal.workflows.simulate import simulate

    out = Path(directory) / "simulated"
    start = time.perf_counter()
    result = simulate(out, customers=max(1, round(events / (0.233 * days))), days=days, seed=seed)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return {"seconds": seconds, "events_per_second": result.events / seconds}


def fold(*, directory: str, engine: str, turn: int, keep: bool = False) -> dict[str, Any]:
    """The whole catalog for all customers from the shop's Parquet files, twice in one process.

    `first_seconds` holds what an engine does once (Shoal compiles its queries), `seconds` the
    second call. `keep` writes the result for the comparison.
    """
    home = Path(directory)
    told = json.loads((home / "prepared.json").read_text())
    items = pq.read_table(home / "reference.parquet")
    compute = _shoal(home, items) if engine == "shoal" else _peer(engine, told, items)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        table = compute()
        seconds.append(time.perf_counter() - start)
    if keep:
        pq.write_table(table, home / f"features-{engine}.parquet")
    return {"seconds": seconds[1], "first_seconds": seconds[0], "customers": table.num_rows}


def _shoal(home: Path, items: pa.Table) -> Callable[[], pa.Table]:
    from datetime import datetime

    from shoal import shop as face
    from shoal.features.snapshot import snapshot_table

    shop = face.open(home / "shop")
    moment = datetime.fromisoformat(json.loads((home / "prepared.json").read_text())["moment"])
    warehouse, compiled = shop._parts.warehouse, shop._parts.fold
    return lambda: snapshot_table(
        warehouse, compiled, zone=shop.zone, as_of=moment, reference_table=items
    )


def _peer(engine: str, told: dict[str, Any], items: pa.Table) -> Callable[[], pa.Table]:
    module = importlib.import_module(f"bench.speed.peers.{PEERS[engine]}")
    return lambda: module.features(told["files"], items, told["now_us"], told["today"])


def fold_to_file(*, directory: str, turn: int) -> dict[str, Any]:
    """The whole catalog written to a file in bounded memory, reference included."""
    from shoal import shop as face

    home = Path(directory)
    start = time.perf_counter()
    with face.open(home / "shop") as shop:
        shop.write_features(home / "features.parquet")
    return {"seconds": time.perf_counter() - start}


def ingest(*, directory: str, form: str, turn: int) -> dict[str, Any]:
    """A new shop from one file: read, validate, deduplicate, commit, fold the customers' states."""
    from shoal import shop as face

    home = Path(directory)
    shutil.rmtree(home / "fresh", ignore_errors=True)
    with face.init(home / "fresh") as shop:
        shop._parts.fold, shop._parts.warehouse, shop._parts.store  # noqa: B018  (imports)
        start = time.perf_counter()
        result = shop.ingest([home / f"events.{form}"], preset="shoal")
        seconds = time.perf_counter() - start
    shutil.rmtree(home / "fresh")
    return {"seconds": seconds, "events_per_second": result.rows.read / seconds}


def load(*, directory: str, form: str, engine: str, turn: int) -> dict[str, Any]:
    """For scale: the file read, deduplicated on (source, event_id) and written as Parquet.

    No validation, no identity, no quarantine, no transaction, no customer states.
    """
    home = Path(directory)
    source, out = home / f"events.{form}", home / "loaded.parquet"
    start = time.perf_counter()
    {"duckdb": _load_duckdb, "polars": _load_polars}[engine](source, out)
    seconds = time.perf_counter() - start
    rows = pq.read_metadata(out).num_rows
    out.unlink()
    return {"seconds": seconds, "events_per_second": rows / seconds}


def _load_duckdb(source: Path, out: Path) -> None:
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(
        f"COPY (SELECT DISTINCT ON (source, event_id) * FROM '{source}') TO '{out}' "
        "(FORMAT parquet, COMPRESSION zstd)"
    )


def _load_polars(source: Path, out: Path) -> None:
    import polars as pl

    # Texts that are rare are taken for numbers by a guess: read all as text, as a plain load does.
    scan = (
        pl.scan_csv(source, infer_schema=False)
        if source.suffix == ".csv"
        else pl.scan_parquet(source)
    )
    scan.unique(["source", "event_id"]).sink_parquet(out, compression="zstd")


def incremental(*, directory: str, events: int, seed: int, turn: int) -> dict[str, Any]:
    """Some new events into a big shop, and the features of their customers from stored states.

    `fold_seconds`: partials of the new events, stored states read, merged and written;
    `features_seconds`: the features of those customers from their stored states;
    `seconds`: the whole ingest (reading, deduplication against the shop, commit, states), then
    the features.
    """
    from datetime import datetime

    from shoal import shop as face
    from shoal.features import state

    home = Path(directory)
    told = json.loads((home / "prepared.json").read_text())
    news = home / "news.parquet"
    _news(home / "events.parquet", news, events, seed=seed + turn)
    items = pq.read_table(home / "reference.parquet")
    moment = datetime.fromisoformat(told["moment"]) + timedelta(days=1)
    with face.open(home / "shop") as shop:
        parts = shop._parts
        before = parts.warehouse.version()
        _features_of(shop, ["c00000001"], moment, items)  # compiled once and kept
        start = time.perf_counter()
        result = shop.ingest([news], preset="shoal")
        ingested = time.perf_counter() - start
        table = pq.read_table(news, columns=["customer_id"])
        customers = table["customer_id"].unique().to_pylist()
        start = time.perf_counter()
        features = _features_of(shop, customers, moment, items)
        finished = time.perf_counter() - start
        (unit,) = parts.warehouse.since(before)
        start = time.perf_counter()
        new = parts.fold.partials(unit.added)
        stored = state.decode(parts.store.get_states(customers))
        merged = state.encode(parts.fold.merge(stored, new))
        folded = time.perf_counter() - start
    return {
        "seconds": ingested + finished, "ingest_seconds": ingested, "features_seconds": finished,
        "fold_seconds": folded, "customers": features.num_rows, "stored": result.rows.stored,
        "state_bytes": merged["body"].nbytes // merged.num_rows,
    }  # fmt: skip


def _features_of(face: Any, customers: list[str], moment: Any, items: pa.Table) -> pa.Table:
    from shoal.features import state

    parts = face._parts
    partials = state.decode(parts.store.get_states(customers))
    return parts.fold.finish(partials, moment, face.zone, items)


def replay(*, directory: str, every: str, method: str, days: int, turn: int) -> dict[str, Any]:
    """A log replayed through the one step, segmented at its first cut and moved on at every one."""
    from datetime import datetime

    from shoal import shop as face

    with face.open(Path(directory) / "shop") as shop:
        first, last = (datetime.fromisoformat(shop.status()[name]) for name in ("from", "to"))
        begin = first.replace(hour=0, minute=0, second=0, microsecond=0)
        since = begin + timedelta(days=max(days // 10, 1))
        start, cpu = time.perf_counter(), time.process_time()
        learned, changes, cuts = start, 0, 0
        k = None if method == "rfm" else 8
        for cut in shop.replay(since, last, every=every, method=method, k=k, refit="first"):
            changes += 0 if cut.learned else cut.changed.num_rows
            learned = time.perf_counter() if cut.learned else learned
            cuts += 1
        done = time.perf_counter()
    return {
        "seconds": done - start,
        "cpu_seconds": time.process_time() - cpu,
        "seconds_a_cut": (done - learned) / max(cuts - 1, 1),
        "cuts": cuts,
        "changes": changes,
    }


def _news(source: Path, out: Path, events: int, *, seed: int) -> None:
    """Events of random customers, made of rows of the log's last day, with new ids."""
    import numpy as np

    rng = np.random.default_rng(seed)
    file = pq.ParquetFile(source)
    last = file.read_row_group(file.num_row_groups - 1)
    last = last.take(np.sort(rng.choice(last.num_rows, min(events, last.num_rows), replace=False)))
    ids = pa.array([f"news{seed}-{n}" for n in range(last.num_rows)])
    known = pq.read_table(source.parent / "_truth" / "customers.parquet", columns=["customer_id"])
    who = known["customer_id"].take(rng.integers(0, known.num_rows, last.num_rows))
    for name, column in (("event_id", ids), ("customer_id", who)):
        last = last.set_column(last.column_names.index(name), name, column)
    pq.write_table(last, out)


def _to_csv(source: Path, out: Path) -> None:
    import pyarrow.csv as pc

    file = pq.ParquetFile(source)
    with pc.CSVWriter(out, file.schema_arrow) as writer:
        for batch in file.iter_batches(100_000):
            writer.write_batch(batch)


def _peak_mib() -> float:
    """Greatest resident memory of this process so far (Linux counts it anew for each program)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task
    for task in (prepare, simulate_only, fold, fold_to_file, ingest, load, incremental, replay)
} | sync_tasks.TASKS

if __name__ == "__main__":
    print(json.dumps({**TASKS[sys.argv[1]](**json.loads(sys.argv[2])), "peak_mib": _peak_mib()}))
