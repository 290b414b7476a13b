"""Verb that makes a key of privacy: secret."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json
from shoal.domain.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("secret")(secret)


def secret(
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Print NAME:KEY, as SHOAL_FIELD_KEYS has it."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print a fresh key for SHOAL_PSEUDONYM_KEY or SHOAL_FIELD_KEYS; it is kept nowhere."""
    from shoal.domain.secret_keys import fresh

    if name is not None and not re.fullmatch(r"[a-z0-9_-]{1,16}", name):
        raise UsageError(
            "usage", f"a key cannot be called {name[:40]!r}", where="--name",
            hint="Allowed: 1 to 16 of a-z, 0-9, dash and underscore.",
        )  # fmt: skip
    made = fresh() if name is None else f"{name}:{fresh()}"
    Console(json).document({"schema": "shoal.secret/1", "key": made})
    if not json:
        typer.echo(made)
