"""Verbs that take persons out of the shop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal.shop.live import LiveVerbs

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress


class PrivacyVerbs(LiveVerbs):
    """Forgetting, and what was forgotten."""

    def forget(self, ids: Sequence[str], *, progress: Progress | None = None) -> dict[str, Any]:
        """Take persons out of every store and keep them out; the receipt, `shoal.forget/1`.

        A person is everything that belongs to an id: the ids that were merged with it, and what
        happened on anonymous ids while they were the person's. `unknown_ids` of the receipt are the
        ids of which no event told; the receipt that is kept has their number only.
        `finished_before` are receipts of interrupted erasures that were finished first. What a
        service left in the inbox comes into the log before, so that it is found there.

        Raises:
            OperationError: `shop_locked`, `disk_full`, `no_permission`, `erasure_unfinished` (it
                was interrupted); what was begun is finished by the next command that writes.
        """
        self.empty_inbox()
        return self._forgetting.forget(ids, progress)

    def lift(self, ids: Sequence[str]) -> int:
        """Let forgotten ids come back; returns how many tombstones there were.

        With a customer's id come those that were forgotten as the same person's.
        """
        self._finish_erasures()  # one that is under way needs its tombstones
        return self._forgetting.lift(ids)

    def receipts(self) -> list[dict[str, Any]]:
        """What was forgotten, oldest first; nobody is named."""
        return self._parts.store.erasures.receipts()
