"""Verbs that form segments and use them: segment, segments, memberships, export, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, Out, ShopDir, TableVersion, writable
from shoal.domain.errors import UsageError

Segmentation = Annotated[
    str | None,
    typer.Option("--segmentation", metavar="ID", help="Default: the main one."),
]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("segment")(segment)
    app.command("segments")(segments)
    app.command("memberships")(memberships)
    app.command("export")(export)
    app.command("report")(report)


def segment(
    shop: ShopDir,
    method: Annotated[
        str, typer.Option("--method", metavar="M", help="kmeans (with rfm beside it) or rfm.")
    ] = "kmeans",
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="embedding|features|both",
            help="What k-means is made on; default: both where there is a model.",
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("--k", metavar="K", help="Number of segments; default: chosen.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", help="Learn only from before T.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="S")] = None,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Form segments from what is known of the customers."""
    from shoal import shop as shops
    from shoal.cli.views import show_segments

    if k is not None and k < 2:
        raise UsageError("usage", f"--k is {k}", hint="Allowed: a whole number of at least 2.")
    console = Console(json)
    with shops.open(shop) as opened:
        result = opened.segment(
            method=method,
            on=on,
            k=k,
            until=until,
            seed=seed,
            table_version=table_version,
            progress=console.progress(),
        )
        overview = None if json else opened.segments()
    console.document(result.as_document())
    for warning in result.warnings:
        console.warn(warning)
    if overview is not None:
        show_segments(console, overview)


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


def memberships(
    shop: ShopDir,
    out: Out,
    as_of: AsOf = None,
    segmentation: Segmentation = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="One row a segment with its weight.")
    ] = False,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write who belongs where, as Parquet or CSV by the file's ending."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        written = opened.write_memberships(
            out, as_of=as_of, segmentation=segmentation, soft=soft, table_version=table_version
        )
    for warning in written.warnings:
        console.warn(warning)
    console.document(written.as_document())
    console.say(f"{written.rows:,} rows in {out}")


def export(
    shop: ShopDir,
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="For example s03.")],
    format: Annotated[
        str, typer.Option("--format", metavar="csv|parquet|sql", help="What to write.")
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Ends in .csv or .parquet; default: in SHOP/exports."),
    ] = None,
    segmentation: Segmentation = None,
    consent: Annotated[
        str, typer.Option("--consent", metavar="CHANNEL", help="Only who granted it, e.g. email.")
    ] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Export the members of a segment, or the SQL that selects them."""
    from shoal import shop as shops

    console = Console(json)
    writable(out)
    with shops.open(shop) as opened:
        written = opened.export(
            segment, format=format, out=out, segmentation=segmentation, consent=consent
        )
    for warning in written.warnings:
        console.warn(warning)
    console.document(written.as_document())
    console.say(f"{written.rows:,} customers in {written.path}")
    if written.without_consent is not None:
        console.say(f"{written.without_consent:,} more have not granted {consent}: left out.")


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
