"""Verbs that bring data in: init, simulate, ingest, quarantine, compact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, Namespace, ShopDir, Store, stored
from shoal.domain.errors import UsageError

Preset = Annotated[str | None, typer.Option("--preset", metavar="NAME", help="A known layout.")]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", metavar="MAP.toml", help="A mapping file.")
]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("init")(init)
    app.command("simulate")(simulate)
    app.command("ingest")(ingest)
    app.command("quarantine")(quarantine)
    app.command("compact")(compact)


def init(
    shop: ShopDir,
    recipe: Annotated[str, typer.Option("--recipe", help="Where the settings start.")] = "laptop",
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="IANA name; fixed afterwards.")
    ] = "UTC",
    currency: Annotated[str, typer.Option("--currency", help="ISO 4217 code.")] = "",
    value_event: Annotated[
        str, typer.Option("--value-event", help="The kind that counts as buying.")
    ] = "",
    buckets: Annotated[int, typer.Option("--buckets", help="Partitions; fixed afterwards.")] = 16,
    store: Store = None,
    namespace: Namespace = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a new shop directory."""
    from shoal import config as configuration
    from shoal import shop as shops

    console = Console(json)
    base = configuration.recipe(recipe)
    settled = replace(
        base.shop,
        time_zone=time_zone,
        currency=currency,
        value_event=value_event,
        buckets=buckets,
    )
    state = stored(store, namespace) or base.store
    shops.init(shop, replace(base, shop=settled, store=state)).close()
    console.document({"schema": "shoal.init/1", "shop": str(shop), "time_zone": time_zone})
    console.say(f"Shop made in {shop}. Next: shoal ingest {shop} FILE... --preset NAME")


def simulate(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    customers: Annotated[
        int | None, typer.Option("--customers", metavar="N", help="Default 20000.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", metavar="D", help="Default 200.")] = None,
    world: Annotated[
        str,
        typer.Option("--world", metavar="NAME", help="What is planted; a wrong name lists all."),
    ] = "steady",
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", help="The same seed gives the same bytes.")
    ] = 0,
    difficulty: Annotated[
        float | None,
        typer.Option("--difficulty", metavar="X", help="0 (easy) to 1 (hard); 0.5 as published."),
    ] = None,
    dial: Annotated[
        list[str] | None,
        typer.Option("--dial", metavar="NAME=VALUE", help="Turn a dial of the world; repeatable."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="FILE",
            help="Fit the dials to a log (a file, folder or shop) and say how far apart they are. "
            "Customers and days default to the log's.",
        ),
    ] = None,
    preset: Preset = None,
    mapping: MappingFile = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take a guessed mapping.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Simulate a shop whose segments are known: events.parquet, items.parquet, _truth/."""
    from shoal.workflows.simulate import simulate as run

    console = Console(json)
    dials = _dials(dial or [])
    if like is not None:
        from shoal.cli.likeness import show_calibration
        from shoal.shop.likeness import simulate_like

        found = simulate_like(
            like, out, world=world, customers=customers, days=days, seed=seed,
            difficulty=difficulty, dials=dials, preset=preset, mapping=mapping,
            confirm=asked(console, yes, json), progress=console.progress(),
        )  # fmt: skip
        console.document(found.as_document())
        if not json:
            show_calibration(console, found)
        assert found.written is not None
        result = found.written
    else:
        if preset or mapping or yes:
            raise UsageError(
                "usage",
                "--preset, --mapping and --yes say how to read a log, and none was given",
                where="--like",
                hint="Name the log to be like: --like FILE.",
            )
        result = run(
            out, customers=20_000 if customers is None else customers,
            days=200 if days is None else days, world=world, seed=seed, difficulty=difficulty,
            dials=dials, progress=console.progress(),
        )  # fmt: skip
        console.document(result.as_document())
    console.say(
        f"{result.events:,} events of {result.customers:,} customers over {result.days} days "
        f"(world {world}, seed {seed}) in {out}"
    )
    console.say(f"The planted truth lies in {out / '_truth'}.")


def asked(console: Console, yes: bool, json: bool) -> Callable[[str], bool]:
    """What asks a person whether to take a guessed mapping."""

    def confirm(description: str) -> bool:
        if yes:
            console.log("info", description)
            return True
        if json or not console.err.is_terminal:
            return False
        console.err.print(description, markup=False)
        return typer.confirm("Take this mapping?", err=True)

    return confirm


def _dials(told: list[str]) -> dict[str, str]:
    """Dials by name, of texts such as `season=0.4`."""
    dials = {}
    for text in told:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(
                "usage",
                f"{text!r} turns no dial",
                where="--dial",
                hint="Write it as NAME=VALUE, for example --dial season=0.4.",
            )
        dials[name.strip()] = value.strip()
    return dials


def ingest(
    shop: ShopDir,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders, globs.")],
    preset: Preset = None,
    mapping: MappingFile = None,
    valid_from: Annotated[
        str | None,
        typer.Option(
            "--valid-from",
            metavar="T",
            help="The time of rows in files that have none: from when item facts hold.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Let a file that is in already count again, though a later one replaced it.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take a guessed mapping.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Validate, deduplicate and store events; bad rows go to the quarantine with a reason."""
    from shoal import shop as shops

    if preset and mapping:
        raise UsageError(
            "usage",
            "--preset and --mapping were both given",
            hint="Give one: a preset names a known layout, a mapping file describes your own.",
        )
    console = Console(json)
    with shops.open(shop) as opened:
        result = opened.ingest(
            files,
            preset=preset,
            mapping=mapping,
            valid_from=valid_from,
            again=again,
            confirm=asked(console, yes, json),
            progress=console.progress(),
        )
    console.document(result.as_document())
    if not json:
        _show_account(console, result)


