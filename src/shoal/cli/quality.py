"""Verbs about the state of the data: quality, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import EXIT_DONE, EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from shoal.domain.quality import Finding, Quality

#: What `--fail-on` may name, and from which severity on the exit code is 1.
_FAIL_ON: Final = ("warning", "error", "never")


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("quality")(quality)
    app.command("noise")(noise)


def quality(
    shop: ShopDir,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="T",
            help="Only what happened since T (ISO 8601; no offset is UTC, a date is 00:00).",
        ),
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", metavar="warning|error|never", help="From when on the exit code is 1."
        ),
    ] = "error",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check the data: what is wrong or may be, since when, with an example and what to do."""
    from shoal import shop as shops
    from shoal.workflows.quality import as_document

    if fail_on not in _FAIL_ON:
        raise UsageError(
            "usage", f"--fail-on {fail_on!r} is no severity", hint=f"One of: {', '.join(_FAIL_ON)}."
        )
    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.quality(since=since, progress=console.progress())
    console.document(as_document(found))
    if not json:
        _show(console, found)
    raise typer.Exit(EXIT_FAILED if _fails(found, fail_on) else EXIT_DONE)


def _fails(found: Quality, fail_on: str) -> bool:
    from shoal.domain.quality import SEVERITIES

    if fail_on == "never":
        return False
    return SEVERITIES.index(found.verdict) >= SEVERITIES.index(fail_on)


def _show(console: Console, found: Quality) -> None:
    """For people: the sources, then every finding with what to do."""
    from shoal.domain.quality import CHECKS, SEVERITIES

    console.table(
        ["source", "events", "from", "to", "times to the"],
        [
            [one.source or "(unnamed)", f"{one.events:,}", f"{one.first:%Y-%m-%d}",
             f"{one.last:%Y-%m-%d}", one.resolution]
            for one in found.sources
        ],
        title="Sources",
        right=["events"],
    )  # fmt: skip
    for severity in reversed(SEVERITIES[1:]):
        own = [one for one in found.findings if one.severity == severity]
        if own:
            console.heading(f"{severity.upper()} ({len(own)})")
        for one in own:
            _show_finding(console, one)
    silent = [code for code in CHECKS if found.severity(code) == "ok" and code not in found.off]
    if silent:
        console.say(f"Nothing to tell of: {', '.join(silent)}.")
    if found.off:
        console.say(f"Switched off in shop.toml: {', '.join(found.off)}.")


def _show_finding(console: Console, one: Finding) -> None:
    from shoal.report.quality_texts import plainly

    said = plainly(one)
    when = f" ({said.when})" if said.when else ""
    console.say(f"  {one.check}: {said.found}{when}")
    if one.example:
        console.say(f"      example: {_shorten(one.example)}")
    console.say(f"      to do:   {said.todo}")


def noise(shop: ShopDir, json: Json = False, debug: Debug = False) -> None:
    """What was caught as robots, tests and the shop's own people, by which rule."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.noise()
    console.document(found.as_document())
    if json:
        return
    console.table(
        ["rule", "on", "events", "share", "visitors", "since", "meaning"],
        [
            [
                one.rule,
                "yes" if one.on else "no",
                f"{one.events:,}",
                f"{one.events / found.events:.2%}" if found.events else "",
                f"{one.visitors:,}",
                "" if one.since is None else f"{one.since:%Y-%m-%d}",
                one.meaning,
            ]
            for one in found.rules
        ],
        title=f"Noise among {found.events:,} events",
        right=["events", "share", "visitors"],
    )
    for one in found.rules:
        for example in one.examples:
            console.say(f"  {one.rule}: {_shorten(example)}")
    console.say(
        "Rules that are on leave their events out of features. Switch them in shop.toml: [noise] "
        "rules names those that are on."
    )


def _shorten(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
