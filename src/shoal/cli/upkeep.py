"""Verbs that keep a shop usable: migrate."""

from __future__ import annotations

from typing import Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("migrate")(migrate)


def migrate(
    shop: ShopDir,
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            metavar="N",
            min=1,
            help="Go back: let the state store have an older schema version, and lose what that "
            "has no place for.",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring a shop that an older Shoal made to the form this one needs (copy it before)."""
    from shoal import shop as shops

    console = Console(json)
    document = shops.migrate(shop, to=to, progress=console.progress())
    console.document(document)
    if to is not None:
        before = document["state_store"]["from"]
        console.say(f"The state store of {shop} has schema version {to} now; it had {before}.")
        return
    steps = [
        f"{name} {step['from']} -> {step['to']}"
        for name, step in (
            ("event table", document["event_table"]),
            ("state store", document["state_store"]),
        )
        if step["from"] != step["to"]
    ]
    if not steps:
        console.say(f"{shop} has the form that this Shoal needs; nothing was to be done.")
        return
    console.say(
        f"Migrated {shop}: {', '.join(steps)}; {document['events']:,} events of "
        f"{document['customers']:,} customers."
    )
    if document["moved"]:
        console.say(f"{document['moved']:,} events of anonymous visitors lie together now.")
    console.say(
        "An older Shoal cannot open it any more: keep the copy made before until all is well."
    )