def _show_account(console: Console, result: object) -> None:
    document = result.as_document()  # type: ignore[attr-defined]
    rows = document["rows"]
    console.table(
        list(rows), [[f"{count:,}" for count in rows.values()]], title="Rows", right=list(rows)
    )
    if document["quarantine"]:
        from shoal.events.reasons import REASONS

        console.table(
            ["reason", "rows", "meaning"],
            [
                [code, f"{count:,}", REASONS[code]]
                for code, count in sorted(document["quarantine"].items(), key=lambda kv: -kv[1])
            ],
            title="Quarantined",
            right=["rows"],
        )
    for line in _about_files(document):
        console.say(line)
    for line in _about_rivals(result):
        console.say(line)
    span = f", {document['from']} to {document['to']}" if document["from"] else ""
    console.say(
        f"The shop now holds {document['events']:,} events of "
        f"{document['customers']:,} customers{span} (table version {document['table_version']})."
    )


def _about_files(document: dict[str, Any]) -> Iterator[str]:
    """What became of the files, where there is more to say than their rows."""
    files, restated = document["files"], document["restated"]
    superseded = files.pop("superseded")
    if sum(files.values()) > 1 or files["unchanged"] or files["restating"]:
        told = [f"{count:,} {name}" for name, count in files.items() if count]
        said = f" ({superseded:,} of them stated anew by a later export)" if superseded else ""
        yield f"Files: {', '.join(told)}{said}."
    if superseded:
        yield (
            "What was stated anew stays as the later export says. If an earlier file is the right "
            "one, let it count again: shoal ingest SHOP FILE --again"
        )
    if restated["scopes"]:
        withdrawn = restated["withdrawn"] - restated["changed"]
        yield (
            f"Stated anew: {restated['scopes']:,} days or orders that the shop held; "
            f"events withdrawn: {withdrawn:,}, changed: {restated['changed']:,}."
        )
    if restated["older"]:
        yield (
            f"Older statement: {restated['older']:,} rows skipped, because the shop has a later "
            "one of the same day or order."
        )
    for one in document["thinned"][:3]:
        yield (
            f"Look: {one['file']} leaves {one['left']:,} of the {one['held']:,} events that the "
            "shop held of the same days or orders. If it was cut short, let the file before it "
            "count again: shoal ingest SHOP FILE --again"
        )
    if document["forgotten"]:
        yield f"Forgotten: {document['forgotten']:,} rows skipped; see shoal forget --receipts."


def _about_rivals(result: object) -> Iterator[str]:
    """Files of one call that took each other's events out: perhaps parts that belong together."""
    rivals = [file for file in result.files if file.instead_of]  # type: ignore[attr-defined]
    for file in rivals[:3]:
        yield (
            f"{file.file} withdrew events of {file.instead_of}, which came before it in this call: "
            "both state the same day or order, and the later file counts."
        )
    if rivals:
        yield (
            "If these are parts of one export, name them NAME-000000000000, NAME-000000000001, ... "
            "as BigQuery does (or part-00000, ...) and ingest them again in one call."
        )


def quarantine(
    shop: ShopDir,
    code: Annotated[str | None, typer.Option("--code", help="Only this reason.")] = None,
    samples: Annotated[int, typer.Option("--samples", help="Rows shown a reason.", min=0)] = 3,
    replay: Annotated[
        bool, typer.Option("--replay", help="Try the rows again with a mended mapping.")
    ] = False,
    preset: Preset = None,
    mapping: MappingFile = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the rows that were not stored, with reasons; replay them after mending a mapping."""
    from shoal import shop as shops

    console = Console(json)
    if replay and not (preset or mapping):
        raise UsageError(
            "usage",
            "--replay needs the mapping to try",
            hint="Add --mapping MAP.toml or --preset NAME.",
        )
    with shops.open(shop) as opened:
        if replay:
            result = opened.replay_quarantine(
                preset=preset, mapping=mapping, progress=console.progress()
            )
            console.document(result.as_document())
            if not json:
                _show_account(console, result)
            return
        listing = opened.quarantine(code=code, samples=samples)
    console.document(listing.as_document())
    if not listing.reasons:
        console.say("The quarantine is empty.")
    for reason in listing.reasons:
        console.heading(f"{reason.code}: {reason.count:,} rows. {reason.meaning}")
        console.table(
            ["file", "row", "detail", "raw"],
            [[s.file, s.row, s.detail, _shorten(s.raw)] for s in reason.samples],
        )
    if listing.left_out:
        console.say(
            f"{listing.left_out:,} rows more were stated again by later files and are not counted."
        )


def _shorten(raw: str, limit: int = 160) -> str:
    return raw if len(raw) <= limit else raw[: limit - 1] + "…"


def compact(
    shop: ShopDir,
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days",
            metavar="N",
            help="Days for which earlier versions can be read (default: [table] keep_days); 0: "
            "for ever.",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Merge the event table's small files, and let go of what only old versions of it need."""
    from shoal import shop as shops
    from shoal.workflows.table_retention import words

    console = Console(json)
    with shops.open(shop) as opened:
        version = opened.compact()
        trimmed = opened.trim(keep_days)
    console.document({"schema": "shoal.compact/1", "table_version": version, "trimmed": trimmed})
    console.say(f"Compacted: table version {version}.")
    if told := words(trimmed):
        console.say(f"{told}.")
