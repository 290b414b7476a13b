"""`python -m bench.calibration`: how like real logs a calibrated world can be.

    python -m bench.calibration --quick        one set, one seed, a minute: does it still run?
    python -m bench.calibration                four public sets, three seeds
    python -m bench.calibration --sets cdnow   one set anew; the figures of the others are kept

Needs the public data under SHOAL_DATA (default ../shared/data); a set that is not there gets a row
that says so. Writes calibration.json and calibration.md to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any, Final

from bench.harness.data import DATA
from bench.harness.results import RESULTS, header, machine_line, spread, table, told, write
from bench.harness.run import say

MODULE: Final = "bench.calibration"
SEEDS: Final = (1, 2, 3)
#: Set, preset, and the file under SHOAL_DATA.
SETS: Final = {
    "online_retail": ("online-retail", "online_retail/transactions.parquet"),
    "cdnow": ("cdnow", "cdnow/transactions.parquet"),
    "retailrocket": ("retailrocket", "retailrocket/events.parquet"),
    "taobao_2017": ("taobao", "taobao_2017/events.parquet"),
}
#: Why what is left cannot be closed by dials; of each set's makers' own notes and of the figures.
REASONS: Final = {
    "online_retail": "Many buyers order for shops of their own: baskets of 15 lines and 156 units "
    "in the median, whose values yet lie within a factor of 9 (90th over 10th percentile). The "
    "world's geometric numbers of lines and units, as large on average, make more than 20.",
    "cdnow": "One cohort: all customers first bought within twelve weeks. The world's newcomers "
    "visit on the day they come and may buy later, so that first purchases are spread out.",
    "retailrocket": "Sessions of one event and rare items were taken out before publication: every "
    "real visit has two events or more, which no behaviour does. There are 743 categories, of "
    "which the world has 48, and no dial for how unequal they are.",
    "taobao_2017": "Customers were chosen for being active over the whole window, and a customer, "
    "item and kind is there once at most: purchases without a cart are common, whereas in the "
    "world every line was in the cart.",
}
_MOST_TOLD: Final = 6


def main() -> int:
    options = _options()
    document = header("bench.calibration/1", MODULE, options.seeds, world=options.world)
    document["sets"] = _kept(options)
    for name in options.sets:
        document["sets"][name] = {"command": document["command"], **_set(name, options)}
        document["sets"] = {one: document["sets"][one] for one in SETS if one in document["sets"]}
        write("calibration", document, page(document), options.out)
    say(f"written: {options.out / 'calibration.md'}")
    return int(any("failed" in one for one in document["sets"].values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=MODULE, description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="one set, one seed")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), metavar="SET")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="S")
    parser.add_argument("--world", default="steady")
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: a temporary one)")
    options = parser.parse_args()
    options.sets = options.sets or (["retailrocket"] if options.quick else list(SETS))
    options.seeds = options.seeds or ([SEEDS[0]] if options.quick else list(SEEDS))
    quick = Path(tempfile.gettempdir()) / "shoal-bench"
    options.out = options.out or (quick if options.quick else RESULTS)
    return options


def _kept(options: argparse.Namespace) -> dict[str, Any]:
    """The sets of an earlier document that are not measured now."""
    file = options.out / "calibration.json"
    if not file.exists() or set(options.sets) == set(SETS):
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    return {name: one for name, one in found["sets"].items() if name not in options.sets}


def _set(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One log: read once, calibrated to under every seed."""
    from shoal.domain.errors import ShoalError
    from shoal.events import worlds
    from shoal.shop.likeness import likeness
    from shoal.workflows.calibrate import calibrate

    preset, file = SETS[name]
    if not (DATA / file).exists():
        return {"missing": f"{file} is not under SHOAL_DATA"}
    try:
        like = likeness(DATA / file, preset=preset)
        runs = []
        for seed in options.seeds:
            begun = process_time()
            found = calibrate(like, worlds.load(options.world), seed=seed)
            seconds = round(process_time() - begun, 1)
            say(f"{name}, seed {seed}: {seconds} s, distance {found.total['after']:.3f}")
            one = found.as_document()
            one["like"]["log"] = f"{file} ({preset})"
            runs.append({"seed": seed, "cpu_seconds": seconds, **one})
    except ShoalError as error:
        return {"failed": f"{error.code}: {error.message}"}
    return {"runs": runs}


# -- the page ---------------------------------------------------------------------------------


