"""Calls that wait, and the ids that came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.sql_schema import _SERIAL

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("position", _SERIAL, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sa.Column("fault", sa.Text),
        sa.Column("line", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "seen",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("received_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("seen_received", "seen", ["received_us"])
    op.create_table(
        "inbox_meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", _SERIAL, nullable=False),
    )
