"""`make demo`: from nothing to a report, on a simulated shop or on a file of one's own."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.cli.console import Console
from shoal.domain.errors import EXIT_DONE, InputError, ShoalError, UsageError
from shoal.domain.time import parse_moment, stopwatch

if TYPE_CHECKING:
    from shoal.shop import Shop

#: Days before the end of the log at which segments are made first.
_EARLIER_DAYS: Final = (56, 28)

#: Marks a directory as the demo's own, so that only such a one is ever replaced.
MARK = ".shoal-demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options = _options(sys.argv[1:] if arguments is None else list(arguments))
    console = Console()
    try:
        _fresh(options.out)
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
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", help="a file or folder of your own events")
    parser.add_argument("--preset", help="its layout; guessed if not given")
    parser.add_argument("--recipe", default="laptop", help="of the behaviour model")
    parser.add_argument("--minutes", type=float, help="of training; default: the recipe's")
    return parser.parse_args(arguments)


def _fresh(out: Path) -> None:
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

    console.heading("1. Simulate a shop whose segments are known")
    source = out / "simulated"
    result = simulate(
        source,
        customers=options.customers,
        days=options.days,
        world="steady",
        seed=options.seed,
        progress=console.progress(),
    )
    console.say(f"   {result.events:,} events of {result.customers:,} customers in {source}")
    shop = out / "shop"
    files = [str(source / "events.parquet")]
    overview, others = _shop(console, shop, files, "shoal", options, confirm=False)
    console.heading("5. What was found, against what was planted")
    _against_truth(console, shop, source / "_truth", overview, others)
    return shop


def _real(console: Console, options: argparse.Namespace) -> Path:
    console.heading(f"1. Your data: {options.data}")
    shop: Path = options.out / "shop"
    _shop(console, shop, [options.data], options.preset, options, confirm=True)
    return shop


def _shop(
    console: Console,
    shop: Path,
    files: list[str],
    preset: str | None,
    options: argparse.Namespace,
    *,
    confirm: bool,
) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Init, ingest, train, segment, report; the overview of segments, and other segmentations."""
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
        console.heading("3. Train the behaviour model on these events")
        trained = _trained(console, opened, options)
        console.heading("4. Segment two months ago, a month ago and today: who goes on?")
        earlier = _earlier(console, opened)
        formed = opened.segment(progress=console.progress())
        if trained and earlier:  # as it was made a month ago, on features alone
            others["k-means on features"] = earlier[-1]
        others["RFM"] = opened.current("rfm")
        for warning in formed.warnings:
            console.warn(warning)
        overview = opened.segments()
        show_segments(console, overview)
        if earlier:
            show_lineage(console, opened.lineage())
            console.say("\n" + opened.movement_report().text("en"))
        opened.report()
    return overview, others


def _earlier(console: Console, shop: Shop) -> list[str]:
    """Segment as of two months and a month before the end, on features: a model trained today
    knows too much for that. Ids of what could be made."""
    ends = parse_moment(shop.status()["to"])
    made = []
    for days in _EARLIER_DAYS:
        try:
            found = shop.segment(
                on="features", until=ends - timedelta(days=days), progress=console.progress()
            )
        except InputError as error:
            if error.code != "too_little_data":
                raise
            continue
        made.append(found.ids[0])
    return made


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


def _against_truth(
    console: Console,
    shop: Path,
    truth: Path,
    overview: dict[str, Any],
    others: dict[str, str | None],
) -> None:
    import pyarrow.parquet as pq

    from shoal import shop as shops
    from shoal.evaluation.agreement import agreement, crosstab

    planted = pq.read_table(truth / "customers.parquet", columns=["customer_id", "segment"])
    truth_of = dict(
        zip(planted["customer_id"].to_pylist(), planted["segment"].to_pylist(), strict=True)
    )
    with shops.open(shop) as opened:
        main = "k-means on features and embedding" if "k-means on features" in others else "k-means"
        found = {
            name: opened.memberships(segmentation=segmentation)
            for name, segmentation in {main: None, **others}.items()
        }
    placed = {
        customer
        for customer, segment in zip(
            found[main]["customer_id"].to_pylist(),
            found[main]["segment_id"].to_pylist(),
            strict=True,
        )
        if segment != "new"
    }
    lines = []
    styles = {entry["segment_id"]: entry["style"] for entry in overview["segments"]}
    everything: list[tuple[str, Any, dict[str, Any]]] = [
        (name, table, {}) for name, table in found.items()
    ]
    if any(styles.values()):  # segments of one style differ by what is expected of them
        everything.insert(1, (f"{main}: styles", found[main], styles))
    for name, table, style in everything:
        pairs = [
            (truth_of[customer], style.get(segment, segment))
            for customer, segment in zip(
                table["customer_id"].to_pylist(), table["segment_id"].to_pylist(), strict=True
            )
            if customer in placed
        ]
        score = agreement([a for a, _ in pairs], [b for _, b in pairs])
        lines.append(
            [name, f"{len({b for _, b in pairs})}", f"{score.ari:.2f}", f"{score.purity:.0%}"]
        )
        if name == main:
            names = {entry["segment_id"]: entry["name"]["en"] for entry in overview["segments"]}
            rows = crosstab(pairs)
            console.table(
                ["found", "name", "customers", "mostly planted as", "share"],
                [[s, names[s], f"{n:,}", top, f"{share:.0%}"] for s, n, top, share in rows],
                right=["customers", "share"],
            )
    console.table(
        ["method", "segments", "adjusted Rand index", "in the segment's majority"],
        lines,
        title=f"Agreement with the {len(set(truth_of.values()))} planted segments, "
        f"over the {len(placed):,} customers with enough events to place",
    )


if __name__ == "__main__":
    sys.exit(main())
