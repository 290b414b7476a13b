"""`python -m bench.front_door.identity`: who is who among a million statements.

Seeded statements of devices, shared devices, chains of aliases and circles. Measured: making the
links of an event table of as many events (`links_query`), and resolving them as of a moment
(`resolve`). The peer in the same run: union-find in plain Python over the same statements, which
knows neither time nor shared devices. Writes `docs/results/front-door-identity.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from typing import Any

import numpy as np
import pyarrow as pa

from bench.front_door.stages import ROOT, table
from shoal.adapters.duckdb import DuckEngine
from shoal.features import people
from shoal.features.admission import NEVER_US

OUT = ROOT / "docs/results/front-door-identity.json"


def statements(count: int, seed: int) -> pa.Table:
    """Events that tell of ids: devices of one owner, some of several; one in fifty an alias."""
    rng = np.random.default_rng(seed)
    customers = count // 3
    device = rng.integers(0, count * 2 // 3, count)
    own = device % customers
    other = rng.integers(0, customers, count)
    who = np.where(rng.random(count) < 0.05, other, own)
    alias = rng.random(count) < 0.02
    told = np.where(alias, np.char.add("c", ((who + 1) % customers).astype(str)),
                    np.char.add("d", device.astype(str)))  # fmt: skip
    us = 1_700_000_000_000_000 + rng.permutation(count) * 1_000_000
    return pa.table(
        {
            "customer_id": pa.array(np.char.add("c", who.astype(str))),
            "anonymous_id": pa.array(told),
            "event_time": pa.array(us).cast(pa.timestamp("us", tz="UTC")),
            "sequence": pa.array(np.arange(count)),
            "event_id": pa.array(np.char.add("e", np.arange(count).astype(str))),
            "kind": pa.array(np.full(count, "login")),
            "source": pa.array(np.full(count, "web")),
            "properties": pa.array(np.where(alias, '{"alias":true}', "{}")),
        },
        schema=people.READ_SCHEMA,
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


def timed(work: Any) -> tuple[float, Any]:
    """Seconds of a call, and what it gave."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    events = statements(options.statements, options.seed)
    engine = DuckEngine()
    query = engine.compile(people.links_query(of_ids=False))
    kept, links = timed(lambda: engine.run(query, {"events": events}))
    resolved, owners = timed(lambda: people.resolve(links, NEVER_US, 20))
    peer, groups = timed(lambda: union_find(events))
    seconds = {"keep links": kept, "resolve links": resolved, "union-find, plain Python": peer}
    figures = {
        "command": "python -m bench.front_door.identity",
        "statements": options.statements, "seed": options.seed,
        "links": links.num_rows, "intervals": owners.num_rows, "groups of the peer": groups,
        "load": round(os.getloadavg()[0], 1),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }  # fmt: skip
    OUT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(["what", "time"], [[n, f"{v:.2f} s"] for n, v in seconds.items()]))


if __name__ == "__main__":
    main()
