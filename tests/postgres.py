"""A PostgreSQL database for tests, where there is one: each test has a schema of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from shoal.adapters import postgres
from shoal.adapters.postgres import Namespace

#: The address of a database that may be written to and emptied; `make test-postgres` sets it.
VARIABLE: Final = "SHOAL_TEST_POSTGRES"
#: Where the files of that database lie, if they can be looked into.
DATA_VARIABLE: Final = "SHOAL_TEST_POSTGRES_DATA"
_NUMBERS: Final = count(1)


def address() -> str:
    """The address; the test is skipped where there is none."""
    found = os.environ.get(VARIABLE, "")
    if not found:
        pytest.skip(f"{VARIABLE} names no PostgreSQL database; make test-postgres starts one")
    return sa.make_url(found).set(drivername="postgresql+psycopg").render_as_string(False)


@contextmanager
def namespace(directory: Path) -> Iterator[Namespace]:
    """A new schema, dropped afterwards; its marks stand in a directory."""
    made = Namespace(address(), f"test_{os.getpid()}_{next(_NUMBERS)}", directory)
    postgres.claim(made)
    try:
        yield made
    finally:
        drop(made)


def drop(made: Namespace) -> None:
    """Remove a schema and all in it."""
    engine = postgres.connect(made)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{made.name}" CASCADE')
    engine.dispose()
