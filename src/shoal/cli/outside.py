"""Verbs about data from outside the event log: covariates, items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, ShopDir
from shoal.domain.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("covariates")(covariates)
    app.command("items")(items)


def covariates(
    shop: ShopDir,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A table (CSV, JSON Lines, Parquet).")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Of the table, for example weather.")
    ] = "",
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="KEY[=COLUMN],...",
            help="date, country, region, category, item_id; found by name if not given.",
        ),
    ] = "",
    known: Annotated[
        str,
        typer.Option("--known", metavar="COLUMN", help="The time from which a row could be known."),
    ] = "",
    known_always: Annotated[
        bool, typer.Option("--known-always", help="Known beforehand: calendars, plans.")
    ] = False,
    known_after_days: Annotated[
        int,
        typer.Option(
            "--known-after-days", metavar="N", help="Days after its date that a row is known."
        ),
    ] = 1,
    absent_is_zero: Annotated[
        bool,
        typer.Option("--absent-is-zero", help="Days without a row are 0, within the file's years."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget what the table held before.")
    ] = False,
    remove: Annotated[
        str, typer.Option("--remove", metavar="NAME", help="Take a table out of use.")
    ] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Load a table of outside data (weather, holidays, prices), or list those that are loaded."""
    from shoal import shop as shops

    console = Console(json)
    if remove and (file or name):
        raise UsageError("usage", "--remove goes with neither a file nor --name")
    if file is not None and not name:
        raise UsageError("usage", "the table needs a name", hint="Give --name, say --name weather.")
    if file is None and name:
        raise UsageError("usage", "--name without a file", hint="Give the file to load.")
    with shops.open(shop) as opened:
        if remove:
            _removed(console, opened.remove_covariates(remove), opened.config.features.covariates)
        elif file is None:
            _listed(console, opened.covariates())
        else:
            loaded = opened.load_covariates(
                file,
                name=name,
                key=_keys(key),
                known=known,
                known_always=known_always,
                known_after_days=known_after_days,
                absent_is_zero=absent_is_zero,
                replace=replace,
            )
            _loaded(console, loaded.as_document(), opened.config.features.covariates)


def _keys(text: str) -> dict[str, str]:
    """`date=Tag,region` as key -> column."""
    parts = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    return {key.strip(): (column or key).strip() for key, _, column in parts}


def _loaded(console: Console, document: Mapping[str, Any], declared: tuple[str, ...]) -> None:
    console.document(document)
    rows, name = document["loaded"], document["name"]
    if not document["changed"]:
        console.say(
            f"Nothing changed: {document['covariates_id']} holds the {rows['read']:,} rows already."
        )
        return
    console.say(
        f"{rows['read']:,} rows read, {document['mode']}: {rows['new']:,} new, "
        f"{rows['changed']:,} changed"
        + (f", {rows['same']:,} repeated others" if rows["same"] else "")
        + f". {name} now holds {document['rows']:,} rows ({document['covariates_id']})"
        + (f" from {document['from']} to {document['to']}." if document["from"] else ".")
    )
    for column, why in document["left_out"].items():
        console.say(f"Left out: {column} ({why}).")
    console.say(f"Columns: {', '.join(document['columns'])}.")
    if not any(one == "*" or one.partition(".")[0] == name for one in declared):
        console.say(
            f'To use them as features, say so in shop.toml: [features] covariates = ["{name}.*"]'
        )


def _listed(console: Console, document: Mapping[str, Any]) -> None:
    console.document(document)
    console.table(
        ["table", "keys", "columns", "rows", "from", "to", "known", "version"],
        [
            [one["name"], ", ".join(one["keys"]), ", ".join(one["columns"]), f"{one['rows']:,}",
             one["from"], one["to"], one["known"], one["covariates_id"]]
            for one in document["covariates"]
        ],
        title="Covariates",
        right=["rows"],
    )  # fmt: skip
    named = ", ".join(document["declared"]) or "none"
    console.say(f"Used as features (shop.toml, [features] covariates): {named}.")


def _removed(console: Console, document: Mapping[str, Any], declared: tuple[str, ...]) -> None:
    console.document(document)
    name = document["name"]
    console.say(f"{name} is no longer in use ({document['removed']} stays on disk).")
    still = [one for one in declared if one.partition(".")[0] == name]
    if still:
        console.warn(f"shop.toml still declares {', '.join(still)}: take it out of [features]")


def items(
    shop: ShopDir,
    as_of: AsOf = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="One item and its changes.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F.parquet", help="Write all items to a file.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What is known of items: titles, categories, brands, prices, as of a moment."""
    from shoal import shop as shops

    console = Console(json)
    if item is not None and out is not None:
        raise UsageError("usage", "--item and --out were both given", hint="Give one.")
    with shops.open(shop) as opened:
        if item is not None:
            document = opened.item(item, as_of=as_of)
            console.document(document)
            _facts(console, document["history"], f"Item {item}")
        elif out is not None:
            written = opened.write_items(out, as_of=as_of)
            console.document(written.as_document())
            console.say(f"{written.rows:,} items in {out}")
        else:
            document = opened.items_overview(as_of=as_of)
            console.document(document)
            known = [f"{name} of {n:,}" for name, n in document["known"].items() if n]
            console.say(f"{document['items']:,} items; known are: {', '.join(known) or 'none'}.")
            _facts(console, document["first"], "Items")


def _facts(console: Console, rows: list[dict[str, Any]], title: str) -> None:
    console.table(
        ["item", "since", "title", "category", "brand", "price", "currency"],
        [
            [row["item_id"], row["valid_from"][:10], row["title"], row["category"], row["brand"],
             "" if row["price"] is None else f"{row['price']:,.2f}", row["currency"]]
            for row in rows
        ],
        title=title,
        right=["price"],
    )  # fmt: skip
