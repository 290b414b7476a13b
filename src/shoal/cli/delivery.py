"""Verbs that hand segments over: export, exports, lift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, Segmentation, ShopDir, writable
from shoal.domain.errors import UsageError

if TYPE_CHECKING:
    from shoal.workflows.exported import Exported


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("export")(export)
    app.command("exports")(exports)
    app.command("lift")(lift)


def export(
    shop: ShopDir,
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="For example s03.")],
    format: Annotated[
        str,
        typer.Option(
            "--format", metavar="csv|parquet|klaviyo|segment|history|sql", help="What to write."
        ),
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Its ending is the format's; default: in SHOP/exports."),
    ] = None,
    segmentation: Segmentation = None,
    channel: Annotated[
        str,
        typer.Option(
            "--channel", "--consent", metavar="CHANNEL",
            help="Only who granted it, e.g. email; default: all but who refused all marketing.",
        ),
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="NAME", help="The destination; its list is recorded under the name."
        ),
    ] = "",
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="last|EXPORT|SEGMENTATION|T",
            help="Only who entered and who left since the last export to the destination, since "
            "an export (export-0001), a segmentation (kmeans-0001) or a time.",
        ),
    ] = "",
    holdout: Annotated[
        str | None,
        typer.Option(
            "--holdout", metavar="SHARE",
            help="Keep a random control group out for good, e.g. 10%, and tell who was exposed.",
        ),
    ] = None,
    holdout_name: Annotated[
        str, typer.Option("--holdout-name", metavar="NAME", help="Which control group.")
    ] = "main",
    json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Export the members of a segment to a list, or the SQL that selects them."""
    from shoal import shop as shops

    console = Console(json)
    writable(out)
    with shops.open(shop) as opened:
        written = opened.export(
            segment, format=format, out=out, segmentation=segmentation, channel=channel, to=to,
            since=since, holdout=holdout, holdout_name=holdout_name, asked_by=asked_by(),
        )  # fmt: skip
    for warning in written.warnings:
        console.warn(warning)
    console.document(written.as_document())
    if not json:
        _show(console, written)


def asked_by() -> str:
    """Who is at the terminal, as the operating system calls them."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a name for its user
        return ""


def _show(console: Console, written: Exported) -> None:
    """What became of the segment's members, in the order in which they were left out."""
    if written.entered is not None:
        console.say(
            f"{written.entered:,} customers entered and {written.exited:,} left: {written.path}"
        )
        if written.exited_path is not None:
            console.say(f"Who left: {written.exited_path}")
    elif written.format == "history":
        console.say(f"{written.rows:,} stretches of membership in {written.path}")
    else:
        console.say(f"{written.rows:,} customers in {written.path}")
    if written.without_consent:
        why = (
            f"have not granted {written.channel}" if written.channel else "refused to be written to"
        )
        console.say(f"{written.without_consent:,} more {why}: left out.")
    if written.without_address:
        console.say(f"{written.without_address:,} more have no address to write to: left out.")
    delivery = written.delivery
    if written.held_out is not None:
        group = delivery["holdout"]
        console.say(
            f"{written.held_out:,} more are held out as the control group {group['name']!r} "
            f"({group['share'] * 100:g}%)."
        )
        if delivery["exposures"]:
            console.say(
                f"{delivery['exposures']:,} exposures are told as action {delivery['action_id']}; "
                f"later: shoal lift SHOP {delivery['delivery_id']}"
            )
    if delivery:
        console.say(
            f"Recorded as {delivery['delivery_id']} to {delivery['destination']!r}; what changes "
            "from here: --since last"
        )


def exports(shop: ShopDir, json: Json = False, debug: Debug = False) -> None:
    """The recorded exports: what went where, when, asked for by whom."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.exports()
    console.document({"schema": "shoal.exports/1", "exports": found})
    if not found:
        console.say(
            "No export was recorded yet; name its destination: shoal export SHOP SEGMENT --to NAME"
        )
        return
    console.table(
        ["export", "as of", "to", "segment", "listed", "held out", "by"],
        [
            [
                one["delivery_id"],
                one["as_of"][:10],
                one["destination"],
                one["segment_id"],
                f"{one['listed']:,}",
                "" if one["held_out"] is None else f"{one['held_out']:,}",
                one["asked_by"],
            ]
            for one in found
        ],
        right=["listed", "held out"],
    )


def lift(
    shop: ShopDir,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION", help="An export with --holdout (export-0001), or its action."
        ),
    ],
    days: Annotated[
        int | None,
        typer.Option("--days", metavar="N", help="Count what happened within N days of it."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What an export made: those who were sent to against the control group."""
    from shoal import shop as shops

    if days is not None and days < 1:
        raise UsageError("usage", f"--days is {days}", hint="Allowed: a whole number above 0.")
    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.lift_of(action, days=days)
    for warning in found["warnings"]:
        console.warn(warning)
    console.document(found)
    if not json:
        _show_lift(console, found)


def _show_lift(console: Console, found: dict[str, Any]) -> None:
    money = found["currency"] or ""
    each = f"net revenue each {money}".strip()
    since, until = (found[name][:16].replace("T", " ") for name in ("since", "until"))
    console.table(
        ["", "customers", "buyers", "share buying", "orders", each],
        [
            [
                title, f"{side['customers']:,}", f"{side['buyers']:,}",
                f"{side['share_buying']:.1%}", f"{side['orders']:,}",
                f"{side['net_revenue_per_customer']:,.2f}",
            ]
            for title, side in (("exposed", found["exposed"]), ("held out", found["held_out"]))
        ],
        title=f"{found['action_id']}: {since} to {until} UTC",
        right=["customers", "buyers", "share buying", "orders", each],
    )  # fmt: skip
    share = found["share_buying_lift"]
    console.say(
        f"Share buying: {100 * share['figure']:+.1f} points (95 %: {100 * share['low']:+.1f} to "
        f"{100 * share['high']:+.1f}), {found['extra_buyers']:+,.0f} buyers."
    )
    spend = found["net_revenue_per_customer_lift"]
    if spend is not None:
        console.say(
            f"Net revenue a customer: {spend['figure']:+,.2f} (95 %: {spend['low']:+,.2f} to "
            f"{spend['high']:+,.2f}), {found['extra_net_revenue']:+,.0f} {money} in all."
        )
