"""`python -m bench.front_door.quality`: quality and noise over ten million events.

A log is simulated, split over two sources, given devices and times of receipt as real logs have
them, and faults are planted. It is brought in by the command line; `shoal quality` runs on it as a
person types it, in a process of its own whose time and peak memory are measured. The pace flags are
made anew for the whole table and followed for one small file. Writes
`docs/results/front-door-quality.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.front_door.stages import ROOT, Stage, shoal

#: With 200 days about 46 events a customer.
DAYS: Final = 200

#: What is planted: name, check and source that must find it, and since when.
PLANTED: Final = (
    ("the app is silent for three days", "gap", "app", "2025-05-01T00:00:00Z"),
    ("purchases of the web lose their price for good", "missing", "web", "2025-07-19"),
    ("four days of the web are exported twice under other ids", "change", "web", "2025-05-31"),
    ("the same days", "repeated", "web", "2025-05-31"),
    ("a robot views an item every 0.4 seconds for an hour", "noise", None, None),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=220_000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--work", type=Path, help="where the shop is made; default: temporary")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/front-door-quality.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as directory:
        result = _measured(Path(directory), options.customers, options.seed)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    found = all(one["found"] for one in result["planted"])
    return 0 if found and result["quality"]["seconds"] < 60 else 1


def _measured(work: Path, customers: int, seed: int) -> dict[str, Any]:
    simulated, shop = work / "simulated", work / "shop"
    sizes = ("--customers", customers, "--days", DAYS, "--seed", seed)
    shoal("simulate", "simulate", "--out", simulated, *sizes)
    log = work / "log.parquet"
    _plant(simulated / "events.parquet", log)
    shoal("init", "init", shop)
    ingest = shoal("ingest", "ingest", shop, log, "--preset", "shoal")
    quality = shoal("quality", "quality", shop, "--fail-on", "never")
    noise = shoal("noise", "noise", shop)
    return {
        "schema": "shoal.bench.front_door.quality/1",
        "command": f"python -m bench.front_door.quality --customers {customers} --seed {seed}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("shoal", "duckdb", "pyarrow")},
        "events": quality.document["events"],
        "ingest": _figures(ingest),
        "quality": {
            **_figures(quality),
            "verdict": quality.document["verdict"],
            "findings": len(quality.document["findings"]),
        },
        "noise": _figures(noise),
        "pace_flags": _pace(shop, log, work),
        "planted": [_told(quality, *one) for one in PLANTED],
    }


def _plant(events: Path, log: Path) -> None:
    """Two sources, devices and receipts, and the faults."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        source = "CASE WHEN hash(customer_id) % 3 = 0 THEN 'app' ELSE 'web' END"
        db.execute(
            f"""
            CREATE VIEW whole AS SELECT * EXCLUDE (source) REPLACE (
                CASE WHEN kind = 'purchase' AND event_time >= '2025-07-19' AND {source} = 'web'
                     THEN NULL ELSE price END AS price),
                {source} AS source,
                'd' || hash(customer_id || coalesce(device, '')) AS anonymous_id,
                event_time + to_milliseconds(1000 + (hash(event_id) % 60000)::BIGINT)
                    AS received_at
            FROM read_parquet('{events}')
            """
        )
        columns = [row[0] for row in db.execute("DESCRIBE whole").fetchall()]
        robot = {
            "event_id": "'robot-' || n", "customer_id": "'robot'", "kind": "'view'",
            "event_time": "'2025-04-01 10:00:00+00'::TIMESTAMPTZ + to_milliseconds(400 * n)",
            "item_id": "'i' || n % 100", "source": "'web'",
        }  # fmt: skip
        made = ", ".join(f"{robot.get(name, 'NULL')} AS {name}" for name in columns)
        db.execute(
            f"""
            COPY (
                SELECT * FROM whole WHERE NOT (source = 'app'
                    AND event_time >= '2025-05-01' AND event_time < '2025-05-04')
                UNION ALL
                SELECT * REPLACE (event_id || '-again' AS event_id) FROM whole
                WHERE source = 'web' AND event_time >= '2025-05-31' AND event_time < '2025-06-04'
                UNION ALL
                SELECT {made} FROM range(9000) AS numbers(n)
            ) TO '{log}' (FORMAT parquet)
            """
        )


def _pace(shop: Path, log: Path, work: Path) -> dict[str, Any]:
    """Seconds to make all pace flags anew, and to follow a file of a thousand events."""
    from shoal import bootstrap
    from shoal.config import NoiseConfig
    from shoal.workflows import noise

    small = work / "small.parquet"
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT * REPLACE (event_id || '-new' AS event_id) FROM read_parquet('{log}') "
            f"WHERE event_time >= '2025-07-24' LIMIT 1000) TO '{small}' (FORMAT parquet)"
        )
    parts = bootstrap.attach(shop)
    settings = NoiseConfig()
    started = time.perf_counter()
    with parts.store.lease(), parts.store.transaction():
        noise.rebuild(parts.warehouse, parts.store, parts.warehouse.version(), settings)
    rebuilt = time.perf_counter() - started
    before = parts.warehouse.version()
    shoal("ingest", "ingest", shop, small, "--preset", "shoal")
    (unit,) = parts.warehouse.since(before)
    started = time.perf_counter()
    with parts.store.lease(), parts.store.transaction():
        noise.update_flags(parts.warehouse, parts.store, unit.added, unit.version, settings)
    followed = time.perf_counter() - started
    flagged = parts.store.flags.flags().num_rows
    parts.close()
    return {
        "rebuild_seconds": round(rebuilt, 2),
        "follow_1000_events_seconds": round(followed, 2),
        "flags": flagged,
    }


def _told(
    quality: Stage, planted: str, check: str, source: str | None, since: str | None
) -> dict[str, Any]:
    """Whether a planted fault was found, with the right since-when."""
    own = [
        one
        for one in quality.document["findings"]
        if (one["check"] == check and one["severity"] != "note") or one["check"] == check == "noise"
    ]
    found = [one for one in own if since is None or one["since"] == since]
    return {
        "planted": planted,
        "check": check,
        "found": bool(found),
        "message": found[0]["message"] if found else None,
        "since": found[0]["since"] if found else None,
    }


def _figures(stage: Stage) -> dict[str, Any]:
    return {"seconds": round(stage.seconds, 1), "peak_mib": round(stage.peak_gib * 1024)}


if __name__ == "__main__":
    raise SystemExit(main())
