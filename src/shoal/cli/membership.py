"""Verbs that tell who belongs where: memberships, refresh, customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, Out, Segmentation, ShopDir, TableVersion

#: Moves and earlier spells that a terminal shows.
_MOST_ROWS: Final = 20

#: Why a membership began, in words.
CAUSES: Final = {
    "version": "a new version", "event": "what they did", "silence": "silence",
    "rollback": "a rollback",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("memberships")(memberships)
    app.command("refresh")(refresh)
    app.command("customer")(customer)


def memberships(
    shop: ShopDir,
    out: Out,
    as_of: AsOf = None,
    segmentation: Segmentation = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="One row a segment with its weight.")
    ] = False,
    recorded: Annotated[
        bool,
        typer.Option("--recorded", help="As the log says, with cause and margin of each."),
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
            out, as_of=as_of, segmentation=segmentation, soft=soft, recorded=recorded,
            table_version=table_version,
        )  # fmt: skip
    for warning in written.warnings:
        console.warn(warning)
    console.document(written.as_document())
    console.say(f"{written.rows:,} rows in {out}")


def refresh(
    shop: ShopDir,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="T",
            help="The moment to move on to, also after the latest event (default: just after it).",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Move every customer's recorded membership on to now: by new events, or by silence."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        made = opened.refresh(as_of=as_of, progress=console.progress())
    console.document(made.as_document())
    for warning in made.warnings:
        console.warn(warning)
    for one in made.segmentations:
        _show_refreshed(console, one, made.as_document()["as_of"])


def _show_refreshed(console: Console, one: Mapping[str, Any], as_of: str) -> None:
    console.heading(
        f"{one['segmentation_id']}: {one['changed']:,} of {one['customers']:,} customers changed "
        f"from {minute(one['recorded_before'])} to {minute(as_of)}"
    )
    if not one["moves"]:
        return
    console.table(
        ["from", "to", "by", "customers"],
        [
            [move["from"] or "none", move["to"], CAUSES[move["cause"]], f"{move['customers']:,}"]
            for move in one["moves"][:_MOST_ROWS]
        ],
        right=["customers"],
    )
    if len(one["moves"]) > _MOST_ROWS:
        console.say(f"{len(one['moves']) - _MOST_ROWS:,} more kinds of moves; --json tells all.")


def customer(
    shop: ShopDir,
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The customer's id.")],
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What is known of one customer: segments since when and why, and the features behind it."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        known = opened.customer(customer_id, as_of=as_of)
    console.document(known)
    if not json:
        show_customer(console, known)


def show_customer(console: Console, known: Mapping[str, Any]) -> None:
    """One customer for people."""
    console.heading(f"Customer {known['customer_id']} as of {minute(known['as_of'])}")
    for entry in known["memberships"]:
        _show_membership(console, entry)
    if known.get("reasons"):
        console.say("Why here:")
        for reason in known["reasons"]:
            console.say(f"  - {reason['sentence']['en']}")
    console.table(
        ["feature", "value", "unit"],
        [
            [name, _number(value["value"]), value["unit"]]
            for name, value in known["features"].items()
        ],
        right=["value"],
    )


def _show_membership(console: Console, entry: Mapping[str, Any]) -> None:
    """Where, since when and why; what is next best; where the customer was before."""
    console.say(f"{entry['segmentation_id']}: {_named(entry)}")
    console.say(
        f"  since {minute(entry['since'])}, {entry['days']:.1f} days, by {CAUSES[entry['cause']]}"
        if entry["recorded"]
        else "  by what is known then; this is not recorded"
    )
    second = entry["runner_up"]
    if second is not None:
        console.say(
            f"  weight {entry['weight']:.2f}; next best {_named(second)}, {second['weight']:.2f}; "
            f"margin {entry['margin']:+.2f}"
        )
    if entry["prior"]:
        likely = ", ".join(f"{one['segment_id']} {one['chance']:.0%}" for one in entry["prior"][:3])
        console.say(f"  too little known to be placed; likely: {likely}")
    for one in entry["previous"][:_MOST_ROWS]:
        if one["ended_by"] is None:
            console.say(
                f"  recorded: {_named(one)}, since {minute(one['since'])}, {one['days']:.1f} days"
            )
            continue
        console.say(
            f"  before: {_named(one)}, {minute(one['since'])} to {minute(one['until'])}, "
            f"{one['days']:.1f} days; left by {CAUSES[one['ended_by']]}"
        )
    if len(entry["previous"]) > _MOST_ROWS:
        console.say(f"  {len(entry['previous']) - _MOST_ROWS:,} earlier ones; --json tells all")


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['segment_id']}, {one['name']['en']}"


def minute(moment: str) -> str:
    """ISO 8601 in UTC as a person reads it.

    >>> minute("2024-03-01T10:20:30.000001Z")
    '2024-03-01 10:20 UTC'
    """
    return f"{moment[:10]} {moment[11:16]} UTC"


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
