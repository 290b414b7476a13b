"""Verbs of the nightly job: sync, syncs, movement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.data import MappingFile, Preset, asked
from shoal.cli.delivery import asked_by
from shoal.cli.membership import minute
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import EXIT_WAITING, UsageError

if TYPE_CHECKING:
    from shoal.workflows.sync import Synced

Lang = Annotated[str, typer.Option("--lang", metavar="en|zh")]

#: Runs that a terminal shows.
_MOST_ROWS = 20


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("sync")(sync)
    app.command("syncs")(syncs)
    app.command("movement")(movement)


def sync(
    shop: ShopDir,
    source: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, folders, globs.")
    ],
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="DIR", help="Write who entered and left each segment there."
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="csv|parquet|klaviyo|segment", help="Of the lists.")
    ] = "csv",
    channel: Annotated[
        str, typer.Option("--channel", metavar="CHANNEL", help="List only who granted it.")
    ] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="NAME", help="The destination of the lists.")
    ] = "nightly",
    preset: Preset = None,
    mapping: MappingFile = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take a guessed mapping.")] = False,
    no_adjust: Annotated[
        bool, typer.Option("--no-adjust", help="Leave the segments as they are.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="T",
            help="The moment to move on to, also after the latest event (default: just after it).",
        ),
    ] = None,
    lang: Lang = "en",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The nightly job: ingest what is new, move on, adjust within gates, write lists and a report.

    Exit code 4: done, and a change of the segments waits for a person's approval.
    """
    from shoal import shop as shops
    from shoal.report.texts import Texts

    if preset and mapping:
        raise UsageError(
            "usage",
            "--preset and --mapping were both given",
            hint="Give one: a preset names a known layout, a mapping file describes your own.",
        )
    Texts(lang)  # an unknown language is told before the work
    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.sync(
            source, export=export, format=format, channel=channel, to=to, preset=preset,
            mapping=mapping, confirm=asked(console, yes, json), adjust=not no_adjust, as_of=as_of,
            asked_by=asked_by(), progress=console.progress(),
        )  # fmt: skip
    for warning in found.warnings:
        console.warn(warning)
    console.document(found.as_document())
    if not json:
        _show(console, found, lang)
    if found.waiting:
        raise typer.Exit(EXIT_WAITING)


def _show(console: Console, found: Synced, lang: str) -> None:
    from shoal.workflows.table_retention import words

    document = found.as_document()
    console.heading(f"{document['run'] or 'sync'}: {document['headline']}")
    for one in document["steps"].get("lists", {}).get("lists") or ():
        console.say(
            f"  {one['segment_id']}: {one['entered']:,} entered, {one['exited']:,} left: "
            f"{one['path']}"
        )
    if found.movement is not None:
        console.say(found.movement.text(lang))
    if found.trimmed is not None and (told := words(found.trimmed)):
        console.say(f"{told}.")
    if found.waiting:
        console.say("A change of the segments waits for your word: shoal adjustments SHOP")


def syncs(shop: ShopDir, json: Json = False, debug: Debug = False) -> None:
    """The runs of the nightly job: when, what came in, what was done, how the last one ended."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.syncs()
    console.document(found)
    if not json:
        _show_runs(console, found)


def _show_runs(console: Console, found: Mapping[str, Any]) -> None:
    runs = found["runs"]
    if runs:
        console.table(
            ["run", "finished", "as of", "events", "moved", "adjusted", "lists", "waits"],
            [_run_row(one) for one in runs[-_MOST_ROWS:]],
            right=["events", "moved", "lists"],
        )
    else:
        console.say("No run has finished yet. Begin with: shoal sync SHOP SOURCE")
    if len(runs) > _MOST_ROWS:
        console.say(f"{len(runs) - _MOST_ROWS:,} earlier runs; --json tells all.")
    if found["checked"]:
        one = found["checked"]
        console.say(f"Last looked at {minute(one['at'])}: nothing new since {one['run']}.")
    if found["failed"]:
        one = found["failed"]
        console.say(f"Last failed at {minute(one['at'])} ({one['step']}): {one['message']}")
    if found["under_way"]:
        one = found["under_way"]
        done = ", ".join(one["done"]) or "nothing"
        console.say(
            f"{one['run']} was begun at {minute(one['began'])} and is not finished (done: {done}); "
            "the next sync goes on with it."
        )


def _run_row(one: Mapping[str, Any]) -> list[str]:
    steps = one["steps"]
    actions = [name for name in steps["adjust"].get("actions") or () if name != "keep"]
    lists = steps["lists"].get("lists")
    return [
        one["run"], minute(one["finished"]), (one["as_of"] or "")[:10],
        f"{steps['ingest']['events']:,}", f"{steps['memberships']['changed']:,}",
        ", ".join(actions), "" if lists is None else f"{len(lists):,}",
        "approval" if one["waiting"] else "",
    ]  # fmt: skip


def movement(
    shop: ShopDir,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="T", help="From when on (default: seven days before the end)."
        ),
    ] = None,
    lang: Lang = "en",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What changed of late and why: who moved, what hangs on it, what was noticed and done."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.movement_report(since=since)
    text = found.text(lang)
    console.document(found.as_document())
    console.say(text)
