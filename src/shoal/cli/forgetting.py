"""Verbs that take persons out of the shop: forget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import InputError, UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("forget")(forget)


def forget(
    shop: ShopDir,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Customers or anonymous ids.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A text file with an id a line.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    lift: Annotated[
        bool, typer.Option("--lift", help="Let forgotten ids come back with new events.")
    ] = False,
    receipts: Annotated[bool, typer.Option("--receipts", help="List what was forgotten.")] = False,
    tombstones: Annotated[
        bool,
        typer.Option(
            "--tombstones", help="Print who was forgotten, for restore --erased; nobody is named."
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take persons out of every store of the shop, and keep old files from bringing them back."""
    from shoal import shop as shops

    console = Console(json)
    wanted = [*(ids or []), *_of_file(file)]
    with shops.open(shop) as opened:
        if tombstones:
            Console(as_json=True).document(opened.tombstones())
            return
        if receipts:
            _show_receipts(console, opened.receipts())
            return
        if not wanted:
            raise UsageError(
                "usage", "no id was given", hint="Give ids, or a file of ids with --file."
            )
        if lift:
            lifted = opened.lift(wanted)
            console.document({"schema": "shoal.forget/1", "lifted": lifted})
            console.say(f"{lifted:,} tombstones removed: new events of these ids are stored again.")
            return
        if not yes and not _confirmed(console, json, len(wanted)):
            raise UsageError(
                "usage",
                "forgetting cannot be undone and was not confirmed",
                hint="Add --yes to confirm it.",
            )
        receipt = opened.forget(wanted, progress=console.progress())
    console.document(receipt)
    for earlier in receipt["finished_before"]:
        console.say("Finished first, because it had been interrupted:")
        _show(console, earlier)
    _show(console, receipt)


def _of_file(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "input_unreadable", f"the ids cannot be read: {error}", where=str(file),
            hint="Give a UTF-8 text file with one id a line.",
        ) from error  # fmt: skip
    return [line.strip() for line in lines if line.strip()]


def _confirmed(console: Console, json: bool, count: int) -> bool:
    if json or not console.err.is_terminal:
        return False
    return typer.confirm(f"Forget {count} for good? This cannot be undone.", err=True)


def _show(console: Console, receipt: dict[str, Any]) -> None:
    removed = receipt["removed"]
    if not sum(removed.values()) and not receipt["files"]:
        console.say("Nothing was known of them. Their tombstones keep them out from now on.")
    console.table(
        ["removed from", "entries"],
        [[name.replace("_", " "), f"{count:,}"] for name, count in removed.items()],
        title=f"Receipt {receipt['number']}, {receipt['finished_at']}",
        right=["entries"],
    )
    for file in receipt["files"]:
        console.say(f"  {file['what']}: {file['file']} ({file['entries']:,})")
    if receipt["earlier_versions"] == "removed":
        console.say("Earlier versions of the event table are gone.")
    for name in receipt.get("unknown_ids", ()):
        console.warn(f"no event told of {name}: mistyped, or forgotten before")
    for file in receipt["not_reached"]:
        console.warn(f"{file['file']}: {file['why']}")
    console.say(
        "Backups and copies outside the shop are yours to clean; see docs/concepts/privacy.md."
    )


def _show_receipts(console: Console, receipts: list[dict[str, Any]]) -> None:
    console.document({"schema": "shoal.forget/1", "receipts": receipts})
    console.table(
        ["number", "finished", "asked", "ids", "events"],
        [
            [r["number"], r["finished_at"], r["asked"], r["ids"], f"{r['removed']['events']:,}"]
            for r in receipts
        ],
        right=["number", "asked", "ids", "events"],
    )
    for one in receipts:
        for file in one["not_reached"]:
            console.say(f"  receipt {one['number']} did not reach {file['file']}: {file['why']}")
