"""Webhooks, apart from the state store, so that a receiver's trouble never waits for it.

Neither a secret nor a word of what is sent lies in it: positions of the membership log say what was
delivered, what is under way and what was given up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_schema import begin, connect
from shoal.adapters.sql_versions import prepare
from shoal.domain.time import from_us, to_us
from shoal.domain.webhook import DeadLetter, Progress, Webhook

#: Raised whenever a table below changes.
WEBHOOKS_VERSION: Final = 1

WEBHOOKS_TABLES: Final = sa.MetaData()
WEBHOOKS: Final = sa.Table(
    "webhooks",
    WEBHOOKS_TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("shape", sa.Text, nullable=False),
    sa.Column("segments", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("check_value", sa.Text, nullable=False),
    sa.Column("made_us", sa.BigInteger, nullable=False),
    sa.Column("disabled_us", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    # how far it is told
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Column("formed_us", sa.BigInteger),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_us", sa.BigInteger),
    sa.Column("failure", sa.Text, nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("changes", sa.BigInteger, nullable=False),
    sa.Column("left_out", sa.BigInteger, nullable=False),
    sa.Column("succeeded_us", sa.BigInteger),
    sqlite_autoincrement=True,
)
LETTERS: Final = sa.Table(
    "dead_letters",
    WEBHOOKS_TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("webhook", sa.Integer, nullable=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("formed_us", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("died_us", sa.BigInteger, nullable=False),
    sa.Column("due_us", sa.BigInteger),
    sqlite_autoincrement=True,
)


class SqlWebhooks:
    """`WebhookStore` in a SQL database; safe to call from several threads and processes.

    Args:
        where: the SQLite file, which is made if there is none, or the shop's schema of a PostgreSQL
            database.

    Raises:
        OperationError: `shop_newer`, `shop_damaged`, `no_permission`, `disk_full`,
            `store_unreachable`.
    """

    def __init__(self, where: Path | Namespace) -> None:
        address = where if isinstance(where, Namespace) else f"sqlite:///{where}"
        self._engine = connect(address, "webhooks")
        prepare(self._engine, "webhooks", WEBHOOKS_TABLES, WEBHOOKS_VERSION)

    def all(self) -> list[Webhook]:
        with begin(self._engine, write=False) as connection:
            rows = connection.execute(sa.select(WEBHOOKS).order_by(WEBHOOKS.c.number))
            return [_webhook(row) for row in rows]

    def add(
        self, url: str, shape: str, segments: Sequence[str], channel: str, salt: str, check: str,
        made: datetime, position: int,
    ) -> Webhook:  # fmt: skip
        row = {
            "url": url, "shape": shape, "segments": json.dumps(list(segments)), "channel": channel,
            "salt": salt, "check_value": check, "made_us": to_us(made), "reason": "",
            **_columns(Progress(position)),
        }  # fmt: skip
        with begin(self._engine, write=True) as connection:
            done = connection.execute(sa.insert(WEBHOOKS), row)
            assert done.inserted_primary_key is not None
            mine = WEBHOOKS.c.number == done.inserted_primary_key[0]
            return _webhook(connection.execute(sa.select(WEBHOOKS).where(mine)).one())

    def remove(self, webhook_id: str) -> None:
        number = _number(webhook_id)
        with begin(self._engine, write=True) as connection:
            connection.execute(sa.delete(LETTERS).where(LETTERS.c.webhook == number))
            connection.execute(sa.delete(WEBHOOKS).where(WEBHOOKS.c.number == number))

    def disable(self, webhook_id: str, moment: datetime, reason: str) -> None:
        off = {"disabled_us": to_us(moment), "reason": reason}
        mine = WEBHOOKS.c.number == _number(webhook_id)
        with begin(self._engine, write=True) as connection:
            connection.execute(sa.update(WEBHOOKS).where(mine).values(**off))

    def retry(self, webhook_id: str, moment: datetime) -> None:
        number = _number(webhook_id)
        on = {"disabled_us": None, "reason": "", "due_us": None}
        with begin(self._engine, write=True) as connection:
            mine = sa.update(WEBHOOKS).where(WEBHOOKS.c.number == number)
            connection.execute(mine.values(**on))
            theirs = sa.update(LETTERS).where(LETTERS.c.webhook == number)
            connection.execute(theirs.values(due_us=to_us(moment)))

    def progress(self, webhook_id: str) -> Progress | None:
        mine = sa.select(WEBHOOKS).where(WEBHOOKS.c.number == _number(webhook_id))
        with begin(self._engine, write=False) as connection:
            row = connection.execute(mine).first()
        return None if row is None else _progress(row)

    def put_progress(
        self, webhook_id: str, progress: Progress, *, died: tuple[datetime, str] | None = None
    ) -> None:
        mine = WEBHOOKS.c.number == _number(webhook_id)
        with begin(self._engine, write=True) as connection:
            row = connection.execute(sa.select(WEBHOOKS).where(mine)).first()
            if row is None:
                return
            if died is not None and row.until is not None:
                connection.execute(sa.insert(LETTERS), _buried(row, *died))
            connection.execute(sa.update(WEBHOOKS).where(mine).values(**_columns(progress)))

    def letters(self, webhook_id: str | None = None) -> list[DeadLetter]:
        wanted = sa.select(LETTERS).order_by(LETTERS.c.number)
        if webhook_id is not None:
            wanted = wanted.where(LETTERS.c.webhook == _number(webhook_id))
        with begin(self._engine, write=False) as connection:
            return [_letter(row) for row in connection.execute(wanted)]

    def put_letter(self, letter: DeadLetter) -> None:
        values = {
            "tries": letter.tries, "reason": letter.reason, "died_us": to_us(letter.died),
            "due_us": _us(letter.due),
        }  # fmt: skip
        with begin(self._engine, write=True) as connection:
            mine = LETTERS.c.number == letter.number
            connection.execute(sa.update(LETTERS).where(mine).values(**values))

    def drop_letter(self, number: int) -> None:
        with begin(self._engine, write=True) as connection:
            connection.execute(sa.delete(LETTERS).where(LETTERS.c.number == number))

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()


def _number(webhook_id: str) -> int:
    """The number in `wh-0001`; 0, which none has, where it is no such id."""
    head, _, digits = webhook_id.rpartition("-")
    return int(digits) if head == "wh" and digits.isascii() and digits.isdigit() else 0


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _moment(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)


def _webhook(row: Any) -> Webhook:
    return Webhook(
        f"wh-{row.number:04d}", row.url, row.shape, tuple(json.loads(row.segments)), row.channel,
        row.salt, row.check_value, from_us(row.made_us), _moment(row.disabled_us), row.reason,
    )  # fmt: skip


def _progress(row: Any) -> Progress:
    return Progress(
        row.position, row.until, _moment(row.formed_us), row.tries, _moment(row.due_us),
        row.failure, row.messages, row.changes, row.left_out, _moment(row.succeeded_us),
    )  # fmt: skip


def _columns(progress: Progress) -> dict[str, Any]:
    return {
        "position": progress.position, "until": progress.until, "formed_us": _us(progress.formed),
        "tries": progress.tries, "due_us": _us(progress.due), "failure": progress.failure,
        "messages": progress.messages, "changes": progress.changes,
        "left_out": progress.left_out, "succeeded_us": _us(progress.succeeded),
    }  # fmt: skip


def _buried(row: Any, moment: datetime, reason: str) -> dict[str, Any]:
    """The message under way of a webhook as a dead letter."""
    return {
        "webhook": row.number, "after": row.position, "until": row.until,
        "formed_us": row.formed_us, "tries": row.tries + 1, "reason": reason,
        "died_us": to_us(moment), "due_us": None,
    }  # fmt: skip


def _letter(row: Any) -> DeadLetter:
    return DeadLetter(
        row.number, f"wh-{row.webhook:04d}", row.after, row.until, from_us(row.formed_us),
        row.tries, row.reason, from_us(row.died_us), _moment(row.due_us),
    )  # fmt: skip
