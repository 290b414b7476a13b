"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ShopDir = Annotated[Path, typer.Argument(metavar="SHOP", help="The shop's directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="T",
        help="Only what happened before T (ISO 8601; no offset is UTC, a date is 00:00).",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="The file to write.")]
TableVersion = Annotated[
    int | None,
    typer.Option(
        "--table-version", metavar="N", help="What the event table held at version N.", min=0
    ),
]
