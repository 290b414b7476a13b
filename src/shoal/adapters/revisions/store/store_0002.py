"""Flags of the pace rules; states are folded by other rules, so they are made anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.revisions import absent
from shoal.adapters.sql_schema import NAME

revision = "0002"
down_revision = "0001"

_ANEW = "UPDATE meta SET value = '-1' WHERE key = 'applied_version'"


def upgrade() -> None:
    if absent("flags"):
        op.create_table(
            "flags",
            sa.Column("visitor_id", NAME, primary_key=True),
            sa.Column("told_us", sa.BigInteger, primary_key=True),
            sa.Column("rule", sa.Text, primary_key=True),
            sa.Column("to_us", sa.BigInteger, primary_key=True),
            sa.Column("from_us", sa.BigInteger, nullable=False),
        )
    op.execute(_ANEW)


def downgrade() -> None:
    op.drop_table("flags")
    op.execute(_ANEW)
