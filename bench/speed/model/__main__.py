"""`python -m bench.speed.model`: what the behaviour model costs.

    python -m bench.speed.model --quick             a few minutes: does it still run?
    python -m bench.speed.model                     about half an hour on an idle machine
    python -m bench.speed.model --only update       of update, embed, train
    python -m bench.speed.model --only accelerator  minutes, where there is one; pages of its own

One thread a process; every unit is a process of its own. Finished units are kept in --kept, so that
an interrupted run goes on (--fresh measures all anew). Writes speed-model.json and speed-model.md,
and for an accelerator speed-accelerator.json and .md, to --out.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.harness.data import CACHE
from bench.harness.results import RESULTS, header, write
from bench.harness.run import Unit, code_hash, run, say
from bench.speed import harness as shops
from bench.speed.model import accelerator, accelerator_page, page

PARTS: Final = ("update", "embed", "train")
#: Only when asked for, and alone.
ACCELERATOR: Final = "accelerator"
#: Those with a state to export, and the one that reads its tail again.
EXPORTED: Final = ("recurrence", "transformer", "gru", "lstm", "cnn")
BACKBONES: Final = (*EXPORTED, "bidirectional")
BATCHES: Final = (1, 32, 256)
HISTORIES: Final = (10, 100, 1_000, 10_000)
LENGTHS: Final = (128, 512)
_FUNCTION: Final = "bench.speed.model.tasks:measure"
_NEXT: Final = {"next_event": 1.0}


def main() -> int:
    options = _options()
    if ACCELERATOR in options.only:
        return _accelerator(options)
    units = _units(options)
    say(f"{len(units)} units, load {os.getloadavg()[0]:.1f}")
    rows = run(_FUNCTION, units, kept=options.kept, timeout_s=1_800.0, keep=not options.fresh)
    told = [{**unit.arguments, **row} for unit, row in zip(units, rows, strict=True)]
    document = {
        **header("bench.speed.model/1", "bench.speed.model", [options.seed]),
        "repeats": options.repeats,
        "units": told,
    }
    write("speed-model", document, page.markdown(document), options.out)
    print(page.markdown(document))
    return int(any("failed" in row for row in rows))


def _accelerator(options: argparse.Namespace) -> int:
    device = {"name": "none", "memory_gib": 0, "cuda": "none"}
    if options.device == "cuda":
        device = accelerator.told_of()
    calls = _on(options.device, options.quick)
    stamp = {"code": code_hash("bench/speed/model", "src/shoal/model")}
    units = [
        Unit(ACCELERATOR, f"{options.seed}-{turn}", turn,
             _arguments(what, arguments, options.seed), {**stamp, "turn": str(turn)})
        for turn in range(options.repeats)
        for what, arguments in calls
    ]  # fmt: skip
    rows = run(_FUNCTION, units, kept=options.kept, timeout_s=300.0, keep=not options.fresh)
    document = {
        **header("bench.speed.accelerator/1", "bench.speed.model", [options.seed]),
        "accelerator": device,
        "repeats": options.repeats,
        "units": [{**unit.arguments, **row} for unit, row in zip(units, rows, strict=True)],
    }
    write("speed-accelerator", document, accelerator_page.markdown(document), options.out)
    print(accelerator_page.markdown(document))
    return int(any("failed" in row for row in rows))


def _on(device: str, quick: bool) -> list[tuple[str, dict[str, Any]]]:
    """Recipes and lengths; every backbone; threads of the same machine; embedding; the scan."""
    few = {"steps": 1} if quick else {"steps": 15}
    trained: list[dict[str, Any]] = [
        {"device": device, "threads": 1, "recipe": name, "length": length, "events": events, **few}
        for name, events in (
            [("nano", 64)] if quick else [("laptop", 8_192), ("laptop", 65_536), ("base", 32_768),
                                           ("large", 32_768)]
        )
        for length in LENGTHS
    ]  # fmt: skip
    cores = os.cpu_count() or 1
    trained += [
        {**one, "device": "cpu", "threads": cores, "steps": min(3, one["steps"])}
        for one in trained[: len(LENGTHS)]
    ]
    found = [("train_on", {**one, "backbone": "gru"}) for one in trained]
    found += [("encoder_on", one) for one in trained]
    found += [
        ("train_on", {**one, "backbone": name})
        for one in trained[: len(LENGTHS)]
        for name in BACKBONES
        if name != "gru"
    ]
    customers = 200 if quick else 20_000
    found += [
        ("embed_on", {"device": where, "threads": threads, "recipe": name, "mean": 45.0,
                      "customers": customers})
        for where, threads, name in (
            [(device, 1, "nano")] if quick else
            [(device, 1, "laptop"), ("cpu", cores, "laptop"), (device, 1, "base")]
        )
    ]  # fmt: skip
    shapes = [(4, 16, 8)] if quick else [(64, 128, 128), (16, 512, 128), (256, 128, 256)]
    found += [
        ("scan_on", {"device": device, "rows": rows, "length": length, "width": width,
                     "steps": 2 if quick else 20})
        for rows, length, width in shapes
    ]  # fmt: skip
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speed.model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="small sizes, one run of each")
    parser.add_argument(
        "--only", nargs="+", choices=(*PARTS, ACCELERATOR), default=list(PARTS), metavar="PART"
    )
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda",
        help="of the part `accelerator`; cpu: does it run?",
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, help="runs of each unit (default 3)")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--kept", type=Path, default=CACHE / "speed-model")
    parser.add_argument("--fresh", action="store_true", help="measure all anew")
    parser.add_argument("--out", type=Path, help="default docs/results (--quick: --kept)")
    options = parser.parse_args()
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or (options.kept if options.quick else RESULTS)
    return options


def _units(options: argparse.Namespace) -> list[Unit]:
    """All units, repeats in the outer loop, so that a busy minute does not hit one row alone."""
    quick = options.quick
    calls: list[tuple[str, dict[str, Any]]] = []
    if "update" in options.only:
        calls += _updates(quick)
    if "embed" in options.only:
        calls.append(("embed", {"customers": 2_000 if quick else 100_000, "mean": 45.0}))
        calls.append(("embed_shop", {"shop": _shop(100_000 if quick else 1_000_000)}))
    if "train" in options.only:
        calls += _trainings(quick)
    stamp = {"code": code_hash("bench/speed/model", "src/shoal/model", "src/shoal/workflows")}
    return [
        Unit(
            what, f"{options.seed}-{turn}", turn, _arguments(what, arguments, options.seed),
            {**stamp, "turn": str(turn)},
        )
        for turn in range(options.repeats)
        for what, arguments in calls
    ]  # fmt: skip


def _arguments(what: str, arguments: Mapping[str, Any], seed: int) -> dict[str, Any]:
    seeds = {} if what == "embed_shop" else {"seed": seed}
    return {"what": what, **arguments, **seeds}


def _updates(quick: bool) -> list[tuple[str, dict[str, Any]]]:
    """Every backbone and runtime at every batch; then the default one over lengths of history."""
    steps = {1: 20, 32: 10, 256: 4} if quick else {1: 660, 32: 132, 256: 66}
    found = [
        {"backbone": name, "runtime": runtime, "customers": n, "history": 100, "steps": steps[n]}
        for name in BACKBONES
        for runtime in ("eager", *(["onnx"] if name in EXPORTED else []))
        for n in BATCHES
    ]
    found += [
        {"backbone": "gru", "runtime": runtime, "customers": 1, "history": history,
         "steps": steps[1]}
        for history in HISTORIES
        for runtime in ("eager", "onnx")
        if history != 100
    ]  # fmt: skip
    return [("update", one) for one in found]


def _trainings(quick: bool) -> list[tuple[str, dict[str, Any]]]:
    from shoal.model.config import recipe

    steps = 1 if quick else 8
    mix = dict(recipe("laptop").train.weights)
    found: list[tuple[str, dict[str, Any]]] = []
    for length in LENGTHS:
        whole = {"length": length, "least": length, "groups": 1, "steps": steps}
        found += [
            ("train", {**whole, "objectives": _NEXT}),
            ("train", {**whole, "objectives": mix}),
            ("train_transformer", {"length": length, "steps": steps}),
            ("train_sasrec", {"length": length, "customers": (16 if quick else 128)}),
        ]
        ragged = {"length": length, "least": 8, "steps": steps, "objectives": _NEXT}
        found += [("train", {**ragged, "groups": groups}) for groups in (1, 4)]
    return found


def _shop(events: int) -> str:
    """A simulated shop, made once."""
    home = CACHE / f"speed-model-{events}"
    home.mkdir(parents=True, exist_ok=True)
    say(f"a simulated shop of {events:,} events in {home}")
    shops.run(
        "prepare",
        {"directory": str(home), "events": events, "days": 200, "seed": 100, "csv": False},
    )
    return str(home / "shop")


if __name__ == "__main__":
    sys.exit(main())
