"""Entries that are only ever added, and the secret by which they hide ids."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.postgres_audit import complete
from shoal.adapters.sql_audit import AUDIT_SCHEMA

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for statement in AUDIT_SCHEMA:
            connection.exec_driver_sql(statement)
        return
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.create_table(
        "audit_meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    complete(None, connection)