def page(document: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    sets = document["sets"]
    parts = [
        _opening(document),
        table(
            ("log", "customers", "days", "declared", "fitted", "halves of the log",
             "AUC declared", "AUC fitted", "AUC halves", "CPU seconds"),
            [_overview(name, one) for name, one in sets.items()],
        ),
        _READING,
        *(_one_set(name, one["runs"]) for name, one in sets.items() if "runs" in one),
        f"Machine: {machine_line(document['machine'])}",
    ]  # fmt: skip
    return "\n\n".join(parts)


def _opening(document: Mapping[str, Any]) -> str:
    first = next((one["runs"][0] for one in document["sets"].values() if "runs" in one), None)
    world = document["world"] if first is None else (
        f"{first['world']['name']} (version {first['world']['version']})"
    )  # fmt: skip
    seeds = ", ".join(map(str, document["seeds"]))
    return f"""# Calibration: how like real logs a world can be

`python -m {MODULE}`: the dials of world {world} are fitted to the moments of four public logs
(`shoal simulate --like`), under seeds {seeds}. Figures are means over seeds, with the least and
the greatest; they are measured on samples under these seeds, which fitting does not see: it samples
under others. The log's whole moments are used for fitting, since it is the world that is to be
found and not the customers foretold."""


_READING: Final = """**Distance** is the mean over the moments that a log tells: |ln(simulated /
real)| of a number, |simulated - real| of a share, total variation of a shape, each at most ln 10.
*Declared* is the world as published, but for its first day and its currency (and without passers-by
where a log has no views); *halves of the log* is the distance between two random halves of the real
customers: what sampling alone makes. **AUC** is that of a classifier that tells real from simulated
customers by their aggregates (Lopez-Paz and Oquab 2017): 0.5 is chance, 1 tells each one. Of the
halves it must be 0.5.

So: moments come near, customers do not. A boosted classifier sees dozens of aggregates at once, and
their dependence is not what the dials turn. Use a calibrated world for its rates and sizes; do not
take its customers for real ones."""


def _overview(name: str, one: Mapping[str, Any]) -> list[str]:
    if "runs" not in one:
        return [name, one.get("missing") or f"failed: {one['failed']}", *[""] * 8]
    runs = one["runs"]
    like = runs[0]["like"]
    distances = [
        told(spread(run["total_distance"][which] for run in runs), 3)
        for which in ("before", "after", "floor")
    ]
    tests = [
        told(spread(run["two_sample"][which] and run["two_sample"][which]["auc"] for run in runs))
        for which in ("before", "after", "null")
    ]
    seconds = f"{fmean(run['cpu_seconds'] for run in runs):.0f}"
    return [name, f"{like['customers']:,}", f"{like['days']:,}", *distances, *tests, seconds]


def _one_set(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    rows = [_moment(place, runs) for place, one in enumerate(runs[0]["moments"])
            if not one["untold"]]  # fmt: skip
    untold: dict[str, list[str]] = {}
    for one in runs[0]["moments"]:
        if one["untold"]:
            untold.setdefault(one["untold"], []).append(f"`{one['name']}`")
    told_not = "; ".join(f"{', '.join(names)} ({why})" for why, names in untold.items())
    notes = " ".join(runs[0]["notes"])
    digests = ", ".join(f"{run['seed']} `{run['world']['digest'][:16]}`" for run in runs)
    parts = [
        f"## {name}",
        notes,
        table(("moment", "unit", "real", "declared", "fitted", "distance", "halves"), rows),
        f"Not told by this log: {told_not}." if told_not else "",
        f"What gives simulated customers away (AUC lost when permuted): {_telling(runs)}.",
        f"Why: {REASONS[name]}" if name in REASONS else "",
        f"Dials (seed {runs[0]['seed']}): {_dials(runs[0]['dials'])}.",
        f"World: declared `{runs[0]['world']['digest_before'][:16]}`; fitted, by seed: {digests}.",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _moment(place: int, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """One moment over the seeds."""
    ones = [run["moments"][place] for run in runs]
    first = ones[0]
    return [
        f"`{first['name']}`", first["unit"], _value(first["real"]), _value(first["before"]),
        _value(first["simulated"]) if isinstance(first["real"], list)
        else _value(_mean(one["simulated"] for one in ones)),
        told(spread(one["distance"] for one in ones), 3), _value(first["floor"]),
    ]  # fmt: skip


def _mean(values: Any) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def _value(value: Any) -> str:
    if value is None:
        return "–"
    return "shape" if isinstance(value, list) else f"{value:,.3g}"


def _telling(runs: Sequence[Mapping[str, Any]]) -> str:
    lost: dict[str, list[float]] = {}
    for run in runs:
        for one in (run["two_sample"]["after"] or {"telling": []})["telling"]:
            lost.setdefault(one["aggregate"], []).append(one["auc_lost"])
    ranked = sorted(((fmean(values), name) for name, values in lost.items()), reverse=True)
    return ", ".join(f"`{name}` {value:.2f}" for value, name in ranked[:_MOST_TOLD] if value > 0)


def _dials(dials: Mapping[str, Any]) -> str:
    return ", ".join(
        f"`{name}` {value:,.4g}" for name, value in dials.items() if isinstance(value, int | float)
    )


if __name__ == "__main__":
    sys.exit(main())
