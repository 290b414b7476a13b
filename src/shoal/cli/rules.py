"""Verbs about rules and about protected traits: rules check, preview and sql; protected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.membership import minute
from shoal.cli.options import AsOf, Debug, Json, Segmentation, ShopDir, TableVersion

if TYPE_CHECKING:
    from shoal.segments.ruled.language import RuleSet

RuleFile = Annotated[Path, typer.Argument(metavar="FILE", help="Rules, a JSON file.")]

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    group = typer.Typer(
        no_args_is_help=True, help="Segments by rules: check a file, preview it, write it as SQL."
    )
    group.command("check")(check)
    group.command("preview")(preview)
    group.command("sql")(sql)
    app.add_typer(group, name="rules")
    app.command("protected")(protected)


def check(shop: ShopDir, file: RuleFile, json: Json = False, debug: Debug = False) -> None:
    """Whether everything in a file of rules is right, and what looks odd."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        rules = opened.rules.check(file)
        doubts = opened.rules.doubts(rules)
    console.document(_checked(rules, doubts))
    for one in doubts:
        console.warn(f"{one['path']}: {one['message']}")
    if json:
        return
    from shoal.segments.ruled.segmenter import RuleSegmenter

    segmenter = RuleSegmenter(rules)
    rows = [
        [name, segmenter.names[name].en, segmenter.in_words(name).en]
        for name in segmenter.segment_ids
    ]
    console.table(["segment", "name", "rule"], rows, title="The rules are right")
    how = "overlap" if rules.overlap else "the first that holds counts"
    console.say(f"{len(rules.segments)} rules; {how}.")


def _checked(rules: RuleSet, doubts: list[dict[str, str]]) -> dict[str, Any]:
    from shoal.segments.ruled.segmenter import RuleSegmenter

    segmenter = RuleSegmenter(rules)
    return {
        "schema": "shoal.rules.check/1",
        "overlap": rules.overlap,
        "segments": [
            {
                "segment_id": name,
                "name": segmenter.names[name].as_document(),
                "rule": segmenter.in_words(name).as_document(),
            }
            for name in segmenter.segment_ids
        ],
        "warnings": doubts,
    }


def preview(
    shop: ShopDir,
    file: RuleFile,
    as_of: AsOf = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", help="Customers shown a segment.", min=0)
    ] = _SHOWN,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How many customers each segment has, some of them, and what each clause keeps and drops."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.rules.preview(file, as_of=as_of, sample=sample, table_version=table_version)
    console.document(found)
    for one in found["warnings"]:
        console.warn(f"{one['path']}: {one['message']}")
    if not json:
        _show(console, found)


def _show(console: Console, found: Mapping[str, Any]) -> None:
    console.heading(f"{found['customers']:,} customers as of {minute(found['as_of'])}")
    console.table(
        ["segment", "name", "customers", "share", "for example"],
        [
            [
                one["segment_id"],
                one["name"]["en"],
                f"{one['customers']:,}",
                f"{one['share']:.1%}",
                ", ".join(one["sample"][:3]),
            ]
            for one in found["segments"]
        ],
        right=["customers", "share"],
    )
    for one in found["segments"]:
        if "funnel" not in one:
            continue
        console.table(
            ["clause", "alone", "dropped" if _narrows(one) else "added", "left"],
            [
                [
                    step["clause"]["en"],
                    f"{step['alone']:,}",
                    f"{step['dropped'] or step['added']:,}",
                    f"{step['kept']:,}",
                ]
                for step in one["funnel"]
            ],
            title=f"{one['segment_id']}: the rule holds for {one['matches']:,}",
            right=["alone", "dropped", "added", "left"],
        )


def _narrows(segment: Mapping[str, Any]) -> bool:
    return not any(step["added"] for step in segment["funnel"])


def sql(
    shop: ShopDir,
    file: RuleFile,
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="duckdb|bigquery|snowflake|spark")
    ] = "duckdb",
    segment: Annotated[
        str | None,
        typer.Option("--segment", metavar="ID", help="Only its customers; default: all segments."),
    ] = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """SQL that selects the same customers from a deduplicated table of events."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        text = opened.rules.sql(file, dialect=dialect, segment=segment, as_of=as_of)
    console.document(
        {"schema": "shoal.rules.sql/1", "dialect": dialect, "segment": segment, "query": text}
    )
    if not json:
        typer.echo(text, nl=False)


def protected(
    shop: ShopDir,
    segmentation: Segmentation = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How segments fall by protected traits: age, gender, country, region, or what you mark."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.protected(segmentation, as_of=as_of)
    console.document(found)
    if not json:
        _show_protected(console, found)


def _show_protected(console: Console, found: Mapping[str, Any]) -> None:
    console.heading(f"{found['segmentation_id']}: {found['customers']:,} customers")
    for one in found["traits"]:
        ids = [row["segment_id"] for row in one["segments"]]
        rows = [
            [value["value"], f"{value['share']:.0%}",
             *(f"{row['shares'][place]:.0%}" for row in one["segments"])]
            for place, value in enumerate(one["values"])
        ]  # fmt: skip
        sizes = [f"{row['known']:,}" for row in one["segments"]]
        rows.append(["known customers", f"{one['known']:,}", *sizes])
        console.table([one["trait"], "everybody", *ids], rows, right=["everybody", *ids])
        gap = one["largest_gap"]
        if gap is not None:
            console.say(
                f"Largest gap: {gap['share']:.0%} of {gap['segment_id']} are {gap['value']}, "
                f"of everybody {gap['share_of_all']:.0%}."
            )
    if not found["traits"]:
        console.say("No protected trait is known of anybody.")
    aside = found["left_out"]
    if aside:
        console.say(f"Learned segments leave out: {', '.join(aside)}.")
