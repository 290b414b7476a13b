"""Up to where files are read that are followed. Going back, they are read from their beginning:
what they hold is known by its ids."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shoal.adapters.revisions import absent

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    if absent("bookmarks"):
        op.create_table(
            "bookmarks",
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("text", sa.Text, nullable=False),
        )


def downgrade() -> None:
    op.drop_table("bookmarks")
