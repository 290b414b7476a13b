"""What behaviour models keep of customers; it is filled when it is needed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.revisions import absent
from shoal.adapters.sql_schema import NAME

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if absent("carries"):
        op.create_table(
            "carries",
            sa.Column("customer_id", NAME, primary_key=True),
            sa.Column("model_id", NAME, primary_key=True),
            sa.Column("version", sa.BigInteger, nullable=False),
            sa.Column("last_us", sa.BigInteger, nullable=False),
            sa.Column("body", sa.LargeBinary, nullable=False),
        )


def downgrade() -> None:
    op.drop_table("carries")
