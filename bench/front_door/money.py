"""`python -m bench.front_door.money`: the months of ten million events, and what books may hide.

Files of the event table's layout are written by a query (two currencies, refunds, guests, tests,
fees); what is measured, in a process of its own, is everything that `shoal reconcile` does with
them: the refusal, the months, and every hypothesis about books that are off. A query by hand adds
up orders, gross and refunds by month from the same files. The processor seconds are what counts on
a machine that is shared. Writes `docs/results/front-door-money.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.front_door.stages import ROOT, own_peak_gib

#: Shares of events that are purchases: a shop with its clicks, and a shop system's orders alone.
SHARES: Final = {"log": 0.08, "orders": 0.9}
_BUCKETS: Final = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--work", type=Path, help="where files are made; default: temporary")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/front-door-money.json")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(_measured(options.inside)))
        return 0
    found = {}
    for name, share in SHARES.items():
        with tempfile.TemporaryDirectory(dir=options.work) as directory:
            _write(Path(directory), options.events, share)
            (Path(directory) / "lines").mkdir()
            command = [sys.executable, "-m", "bench.front_door.money", "--inside", directory]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            found[name] = json.loads(done.stdout)
    result = {
        "schema": "shoal.bench.front_door.money/1",
        "command": f"python -m bench.front_door.money --events {options.events}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {name: version(name) for name in ("shoal", "duckdb", "pyarrow")},
        "events": options.events,
        "shares_of_purchases": SHARES,
        **found,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return 0 if all(one["agree"] for one in found.values()) else 1


def _write(directory: Path, events: int, share: float) -> None:
    import duckdb

    from shoal.events.schema import TABLE_SCHEMA

    own = {
        "event_id": "'e' || n",
        "customer_id": "CASE WHEN n % 9 > 0 THEN 'c' || hash(n) % 400000 END",
        "kind": f"CASE WHEN hash(n + 1) % 1000 >= {1000 * share} THEN 'view' "
        "WHEN n % 20 = 0 THEN 'refund' WHEN n % 33 = 0 THEN 'custom' ELSE 'purchase' END",
        "event_time": "'2024-01-01 00:00:00+00'::TIMESTAMPTZ + to_seconds(hash(n + 2) % 63000000)",
        "price": "(hash(n + 3) % 20000)::BIGINT * 10000", "quantity": "1 + n % 3",
        "discount": "CASE WHEN n % 5 = 0 THEN 100000 END", "tax": "(n % 7) * 100000",
        "currency": "CASE WHEN n % 10 = 0 THEN 'USD' ELSE 'EUR' END",
        "order_id": "'o' || n // 3", "source": "'shop'", "content_key": "(hash(n) >> 1)::BIGINT",
        "noise": "CASE WHEN n % 500 = 0 THEN 'test_order' END", "utc_offset_s": "3600",
        "properties": "CASE WHEN n % 33 = 0 THEN '{\"fee\": \"POST\"}' END",
    }  # fmt: skip
    kinds = {"int64": "BIGINT", "int32": "INTEGER", "double": "DOUBLE", "string": "VARCHAR"}
    columns = ", ".join(
        f"({own.get(one.name, 'NULL')})::{kinds.get(str(one.type), 'TIMESTAMPTZ')} AS {one.name}"
        for one in TABLE_SCHEMA
        if one.name != "bucket"
    )
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        for bucket in range(_BUCKETS):
            (directory / f"bucket={bucket}").mkdir()
            low, high = (events * place // _BUCKETS for place in (bucket, bucket + 1))
            db.execute(
                f"COPY (SELECT {columns} FROM range({low}, {high}) AS numbers(n)) "
                f"TO '{directory}/bucket={bucket}/part-0.parquet' (FORMAT parquet)"
            )


def _measured(directory: Path) -> dict[str, Any]:
    """Seconds, peak memory, and whether the query by hand agrees."""
    import pyarrow as pa

    from shoal.adapters.duckdb import DuckEngine
    from shoal.events.schema import TABLE_SCHEMA
    from shoal.features.admission import RATES_SCHEMA
    from shoal.features.months import Ledger
    from shoal.features.rates import PICO
    from shoal.features.revenue import Counted
    from shoal.ports import ParquetFiles
    from shoal.workflows.books_causes import hypotheses
    from shoal.workflows.books_quarantine import Quarantined
    from shoal.workflows.currencies import refuse_mixed

    files = ParquetFiles(
        tuple(sorted(str(path) for path in directory.glob("bucket=*/*.parquet"))), TABLE_SCHEMA
    )
    days = range(19_700, 20_500)
    rates = pa.table([["USD"] * len(days), days, [PICO // 2] * len(days)], schema=RATES_SCHEMA)
    engine = DuckEngine()
    started, idle = time.perf_counter(), _processor()
    refuse_mixed(engine, files, currency="EUR", rates=rates)
    refused = _since(started, idle)
    ledger = Ledger(engine, files, Counted("EUR", rates), directory / "lines")
    months = ledger.months()
    counted = _since(started, idle)
    tried = hypotheses(ledger, Quarantined())
    whole = _since(started, idle)
    peak = own_peak_gib() * 1024
    started, idle = time.perf_counter(), _processor()
    by_hand = _by_hand(files.paths)
    hand = _since(started, idle)
    agree = {one.month: (one.gross, one.refunds, one.orders) for one in months} == by_hand
    return {
        "refusal": refused,
        "months": counted,
        "with_causes": whole,
        "by_hand": hand,
        "hypotheses": len(tried),
        "peak_mib": round(peak),
        "agree": agree,
    }


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _since(started: float, idle: float) -> dict[str, float]:
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "processor_seconds": round(_processor() - idle, 2),
    }


def _by_hand(paths: tuple[str, ...]) -> dict[str, tuple[int, int, int]]:
    import duckdb

    query = f"""
        WITH lines AS (
            SELECT strftime(make_timestamp(epoch_us(event_time) + 3600000000), '%Y-%m') AS month,
                kind, order_id, make_timestamp(epoch_us(event_time) + 3600000000) AS moment,
                quantity * CASE WHEN currency = 'USD' THEN (price + 1) // 2 ELSE price END
                    AS amount,
                CASE WHEN currency = 'USD' THEN (coalesce(discount, 0) + 1) // 2
                    ELSE coalesce(discount, 0) END AS off
            FROM read_parquet({list(paths)}) WHERE noise IS NULL
        ), firsts AS (
            SELECT strftime(min(moment), '%Y-%m') AS month FROM lines
            WHERE kind = 'purchase' GROUP BY order_id
        ), counts AS (SELECT month, count(*) AS orders FROM firsts GROUP BY 1)
        SELECT month, sum(amount) FILTER (WHERE kind = 'purchase'),
            sum(amount - off) FILTER (WHERE kind = 'refund'), any_value(orders)
        FROM lines JOIN counts USING (month) WHERE kind IN ('purchase', 'refund') GROUP BY 1
        """
    with duckdb.connect() as db:
        rows = db.execute(query).fetchall()
    return {month: (int(gross), int(back), orders) for month, gross, back, orders in rows}


if __name__ == "__main__":
    raise SystemExit(main())
