"""Compiled queries that outlive the process, in the user's own cache directory.

Compiling the whole catalog takes some seconds, which every call of the command line would pay. What
lies there is no data of a shop and can be removed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa

#: Names the directory; empty: nothing is kept.
VARIABLE: Final = "SHOAL_CACHE"


def directory() -> Path | None:
    """Where queries are kept: `$SHOAL_CACHE`, else `shoal` in the user's cache; None: nowhere."""
    told = os.environ.get(VARIABLE)
    if told is not None:
        return Path(told) / "queries" if told else None
    base = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        return (Path(base) if base else Path.home() / ".cache") / "shoal" / "queries"
    return None


def read(name: str) -> tuple[str, pa.Schema] | None:
    """A query and the schema of its rows; None where it is not kept, or cannot be read."""
    path = _path(name)
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["name"] != name:
            return None
        return found["sql"], pa.ipc.read_schema(pa.BufferReader(b64decode(found["schema"])))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def write(name: str, sql: str, schema: pa.Schema) -> None:
    """Keep a query under a name that holds all that decides it; where it cannot be, it is not."""
    path = _path(name)
    if path is None:
        return
    told = {"name": name, "sql": sql, "schema": b64encode(schema.serialize()).decode()}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, aside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(told, file)
        Path(aside).replace(path)


def _path(name: str) -> Path | None:
    where = directory()
    return None if where is None else where / f"{hashlib.sha256(name.encode()).hexdigest()}.json"
