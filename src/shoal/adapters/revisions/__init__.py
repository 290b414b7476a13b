"""Alembic revisions of each store's tables, numbered as its schema versions.

What a revision says of a table is what that version had: it is never edited afterwards. A new store
gets the tables of this program at once; a test holds that both come to the same.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def absent(table: str) -> bool:
    """Whether a table is not there yet: older programs made some of them within a version."""
    return not sa.inspect(op.get_bind()).has_table(table)
