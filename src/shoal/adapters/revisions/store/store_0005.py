"""Keys of the service. Going back removes them: no key opens anything afterwards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.revisions import absent

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    if absent("access_keys"):
        op.create_table(
            "access_keys",
            sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("role", sa.Text, nullable=False),
            sa.Column("source", sa.Text, nullable=False),
            sa.Column("digest", sa.Text, nullable=False, unique=True),
            sa.Column("beginning", sa.Text, nullable=False),
            sa.Column("made_us", sa.BigInteger, nullable=False),
            sa.Column("expires_us", sa.BigInteger),
            sa.Column("revoked_us", sa.BigInteger),
        )


def downgrade() -> None:
    op.drop_table("access_keys")
