"""Margins of memberships; links of identity and what is kept of erasures.

The latter came while the version was 2 still. Going back leaves them: nobody who was forgotten may
come back for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.revisions import absent
from shoal.adapters.sql_schema import _SERIAL, NAME

revision = "0003"
down_revision = "0002"

_INDEX = "memberships_of_customer"


def upgrade() -> None:
    _links()
    _erasures()
    seen = sa.inspect(op.get_bind())
    if "margin" not in {column["name"] for column in seen.get_columns("memberships")}:
        op.add_column("memberships", sa.Column("margin", sa.Double))
    if _INDEX not in {index["name"] for index in seen.get_indexes("memberships")}:
        op.create_index(_INDEX, "memberships", ["customer_id", "position"])


def downgrade() -> None:
    op.drop_index(_INDEX, "memberships")
    op.drop_column("memberships", "margin")


def _links() -> None:
    if absent("identity_links"):
        op.create_table(
            "identity_links",
            sa.Column("id", NAME, primary_key=True),
            sa.Column("from_us", sa.BigInteger, primary_key=True),
            sa.Column("sequence", sa.BigInteger, primary_key=True),
            sa.Column("event_id", sa.Text, primary_key=True),
            sa.Column("customer_id", NAME, nullable=False),
            sa.Column("says", sa.Text, nullable=False),
            sa.Column("source", sa.Text, primary_key=True),
            sa.Column("kind", sa.Text, nullable=False),
        )
        op.create_index("ix_identity_links_customer_id", "identity_links", ["customer_id"])


def _erasures() -> None:
    if absent("keys"):
        op.create_table(
            "keys",
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("value", sa.LargeBinary, nullable=False),
        )
    if absent("erasures"):
        op.create_table(
            "erasures",
            sa.Column("number", _SERIAL, primary_key=True),
            sa.Column("asked_us", sa.BigInteger, nullable=False),
            sa.Column("finished_us", sa.BigInteger),
            sa.Column("document", sa.Text, nullable=False),
            sqlite_autoincrement=True,
        )
    if absent("tombstones"):
        op.create_table(
            "tombstones",
            sa.Column("fingerprint", sa.Text, primary_key=True),
            sa.Column("from_us", sa.BigInteger, primary_key=True),
            sa.Column("to_us", sa.BigInteger, primary_key=True),
        )
    if absent("exports"):
        op.create_table(
            "exports",
            sa.Column("path", NAME, primary_key=True),
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("moment_us", sa.BigInteger, nullable=False),
        )
