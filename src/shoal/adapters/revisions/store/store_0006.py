"""Events that states hold and the event table not yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.revisions import absent
from shoal.adapters.sql_schema import _SERIAL
from shoal.domain.errors import UsageError

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    if absent("live_batches"):
        op.create_table(
            "live_batches",
            sa.Column("number", _SERIAL, primary_key=True),
            sa.Column("source", sa.Text, nullable=False),
            sa.Column("events", sa.LargeBinary, nullable=False),
            sa.Column("quarantined", sa.LargeBinary, nullable=False),
            sa.Column("account", sa.Text, nullable=False),
            sqlite_autoincrement=True,
        )


def downgrade() -> None:
    waiting = op.get_bind().scalar(sa.text("SELECT count(*) FROM live_batches"))
    if waiting:
        raise UsageError(
            "usage",
            f"{waiting:,} batches of events are not in the event table yet, and would be lost",
            hint="Start shoal serve and end it (SIGTERM), which writes them; then do the same "
            "again.",
        )
    op.drop_table("live_batches")
