"""Settings, lease, units, states, memberships and pointers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.sql_schema import _SERIAL, NAME

revision = "0001"
down_revision = None


def upgrade() -> None:
    for name in ("meta", "settings"):
        op.create_table(
            name,
            sa.Column("key", sa.Text, primary_key=True),
            sa.Column("value", sa.Text, nullable=False),
        )
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process_started", sa.Text, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "units",
        sa.Column("position", _SERIAL, primary_key=True),
        sa.Column("unit", NAME, nullable=False, unique=True),
        sa.Column("document", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "customer_states",
        sa.Column("customer_id", NAME, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "memberships",
        sa.Column("position", _SERIAL, primary_key=True),
        sa.Column("customer_id", NAME, nullable=False),
        sa.Column("segmentation_id", NAME, nullable=False),
        sa.Column("segment_id", sa.Text, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "memberships_latest", "memberships", ["segmentation_id", "customer_id", "position"]
    )
    op.create_table(
        "pointers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("moment_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "pointer_history",
        sa.Column("position", _SERIAL, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("moment_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
