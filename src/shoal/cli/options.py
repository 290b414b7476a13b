"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.domain.errors import UsageError

if TYPE_CHECKING:
    from shoal.config import StoreConfig

ShopDir = Annotated[Path, typer.Argument(metavar="SHOP", help="The shop's directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
#: Where the state of a new shop goes; see `stored`.
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL|sqlite",
        help="The PostgreSQL database of its state, without a password: that stands in the "
        "environment (SHOAL_STORE_URL).",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NAME", help="The shop's own schema in that database."),
]
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
Segmentation = Annotated[
    str | None, typer.Option("--segmentation", metavar="ID", help="Default: the main one.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="T", help="Learn only from before T.")
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="S")]


def writable(out: Path | None) -> None:
    """Make the folder of a file that is to be written, before anything is worked out for it.

    Raises:
        UsageError: `usage`, there can be no such file.
    """
    if out is None:
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            "usage", f"{out.parent} is no folder", where=str(out),
            hint="Give --out a path whose folder exists or can be made.",
        ) from error  # fmt: skip
    if out.is_dir():
        raise UsageError(
            "usage", f"{out} is a folder", where=str(out), hint="Give --out the path of a file."
        )


def stored(store: str | None, namespace: str | None) -> StoreConfig | None:
    """Where the state of a new shop goes; None: nothing was said.

    Raises:
        UsageError: `bad_setting`, `usage`.
    """
    from shoal.config import StoreConfig

    if store is None and namespace is None:
        return None
    if store == "sqlite":
        if namespace:
            raise UsageError(
                "usage", "--store sqlite and --namespace were both given", where="--namespace",
                hint="A namespace is a schema of a PostgreSQL database: leave one of them out.",
            )  # fmt: skip
        return StoreConfig()
    return StoreConfig(namespace or "", store or "")
