"""Verbs about sources: sql."""

from __future__ import annotations

from typing import Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json
from shoal.domain.errors import UsageError

_SOURCES = ("ga4",)


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("sql")(sql)


def sql(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="ga4.")],
    dialect: Annotated[str, typer.Option("--dialect", metavar="NAME")] = "bigquery",
    table: Annotated[
        str, typer.Option("--table", help="The export's table, project.dataset.events_*.")
    ] = "",
    first: Annotated[str, typer.Option("--from", metavar="YYYYMMDD", help="First day.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYYMMDD", help="Last day.")] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the query that exports a source's table flat and small, for `shoal ingest`."""
    from shoal.events.shapes import ga4_sql

    if source not in _SOURCES:
        raise UsageError(
            "usage",
            f"there is no query for {source!r}",
            hint=f"Sources with a query: {', '.join(_SOURCES)}.",
        )
    console = Console(json)
    text = ga4_sql.query(dialect, table=table or ga4_sql.TABLE, first=first, last=last)
    console.document({"schema": "shoal.sql/1", "source": source, "dialect": dialect, "query": text})
    if not json:
        typer.echo(text, nl=False)
