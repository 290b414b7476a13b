"""The verb that steps through the log: replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import UsageError

if TYPE_CHECKING:
    from shoal.workflows.replay_files import Replayed


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("replay")(replay)


def replay(
    shop: ShopDir,
    from_: Annotated[
        str, typer.Option("--from", metavar="T", help="The first cut (ISO 8601; a date is 00:00).")
    ],
    to: Annotated[str, typer.Option("--to", metavar="T", help="No cut is later than this.")],
    every: Annotated[
        str, typer.Option("--every", metavar="SPAN", help="From cut to cut: 7d, 2w, 12h.")
    ] = "7d",
    method: Annotated[
        str, typer.Option("--method", metavar="M", help="One that shoal segment knows.")
    ] = "kmeans",
    k: Annotated[
        int | None, typer.Option("--k", metavar="K", help="Number of segments; default: chosen.")
    ] = None,
    refit: Annotated[
        str | None,
        typer.Option(
            "--refit",
            metavar="each|first|SPAN",
            help="Learn at each cut (default), at the first alone, or where so long has passed "
            "(28d).",
        ),
    ] = None,
    adjust: Annotated[
        bool,
        typer.Option(
            "--adjust",
            help="Learn at the first cut, then let segments adjust as the nightly job would have.",
        ),
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", metavar="S")] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            metavar="M",
            help="Between learnings, change only to a segment that weighs more by more than M.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="embedding|features|both",
            help="What segments are made on (default: features).",
        ),
    ] = None,
    aim: Annotated[
        str | None,
        typer.Option(
            "--aim",
            metavar="balance|foretell|style|outlook",
            help="What segments are for, as in shoal segment.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write who belonged where: a .parquet file, or a folder, where finished cuts are "
            "kept if it is run again.",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Step through the log and segment at each cut with only what was known then."""
    from shoal import shop as shops

    if k is not None and k < 2:
        raise UsageError("usage", f"--k is {k}", hint="Allowed: a whole number of at least 2.")
    console = Console(json)
    with shops.open(shop) as opened:
        made = opened.write_replay(
            out, from_, to, every=every, method=method, k=k, refit=refit, seed=seed,
            margin=margin, on=on, aim=aim, adjust=adjust, progress=console.progress(),
        )  # fmt: skip
    console.document(made.as_document())
    _show(console, made)


def _show(console: Console, made: Replayed) -> None:
    """A line a cut for people; warnings and skipped cuts for both."""
    for row in made.rows:
        for warning in row["warnings"]:
            console.warn(f"{row['as_of']}: {warning}")
        if row["skipped"]:
            console.warn(f"{row['as_of']}: no segments: {row['skipped']}", as_of=row["as_of"])
    console.table(
        ["cut", "segments of", "k", "customers", "too little known", "new events", "changed", ""],
        [_line(row) for row in made.rows],
        right=["k", "customers", "too little known", "new events", "changed"],
    )
    _show_adjusted(console, made)
    if made.kept:
        console.say(f"{made.kept} cuts were finished before and are kept.")
    if made.out is not None:
        console.say(f"Memberships of {_made(made)} cuts in {made.out}")


def _show_adjusted(console: Console, made: Replayed) -> None:
    """A line for every cut at which something was noticed or done."""
    rows = [(row["as_of"], row["adjusted"]) for row in made.rows if row.get("adjusted")]
    if not rows:
        return
    lines = [_adjusted_line(as_of, one) for as_of, one in rows if _worth_telling(one)]
    if lines:
        console.table(["cut", "noticed", "done", "moved"], lines, right=["moved"])
    quiet = len(rows) - len(lines)
    console.say(f"Looked for change at {len(rows)} cuts; at {quiet} there was nothing to tell.")


def _worth_telling(one: dict[str, Any]) -> bool:
    return bool(one["alarms"] or one["blocked"] or one["changed"] or one["asked"])


def _adjusted_line(as_of: str, one: dict[str, Any]) -> list[str]:
    noticed = [f"{alarm['subject']}: {alarm['what']}" for alarm in one["alarms"]]
    noticed += [f"broken: {what}" for what in one["blocked"]]
    done = [
        " ".join([told["action"], *told["segments"]])
        for told in one["adjustments"]
        if told["action"] != "keep"
    ]
    if one["asked"]:
        done.append("waits for a person")
    elif not one["changed"]:
        done = ["kept"]
    return [_moment(as_of), "; ".join(noticed[:3]), "; ".join(done), f"{one['moved']:.1%}"]


def _made(made: Replayed) -> int:
    return sum(not row["skipped"] for row in made.rows)


def _line(row: dict[str, Any]) -> list[str]:
    if row["skipped"]:
        return [_moment(row["as_of"]), "", "", "", "", "", "", "skipped"]
    learned = "this cut" if row["learned"] else _moment(row["trained_until"])
    moved = sum(row["changed"].values())
    counts = (row["k"], row["customers"], row["segments"].get("new", 0), row["events"], moved)
    kept = "kept" if row.get("kept") else ""
    return [_moment(row["as_of"]), learned, *(f"{count:,}" for count in counts), kept]


def _moment(text: str) -> str:
    return text.replace("T00:00:00Z", "").replace("T", " ")
