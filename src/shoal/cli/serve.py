"""Verbs of the service: serve, keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.access import ROLES, WRITE
from shoal.domain.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("serve")(serve)
    app.command("keys")(keys)


def serve(
    shop: ShopDir,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")
    ] = 8080,
    every: Annotated[
        float,
        typer.Option(
            "--every",
            metavar="SECONDS",
            min=0.05,
            max=3600.0,
            help="How long events wait at most for others to come with them.",
        ),
    ] = 1.0,
    flush_every: Annotated[
        float,
        typer.Option(
            "--flush-every",
            metavar="SECONDS",
            min=0.0,
            max=86_400.0,
            help="How long events of customers who have moved may wait to be in the event table.",
        ),
    ] = 60.0,
    adjust: Annotated[
        bool,
        typer.Option(
            "--adjust", help="Let segments adjust: look at them as often as [adjust] says."
        ),
    ] = False,
    ask_every: Annotated[
        float,
        typer.Option(
            "--ask-every",
            metavar="SECONDS",
            min=0.5,
            help="Of --adjust: how often it is asked whether a look is due.",
        ),
    ] = 3600.0,
    event_time: Annotated[
        bool,
        typer.Option(
            "--event-time",
            help="Take the latest event for now, not the clock: for a log that is sent again.",
        ),
    ] = False,
    follow: Annotated[
        list[str] | None,
        typer.Option(
            "--follow",
            metavar="[NAME=]PATH",
            help="Take calls from a file of JSON Lines that grows too, or from a directory of "
            "them; NAME is their source. May be given several times.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            metavar="N",
            min=0,
            max=64,
            help="Processes that take connections on the one port; below 2 one does everything.",
        ),
    ] = 1,
    partitions: Annotated[
        int,
        typer.Option(
            "--partitions",
            metavar="N",
            min=0,
            max=64,
            help="Processes among which customers are divided when they move; below 2 one moves "
            "them all.",
        ),
    ] = 1,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Collect events over HTTP, as Segment's clients send them, and move customers as they come.

    Runs until it is interrupted (Ctrl-C, SIGTERM); what was acknowledged is kept.
    """  # fmt: skip
    from shoal import shop as shops
    from shoal.service.server import serve as run
    from shoal.workflows.followed import followed

    files = [followed(one) for one in follow or ()]
    console = Console(json)

    def told(address: str) -> None:
        console.document({"schema": "shoal.serve/1", "shop": str(shop), "address": address})
        console.say(f"Collecting events of {shop} at {address}/v1/batch; Ctrl-C ends it.")
        if not opened.known_keys():
            console.say(f"Nobody has a key yet: shoal keys {shop} --make web")
        for source, path in files:
            console.say(f"Following {path} as {source}.")

    with shops.open(shop) as opened:
        done = run(
            opened, host=host, port=port, every_s=every, flush_s=flush_every, follow=files,
            adjust_every_s=ask_every if adjust else None, event_time=event_time,
            workers=workers, partitions=partitions, told=told,
        )  # fmt: skip
    console.say(
        f"{done.get('received', 0):,} calls received, {done['events']:,} events stored, "
        f"{done['moved']:,} memberships changed."
    )
    if done["waiting"]:
        console.warn(f"{done['waiting']:,} calls wait in the inbox; the next start goes on.")


def keys(
    shop: ShopDir,
    make: Annotated[
        str | None,
        typer.Option("--make", metavar="NAME", help="Make a key: of a source, or for a person."),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Of --make: write (default), viewer, marketer, analyst, privacy or admin.",
        ),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(
            "--days",
            metavar="N",
            help="Of --make: it expires; default: admin and privacy after 90 days, others never.",
        ),
    ] = None,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="KEY", help="Let key-0001 open nothing more.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Keys of the service: who may send events and who may ask. A new key is shown once."""
    from shoal import shop as shops

    if make is not None and revoke is not None:
        raise UsageError("usage", "--make and --revoke were both given", hint="Give one of them.")
    for name, given in (("--days", days), ("--role", role)):
        if given is not None and make is None:
            raise UsageError("usage", f"{name} is of --make", hint="Add --make NAME.")
    console = Console(json)
    with shops.open(shop) as opened:
        if make is not None:
            _made(console, opened.make_key(make, role=role or WRITE, days=days))
            return
        if revoke is not None:
            found = opened.revoke_key(revoke)
            console.document(found)
            console.say(f"{found['key_id']} opens nothing any more.")
            return
        document = opened.keys()
    console.document(document)
    if not json:
        _show(console, document)


def _made(console: Console, made: Mapping[str, Any]) -> None:
    console.document(made)
    role, owner = made["role"], made["source"]
    what = f"sends events of {owner}" if role == WRITE else f"{ROLES[role].en} ({role}, {owner})"
    until = f" It expires on {made['expires'][:10]}." if made["expires"] else ""
    console.say(f"{made['key_id']} {what}.{until} It is shown this once:")
    console.say(f"  {made['key']}")


def _show(console: Console, document: Mapping[str, Any]) -> None:
    if not document["keys"]:
        console.say("Nobody has a key yet: shoal keys SHOP --make web")
        return
    console.table(
        ["key", "role", "name", "begins", "made", "expires", "state"],
        [
            [one["key_id"], one["role"], one["source"], one["beginning"], one["made"][:10],
             (one["expires"] or "never")[:10], one["state"]]
            for one in document["keys"]
        ],
    )  # fmt: skip
