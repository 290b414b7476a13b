"""A store's tables brought from one schema version to another by Alembic's revisions."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from shoal.adapters.postgres import sample_no_persons
from shoal.adapters.sql_schema import META, upsert
from shoal.adapters.sql_versions import set_version, version_of

_REVISIONS: Final = Path(__file__).parent / "revisions"
#: The state store says its version in a row of `meta`.
STORE: Final = "store"
_KEY: Final = "store_version"


def move(connection: sa.Connection, part: str, version: int) -> None:
    """Let a store's tables be those of a version, newer or older; in the caller's transaction.

    What the version has no place for is lost: each revision says what that is.

    Args:
        part: the name of the store, and of the folder of its revisions.
        version: at least 1.

    Raises:
        UsageError: `usage`, events would be lost.
    """
    scripts = ScriptDirectory(str(_REVISIONS), version_locations=[str(_REVISIONS / part)])
    now, target = known_version(connection, part), f"{version:04d}"
    up = version >= now

    def steps(revision: Any, _context: Any) -> Any:
        go = scripts._upgrade_revs if up else scripts._downgrade_revs
        return go(target, revision)

    def applied(ctx: Any, step: Any, heads: Collection[Any], run_args: Any) -> None:
        _note(ctx.connection, part, int(max(heads)))

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=connection, version_table=f"{part}_revision", on_version_apply=applied
        )
        context = environment.get_context()
        if now:
            # A store of a program without revisions says its version in its own way alone.
            context._ensure_version_table()
            context.stamp(scripts, f"{now:04d}")
        environment.run_migrations()
    if connection.dialect.name == "postgresql":
        sample_no_persons(connection)


def known_version(connection: sa.Connection, part: str) -> int:
    """The version that a store says it has; 0: it has no tables."""
    if part != STORE:
        return version_of(connection, part)
    if not sa.inspect(connection).has_table(META.name):
        return 0
    return int(connection.scalar(sa.select(META.c.value).where(META.c.key == _KEY)) or 0)


def _note(connection: sa.Connection, part: str, version: int) -> None:
    """Let the store say its version in its own way too: older programs ask for that."""
    if part == STORE:
        row = {"key": _KEY, "value": str(version)}
        connection.execute(upsert(connection.engine, META, "key"), row)
    elif connection.dialect.name == "sqlite":
        set_version(connection, part, version)
