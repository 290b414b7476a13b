"""What the SQL state store keeps of erasures: key, requests under way, receipts, tombstones."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.sql_rows import number_on
from shoal.adapters.sql_schema import _METADATA, _SERIAL, NAME
from shoal.domain.time import from_us, parse_moment, to_us

KEYS: Final = sa.Table(
    "keys",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
#: One row a request: with the ids while it is under way, with the receipt afterwards.
ERASURES: Final = sa.Table(
    "erasures",
    _METADATA,
    sa.Column("number", _SERIAL, primary_key=True),
    sa.Column("asked_us", sa.BigInteger, nullable=False),
    sa.Column("finished_us", sa.BigInteger),
    sa.Column("document", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
TOMBSTONES: Final = sa.Table(
    "tombstones",
    _METADATA,
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("from_us", sa.BigInteger, primary_key=True),
    sa.Column("to_us", sa.BigInteger, primary_key=True),
)
EXPORTS: Final = sa.Table(
    "exports",
    _METADATA,
    sa.Column("path", NAME, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("moment_us", sa.BigInteger, nullable=False),
)

_TOMBSTONE_KEY: Final = "tombstone"

Connected = Callable[[], AbstractContextManager[sa.Connection]]


class SqlErasures:
    """`ErasureStore` in a SQL database, inside the transactions of the store it belongs to."""

    def __init__(self, reading: Connected, writing: Connected) -> None:
        self._reading = reading
        self._writing = writing

    def key(self) -> bytes:
        """The shop's own key of tombstones, made when it is first asked for."""
        with self._reading() as connection:
            query = sa.select(KEYS.c.value).where(KEYS.c.name == _TOMBSTONE_KEY)
            found = connection.scalar(query)
        if found is not None:
            return bytes(found)
        made = secrets.token_bytes(32)
        with self._writing() as connection:
            connection.execute(sa.insert(KEYS), {"name": _TOMBSTONE_KEY, "value": made})
        return made

    def begin(self, document: Mapping[str, Any], moment: datetime) -> int:
        """Journal a request before anything is done; returns its number."""
        row = {"asked_us": to_us(moment), "document": json.dumps(dict(document))}
        with self._writing() as connection:
            done = connection.execute(sa.insert(ERASURES), row)
            assert done.inserted_primary_key is not None
            return int(done.inserted_primary_key[0])

    def note(self, number: int, document: Mapping[str, Any]) -> None:
        """Let this be what is journaled of a request under way."""
        row = sa.update(ERASURES).where(ERASURES.c.number == number)
        with self._writing() as connection:
            connection.execute(row.values(document=json.dumps(dict(document))))

    def pending(self) -> list[tuple[int, dict[str, Any]]]:
        """Requests that are not finished, oldest first."""
        query = sa.select(ERASURES.c.number, ERASURES.c.document).where(
            ERASURES.c.finished_us.is_(None)
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(ERASURES.c.number)).all()
        return [(number, json.loads(document)) for number, document in rows]

    def finish(self, number: int, receipt: Mapping[str, Any], moment: datetime) -> None:
        """Put the receipt in the place of the request."""
        values = {"finished_us": to_us(moment), "document": json.dumps(dict(receipt))}
        with self._writing() as connection:
            connection.execute(
                sa.update(ERASURES).where(ERASURES.c.number == number).values(**values)
            )

    def receipts(self) -> list[dict[str, Any]]:
        """What was erased, oldest first; nobody is named."""
        query = sa.select(ERASURES.c.document).where(ERASURES.c.finished_us.is_not(None))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(ERASURES.c.number)).scalars()
            return [json.loads(document) for document in rows]

    def tombstones(self) -> dict[str, list[tuple[int, int]]]:
        """Fingerprint -> stretches in which events of the id stay out."""
        found: dict[str, list[tuple[int, int]]] = {}
        with self._reading() as connection:
            for name, first, last in connection.execute(sa.select(TOMBSTONES)):
                found.setdefault(name, []).append((first, last))
        return found

    def add_tombstones(self, stones: Sequence[tuple[str, int, int]]) -> None:
        """Add (fingerprint, from, to); those that are there already stay."""
        known = self.tombstones()
        rows = [
            {"fingerprint": name, "from_us": first, "to_us": last}
            for name, first, last in dict.fromkeys(stones)
            if (first, last) not in known.get(name, ())
        ]
        with self._writing() as connection:
            if rows:
                connection.execute(sa.insert(TOMBSTONES), rows)

    def lift(self, fingerprints: Sequence[str]) -> int:
        """Remove tombstones; returns how many there were."""
        with self._writing() as connection:
            named = TOMBSTONES.c.fingerprint.in_(list(fingerprints))
            return connection.execute(sa.delete(TOMBSTONES).where(named)).rowcount

    def adopt(self, key: bytes, receipts: Sequence[Mapping[str, Any]]) -> None:
        """Take over what the same shop knew later: its key, and receipts of other numbers."""
        with self._writing() as connection:
            connection.execute(sa.delete(KEYS).where(KEYS.c.name == _TOMBSTONE_KEY))
            connection.execute(sa.insert(KEYS), {"name": _TOMBSTONE_KEY, "value": key})
            known = set(connection.scalars(sa.select(ERASURES.c.number)))
            rows = [
                {"number": one["number"], "asked_us": to_us(parse_moment(one["asked_at"])),
                 "finished_us": to_us(parse_moment(one["finished_at"])),
                 "document": json.dumps(dict(one))}
                for one in receipts
                if one["number"] not in known
            ]  # fmt: skip
            if rows:
                connection.execute(sa.insert(ERASURES), rows)
                number_on(connection, ERASURES)

    def note_export(self, path: str, kind: str, moment: datetime) -> None:
        """Remember a file outside the shop that lists customers."""
        with self._writing() as connection:
            connection.execute(sa.delete(EXPORTS).where(EXPORTS.c.path == path))
            row = {"path": path, "kind": kind, "moment_us": to_us(moment)}
            connection.execute(sa.insert(EXPORTS), row)

    def drop_exports(self, paths: Sequence[str]) -> None:
        """Remember some files no longer."""
        with self._writing() as connection:
            for path in paths:
                connection.execute(sa.delete(EXPORTS).where(EXPORTS.c.path == path))

    def exports(self) -> list[tuple[str, str, datetime]]:
        """(path, kind, moment) of files outside the shop that list customers."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(EXPORTS).order_by(EXPORTS.c.path)).all()
        return [(path, kind, from_us(us)) for path, kind, us in rows]
