"""Verbs about persons: identity, consent, person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, ShopDir, writable
from shoal.domain.errors import UsageError

RawId = Annotated[str, typer.Argument(metavar="ID", help="A customer or an anonymous id.")]

#: Statements and names that a terminal shows of a device of thousands.
_MOST_ROWS: Final = 50
_FEW: Final = 5


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("identity")(identity)
    app.command("consent")(consent)
    app.command("person")(person)


def identity(
    shop: ShopDir,
    raw_id: RawId,
    as_of: AsOf = None,
    unmerge: Annotated[
        str | None,
        typer.Option("--unmerge", metavar="OTHER", help="Undo that OTHER is this person."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How a person came together: every id, how and since when it was joined; or undo a join."""
    from shoal import shop as shops

    console = Console(json)
    if unmerge and not yes:
        question = f"Undo that {unmerge} is the person of {raw_id}?"
        if json or not console.err.is_terminal or not typer.confirm(question, err=True):
            raise UsageError(
                "usage", "the un-merging was not confirmed", hint="Add --yes to confirm it."
            )
    with shops.open(shop) as opened:
        if unmerge:
            found = opened.unmerge(raw_id, unmerge)
        else:
            found = opened.identity(raw_id, as_of=as_of)
    console.document(found)
    if unmerge:
        console.say(f"{unmerge} is no longer the person of {raw_id}; history was put back.")
    _show(console, found)


def _show(console: Console, found: dict[str, Any]) -> None:
    console.heading(f"{found['customer_id']}, as of {found['as_of']}")
    rows = [
        [one["id"], one["role"], span["from"] or "ever", span["to"] or "open",
         f"{one['events']:,}", ", ".join(one["devices"]), _few(one["shared_with"])]
        for one in found["ids"]
        for span in one["spans"] or [{"from": None, "to": None}]
    ]  # fmt: skip
    console.table(
        ["id", "is", "from", "to", "events", "devices", "also of"], rows, right=["events"]
    )
    for one in found["refused"]:
        console.say(
            f"{one['id']} has {one['customers']:,} customers, too many to belong to anybody "
            "([identity] shared_by)."
        )
    told = found["told"]
    if told:
        console.table(
            ["time", "told", "by"],
            [
                [row["time"], _words(row), f"{row['kind']} {row['event_id']} of {row['source']}"]
                for row in told[:_MOST_ROWS]
            ],
            title="What events told",
        )
    if len(told) > _MOST_ROWS:
        console.say(f"{len(told) - _MOST_ROWS:,} more statements; --json tells them all.")
    if found["traits"]:
        console.table(
            ["trait", "value", "since", "source"],
            [[one["trait"], one["value"], one["since"], one["source"]] for one in found["traits"]],
            title="Traits",
        )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_FEW])
    return shown if len(names) <= _FEW else f"{shown} and {len(names) - _FEW:,} more"


def _words(row: dict[str, Any]) -> str:
    says = {"link": "is", "alias": "always was", "cut": "is no longer"}[row["says"]]
    return f"{row['id']} {says} {row['customer_id']}"


def consent(
    shop: ShopDir,
    channel: Annotated[str | None, typer.Option("--channel", help="Only this one.")] = None,
    as_of: AsOf = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write them as .csv or .parquet.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What customers allow on each channel, since when."""
    from collections import Counter

    from shoal import shop as shops

    console = Console(json)
    writable(out)
    with shops.open(shop) as opened:
        found = (
            opened.consents(channel=channel, as_of=as_of)
            if out is None
            else opened.write_consents(out, channel=channel, as_of=as_of)
        )
    counted = Counter(zip(found["channel"].to_pylist(), found["granted"].to_pylist(), strict=True))
    channels = sorted({name for name, _ in counted})
    console.document(
        {
            "schema": "shoal.consent/1",
            "channels": {
                name: {"granted": counted[name, True], "denied": counted[name, False]}
                for name in channels
            },
            "path": None if out is None else str(out),
        }
    )
    console.table(
        ["channel", "granted", "denied"],
        [[n, f"{counted[n, True]:,}", f"{counted[n, False]:,}"] for n in channels],
        right=["granted", "denied"],
    )
    if out is not None:
        console.say(f"{found.num_rows:,} consents in {out}")


def person(
    shop: ShopDir,
    raw_id: RawId,
    out: Annotated[Path | None, typer.Option("--out", help="Write it as a JSON file.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """All that is known of a person, as one JSON document."""
    from shoal import shop as shops

    console = Console(json)
    writable(out)
    with shops.open(shop) as opened:
        if out is not None:
            opened.write_person(raw_id, out)
            console.document({"schema": "shoal.person/1", "path": str(out)})
            console.say(f"What is known of {raw_id} is in {out}")
            return
        found = opened.person(raw_id)
    console.document(found)
    if not json:
        from shoal.workflows.person import as_text

        typer.echo(as_text(found), nl=False)
