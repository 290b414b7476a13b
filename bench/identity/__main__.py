"""`python -m bench.identity`: identity over monthly refits, and true changes of segments told.

- *rule*: the rule of `shoal.adjust.transitions` and MONIC on the true segments of worlds `lineage`.
- *steady*: monthly refits of world `steady`; whose id stays though nothing planted changed.
- *lineage*: refits of worlds `lineage`, k chosen at each; which planted changes the lineage tells.

    python -m bench.identity                              all parts
    python -m bench.identity --merge --parts lineage      this part into the figures in --out

Finished units are kept in the cache and taken from there the next time. `--quick` is a small run.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness import merging, results
from bench.harness.data import CACHE, WorldSpec
from bench.harness.run import Unit, code_hash, run, say
from bench.identity import report, rule
from bench.identity.refits import event_document

PARTS = ("rule", "steady", "lineage")
#: Reporting seeds: the rule, and the standard error that warm starts may cost, were tuned on
#: others (201 to 220; 1 to 3).
SEEDS = (11, 12, 13)
LINEAGE_SEED = 101
LEARN_DAYS, EVERY_DAYS = 56, 28
_CODE = ("src/shoal/adjust", "src/shoal/segments", "src/shoal/workflows", "bench/identity")


def main() -> int:
    """Run the parts that were asked for; write the document and the page. 1 where they cannot stand
    beside the parts that are published."""
    options = _options()
    return merging.or_told(lambda: _bench(options))


def _bench(options: argparse.Namespace) -> int:
    before = merging.published(options.out, "identity") if options.merge else None
    document = results.header("shoal.bench.identity/1", "bench.identity", options.seeds)
    document |= {
        "settings": {
            "customers": options.customers, "refits": options.refits, "k": options.k,
            "aims": options.aims, "learn_days": LEARN_DAYS, "every_days": EVERY_DAYS,
            "lineage_customers": options.lineage_customers, "lineage_days": options.lineage_days,
            "lineage_worlds": options.lineage_worlds, "rule_worlds": options.rule_worlds,
        }
    }  # fmt: skip
    if before is not None:
        merging.same(before, document, ("seeds", "settings"))
    if "rule" in options.parts:
        document["rule"] = _rule(options)
    if "steady" in options.parts:
        document["steady"] = _units("steady", options)
    if "lineage" in options.parts:
        document["lineage"] = _units("lineage", options)
    if before is not None:
        document = merged(before, document)
    page = report.markdown(document)
    results.write("identity", document, page, options.out)
    print(page)
    return 0


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Published parts with those of this run in their place."""
    parts = [part for part in PARTS if part in new]
    return {
        **old,
        **{part: new[part] for part in parts},
        merging.ADDED: merging.noted(old, new, parts),
    }


def _rule(options: argparse.Namespace) -> list[dict[str, Any]]:
    say(f"rule: {options.rule_worlds} worlds")
    found = []
    for place in range(options.rule_worlds):
        seed = LINEAGE_SEED + place
        told = rule.run(
            options.lineage_customers, options.lineage_days, seed, LEARN_DAYS, EVERY_DAYS
        )
        found.append(
            {"seed": seed, **{name: [event_document(one) for one in events]
                              for name, events in told.items()}}
        )  # fmt: skip
    return found


def _units(part: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The refits of every world, once for each aim."""
    if part == "steady":
        days = LEARN_DAYS + EVERY_DAYS * options.refits + 1
        specs = [WorldSpec("steady", options.customers, days, seed) for seed in options.seeds]
        settings = {"refits": options.refits, "k": options.k}
    else:
        days = options.lineage_days
        specs = [
            WorldSpec("lineage", options.lineage_customers, days, LINEAGE_SEED + place)
            for place in range(options.lineage_worlds)
        ]
        settings = {"refits": (days - LEARN_DAYS - 1) // EVERY_DAYS, "k": "chosen"}
    settings |= {"learn_days": LEARN_DAYS, "every_days": EVERY_DAYS}
    units = [
        Unit(
            aim, spec.label, spec.seed,
            {"spec": asdict(spec), "settings": {**settings, "aim": aim},
             "cache": str(options.cache)},
            {"code": code_hash(*_CODE)},
        )
        for aim in options.aims
        for spec in specs
    ]  # fmt: skip
    say(f"{part}: {len(units)} units")
    return run(
        "bench.identity.refits:run", units, kept=options.cache / "identity", timeout_s=3_000.0
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.identity", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--merge", action="store_true", help="add --parts to the figures in --out")
    parser.add_argument("--quick", action="store_true", help="one small world of each part")
    parser.add_argument("--parts", type=_names, default=PARTS, help=f"of {','.join(PARTS)}")
    parser.add_argument("--seeds", type=_numbers)
    parser.add_argument("--aims", type=_names, default=("balance", "style"))
    parser.add_argument("--k", choices=("planted", "chosen"), default="planted",
                        help="segments of world steady")  # fmt: skip
    parser.add_argument("--customers", type=int)
    parser.add_argument("--refits", type=int)
    parser.add_argument("--lineage-worlds", type=int)
    parser.add_argument("--rule-worlds", type=int)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args()
    quick = options.quick
    options.seeds = options.seeds or ((1,) if quick else SEEDS)
    options.customers = options.customers or (300 if quick else 1_500)
    options.refits = options.refits or (2 if quick else 12)
    options.lineage_customers, options.lineage_days = (300 if quick else 800), 154
    for name, few, many in (("lineage_worlds", 1, 30), ("rule_worlds", 2, 30)):
        if getattr(options, name) is None:
            setattr(options, name, few if quick else many)
    options.out = options.out or (options.cache if quick else results.RESULTS)
    return options


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
