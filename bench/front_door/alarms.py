"""`python -m bench.front_door.alarms`: how often `shoal quality` is wrong about gaps and changes.

Shops without fault are simulated and brought in, facts of items included: which checks warn. Then
events are taken from, or doubled in, the counts a day of the same shops from the 80th day on: in
how many shops is the change told, within two days of where it began. Writes
`docs/results/front-door-alarms.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

import shoal
from bench.front_door.stages import ROOT
from shoal import bootstrap
from shoal.config import QualityConfig
from shoal.domain.time import system_clock
from shoal.events.noise import ROW_RULES
from shoal.workflows import quality_tables as tables
from shoal.workflows.quality_checks_rhythm import changes
from shoal.workflows.quality_judging import local_date

CUSTOMERS: Final = 1_500
DAYS: Final = 100
#: The first day of what is planted.
DAY: Final = 79

#: What is planted: the kind ("": all), what is left of each day's events, for how many days.
PLANTED: Final = (
    ("view", 0.0, 2), ("cart_add", 0.0, DAYS), ("", 2.0, 4), ("", 0.4, 4), ("", 0.5, 7),
    ("view", 0.4, 4), ("view", 2.0, 3), ("", 1.6, 4), ("click", 0.4, 7), ("", 0.5, DAYS),
    ("cart_add", 0.4, DAYS),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shops", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3_000, help="of the first shop")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/front-door-alarms.json")
    options = parser.parse_args()
    alarms: Counter[str] = Counter()
    found: Counter[int] = Counter()
    for seed in range(options.seed, options.seed + options.shops):
        with tempfile.TemporaryDirectory() as directory:
            warned, days = _shop(Path(directory), seed)
        alarms.update(warned)
        found.update(place for place, what in enumerate(PLANTED) if _told(days, seed, *what))
    result = {
        "schema": "shoal.bench.front_door.alarms/1",
        "command": f"python -m bench.front_door.alarms --shops {options.shops} "
        f"--seed {options.seed}",
        "shops": options.shops,
        "shops_with_a_warning": dict(sorted(alarms.items())),
        "planted": [
            {"kind": kind or "all", "times": times, "days": length, "found": found[place]}
            for place, (kind, times, length) in enumerate(PLANTED)
        ],
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return 0


def _shop(work: Path, seed: int) -> tuple[set[str], tables.Days]:
    """The checks that warn of a shop without fault, and its counts a day."""
    shoal.simulate(work / "raw", customers=CUSTOMERS, days=DAYS, seed=seed)
    with shoal.init(work / "shop") as shop:
        shop.ingest([work / "raw"], preset="shoal")
        warned = {one.check for one in shop.quality().findings if one.severity != "note"}
    parts = bootstrap.attach(work / "shop")
    warehouse = parts.warehouse
    events = warehouse.events(version=warehouse.version())
    scope = tables.Scope(warehouse.engine, events, system_clock())
    days = tables.days(scope, ROW_RULES).behaviour()
    parts.close()
    return warned, days


def _told(days: tables.Days, seed: int, kind: str, times: float, length: int) -> bool:
    """Whether a change that is planted into the counts is told of what it befell."""
    chance = np.random.default_rng(seed)
    planted = replace(
        days, series=tuple(_changed(one, chance, kind, times, length) for one in days.series)
    )
    whole = planted.whole(planted.sources[0])
    last = whole.first_day + int(np.flatnonzero(whole.n)[-1])
    began = local_date(whole.first_day + DAY)
    return any(
        one.subject == kind and one.severity != "note" and abs((one.since - began).days) <= 2  # type: ignore[operator]
        for one in changes(planted, [], last, None, QualityConfig())
    )


def _changed(
    one: tables.Series, chance: Any, kind: str, times: float, length: int
) -> tables.Series:
    if kind not in ("", one.kind):
        return one
    n = one.n.copy()
    befallen = n[DAY : DAY + length]
    kept = chance.binomial(befallen, times % 1)
    n[DAY : DAY + length] = befallen * int(times) + kept
    return replace(one, counts={**one.counts, "n": n})


if __name__ == "__main__":
    raise SystemExit(main())
