"""`python -m bench.speed.segments`: what segments cost, beside scikit-learn and faiss.

    python -m bench.speed.segments --quick           20,000 customers, a minute: does it still run?
    python -m bench.speed.segments                   a million customers, about half an hour
    python -m bench.speed.segments --merge --only kmeans
                                      of kmeans, assign, method, density_loss, into what is in --out

One core a process; every unit is a process of its own; faiss runs in an environment that the bench
makes. Finished units are kept in --kept, so that an interrupted run goes on (--fresh measures all
anew). Writes speed-segments.json and speed-segments.md to --out.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

from bench.harness import merging
from bench.harness.data import CACHE
from bench.harness.results import RESULTS, header, write
from bench.harness.run import Unit, code_hash, run, say
from bench.speed.segments import page
from bench.speed.segments.tasks import ENGINES, METHODS, TASKS

_FUNCTION: Final = "bench.speed.segments.tasks:measure"
COLUMNS: Final = 64
GROUPS: Final = 16
STARTS: Final = 8


def main() -> int:
    options = _options()
    return merging.or_told(lambda: _bench(options))


def _bench(options: argparse.Namespace) -> int:
    before = merging.published(options.out, "speed-segments") if options.merge else None
    units = _units(options)
    say(f"{len(units)} units, load {os.getloadavg()[0]:.1f}")
    rows = run(_FUNCTION, units, kept=options.kept, timeout_s=1_800.0, keep=not options.fresh)
    told = [{**row, **unit.arguments} for unit, row in zip(units, rows, strict=True)]
    document = {
        **header("bench.speed.segments/1", "bench.speed.segments", [options.seed]),
        "customers": options.customers, "columns": COLUMNS, "groups": GROUPS, "starts": STARTS,
        "repeats": options.repeats, "units": told,
    }  # fmt: skip
    if before is not None:
        document = merged(before, document)
    write("speed-segments", document, page.markdown(document), options.out)
    print(page.markdown(document))
    return int(any("failed" in row for row in rows))


#: What both runs have to agree about.
_PROTOCOL: Final = ("seeds", "customers", "columns", "groups", "starts")


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Published figures with the parts of this run in their place.

    Raises:
        MergeError: they are of other data.
    """
    merging.same(old, new, _PROTOCOL)
    parts = [part for part in TASKS if any(row["what"] == part for row in new["units"])]
    kept = [row for row in old["units"] if row["what"] not in parts]
    return {
        **old, "units": kept + new["units"], merging.ADDED: merging.noted(old, new, parts)
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed.segments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="20,000 customers, one run of each")
    parser.add_argument("--merge", action="store_true", help="add --only to the figures in --out")
    parser.add_argument("--customers", type=lambda text: int(float(text)), metavar="N")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), metavar="PART")
    parser.add_argument("--repeats", type=int, help="runs of each unit (default 3)")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--kept", type=Path, default=CACHE / "speed-segments")
    parser.add_argument("--fresh", action="store_true", help="measure all anew")
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: --kept)")
    options = parser.parse_args()
    options.customers = options.customers or (20_000 if options.quick else 1_000_000)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or (options.kept if options.quick else RESULTS)
    return options


def _units(options: argparse.Namespace) -> list[Unit]:
    """All units, repeats in the outer loop, so that a busy minute does not hit one row alone."""
    size = {"customers": options.customers, "columns": COLUMNS, "groups": GROUPS}
    calls: list[tuple[str, str, dict[str, Any]]] = []
    calls += [("kmeans", one, {"engine": one, **size, "starts": STARTS}) for one in ENGINES]
    calls += [
        ("assign", one, {"engine": one, **size}) for one in ("shoal", "scikit-learn", "faiss")
    ]
    calls += [("method", one, {"name": one, **size}) for one in METHODS]
    calls += [("density_loss", "hdbscan", {"customers": 5_000 if options.quick else 30_000})]
    stamp = {
        "code": code_hash("bench/speed/segments", "src/shoal/segments/kmeans.py",
                          "src/shoal/segments/methods", "src/shoal/features/prepare.py"),
    }  # fmt: skip
    return [
        Unit(
            f"{what}-{label.replace(' ', '-')}", f"{options.seed}-{turn}", turn,
            {"what": what, **arguments, "seed": options.seed}, {**stamp, "turn": str(turn)},
        )
        for turn in range(options.repeats)
        for what, label, arguments in calls
        if what in options.only
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
