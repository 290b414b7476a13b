"""Verbs that keep a shop: backup, restore, verify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, Namespace, ShopDir, Store, stored
from shoal.domain.errors import EXIT_DONE, EXIT_FAILED, UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("verify")(verify)


def backup(
    shop: ShopDir,
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="A folder; the backup is a new one below it.")
    ],
    copy: Annotated[
        bool, typer.Option("--copy", help="Link no file: the backup shares no byte with the shop.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy the shop, consistent, while a service or a nightly job writes to it."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        document = opened.backup(destination, link=not copy, progress=console.progress())
    console.document(document)
    marks = document["marks"]
    console.say(f"Backed up to {document['backup']}")
    console.say(
        f"  {marks['events']:,} events (version {marks['table_version']} of the event table), "
        f"{marks.get('inbox_waiting', 0):,} calls that wait, {len(document['files']):,} files."
    )


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="A folder of shoal backup.")],
    shop: Annotated[Path, typer.Argument(metavar="SHOP", help="A directory that is new or empty.")],
    erased: Annotated[
        Path | None,
        typer.Option(
            "--erased",
            metavar="FILE|SHOP|BACKUP",
            help="Who was forgotten since: of shoal forget SHOP --tombstones, the shop as it was "
            "last, or a later backup.",
        ),
    ] = None,
    store: Store = None,
    namespace: Namespace = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a shop of a backup; who was forgotten since stays forgotten with --erased."""
    from shoal import shop as shops

    console = Console(json)
    document = shops.restore(
        source, shop, erased=erased, store=stored(store, namespace), progress=console.progress()
    )
    console.document(document)
    console.say(
        f"Restored {shop} as it was at {document['made_at']}: "
        f"{document['marks']['events']:,} events."
    )
    _tell_erased(console, document, shop)
    if document["keys"]:
        console.warn(
            f"{document['keys']} keys are valid, also those that were revoked after the backup: "
            f"shoal keys {shop}"
        )
    if document["older"]:
        console.warn(f"An older Shoal made it. Bring it up to date: shoal migrate {shop}")


def verify(
    source: Annotated[
        Path, typer.Argument(metavar="SHOP|BACKUP", help="A shop's directory, or a backup.")
    ],
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every row and file, and compare states with the events."),
    ] = False,
    customers: Annotated[
        str,
        typer.Option("--customers", metavar="N|all", help="Of --deep: how many customers' states."),
    ] = "200",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Whether a shop or a backup is whole and agrees with itself; exit code 1 if it is not."""
    from shoal import shop as shops

    console = Console(json)
    document = shops.verify(
        source, deep=deep, customers=_count(customers), progress=console.progress()
    )
    console.document(document)
    console.table(
        ["looked at", "", "findings", ""],
        [
            [one["check"], one["status"], one["findings"] or "", one["said"]]
            for one in document["checks"]
        ],
        right=["findings"],
    )
    for one in document["findings"]:
        console.say(f"{one['check']}: {one['message']}")
        console.say(f"  where: {one['where']}")
        console.say(f"  {one['hint']}")
    if document["ok"]:
        console.say(f"{source} is whole." if deep else f"{source} is whole, as far as this looked.")
    raise typer.Exit(EXIT_DONE if document["ok"] else EXIT_FAILED)


def _tell_erased(console: Console, document: Mapping[str, Any], shop: Path) -> None:
    told = document["erased"]
    if told is None:
        console.warn(
            f"nobody said who was forgotten after {document['made_at']}: whoever was is in this "
            "shop again. Restore once more with --erased (shoal forget SHOP --tombstones, the "
            "shop as it was last, or a later backup), or forget them again: "
            f"shoal forget {shop} ID..."
        )
        return
    receipt = told["receipt"]
    gone = 0 if receipt is None else receipt["removed"]["events"]
    console.say(
        f"{told['new']:,} of {told['tombstones']:,} tombstones (of {told['made_at']}) were new to "
        f"it; {gone:,} events of forgotten persons were taken out."
    )


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise UsageError(
        "usage", f"--customers {text} is no number of customers", where="--customers",
        hint="Give a number from 1, or all.",
    )  # fmt: skip
