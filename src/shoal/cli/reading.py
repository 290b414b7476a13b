"""Verbs that read: features, status."""

from __future__ import annotations

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, Out, ShopDir, TableVersion


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("features")(features)
    app.command("status")(status)


def features(
    shop: ShopDir,
    out: Out,
    as_of: AsOf = None,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write every customer's features as of a moment to a Parquet file."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        written = opened.write_features(out, as_of=as_of, table_version=table_version)
    console.document(written.as_document())
    console.say(f"{written.rows:,} customers in {out}")


def status(shop: ShopDir, json: Json = False, debug: Debug = False) -> None:
    """What the shop holds and what is current."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        state = opened.status()
    console.document(state)
    if json:
        return
    console.heading(f"Shop {shop}")
    console.table(
        ["what", "value"],
        [
            [name.replace("_", " "), "none yet" if value in (None, "") else _plain(value)]
            for name, value in state.items()
            if name not in {"schema", "shop"}
        ],
    )


def _plain(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {target}" for name, target in value.items()) or "none yet"
    return str(value)
