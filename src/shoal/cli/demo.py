"""`make demo`: from nothing to a report, on a simulated shop or on a file of one's own."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.cli.console import Console
from shoal.cli.demo_months import months, show_worth
from shoal.cli.demo_truth import against_truth
from shoal.domain.errors import EXIT_DONE, InputError, ShoalError, UsageError
from shoal.domain.time import stopwatch

if TYPE_CHECKING:
    from shoal.shop import Shop

#: Marks a directory as the demo's own, so that only such a one is ever replaced.
MARK = ".shoal-demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options = _options(sys.argv[1:] if arguments is None else list(arguments))
    console = Console()
    try:
        fresh(options.out)
        elapsed = stopwatch()
        if options.data:
            shop = _real(console, options)
        else:
            shop = _simulated(console, options)
        console.say(f"\nThe report: {(shop / 'report.html').resolve()}")
        console.say(f"The shop:   {shop.resolve()}   ({elapsed():.0f} s in all)")
        console.say(f"Look on:    .venv/bin/shoal segments {shop}")
        console.say("            .venv/bin/shoal --help")
    except ShoalError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.say("interrupted; run it again to start afresh")
        return 1
    return EXIT_DONE


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", help="a file or folder of your own events")
    parser.add_argument("--preset", help="its layout; guessed if not given")
    parser.add_argument("--recipe", default="laptop", help="of the behaviour model")
    # the recipe's 2.5 would take the whole past six minutes on a slow machine
    parser.add_argument("--minutes", type=float, default=2.0, help="of training (default 2)")
    return parser.parse_args(arguments)


def fresh(out: Path) -> None:
    """An empty directory of the demo's own.

    Raises:
        UsageError: `shop_exists`, something else is there.
    """
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise UsageError(
                "shop_exists",
                f"{out} exists and was not made by the demo",
                where=str(out),
                hint="Choose another directory: make demo DEMO_OUT=DIR",
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("made by make demo; replaced by its next run\n", encoding="utf-8")


def _simulated(console: Console, options: argparse.Namespace) -> Path:
    out: Path = options.out
    from shoal.workflows.simulate import simulate

    console.heading("1. Simulate a shop whose segments are known, and change")
    source = out / "simulated"
    result = simulate(
        source,
        customers=options.customers,
        days=options.days,
        world="drift",
        seed=options.seed,
        progress=console.progress(),
    )
    console.say(f"   {result.events:,} events of {result.customers:,} customers in {source}")
    shop = out / "shop"
    files = [str(source / "events.parquet")]
    overview, others, first = _shop(console, shop, files, "shoal", options, confirm=False)
    console.heading("6. What was found, against what was planted")
    against_truth(console, shop, source / "_truth", overview, others)
    _worth(console, shop, first, 7)
    return shop


def _real(console: Console, options: argparse.Namespace) -> Path:
    console.heading(f"1. Your data: {options.data}")
    shop: Path = options.out / "shop"
    _, _, first = _shop(console, shop, [options.data], options.preset, options, confirm=True)
    _worth(console, shop, first, 6)
    return shop


def _worth(console: Console, shop: Path, first: str | None, number: int) -> None:
    from shoal import shop as shops

    if first is None:
        return
    console.heading(f"{number}. What following was worth, beside segments left as they were")
    with shops.open(shop) as opened:
        show_worth(console, opened, first)


def _shop(
    console: Console,
    shop: Path,
    files: list[str],
    preset: str | None,
    options: argparse.Namespace,
    *,
    confirm: bool,
) -> tuple[dict[str, Any], dict[str, str | None], str | None]:
    """Init, ingest, follow some months, train, segment, report.

    Returns:
        The overview of segments, other segmentations by name, and the first version's id.
    """
    from shoal import shop as shops
    from shoal.cli.versions import show_lineage
    from shoal.cli.views import show_segments

    def accept(description: str) -> bool:
        console.say(description)
        return confirm

    console.heading("2. Ingest: validate, deduplicate, store, keep every customer's state")
    others: dict[str, str | None] = {}
    with shops.init(shop) as opened:
        account = opened.ingest(
            files, preset=preset, confirm=accept, progress=console.progress()
        ).as_document()
        console.say("   " + ", ".join(f"{n:,} {name}" for name, n in account["rows"].items() if n))
        for code, count in account["quarantine"].items():
            console.say(f"   quarantined: {count:,} {code}")
        console.heading("3. Twelve weeks of change: segments of then, and looks at them since")
        first = months(console, opened)
        before = opened.current()
        console.heading("4. Train the behaviour model on these events")
        trained = _trained(console, opened, options)
        console.heading("5. Segment today, and see who goes on")
        formed = opened.segment(progress=console.progress())
        if trained and first:  # as they followed their customers, on features alone
            others["k-means on features"] = before
        others["RFM"] = opened.current("rfm")
        for warning in formed.warnings:
            console.warn(warning)
        overview = opened.segments()
        show_segments(console, overview)
        if first:
            show_lineage(console, opened.lineage())
            console.say("\n" + opened.movement_report().text("en"))
        opened.report()
    return overview, others, first


def _trained(console: Console, shop: Shop, options: argparse.Namespace) -> bool:
    """Train the model; False, and why, where the shop is too small for one."""
    try:
        found = shop.train(
            recipe=options.recipe, minutes=options.minutes, seed=0, progress=console.progress()
        )
    except InputError as error:
        if error.code != "too_little_data":
            raise
        console.say(f"   {error.message}.")
        console.say("   Segments are made on features instead.")
        return False
    told = found.as_document()
    fit = told["fit"]
    console.say(
        f"   {found.model_id}: {told['parameters']:,} numbers learned in {fit['seconds']:.0f} s, "
        f"{fit['steps']:,} steps, {fit['events_per_s']:,.0f} events/s"
    )
    for warning in found.warnings:
        console.warn(warning)
    return True


if __name__ == "__main__":
    sys.exit(main())
