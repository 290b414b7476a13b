"""Verbs about versions of the segments: versions, lineage, rollback, incumbent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, Seed, Segmentation, ShopDir, writable
from shoal.domain.errors import UsageError

Version = Annotated[
    str | None, typer.Option("--version", metavar="ID", help="Default: the main one.")
]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("versions")(versions)
    app.command("lineage")(lineage)
    app.command("rollback")(rollback)
    app.command("incumbent")(incumbent)


def versions(shop: ShopDir, json: Json = False, debug: Debug = False) -> None:
    """Every version of the segments: method, moment, customers, and which is current."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.versions()
    console.document(found)
    if not found["versions"]:
        console.say("No segments yet. Make them with: shoal segment SHOP")
        return
    console.table(
        ["version", "current", "k", "as of", "customers", "continues", "changes"],
        [_version_row(one) for one in found["versions"]],
        right=["k", "customers"],
    )


def _tried(canary: Mapping[str, Any] | None) -> list[str]:
    """What is said of a version that runs as a canary, or was dropped as one."""
    if canary is None:
        return []
    if canary["ended"] is None:
        return ["canary"]
    return ["dropped"] if canary["ended"]["outcome"] == "dropped" else []


def _version_row(one: Mapping[str, Any]) -> list[str]:
    current = ", ".join([*one["current"], *_tried(one["canary"])])
    if not one["readable"]:
        return [one["segmentation_id"], current, "", "", "", "", "cannot be read"]
    changes = ", ".join(f"{count} {what}" for what, count in one["changes"].items())
    return [
        one["segmentation_id"], current, str(one["k"]), one["as_of"][:10],
        f"{one['customers']:,}", one["previous_id"] or "", changes,
    ]  # fmt: skip


