"""Verbs that let segments adjust: adjust, adjustments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir

#: What is done, in words.
ACTIONS: Final = {
    "keep": "kept as they are", "nudge": "followed their customers", "split": "split",
    "merge": "merged", "refit": "all made anew", "retrain": "model trained on, all made anew",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("adjust")(adjust)
    app.command("adjustments")(adjustments)


def adjust(
    shop: ShopDir,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="T",
            help="The moment to look at, also after the latest event (default: just after it).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    approve: Annotated[
        str | None,
        typer.Option(
            "--approve",
            metavar="ID",
            help="Put in force what waits, e.g. look-0003, or for all what is tried on some.",
        ),
    ] = None,
    decline: Annotated[
        str | None,
        typer.Option("--decline", metavar="ID", help="Drop what waits, or what is tried on some."),
    ] = None,
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Do nothing before the cadence asks for a look.")
    ] = False,
    no_retrain: Annotated[
        bool, typer.Option("--no-retrain", help="Leave the behaviour model as it is.")
    ] = False,
    ask: Annotated[
        bool,
        typer.Option(
            "--ask",
            help="Before the shop is written to, print `ready` and wait for a line on standard "
            "input: for a program that holds the shop.",
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for drift, and let the segments adjust where that pays and the gates allow it."""
    from shoal import shop as shops
    from shoal.cli.delivery import asked_by

    console = Console(json)
    with shops.open(shop) as opened:
        made = opened.adjust(
            as_of=as_of, dry_run=dry_run, approve=approve, decline=decline, by=asked_by(),
            if_due=if_due, retrain=not no_retrain, granted=_asked if ask else None,
            progress=console.progress(),
        )  # fmt: skip
    for warning in made.warnings:
        console.warn(warning)
    console.document(made.as_document())
    if not json:
        show_look(console, made.as_document())


def _asked() -> None:
    """Wait for the word of whoever holds the shop; where nobody is there any more, it is free."""
    print("ready", flush=True)
    sys.stdin.readline()


def show_look(console: Console, found: Mapping[str, Any]) -> None:
    """Print the document `shoal.adjust/1`: what was noticed, done and why."""
    for note in found["notes"]:
        console.say(note["en"])
    if found["kind"] != "look":
        _show_word(console, found)
        return
    if not found["looked"]:
        return
    console.heading(
        f"{found['segmentation_id']} as of {found['as_of'][:16].replace('T', ' ')}: "
        f"{found['customers']:,} customers, {_counted(len(found['alarms']), 'alarm')}"
    )
    if found["alarms"]:
        console.table(
            ["about", "what", "size", "since", "customers", "p", "harmful"],
            [_alarm_row(one) for one in found["alarms"]],
            right=["size", "customers", "p"],
        )
    if found["blocked"]:
        console.say(f"Broken, so nothing is learned: {', '.join(found['blocked'])}.")
    console.table(
        ["segments", "which", "gain", "moves", "why"],
        [_done_row(one) for one in found["adjustments"]],
        right=["gain", "moves"],
    )
    for one in found["gates"]:
        if not one["passed"]:
            console.say(f"Gate {one['code']}: {one['en']}")
    for one in found["changes"]:
        console.say(one["sentence"]["en"])
    _show_end(console, found)


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _show_end(console: Console, found: Mapping[str, Any]) -> None:
    _show_canary(console, found)
    if found["dropped"]:
        console.say("The gates let nothing through; the segments in force stay.")
    if found["published"] is not None:
        console.say(
            f"{found['published']} is in force; {found['moved']:.1%} of customers are in another "
            f"segment for it. Back again: shoal rollback SHOP {found['segmentation_id']}"
        )
    elif found["dry_run"] and found["changed"]:
        console.say(f"Nothing was written; it would move {found['moved']:.1%} of customers.")
    waiting = found["waiting"]
    if waiting is not None:
        asked = ", ".join(ACTIONS.get(one, one) for one in waiting["actions"])
        console.say(
            f"Waits for your word ({', '.join(waiting['reasons'])}): segments {asked}, "
            f"{waiting['moved']:.1%} of customers would move."
        )
        if waiting["adjust_id"] is not None:
            console.say(
                f"Put it in force: shoal adjust SHOP --approve {waiting['adjust_id']}   "
                f"Drop it: shoal adjust SHOP --decline {waiting['adjust_id']}"
            )
    console.say(f"Next look: {found['next_look'][:10]}")


