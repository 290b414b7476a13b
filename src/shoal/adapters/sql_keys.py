"""Keys of the service in the SQL state store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.sql_schema import _METADATA
from shoal.domain.access import Key
from shoal.domain.time import from_us, to_us

KEYS: Final = sa.Table(
    "access_keys",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("beginning", sa.Text, nullable=False),
    sa.Column("made_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger),
    sa.Column("revoked_us", sa.BigInteger),
)

Connected = Callable[[], AbstractContextManager[sa.Connection]]


class SqlKeys:
    """`KeyStore` in a SQL database, inside the transactions of the store it belongs to."""

    def __init__(self, reading: Connected, writing: Connected) -> None:
        self._reading = reading
        self._writing = writing

    def all(self) -> list[Key]:
        with self._reading() as connection:
            rows = connection.execute(sa.select(KEYS).order_by(KEYS.c.number))
            return [_key(row) for row in rows]

    def add(
        self, role: str, source: str, digest: str, beginning: str, made: datetime,
        expires: datetime | None,
    ) -> Key:  # fmt: skip
        with self._writing() as connection:
            number = (connection.scalar(sa.select(sa.func.max(KEYS.c.number))) or 0) + 1
            row = {
                "number": number, "role": role, "source": source, "digest": digest,
                "beginning": beginning, "made_us": to_us(made),
                "expires_us": None if expires is None else to_us(expires), "revoked_us": None,
            }  # fmt: skip
            connection.execute(sa.insert(KEYS), row)
            found = connection.execute(sa.select(KEYS).where(KEYS.c.number == number)).one()
            return _key(found)

    def revoke(self, key_id: str, moment: datetime) -> None:
        number = int(key_id.rpartition("-")[2])
        unrevoked = sa.and_(KEYS.c.number == number, KEYS.c.revoked_us.is_(None))
        with self._writing() as connection:
            connection.execute(sa.update(KEYS).where(unrevoked).values(revoked_us=to_us(moment)))


def _key(row: Any) -> Key:
    return Key(
        f"key-{row.number:04d}", row.role, row.source, row.digest, row.beginning,
        from_us(row.made_us),
        None if row.expires_us is None else from_us(row.expires_us),
        None if row.revoked_us is None else from_us(row.revoked_us),
    )  # fmt: skip
