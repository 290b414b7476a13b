"""`python -m bench.front_door.ga4`: a month of GA4 shards through the whole of `shoal ingest`.

A shop is simulated and exported as BigQuery exports GA4, a shard a day, as JSON Lines and as
Parquet. Each set goes into a new shop by the command line, in a process of its own: reading,
validation, identity, settling, a commit a shard and the customers' states are all inside the time.
Beside it stands what a person would write by hand: one DuckDB query a shard that unnests the same
file into flat Parquet, without validating, deduplicating or keeping states. Then one day is stated
anew. Writes `docs/results/front-door-ga4.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.front_door.exports import write_exports
from bench.front_door.stages import ROOT, shoal, total_bytes

#: Events a customer leaves in a month of the world `steady`; to choose how many to simulate.
_EVENTS_PER_CUSTOMER_DAY: Final = 0.54

#: The floor that a set of realistic shards must reach, hits a second.
FLOORS: Final = {"jsonl": 30_000, "parquet": 80_000}

_TEXT: Final = "STRUCT(string_value VARCHAR, int_value {integer})"
_COLUMNS: Final = {
    "event_date": "VARCHAR",
    "event_timestamp": "{integer}",
    "event_name": "VARCHAR",
    "user_pseudo_id": "VARCHAR",
    "user_id": "VARCHAR",
    "event_params": f'STRUCT("key" VARCHAR, "value" {_TEXT})[]',
    "device": "STRUCT(category VARCHAR, operating_system VARCHAR, language VARCHAR)",
    "geo": "STRUCT(country VARCHAR, region VARCHAR)",
    "traffic_source": "STRUCT(source VARCHAR, medium VARCHAR)",
    "ecommerce": "STRUCT(transaction_id VARCHAR, purchase_revenue DOUBLE, tax_value DOUBLE, "
    "shipping_value DOUBLE)",
    "items": "STRUCT(item_id VARCHAR, item_name VARCHAR, item_brand VARCHAR, "
    "item_category VARCHAR, item_category2 VARCHAR, price DOUBLE, quantity {integer})[]",
    "platform": "VARCHAR",
    "stream_id": "VARCHAR",
}

_PARAMETER: Final = "list_filter(event_params, lambda x: x.key = '{key}')[1].value"
#: The peer: the same facts by hand.
_BY_HAND: Final = f"""
COPY (
  SELECT event_date, make_timestamp(event_timestamp::BIGINT) AS event_time, event_name, user_id,
         user_pseudo_id,
         {_PARAMETER.format(key="ga_session_id")}.int_value AS session,
         {_PARAMETER.format(key="search_term")}.string_value AS query,
         {_PARAMETER.format(key="currency")}.string_value AS currency,
         {_PARAMETER.format(key="page_location")}.string_value AS page,
         device.category AS device, geo.country AS country, geo.region AS region,
         traffic_source.medium AS channel, ecommerce.transaction_id AS order_id,
         ecommerce.tax_value AS tax, ecommerce.shipping_value AS shipping,
         item.item_id, item.item_name, item.item_brand,
         concat_ws('/', item.item_category, item.item_category2) AS category,
         item.price, item.quantity
  FROM {{shard}} LEFT JOIN LATERAL unnest(items) AS lines(item) ON true
) TO '{{target}}' (FORMAT parquet, COMPRESSION zstd)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--work", type=Path, help="where the shops are made; default: temporary")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/front-door-ga4.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as directory:
        result = _measured(Path(directory), options.events, options.days, options.seed)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    rates = {name: result[name]["ingest"]["hits_per_second"] for name in FLOORS}
    return 0 if all(rates[name] >= floor for name, floor in FLOORS.items()) else 1


def _measured(work: Path, events: int, days: int, seed: int) -> dict[str, Any]:
    customers = max(1, round(events / days / _EVENTS_PER_CUSTOMER_DAY))
    simulated = work / "simulated"
    sizes = ("--customers", customers, "--days", days, "--seed", seed)
    shoal("simulate", "simulate", "--out", simulated, *sizes)
    made = write_exports(simulated / "events.parquet", work / "exports")
    json_shards = sorted(made.ga4.glob("events_*.json"))
    parquet_shards = _as_parquet(json_shards, work / "parquet")
    return {
        "schema": "shoal.bench.front_door.ga4/1",
        "command": f"python -m bench.front_door.ga4 --events {events} --days {days} --seed {seed}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("shoal", "duckdb", "pyarrow")},
        "shards": len(json_shards),
        "hits": made.hits,
        "floors": FLOORS,
        "jsonl": _format("jsonl", json_shards, made.hits, work),
        "parquet": _format("parquet", parquet_shards, made.hits, work),
    }


