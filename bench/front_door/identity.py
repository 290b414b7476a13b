"""`python -m bench.front_door.identity`: who is who among a million links.

Seeded statements of devices of one customer, of devices that a few share, of tills that everybody
uses, and of aliases in chains and circles, brought into a shop. Measured, each in a process of its
own: making all links anew from the event table and keeping them (`workflows.identity.rebuild`),
resolving them as of now and as of the middle of the time (`features.people.resolve`), and the peer,
union-find in plain Python over the same statements, which knows neither time nor shared devices.
Writes `docs/results/front-door-identity.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.front_door.stages import ROOT, Stage, own_peak_gib, shoal, table
from shoal.adapters.deltalake import DeltaWarehouse
from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.sql import SqlStateStore
from shoal.config import IdentityConfig
from shoal.features import people
from shoal.features.admission import NEVER_US
from shoal.workflows import identity

OUT: Final = ROOT / "docs/results/front-door-identity.json"
BUCKETS: Final = 16
BEGIN_US: Final = 1_700_000_000_000_000
SHARED_BY: Final = IdentityConfig().shared_by


def statements(count: int, seed: int) -> pa.Table:
    """Events, one a second in random order, that each tell one id of a customer.

    Six in ten are of a device of its own, three of a device that three share, one in thirty of one
    of forty tills, the rest aliases of customers.
    """
    rng = np.random.default_rng(seed)
    customers = count // 3
    place = np.arange(count)
    family = rng.integers(0, count // 10, count)
    sort = np.digitize(rng.random(count), [0.6, 0.93, 0.965])
    who = np.select(
        [sort == 0, sort == 1],
        [place % customers, (family * 3 + rng.integers(0, 3, count)) % customers],
        rng.integers(0, customers, count),
    )
    other = np.select(
        [sort == 0, sort == 1, sort == 2],
        [place, family, rng.integers(0, 40, count)],
        (who + rng.integers(1, 4, count)) % customers,
    )
    prefix = np.array(["d", "f", "t", "c"])[sort]
    alias = sort == 3
    return pa.table(
        {
            "event_id": pa.array(np.char.add("e", place.astype(str))),
            "event_time": pa.array(BEGIN_US + rng.permutation(count) * 1_000_000).cast(
                pa.timestamp("us", tz="UTC")
            ),
            "kind": pa.array(np.full(count, "login")),
            "source": pa.array(np.full(count, "web")),
            "customer_id": pa.array(np.char.add("c", who.astype(str))),
            "anonymous_id": pa.array(np.char.add(prefix, other.astype(str))),
            "properties": pa.array(np.where(alias, '{"alias":true}', "{}")),
        }
    )


def union_find(events: pa.Table) -> int:
    """Groups of ids joined by any statement, ever; the number of groups."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    pairs = zip(events["customer_id"].to_pylist(), events["anonymous_id"].to_pylist(), strict=True)
    for one, other in pairs:
        parent[root(one)] = root(other)
    return len({root(name) for name in parent})


def keep(home: Path) -> int:
    """Make all links anew and keep them in a store of their own; of how many events."""
    warehouse = DeltaWarehouse(home / "shop" / "events", BUCKETS, DuckEngine())
    store = SqlStateStore(f"sqlite:///{home}/links.sqlite")
    with store.transaction():
        identity.rebuild(warehouse, store, warehouse.version())
    store.close()
    return sum(warehouse.bucket_counts().values())


def read(home: Path) -> int:
    """Read the kept links; how many there are."""
    store = SqlStateStore(f"sqlite:///{home}/links.sqlite")
    found = store.people.links()
    store.close()
    pq.write_table(found, home / "links.parquet")
    return found.num_rows


def resolve(home: Path, before_us: int) -> int:
    """Resolve the kept links as of a moment; how many intervals there are."""
    links: pa.Table = pq.read_table(home / "links.parquet")
    return people.resolve(links, before_us, SHARED_BY).num_rows


#: name -> what it does with the folder of the run.
STAGES: Final[dict[str, Callable[[Path], int]]] = {
    "make links anew and keep them": keep,
    "read all links": read,
    "resolve, as of now": lambda home: resolve(home, NEVER_US),
    "resolve, as of the middle": lambda home: resolve(home, _middle(home)),
    "union-find, plain Python": lambda home: union_find(pq.read_table(home / "told.parquet")),
}


def _middle(home: Path) -> int:
    return BEGIN_US + pq.read_metadata(home / "told.parquet").num_rows * 500_000


def stage(name: str, home: Path) -> dict[str, Any]:
    """Run one stage in a process of its own."""
    command = [sys.executable, "-m", "bench.front_door.identity", "--stage", name, "--home", home]
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {"stage": name, **json.loads(done.stdout.splitlines()[-1])}


def measured(name: str, home: Path) -> None:
    """Print seconds, processor seconds, peak memory (GiB) and rows of one stage as JSON."""
    started, busy = time.perf_counter(), time.process_time()
    rows = STAGES[name](home)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    figures = {"seconds": seconds, "cpu_seconds": busy, "peak_gib": own_peak_gib()}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()} | {"rows": rows}))


def _of_command(done: Stage, rows: int) -> dict[str, Any]:
    return {**done.as_document(), "cpu_seconds": round(done.cpu_seconds, 2), "rows": rows}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1_150_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stage", choices=list(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        measured(options.stage, options.home)
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="identity-") as folder:
        home = Path(folder)
        pq.write_table(statements(options.statements, options.seed), home / "told.parquet")
        shoal("init", "init", home / "shop", "--buckets", BUCKETS)
        ingest = shoal(
            "ingest", "ingest", home / "shop", home / "told.parquet", "--preset", "shoal"
        )
        figures = [_of_command(ingest, options.statements)]
        figures += [stage(name, home) for name in STAGES]
        who = shoal("identity", "identity", home / "shop", "c1")
        figures.append(_of_command(who, len(who.document["ids"])))
    document = {
        "command": "python -m bench.front_door.identity",
        "statements": options.statements, "seed": options.seed, "cores": os.cpu_count(),
        "load at the start": round(load, 1), "stages": figures,
    }  # fmt: skip
    OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    rows = [
        [one["stage"], f"{one['rows']:,}", f"{one['seconds']:.2f} s",
         f"{one['cpu_seconds']:.2f} s", f"{one['peak_gib']:.2f} GiB"]
        for one in figures
    ]  # fmt: skip
    print(table(["stage", "rows", "time", "processor", "peak memory"], rows))


if __name__ == "__main__":
    main()
