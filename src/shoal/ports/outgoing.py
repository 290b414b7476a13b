"""The doors to what is written down of readers, and told to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # names only: the ports load no library
    from shoal.domain.audit import Act, Recorded
    from shoal.domain.webhook import DeadLetter, Progress, Reply, Webhook


class AuditLog(Protocol):
    """The audit log: entries count from 1; none is ever changed, and only old ones leave.

    Beside the entries stands the number and digest of the last one (the mark), so that a log whose
    end is gone is noticed.
    """

    def append(self, acts: Sequence[Act], *, synced: bool = True) -> list[int]:
        """Write entries, all or none, each chained to the one before; their numbers.

        Args:
            synced: they are on the disk when this returns; otherwise a killed process keeps them,
                and a machine without power may not.

        Raises:
            OperationError: `audit_broken`, as `hold`; `disk_full`, `no_permission`, `shop_damaged`:
                nothing was written.
        """

    def cut(self, act: Act, upto: int) -> int:
        """Write an entry that tells of it, and take out all up to a number, in one transaction; the
        entry's number. The last entry that was there before stays.

        Raises:
            OperationError: as `append`.
        """

    def hold(self) -> None:
        """Refuse a log that lacks its end: what is written on would hide it.

        Raises:
            OperationError: `audit_broken`.
        """

    def after(self, number: int, limit: int) -> list[Recorded]:
        """The next entries behind a number, in order."""

    def last(self) -> Recorded | None:
        """The entry with the highest number."""

    def mark(self) -> tuple[int, str] | None:
        """Number and digest of the last entry as the mark tells them; None: there is no mark."""

    def secret(self) -> bytes:
        """What ids are hidden with."""

    def close(self) -> None: ...


class WebhookStore(Protocol):
    """Webhooks, how far each is told, and what was given up; a call is one transaction.

    What is said to receivers is not kept: it is read from the membership log again at every try.
    """

    def all(self) -> list[Webhook]:
        """Every webhook, oldest first."""

    def add(
        self, url: str, shape: str, segments: Sequence[str], channel: str, salt: str, check: str,
        made: datetime, position: int,
    ) -> Webhook:  # fmt: skip
        """Keep a new webhook, told from a position of the membership log on; ids are given once."""

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook and its dead letters; nothing happens if it is not there."""

    def disable(self, webhook_id: str, moment: datetime, reason: str) -> None:
        """Let nothing be sent to a webhook."""

    def retry(self, webhook_id: str, moment: datetime) -> None:
        """Let a webhook be on, and its message under way and its dead letters be due at once."""

    def progress(self, webhook_id: str) -> Progress | None:
        """How far a webhook is told; None: it is not there any more."""

    def put_progress(
        self, webhook_id: str, progress: Progress, *, died: tuple[datetime, str] | None = None
    ) -> None:
        """Let this be how far a webhook is told; nothing happens if it is not there any more.

        Args:
            died: when and why the message under way was given up: it is a dead letter from then on.
        """

    def letters(self, webhook_id: str | None = None) -> list[DeadLetter]:
        """Dead letters of a webhook, or of all, oldest first."""

    def put_letter(self, letter: DeadLetter) -> None:
        """Let this be a dead letter that is there; nothing happens if it is not."""

    def drop_letter(self, number: int) -> None:
        """Remove a dead letter; nothing happens if it is not there."""

    def close(self) -> None: ...


class Sender(Protocol):
    """Sends a message to a webhook's receiver."""

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a body by POST; what came of it, whatever it is. Redirects are not followed."""