def _show_canary(console: Console, found: Mapping[str, Any]) -> None:
    """What is tried on some customers, and what becomes of it."""
    told = found["canary"]
    if told is None:
        return
    name, outcome = told["segmentation_id"], told["outcome"]
    if outcome == "begun":
        console.say(
            f"{name} is in force for {told['customers']:,} customers ({told['share']:.0%}) until "
            f"{told['until'][:10]}, {told['moved']:,} of them in another segment for it; for the "
            f"others {told['base_id']} stays."
        )
    elif outcome in ("promoted", "dropped"):
        end = "is in force for all" if outcome == "promoted" else "is dropped"
        console.say(f"{name}, tried on {told['share']:.0%}, {end}. {told['words']['en']}")
    else:
        console.say(
            f"{name} is tried on {told['share']:.0%} until {told['until'][:10]}. "
            f"{told['words']['en']}"
        )
    for one in told.get("gates", ()):
        if not one["passed"]:
            console.say(f"Gate {one['code']}: {one['en']}")
    if outcome not in ("promoted", "dropped") and told["adjust_id"]:
        console.say(
            f"For all at once: shoal adjust SHOP --approve {told['adjust_id']}   "
            f"Stop it: shoal adjust SHOP --decline {told['adjust_id']}"
        )


def _show_word(console: Console, found: Mapping[str, Any]) -> None:
    by = found["by"] or "somebody"
    if found["canary"] is not None and found["published"] is None:
        word = "approved" if found["kind"] == "approval" else "declined"
        console.say(f"{found['of']} was {word} by {by}.")
        _show_canary(console, found)
        return
    if found["published"] is None:
        console.say(f"{found['of']} was declined by {by}; {found['segmentation_id']} stays.")
        return
    for one in found["changes"]:
        console.say(one["sentence"]["en"])
    console.say(
        f"{found['of']} was approved by {by}: {found['published']} is in force; "
        f"{found['moved']:.1%} of customers are in another segment for it."
    )


def _alarm_row(one: Mapping[str, Any]) -> list[str]:
    harmful = {True: "yes", False: "no"}.get(one["harmful"], "")
    return [
        one["subject"], one["what"], f"{one['size']:.2g} {one['unit']}", one["since"][:10],
        f"{one['customers']:,}", f"{one['p_value']:.1g}", harmful,
    ]  # fmt: skip


def _done_row(one: Mapping[str, Any]) -> list[str]:
    keeps = one["action"] == "keep"
    return [
        ACTIONS.get(one["action"], one["action"]),
        ", ".join(one["segments"]),
        "" if keeps else f"{one['gain']:.1%}",
        "" if keeps else f"{one['moved']:.1%}",
        one["words"]["en"],
    ]


def adjustments(shop: ShopDir, json: Json = False, debug: Debug = False) -> None:
    """Every look at the segments: what was noticed, what was done and why, and who approved it."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.adjustments()
    console.document(found)
    if json:
        return
    if not found["looks"]:
        console.say("Nobody looked yet. Do it with: shoal adjust SHOP")
        return
    console.table(
        ["look", "as of", "alarms", "done", "why", "made", "word"],
        [_look_row(one) for one in found["looks"]],
        right=["alarms"],
    )


def _tried(one: Mapping[str, Any]) -> str:
    """How what was tried on some customers ended."""
    name, ended = one["segmentation_id"], one["ended"]
    if ended is None:
        return f"{name} tried on {one['share']:.0%}"
    by = f" by {ended['by']}" if ended["by"] else ""
    return f"{name} {ended['outcome']}{by}"


def _look_row(one: Mapping[str, Any]) -> list[str]:
    if not one.get("readable", True):
        return [one["adjust_id"], "", "", "cannot be read", "", "", ""]
    done = [" ".join([each["action"], *each["segments"]]) for each in one["adjustments"]]
    made = [name for name in (one["published"], one["approved_as"]) if name]
    return [
        one["adjust_id"], one["as_of"][:10], str(len(one["alarms"])), "; ".join(done),
        ", ".join(dict.fromkeys(each["reason"] for each in one["adjustments"])),
        ", ".join(made), _word(one),
    ]  # fmt: skip


def _word(one: Mapping[str, Any]) -> str:
    if one["waits"]:
        return "waits"
    tried = one["canary"] or {}
    if "ended" in tried and tried["adjust_id"] == one["adjust_id"]:
        return _tried(tried)
    if one["approved_by"] is not None:
        return f"approved by {one['approved_by']}"
    if one["declined_by"] is not None:
        return f"declined by {one['declined_by']}"
    return "dropped by the gates" if one["dropped"] else ""
