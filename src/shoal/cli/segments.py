"""Verbs that form segments and use them: segment, segments, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, Seed, Segmentation, ShopDir, TableVersion, Until
from shoal.domain.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("segment")(segment)
    app.command("segments")(segments)
    app.command("report")(report)


def segment(
    shop: ShopDir,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="M[,M]",
            help="kmeans, mixture, hierarchy, density, deep, seeded, consensus or rfm; of several "
            "the first is the main one. RFM is made beside learned ones.",
        ),
    ] = "kmeans",
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="embedding|features|both",
            help="What segments are made on; default: both where there is a model.",
        ),
    ] = None,
    aim: Annotated[
        str | None,
        typer.Option(
            "--aim",
            metavar="balance|foretell|style|outlook",
            help="Told apart by how customers shop (style), by what they are expected to do next "
            "(outlook), or by style first and stages of each by outlook: as foretells best "
            "(foretell), or with the most styles within one standard error of it (balance, the "
            "default).",
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("--k", metavar="K", help="Number of segments; default: chosen.")
    ] = None,
    levels: Annotated[
        str,
        typer.Option(
            "--levels", metavar="3,8,20", help="hierarchy: levels; the finest, or --k, counts."
        ),
    ] = "",
    density: Annotated[
        str, typer.Option("--density", metavar="hdbscan|dbscan", help="density: how.")
    ] = "hdbscan",
    of: Annotated[
        str, typer.Option("--of", metavar="M,M", help="consensus: of which methods.")
    ] = "",
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="seeded: known customers, a table with customer_id and segment; or a text "
            "feature such as trait_tier.",
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", metavar="FILE", help="By rules instead; see shoal rules."),
    ] = None,
    cold: Annotated[
        bool, typer.Option("--cold", help="Do not start from the version before as well.")
    ] = False,
    tune: Annotated[
        int,
        typer.Option(
            "--tune", metavar="N", help="Search method, inputs and number of segments by N trials."
        ),
    ] = 0,
    until: Until = None,
    seed: Seed = None,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Form segments from what is known of the customers."""
    from shoal import shop as shops
    from shoal.cli.methods import show_method
    from shoal.cli.views import show_segments

    if k is not None and k < 2:
        raise UsageError("usage", f"--k is {k}", hint="Allowed: a whole number of at least 2.")
    console = Console(json)
    if rules is not None:
        if method != "kmeans" or any((on, aim, k, levels, of, labels, cold, tune, seed)):
            raise UsageError(
                "usage", "rules learn nothing, so that no method, number or seed goes with --rules",
                hint="Leave the others out; --until and --table-version go with it.",
            )  # fmt: skip
        _by_rules(console, shop, rules, until, table_version)
        return
    with shops.open(shop) as opened:
        result = opened.segment(
            method=listed(method),
            on=on,
            aim=aim,
            k=k,
            levels=_numbers(levels),
            density=density,
            of=listed(of),
            labels=labels,
            warm=not cold,
            tune=tune,
            until=until,
            seed=seed,
            table_version=table_version,
            progress=console.progress(),
        )
        overview = None if json else opened.segments(result.ids[0])
    console.document(result.as_document())
    for warning in result.warnings:
        console.warn(warning)
    if overview is not None:
        show_segments(console, overview)
        for document in result.documents:
            show_method(console, document)


def _by_rules(
    console: Console, shop: Path, rules: Path, until: str | None, table_version: int | None
) -> None:
    """Segments of a file of rules, current beside the learned ones."""
    from shoal import shop as shops
    from shoal.cli.views import show_segments

    with shops.open(shop) as opened:
        result = opened.rules.segment(
            rules, until=until, table_version=table_version, progress=console.progress()
        )
        overview = None if console.as_json else opened.segments(result.ids[0])
    console.document(result.as_document())
    for warning in result.warnings:
        console.warn(warning)
    if overview is not None:
        show_segments(console, overview)


def listed(text: str) -> tuple[str, ...]:
    """Names between commas.

    >>> listed("kmeans, mixture,")
    ('kmeans', 'mixture')
    """
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas.

    Raises:
        UsageError: `usage`.
    """
    try:
        return tuple(int(one) for one in listed(text))
    except ValueError:
        raise UsageError(
            "usage", f"--levels is {text!r}", hint="Whole numbers between commas, such as 3,8,20."
        ) from None


def segments(
    shop: ShopDir, segmentation: Segmentation = None, json: Json = False, debug: Debug = False
) -> None:
    """The segments of the current segmentation: size, share of revenue, what sets them apart."""
    from shoal import shop as shops
    from shoal.cli.views import show_segments

    console = Console(json)
    with shops.open(shop) as opened:
        overview = opened.segments(segmentation)
    console.document(overview)
    if not json:
        show_segments(console, overview)


def report(
    shop: ShopDir,
    out: Annotated[
        Path | None, typer.Option("--out", help="An .html file; default: report.html in the shop.")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", metavar="en|zh")] = "en",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="T",
            help="Date to compare with; default: 90 or 28 days or a quarter of the log before.",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the report: one HTML file that works offline."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        path = opened.report(out=out, lang=lang, since=since)
    console.document({"schema": "shoal.report/1", "path": str(path), "lang": lang})
    console.say(f"Report written to {path}")
