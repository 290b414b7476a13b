"""`python -m bench.users`: are embeddings good? What they foretell of the next window.

    python -m bench.users --quick          one small world, budgets of seconds, no controls
    python -m bench.users                  all sets and methods, seeds 11, 12 and 13
    python -m bench.users --seeds 1 2      what settings are tried on

Data is made into the cache of the benches (SHOAL_BENCH_CACHE) and public sets are read from
SHOAL_DATA; finished units are kept there and reused while code and data are the same, so an
interrupted run goes on where it was, and runs of some sets or seeds add up to one of all (two at a
time on two cores). Writes users.json and users.md to --out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.harness import results
from bench.harness.data import CACHE, MissingDataError
from bench.harness.run import ROOT, Unit, code_hash, run, say
from bench.harness.source import catalog_fingerprint
from bench.users import document, page, settings
from bench.users.methods import MAIN_ONLY, QUICK, UNITS
from bench.users.scores import Scored, scored
from bench.users.sets import SETS, Log, Opened, logs
from bench.users.unit import Split

#: What the result of every unit depends on beside its data and the catalog of features.
_COMMON = (
    "bench/users/sets.py", "bench/users/outcomes.py", "bench/users/heads.py",
    "bench/users/settings.py", "bench/users/unit.py", "bench/segments/outcomes.py",
    "bench/segments/sets.py", "bench/segments/settings.py", "bench/peers/base.py",
)  # fmt: skip
_GRU = ("bench/users/gru.py", "bench/users/histories.py")
_SHOAL = (
    "bench/users/shoal_.py", "src/shoal/model", "src/shoal/features/tokens.py",
    "src/shoal/features/sequences.py", "src/shoal/features/ngrams.py",
    "src/shoal/features/vocabulary.py", "src/shoal/domain/sequence.py",
    "src/shoal/workflows/train.py", "src/shoal/workflows/embed.py",
)  # fmt: skip
_CODE = {
    "coles": (*_GRU, "bench/users/coles.py"), "supervised": (*_GRU, "bench/users/supervised.py"),
    "shoal": _SHOAL, "shuffled": _SHOAL, "no-time": _SHOAL, "text": ("bench/users/text.py",),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 where nothing could be scored."""
    options = _options(arguments)
    opened, missing = _prepared(logs(options.sets, options.seeds, options.quick))
    units = _units(opened, options)
    say("scoring")
    scores = [_scored(one, units) for one in opened]
    told = document.document(scores, units, opened, missing, options)
    results.write("users", told, page.markdown(told), options.out)
    print(page.markdown(told))
    return int(not opened)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.users", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="one small world, seconds of training")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED",
                        choices=(*settings.REPORTED, *settings.TUNING),
                        help="11, 12, 13 are reported (11 has the controls too); 1, 2 for tuning",
                        )  # fmt: skip
    parser.add_argument("--sets", nargs="+", choices=SETS, metavar="SET", help=", ".join(SETS))
    parser.add_argument("--units", nargs="+", choices=UNITS, metavar="UNIT", help=", ".join(UNITS))
    parser.add_argument("--budget", type=float, metavar="SECONDS",
                        help=f"of training (default {settings.BUDGET_S:.0f})")  # fmt: skip
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.seeds = options.seeds or list(settings.TUNING[:1] if quick else settings.REPORTED)
    options.sets = options.sets or (["steady"] if quick else list(SETS))
    options.units = options.units or list(QUICK if quick else UNITS)
    if options.budget is None:
        options.budget = settings.QUICK_BUDGET_S if quick else settings.BUDGET_S
    options.out = options.out or (options.cache if quick else results.RESULTS)
    return options


def _prepared(wanted: Sequence[Log]) -> tuple[list[Opened], dict[str, str]]:
    """Logs that are there with their snapshots made, and why the others are not."""
    opened, missing = [], {}
    for log in wanted:
        say(f"  preparing {log.label}")
        try:
            one = log.open()
        except MissingDataError as error:
            missing[log.label] = str(error)
            continue
        for moment in (one.before, one.moment):
            one.source.features(moment)
        opened.append(one)
    return opened, missing


def _units(opened: Sequence[Opened], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Results of every unit on every log."""
    wanted = [
        Unit(
            unit, one.log.label, one.log.seed,
            {"unit": unit, "log": one.log.arguments, "budget_s": options.budget},
            {"data": one.source.digest, "sample": one.source.folder.name,
             "features": catalog_fingerprint(), "code": _code(unit)},
        )
        for one in opened
        for unit in options.units
        if one.log.main or unit not in MAIN_ONLY
    ]  # fmt: skip
    timeout_s = 300 + 10 * options.budget
    return run(
        "bench.users.unit:learn", wanted, kept=options.cache / "users", timeout_s=timeout_s
    )  # fmt: skip


def _code(unit: str) -> str:
    paths = [*_COMMON, *_CODE.get(unit, ())]
    return code_hash(*(path for path in paths if (ROOT / path).exists()))


def _scored(one: Opened, units: Sequence[dict[str, Any]]) -> Scored:
    return scored(Split(one), (unit for unit in units if unit["label"] == one.log.label))


if __name__ == "__main__":
    sys.exit(main())