def _format(name: str, shards: Sequence[Path], hits: int, work: Path) -> dict[str, Any]:
    """Figures of one format: by hand, by ingest, a day stated anew, all of them again."""
    load = os.getloadavg()[0]
    by_hand, by_hand_cpu = _by_hand(shards, work / f"by-hand-{name}")
    shop = work / f"shop-{name}"
    shoal("init", "init", shop)
    folder = shards[0].parent
    whole = shoal("ingest", "ingest", shop, folder, "--preset", "ga4")
    again = shoal("again", "ingest", shop, folder, "--preset", "ga4")
    anew = _stated_anew(shards[len(shards) // 2], work / f"anew-{name}{shards[0].suffix}")
    restated = shoal("restated", "ingest", shop, anew, "--preset", "ga4")
    return {
        "bytes": sum(shard.stat().st_size for shard in shards),
        "load_before": round(load, 2),
        "by_hand": {
            "seconds": round(by_hand, 2),
            "cpu_seconds": round(by_hand_cpu, 2),
            "hits_per_second": round(hits / by_hand),
        },
        "ingest": {
            "seconds": round(whole.seconds, 2),
            "hits_per_second": round(hits / whole.seconds),
            "cpu_seconds": round(whole.cpu_seconds, 2),
            "peak_gib": round(whole.peak_gib, 2),
            "rows": whole.document["rows"],
            "customers": whole.document["customers"],
        },
        "times_by_hand": round(whole.seconds / by_hand, 2),
        "times_by_hand_cpu": round(whole.cpu_seconds / by_hand_cpu, 2),
        "shop_bytes": total_bytes(shop),
        "again_seconds": round(again.seconds, 2),
        "day_stated_anew": {
            "seconds": round(restated.seconds, 2),
            "restated": restated.document["restated"],
        },
    }


def _relation(shard: Path) -> str:
    if shard.suffix == ".parquet":
        return f"read_parquet('{shard}')"
    kinds = {name: kind.format(integer="VARCHAR") for name, kind in _COLUMNS.items()}
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in kinds.items())
    return f"read_json('{shard}', format = 'newline_delimited', columns = {{{columns}}})"


def _as_parquet(shards: Sequence[Path], directory: Path) -> list[Path]:
    """The shards with the types that BigQuery writes to Parquet."""
    directory.mkdir()
    kinds = {name: kind.format(integer="BIGINT") for name, kind in _COLUMNS.items()}
    columns = ", ".join(f"{name}::{kind} AS {name}" for name, kind in kinds.items())
    made = [directory / f"{shard.stem}.parquet" for shard in shards]
    with duckdb.connect() as db:
        for shard, target in zip(shards, made, strict=True):
            db.execute(
                f"COPY (SELECT {columns} FROM {_relation(shard)}) TO '{target}' "
                "(FORMAT parquet, COMPRESSION snappy)"
            )
    return made


def _by_hand(shards: Sequence[Path], directory: Path) -> tuple[float, float]:
    """(seconds, processor seconds) of the query by hand over all shards."""
    directory.mkdir()
    started, worked = time.perf_counter(), time.process_time()
    with duckdb.connect() as db:
        for shard in shards:
            target = directory / f"{shard.stem}.parquet"
            db.execute(_BY_HAND.format(shard=_relation(shard), target=target))
    return time.perf_counter() - started, time.process_time() - worked


def _stated_anew(shard: Path, target: Path) -> Path:
    """The day as stated later: of a hundred users two are gone, of one the country is another."""
    options = "FORMAT parquet" if shard.suffix == ".parquet" else "FORMAT json"
    with duckdb.connect() as db:
        db.execute(
            f"""COPY (
              SELECT * REPLACE (CASE hash(user_pseudo_id) % 100 WHEN 2
                THEN {{'country': 'Norway', 'region': 'Oslo'}} ELSE geo END AS geo)
              FROM {_relation(shard)} WHERE hash(user_pseudo_id) % 100 > 1
            ) TO '{target}' ({options})"""
        )
    return target


if __name__ == "__main__":
    raise SystemExit(main())
