"""Webhooks, and the messages that were given up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("shape", sa.Text, nullable=False),
        sa.Column("segments", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("check_value", sa.Text, nullable=False),
        sa.Column("made_us", sa.BigInteger, nullable=False),
        sa.Column("disabled_us", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("formed_us", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_us", sa.BigInteger),
        sa.Column("failure", sa.Text, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("changes", sa.BigInteger, nullable=False),
        sa.Column("left_out", sa.BigInteger, nullable=False),
        sa.Column("succeeded_us", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dead_letters",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("webhook", sa.Integer, nullable=False),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("formed_us", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("died_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger),
        sqlite_autoincrement=True,
    )
