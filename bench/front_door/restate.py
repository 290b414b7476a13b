"""`python -m bench.front_door.restate`: a day stated anew against a day that is new.

A simulated log is cut into shards of 100,000 events, each a "day" that its file states as a whole.
Ten are ingested; then, three times over, a shard that is new and one stated anew in which one event
in a hundred is another (half of them with another price, a quarter gone, a quarter come), each by
the command line in a process of its own. Also: the same shard exported again (nothing changed), and
under a later version (every row stays and takes it). Writes `docs/results/front-door-restate.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.front_door.stages import ROOT, Stage, shoal

ROWS: Final = 100_000
STORED: Final = 10
ROUNDS: Final = 3
CHANGED: Final = 0.01
#: About 46 events a customer in 200 days of the simulated world.
CUSTOMERS: Final = 36_000

COLUMNS: Final = (
    "event_id", "customer_id", "item_id", "category", "price", "quantity", "order_id", "session_id",
    "currency",
)  # fmt: skip


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--work", type=Path, help="where the shop is made; default: temporary")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/front-door-restate.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as directory:
        result = measured(Path(directory), options.seed)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def measured(work: Path, seed: int) -> dict[str, Any]:
    """The figures of one shop."""
    log = simulated(work, seed)
    mapping = write_mapping(work)
    shop, chance = work / "shop", np.random.default_rng(seed)

    def take(name: str, files: Sequence[Path]) -> Stage:
        return shoal(name, "ingest", shop, *files, "--mapping", mapping)

    shoal("init", "init", shop)
    first = take("ten shards", [shard(work, log, n) for n in range(STORED)])
    kinds: dict[str, list[Stage]] = {"new": [], "restated": [], "again": [], "later version": []}
    for number in range(ROUNDS):
        kinds["new"].append(take("new", [shard(work, log, STORED + number)]))
        changed = shard(work, log, 3 * number, name="changed", chance=chance)
        kinds["restated"].append(take("restated", [changed]))
        again = shard(work, log, 3 * number + 1, name="again", compression="zstd")
        kinds["again"].append(take("again", [again]))
        later = shard(work, log, 3 * number + 2, name="later", stated=2)
        kinds["later version"].append(take("later version", [later]))
    told = {kind: summary(stages) for kind, stages in kinds.items()}
    return {
        "schema": "shoal.bench.front_door.restate/1",
        "command": f"python -m bench.front_door.restate --seed {seed}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("shoal", "duckdb", "pyarrow", "deltalake")},
        "shards": {"events": ROWS, "stored_first": STORED, "rounds": ROUNDS, "changed": CHANGED},
        "ten_shards": first.as_document(),
        **told,
        "restated_to_new": round(told["restated"]["best_s"] / told["new"]["best_s"], 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def simulated(work: Path, seed: int) -> pa.Table:
    """A log in order of time, as wide as an export."""
    source = work / "source"
    arguments = ("--customers", CUSTOMERS, "--days", 200, "--seed", seed)
    shoal("simulate", "simulate", "--out", source, *arguments)
    log = pq.read_table(source / "events.parquet").sort_by("event_time")
    if log.num_rows < ROWS * (STORED + ROUNDS):
        raise RuntimeError(f"{log.num_rows} events are too few")
    return log


def write_mapping(work: Path) -> Path:
    """A mapping whose files state a day as a whole."""
    path = work / "shards.toml"
    lines = [
        'name = "shards"', "[columns]", 'event_time = "event_time"', 'kind = "kind"', "[optional]",
        *(f'{name} = "{name}"' for name in COLUMNS),
        "[restates]", 'scope = ["day"]', 'version = "stated"',
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shard(
    work: Path,
    log: pa.Table,
    number: int,
    *,
    name: str = "first",
    stated: int = 1,
    compression: str = "snappy",
    chance: np.random.Generator | None = None,
) -> Path:
    """A shard as a file; with `chance` one row in a hundred is another than at first."""
    rows = log.slice(number * ROWS, ROWS)
    if chance is not None:
        rows = restated(rows, chance)
    rows = rows.append_column("day", pa.repeat(f"d{number}", rows.num_rows))
    rows = rows.append_column("stated", pa.repeat(f"2025-01-{stated:02d}", rows.num_rows))
    path = work / f"{name}-{number}.parquet"
    pq.write_table(rows, path, compression=compression)
    return path


def restated(rows: pa.Table, chance: np.random.Generator) -> pa.Table:
    """The rows after half a hundredth got another price and a quarter was replaced by new ones."""
    order = chance.permutation(rows.num_rows)
    priced, gone = np.split(order[: int(rows.num_rows * CHANGED * 0.75)], [int(ROWS * CHANGED / 2)])
    raised = np.zeros(rows.num_rows, dtype=bool)
    raised[priced] = True
    price = pc.if_else(pa.array(raised), pc.add(pc.fill_null(rows["price"], 0), 1), rows["price"])
    rows = rows.set_column(rows.schema.get_field_index("price"), "price", price)
    kept = np.ones(rows.num_rows, dtype=bool)
    kept[gone] = False
    come = rows.take(pa.array(gone))
    ids = pc.binary_join_element_wise(come["event_id"], "late", "-")
    come = come.set_column(rows.schema.get_field_index("event_id"), "event_id", ids)
    return pa.concat_tables([rows.filter(pa.array(kept)), come])


def summary(stages: Sequence[Stage]) -> dict[str, Any]:
    """Seconds of each run, the least disturbed and the median, and what became of the rows."""
    return {
        "seconds": [round(stage.seconds, 2) for stage in stages],
        "best_s": round(min(stage.seconds for stage in stages), 2),
        "median_s": round(statistics.median(stage.seconds for stage in stages), 2),
        "peak_gib": round(max(stage.peak_gib for stage in stages), 2),
        "rows": stages[-1].document["rows"],
        "restated": stages[-1].document["restated"],
    }


if __name__ == "__main__":
    main()
