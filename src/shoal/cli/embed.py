"""The verb that embeds customers."""

from __future__ import annotations

from typing import Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, Out, ShopDir, TableVersion, writable


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("embed")(embed)


def embed(
    shop: ShopDir,
    out: Out,
    as_of: AsOf = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="ID", help="Default: the current one.")
    ] = None,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write every customer's embedding as of a moment to a Parquet (or .arrow) file."""
    from shoal import shop as shops

    console = Console(json)
    writable(out)
    with shops.open(shop) as opened:
        written = opened.write_embeddings(
            out, as_of=as_of, model=model, table_version=table_version, progress=console.progress()
        )
    for warning in written.warnings:
        console.warn(warning)
    console.document(written.as_document())
    reused = f" ({written.reused} of {written.parts} parts were there)" if written.reused else ""
    console.say(
        f"{written.rows:,} customers, {written.dimensions} numbers each, by {written.model_id}, "
        f"in {out}{reused}"
    )
