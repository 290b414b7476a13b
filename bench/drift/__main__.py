"""`python -m bench.drift`: false alarms where nothing changes, power and delay where it does.

- *false*: panels in which nothing changes but weekdays, seasons and the people, watched every week
  (the default) and some of them every day.
- *power*: six shifts at the same thresholds.
- *worlds*: weekly looks of simulated worlds.
- *speed*: one look at 20,000 customers. `--speed` runs this part alone.

Finished units are kept in the cache and taken from there the next time. `--quick` is a small run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.drift import report, speed
from bench.drift.panel import NONE, SHIFTS
from bench.harness import results
from bench.harness.data import CACHE
from bench.harness.run import Unit, code_hash, run, say

PARTS = ("false", "power", "worlds", "speed")
#: Reporting seeds begin here; thresholds and panels were made on seeds 201 to 220.
FIRST_SEED = 1_001
QUICK_SEED = 201
BATCH = 10
WATCHED = {NONE: 35, "trend": 63}
_CODE = ("src/shoal/adjust/drift", "bench/drift")


def main() -> int:
    """Run the parts that were asked for; write the document and the page."""
    options = _options()
    document = results.header("shoal.bench.drift/1", "bench.drift", [options.first])
    document["settings"] = {
        "customers": options.customers, "runs": options.runs, "daily": options.daily,
        "power_runs": options.power_runs, "river_panels": options.river,
        "watched": {name or "none": days for name, days in WATCHED.items()},
        "worlds": options.worlds,
    }  # fmt: skip
    if "speed" in options.parts:
        document["speed"] = speed.measure()
    if "false" in options.parts:
        document["false"] = _false(options)
    if "power" in options.parts:
        document["power"] = _power(options)
    if "worlds" in options.parts:
        document["worlds"] = _worlds(options)
    page = report.markdown(document)
    results.write("drift", document, page, options.out)
    print(page)
    return 0


def _false(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Half of the runs without, half with a season (and a year of log)."""
    units, half = [], options.runs // 2
    for season in (False, True):
        for begin in range(0, half, BATCH):
            seeds = [
                options.first + season * 10_000 + n for n in range(begin, min(begin + BATCH, half))
            ]
            daily = max(0, min(options.daily // 2 - begin, BATCH))
            river = options.river if begin == 0 else 0
            units.append(_unit("season" if season else "steady", seeds, season, NONE,
                               (7, 1) if daily else (7,), river, daily, options))  # fmt: skip
    return _rows(units, options)


def _power(options: argparse.Namespace) -> list[dict[str, Any]]:
    units = []
    for place, shift in enumerate(SHIFTS):
        for begin in range(0, options.power_runs, BATCH):
            count = min(BATCH, options.power_runs - begin)
            seeds = [options.first + 20_000 + 1_000 * place + begin + n for n in range(count)]
            river = options.river_power if begin == 0 else 0
            units.append(_unit(shift, seeds, False, shift, (7, 1), river, 0, options))
    return _rows(units, options)


def _unit(
    name: str, seeds: list[int], season: bool, shift: str, every: tuple[int, ...], river: int,
    daily: int, options: argparse.Namespace,
) -> Unit:  # fmt: skip
    arguments = {
        "customers": options.customers, "seeds": seeds, "season": season, "shift": shift,
        "watched": WATCHED.get(shift, WATCHED[NONE]), "every": list(every), "river": river,
        "daily": daily,
    }  # fmt: skip
    # one process for all: a batch takes little longer than what it loads
    return Unit(
        "panel", f"{name}-{seeds[0]}", options.first, arguments, {"code": code_hash(*_CODE)}
    )  # fmt: skip


def _rows(units: list[Unit], options: argparse.Namespace) -> list[dict[str, Any]]:
    say(f"{len(units)} batches")
    done = run("bench.drift.runs:run", units, kept=options.cache / "drift", timeout_s=3_000.0)
    failed = [one["failed"] for one in done if "failed" in one]
    if failed:
        raise SystemExit(f"a batch failed: {failed[0]}")
    return [row for one in done for row in one["rows"]]


def _worlds(options: argparse.Namespace) -> list[dict[str, Any]]:
    units = [
        Unit("world", f"{name}-{seed}", seed,
             {"name": name, "customers": options.world_customers, "days": 126, "seed": seed,
              "cache": str(options.cache)}, {"code": code_hash(*_CODE)})
        for name in options.worlds
        for seed in options.seeds
    ]  # fmt: skip
    say(f"worlds: {len(units)} runs")
    return run("bench.drift.worlds:run", units, kept=options.cache / "drift", timeout_s=1_200.0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs of each part")
    parser.add_argument("--speed", action="store_true", help="the part speed alone")
    parser.add_argument("--parts", type=_names, default=PARTS, help=f"of {','.join(PARTS)}")
    parser.add_argument("--seeds", type=_numbers, help="of the simulated worlds")
    parser.add_argument("--customers", type=int, default=1_000, help="of a panel")
    parser.add_argument("--runs", type=int, help="of panels in which nothing changes")
    parser.add_argument("--daily", type=int, help="of them looked at every day as well")
    parser.add_argument("--power-runs", type=int, help="of each shift")
    parser.add_argument("--river", type=int, help="panels without a shift that river sees, a kind")
    parser.add_argument("--river-power", type=int, help="panels of each shift that river sees")
    parser.add_argument("--worlds", type=_names, default=("steady", "season", "festival", "drift"))
    parser.add_argument("--world-customers", type=int)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args()
    quick = options.quick
    if options.speed:
        options.parts = ("speed",)
        options.out = options.out or options.cache
    options.seeds = options.seeds or ((1,) if quick else (11, 12))
    options.first = QUICK_SEED if quick else FIRST_SEED
    few = {"runs": 4, "daily": 2, "power_runs": 1, "world_customers": 600, "river": 1,
           "river_power": 1}  # fmt: skip
    many = {"runs": 200, "daily": 20, "power_runs": 20, "world_customers": 1_500, "river": 3,
            "river_power": 1}  # fmt: skip
    for name, number in (few if quick else many).items():
        if getattr(options, name) is None:
            setattr(options, name, number)
    options.out = options.out or (options.cache if quick else results.RESULTS)
    return options


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
