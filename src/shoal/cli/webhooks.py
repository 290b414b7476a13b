"""The verb of webhooks: who is told of changes of membership."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import EXIT_FAILED, UsageError
from shoal.domain.webhook import SHAPES, STANDARD


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("webhooks")(webhooks)


def webhooks(
    shop: ShopDir,
    add: Annotated[
        str | None, typer.Option("--add", metavar="URL", help="Tell a receiver of changes.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", metavar="SHAPE", help=f"Of --add: {' or '.join(SHAPES)}."),
    ] = None,
    segments: Annotated[
        str | None,
        typer.Option("--segments", metavar="A,B", help="Of --add: only into or out of these."),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option("--channel", metavar="NAME", help="Of --add: only customers who granted it."),
    ] = None,
    since_seq: Annotated[
        int | None,
        typer.Option(
            "--since-seq",
            metavar="N",
            min=0,
            help="Of --add: from this position of the log on; default: what happens from now on.",
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="ID", help="Tell wh-0001 nothing more.")
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", metavar="ID", help="Send a message that names nobody.")
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option("--retry", metavar="ID", help="Let the service send at once what failed."),
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="List what was given up.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Webhooks: receivers that are told who changed segment. A new one's secret is shown once.

    The service (shoal serve) sends to them; SHOAL_WEBHOOK_KEY in its environment signs.
    """
    from shoal import shop as shops

    settings = {"shape": shape, "segments": segments, "channel": channel, "since_seq": since_seq}
    _check(settings, {"--add": add, "--remove": remove, "--test": test, "--retry": retry,
                      "--dead": dead or None})  # fmt: skip
    console = Console(json)
    with shops.open(shop) as opened:
        if add is not None:
            named = [one for one in (segments or "").split(",") if one]
            made = opened.add_webhook(
                add, shape=shape or STANDARD, segments=named, channel=channel or "",
                since_seq=since_seq,
            )  # fmt: skip
            _made(console, made)
        elif remove is not None:
            console.document(opened.remove_webhook(remove))
            console.say(f"{remove} is told nothing more.")
        elif test is not None:
            _tested(console, opened.test_webhook(test))
        elif retry is not None:
            console.document(opened.retry_webhook(retry))
            console.say(f"{retry} is on; a service that runs sends what failed within seconds.")
        elif dead:
            _dead(console, [opened.webhook(one["webhook_id"])
                            for one in opened.webhooks()["webhooks"]])  # fmt: skip
        else:
            _listed(console, opened.webhooks())


def _check(settings: Mapping[str, object], verbs: Mapping[str, object]) -> None:
    """Refuse what has no meaning together.

    Raises:
        UsageError: `usage`.
    """
    given = [name for name, value in verbs.items() if value is not None]
    if len(given) > 1:
        raise UsageError("usage", f"{' and '.join(given)} were given", hint="Give one of them.")
    if given != ["--add"]:
        for name, value in settings.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise UsageError("usage", f"{option} is of --add", hint="Add --add URL.")


def _made(console: Console, made: Mapping[str, Any]) -> None:
    console.document(made)
    console.say(f"{made['webhook_id']} tells {made['url']} of what happens from now on while the")
    console.say("service runs. Its receiver checks signatures with this, which is shown this once:")
    console.say(f"  {made['secret']}")


def _tested(console: Console, told: Mapping[str, Any]) -> None:
    console.document(told)
    if told["delivered"]:
        console.say(f"{told['url']} answered {told['status']}.")
        return
    console.warn(f"{told['url']} took no message: {told['failure']}")
    raise typer.Exit(EXIT_FAILED)


def _listed(console: Console, document: Mapping[str, Any]) -> None:
    console.document(document)
    if not document["webhooks"]:
        console.say("There is no webhook yet: shoal webhooks SHOP --add https://...")
        return
    console.table(
        ["webhook", "address", "segments", "state", "behind", "given up"],
        [
            [one["webhook_id"], one["url"], ", ".join(one["segments"]) or "all", one["state"],
             f"{one['behind']:,}", one["dead_letters"]]
            for one in document["webhooks"]
        ],
        right=["behind", "given up"],
    )  # fmt: skip
    for one in document["webhooks"]:
        console.say(f"{one['webhook_id']}: {_story(one)}")


def _story(one: Mapping[str, Any]) -> str:
    """What became of what was to be told to a webhook."""
    told = [f"{one['changes']:,} changes told in {one['messages']:,} messages"]
    if one["left_out"]:
        told.append(f"{one['left_out']:,} left out for want of consent")
    if one["reason"] or one["failure"]:
        told.append(one["reason"] or one["failure"])
    if one["due"]:
        told.append(f"next try {one['due'][:16]}")
    return "; ".join(told) + "."


def _dead(console: Console, told: list[dict[str, Any]]) -> None:
    letters = [one for webhook in told for one in webhook["dead_letters"]]
    console.document({"schema": "shoal.dead-letters/1", "dead_letters": letters})
    if not letters:
        console.say("Nothing was given up.")
        return
    console.table(
        ["number", "webhook", "from", "to", "tries", "given up", "why"],
        [
            [one["number"], one["webhook_id"], one["after_seq"] + 1, one["until_seq"],
             one["tries"], one["died"][:16], one["reason"]]
            for one in letters
        ],
    )  # fmt: skip
    console.say("Send them again: shoal webhooks SHOP --retry ID")