def lineage(
    shop: ShopDir,
    version: Version = None,
    movement: Annotated[
        bool,
        typer.Option(
            "--movement",
            help="Who moved since the version before: customers who changed, or the model.",
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="ID", help="The earlier version, with --movement."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="F.svg", help="Draw it as an SVG file.")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", metavar="en|zh")] = "en",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What became of the segments from version to version: who went on, split, merged, was born."""
    from shoal import shop as shops

    if movement and picture is not None:
        raise UsageError(
            "usage", "--movement has no picture", hint="Leave out --movement or --picture."
        )
    if since is not None and not movement:
        raise UsageError("usage", "--since is for --movement", hint="Add --movement.")
    console = Console(json)
    writable(picture)
    with shops.open(shop) as opened:
        if movement:
            found = opened.movement(version, since=since)
        else:
            found = opened.lineage(version)
        if picture is not None:
            opened.draw_lineage(picture, version=version, lang=lang)
    console.document(found)
    if json:
        return
    if movement:
        _show_movement(console, found)
    else:
        show_lineage(console, found)
    if picture is not None:
        console.say(f"Picture in {picture}")


def show_lineage(console: Console, found: Mapping[str, Any]) -> None:
    """Print the document `shoal.lineage_line/1` of a line of segmentations."""
    console.heading(str(found["headline"]))
    altered = [one for one in found["changes"] if one["change"] != "continue"]
    if altered:
        console.table(
            ["date", "change", "from", "to", "customers", "share", "sure"],
            [
                [
                    one["date"][:10], one["change"],
                    ", ".join(one["parents"]), ", ".join(one["children"]),
                    f"{one['customers']:,}", f"{one['share']:.1%}", _share(one["confidence"]),
                ]
                for one in altered
            ],
            right=["customers", "share", "sure"],
        )  # fmt: skip
    console.table(
        ["id", "name", "since", "came by", "customers", "ended"],
        [_life_row(one) for one in found["segments"]],
        right=["customers"],
    )
    latest = found["versions"][-1]
    if latest["causes"]:
        told = ", ".join(cause["en"] for cause in latest["causes"])
        console.say(f"{latest['segmentation_id']} differs from the version before by: {told}.")


def _life_row(one: Mapping[str, Any]) -> list[str]:
    began, ended = one["began"], one["ended"]
    origin = began["change"]
    if began["parents"]:
        origin += " of " + ", ".join(began["parents"])
    last = "" if ended is None else f"{ended['date'][:10]} {ended['change']}"
    return [
        one["segment_id"], one["names"][-1]["en"], began["date"][:10], origin,
        f"{one['customers']:,}", last,
    ]  # fmt: skip


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _show_movement(console: Console, found: Mapping[str, Any]) -> None:
    customers, kinds = found["customers"], found["kinds"]
    before, after = found["before"], found["after"]
    console.heading(
        f"{before['segmentation_id']} ({before['as_of'][:10]}) to {after['segmentation_id']} "
        f"({after['as_of'][:10]}): {customers['common']:,} customers known at both"
    )
    told = {
        "stayed": "stayed where they were",
        "behaviour": "moved because they behave differently",
        "model": "moved because the model is another",
        "both": "moved because of both",
        "returned": "moved by behaviour and back by the model",
    }
    console.table(
        ["customers", "", "share"],
        [
            [f"{kinds[kind]:,}", text, f"{kinds[kind] / max(1, customers['common']):.1%}"]
            for kind, text in told.items()
        ],
        right=["customers", "share"],
    )
    console.table(
        ["segment", "then", "arrived", "gone", "by behaviour", "by the model", "now"],
        [
            [
                one["segment_id"], f"{one['then']:,}", f"+{one['arrived']:,}", f"-{one['gone']:,}",
                f"{one['behaviour']:+,}", f"{one['model']:+,}", f"{one['now']:,}",
            ]
            for one in found["segments"]
        ],
        right=["then", "arrived", "gone", "by behaviour", "by the model", "now"],
    )  # fmt: skip


def rollback(
    shop: ShopDir,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example kmeans-0001.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Go back to an earlier version of the segments (or forward again)."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.rollback(version)
    console.document(found)
    console.say(
        f"{found['segmentation_id']} is current again (was {found['was']}): {found['k']} segments "
        f"of {found['customers']:,} customers, {found['moved']:,} of them in another segment than "
        "before."
    )
    if found["canary"] is not None:
        console.say(f"{found['canary']['segmentation_id']}, tried on some of them, is dropped.")


def incumbent(
    shop: ShopDir,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV, JSONL or Parquet: customer_id, segment and maybe since."
        ),
    ],
    segmentation: Segmentation = None,
    seed: Seed = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare segments that you have already with Shoal's: crosswalk, and a backtest of both."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.incumbent(
            file, segmentation=segmentation, seed=seed, progress=console.progress()
        )
    for warning in found["warnings"]:
        console.warn(warning)
    console.document(found)
    if not json:
        _show_incumbent(console, found)


def _show_incumbent(console: Console, found: Mapping[str, Any]) -> None:
    rows, customers = found["rows"], found["customers"]
    console.heading(
        f"{rows['used']:,} of {rows['read']:,} rows used; {customers['both']:,} customers of "
        f"{customers['shop']:,} have a segment on both sides"
    )
    for what in ("duplicate", "conflicting", "incomplete", "unknown"):
        if rows[what]:
            some = "; ".join(rows["examples"].get(what, ()))
            console.say(f"  {rows[what]:,} {what}: {some}")
    table = found["crosswalk"]
    if table is not None:
        console.table(
            ["your segment", "customers", "closest of Shoal", "name", "share in it", "overlap"],
            [
                [
                    one["segment"], f"{one['customers']:,}", one["best_match"], one["name"],
                    f"{one['share']:.0%}", f"{one['overlap']:.2f}",
                ]
                for one in table["segments"]
            ],
            right=["customers", "share in it", "overlap"],
        )  # fmt: skip
        rand = round(table["adjusted_rand_index"], 2) + 0.0  # no minus before a zero
        console.say(
            f"Agreement: adjusted Rand index {rand:.2f}, normalised mutual "
            f"information {table['normalised_mutual_information']:.2f} (1: the same segments)."
        )
    _show_backtest(console, found["backtest"])


def _show_backtest(console: Console, found: Mapping[str, Any]) -> None:
    if found["skipped"]:
        console.say(f"No backtest: {found['skipped']}.")
        return
    console.say(
        f"Backtest: segments as of {found['from'][:10]}, outcomes of the {found['days']} days "
        f"after it, {found['customers']:,} customers. Share of what varies that segments foretell "
        "(95 % interval):"
    )
    console.table(
        ["outcome", "yours", "Shoal's", "difference", "foretells more"],
        [
            [
                one["outcome"], _interval(one["shares"]["incumbent"]),
                _interval(one["shares"]["shoal"]), _interval(one["difference"]),
                {"shoal": "Shoal's", "incumbent": "yours"}.get(one["winner"] or "", "no telling"),
            ]
            for one in found["outcomes"]
        ],
    )  # fmt: skip


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['figure']:.1%} ({one['low']:.1%} to {one['high']:.1%})"
