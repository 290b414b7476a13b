"""`python -m bench.model`: what each choice of the behaviour model is worth, alone.

    python -m bench.model --quick             one tiny world, two variants, seconds
    python -m bench.model                     every variant on two worlds of the tuning seeds
    python -m bench.model --merge --seeds 1 --variants size-base
                                              these variants into the figures of a run before

Every variant is trained for the same steps on the same draws of customers, on one thread; what a
step costs is told beside it.
Finished units are kept in the benches' cache. Writes model.json and model.md to --out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness import merging, results
from bench.harness.data import CACHE, WorldSpec
from bench.harness.data import world as made
from bench.harness.run import Unit, code_hash, run, say
from bench.model import page
from bench.model.variants import QUICK, VARIANTS

#: Worlds and seeds for choosing; no bench reports on them.
WORLDS, TUNING = ("steady",), (1, 2)
CUSTOMERS, DAYS = 4_000, 126
QUICK_CUSTOMERS, QUICK_DAYS = 400, 84
STEPS, QUICK_STEPS = 240, 4

SCHEMA = "shoal.bench.model/1"
_CODE = (
    "bench/model/unit.py", "bench/model/variants.py", "src/shoal/model",
    "src/shoal/features/tokens.py", "src/shoal/features/sequences.py",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 where nothing could be trained."""
    options = _options(arguments)
    return merging.or_told(lambda: _bench(options))


def _bench(options: argparse.Namespace) -> int:
    before = merging.published(options.out, "model") if options.merge else None
    size = (QUICK_CUSTOMERS, QUICK_DAYS) if options.quick else (CUSTOMERS, DAYS)
    worlds = [WorldSpec(name, *size, seed) for name in options.worlds for seed in options.seeds]
    for spec in worlds:
        say(f"  preparing {spec.label}")
        made(spec)
    units = [_unit(name, spec, options.steps) for spec in worlds for name in options.variants]
    found = run(
        "bench.model.unit:train",
        units,
        kept=options.cache / "model",
        timeout_s=3_600.0,
    )
    told = results.header(
        SCHEMA, "bench.model", options.seeds, steps=options.steps, worlds=options.worlds,
        size=size, variants=_variants(options.variants, found),
    )  # fmt: skip
    if before is not None:
        told = merged(before, told, options.variants)
    results.write("model", told, page.markdown(told), options.out)
    print(page.markdown(told))
    return int(not any("figures" in one for one in found))


#: What both runs have to agree about.
_PROTOCOL = ("seeds", "steps", "worlds", "size")


def merged(
    old: Mapping[str, Any], new: Mapping[str, Any], variants: Sequence[str]
) -> dict[str, Any]:
    """Published figures with those of these variants, in the order of `VARIANTS`.

    Raises:
        MergeError: the runs differ in protocol.
    """
    merging.same(old, new, _PROTOCOL)
    there = {one["name"]: one for one in (*old["variants"], *new["variants"])}
    placed = [there[name] for name in VARIANTS if name in there]
    return {**old, merging.ADDED: merging.noted(old, new, variants), "variants": placed}


def _unit(variant: str, spec: WorldSpec, steps: int) -> Unit:
    arguments = {"variant": variant, "world": asdict(spec), "seed": spec.seed, "steps": steps}
    return Unit(variant, spec.label, spec.seed, arguments, {"code": code_hash(*_CODE)})


def _variants(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each variant with its units' figures."""
    return [
        {
            "name": name, "group": VARIANTS[name].group, "title": VARIANTS[name].title,
            "units": [dict(one) for one in found if one["peer"] == name],
        }
        for name in names
    ]  # fmt: skip


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="one tiny world, two variants")
    parser.add_argument(
        "--merge", action="store_true", help="add --variants to the figures in --out"
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--worlds", nargs="+", metavar="WORLD", default=list(WORLDS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps a variant")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: the cache)")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.seeds = options.seeds or list(TUNING[:1] if quick else TUNING)
    options.variants = options.variants or list(QUICK if quick else VARIANTS)
    options.steps = options.steps or (QUICK_STEPS if quick else STEPS)
    options.out = options.out or (options.cache if quick else results.RESULTS)
    return options


if __name__ == "__main__":
    sys.exit(main())
