"""Webhooks in memory, for tests and for what needs no disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shoal.domain.webhook import DeadLetter, Progress, Webhook


class MemoryWebhooks:
    """`WebhookStore` in memory."""

    def __init__(self) -> None:
        self._webhooks: dict[str, Webhook] = {}
        self._progress: dict[str, Progress] = {}
        self._letters: dict[int, DeadLetter] = {}
        self._given = self._buried = 0

    def all(self) -> list[Webhook]:
        return list(self._webhooks.values())

    def add(
        self, url: str, shape: str, segments: Sequence[str], channel: str, salt: str, check: str,
        made: datetime, position: int,
    ) -> Webhook:  # fmt: skip
        self._given += 1
        name = f"wh-{self._given:04d}"
        found = Webhook(name, url, shape, tuple(segments), channel, salt, check, made)
        self._webhooks[name], self._progress[name] = found, Progress(position)
        return found

    def remove(self, webhook_id: str) -> None:
        self._webhooks.pop(webhook_id, None)
        self._progress.pop(webhook_id, None)
        for one in self.letters(webhook_id):
            del self._letters[one.number]

    def disable(self, webhook_id: str, moment: datetime, reason: str) -> None:
        if webhook_id in self._webhooks:
            found = self._webhooks[webhook_id]
            self._webhooks[webhook_id] = replace(found, disabled=moment, reason=reason)

    def retry(self, webhook_id: str, moment: datetime) -> None:
        if webhook_id in self._webhooks:
            found = self._webhooks[webhook_id]
            self._webhooks[webhook_id] = replace(found, disabled=None, reason="")
            self._progress[webhook_id] = replace(self._progress[webhook_id], due=None)
        for one in self.letters(webhook_id):
            self._letters[one.number] = replace(one, due=moment)

    def progress(self, webhook_id: str) -> Progress | None:
        return self._progress.get(webhook_id)

    def put_progress(
        self, webhook_id: str, progress: Progress, *, died: tuple[datetime, str] | None = None
    ) -> None:
        before = self._progress.get(webhook_id)
        if before is None:
            return
        if died is not None and before.until is not None and before.formed is not None:
            self._buried += 1
            self._letters[self._buried] = DeadLetter(
                self._buried, webhook_id, before.position, before.until, before.formed,
                before.tries + 1, died[1], died[0],
            )  # fmt: skip
        self._progress[webhook_id] = progress

    def letters(self, webhook_id: str | None = None) -> list[DeadLetter]:
        wanted = self._letters.values()
        return [one for one in wanted if webhook_id in (None, one.webhook_id)]

    def put_letter(self, letter: DeadLetter) -> None:
        if letter.number in self._letters:
            self._letters[letter.number] = letter

    def drop_letter(self, number: int) -> None:
        self._letters.pop(number, None)

    def close(self) -> None:
        """Nothing to give back."""
