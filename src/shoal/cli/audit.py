"""Verbs of the audit log: audit."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("audit")(audit)


def audit(
    shop: ShopDir,
    verify: Annotated[
        bool, typer.Option("--verify", help="Walk the whole chain: is all as it was written?")
    ] = False,
    expect: Annotated[
        str,
        typer.Option(
            "--expect", metavar="NUMBER:DIGEST", help="Of --verify: a head told by it before."
        ),
    ] = "",
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Entries from this moment on.")
    ] = None,
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="What key-0001 did.")] = "",
    customer: Annotated[
        str, typer.Option("--customer", metavar="ID", help="Calls whose address named this id.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="The newest N; 0: all.")
    ] = 100,
    cut: Annotated[
        bool,
        typer.Option("--cut", help="Take out what is older than [service] audit_days."),
    ] = False,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", help="Of --cut: another age.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Who asked the service for what, who changed keys, who forgot persons; and does it hold."""
    from shoal import shop as shops

    if expect and not verify:
        raise UsageError("usage", "--expect is of --verify", hint="Add --verify.")
    if days is not None and not cut:
        raise UsageError("usage", "--days is of --cut", hint="Add --cut.")
    if cut and verify:
        raise UsageError("usage", "--cut and --verify are two things", hint="Give one of them.")
    console = Console(json)
    with shops.open(shop) as opened:
        if verify:
            _verified(console, opened.verify_audit(expect))
            return
        if cut:
            _removed(console, opened.cut_audit(days))
            return
        document = opened.audit(since=since, key_id=key, customer=customer, newest=limit)
    console.document(document)
    if not json:
        _show(console, document)


def _verified(console: Console, found: dict[str, Any]) -> None:
    console.document(found)
    console.say(f"All {found['entries']:,} entries are as they were written.")
    if "removed" in found:
        gone = found["removed"]
        console.say(f"Those up to {gone['upto']:,} were taken out for their age on {gone['at']}.")
    if found["head"] is not None:
        head = f"{found['head']['number']}:{found['head']['digest']}"
        console.say(f"Head, to be written down elsewhere: {head}")


def _removed(console: Console, found: dict[str, Any]) -> None:
    console.document(found)
    if found["removed"]:
        console.say(f"{found['removed']:,} entries before {found['before']} were taken out.")
    else:
        console.say("No entry was old enough to be taken out.")


def _show(console: Console, document: dict[str, Any]) -> None:
    if not document["entries"]:
        console.say("No entries.")
        return
    ended = {one.get("facts", {}).get("began") for one in document["entries"]}
    console.table(
        ["number", "when", "who", "what", "about", "outcome"],
        [
            [one["number"], one["at"][:19].replace("T", " "), _who(one["who"]), _what(one),
             ", ".join(f"{name} {value}" for name, value in one.get("about", {}).items()),
             _outcome(one)]
            for one in document["entries"]
            if one["number"] not in ended
        ],
        right=["number"],
    )  # fmt: skip


def _who(who: dict[str, str]) -> str:
    if who["via"] != "api":
        return f"{who.get('owner', '')} on the machine".strip()
    if "key_id" in who:
        return f"{who['key_id']} {who['role']} {who['owner']}"
    return f"nobody known, {who.get('address') or who.get('owner', 'no address')}"


def _what(one: dict[str, Any]) -> str:
    told = {name: value for name, value in one.get("facts", {}).items() if name != "began"}
    facts = ", ".join(f"{name} {value}" for name, value in told.items())
    return " ".join(part for part in (one["action"], one.get("path", ""), facts) if part)


def _outcome(one: dict[str, Any]) -> str:
    times = f" x{one['times']}" if "times" in one else ""
    return f"{one['outcome']} {one.get('status', '')}".strip() + times
