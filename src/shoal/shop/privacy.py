"""Verbs that take persons out of the shop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal.shop.live import LiveVerbs

if TYPE_CHECKING:
    from shoal.workflows.progress import Progress


class PrivacyVerbs(LiveVerbs):
    """Forgetting, and what was forgotten."""

    def forget(
        self, ids: Sequence[str], *, progress: Progress | None = None, audit: bool = True
    ) -> dict[str, Any]:
        """Take persons out of every store and keep them out; the receipt, `shoal.forget/1`.

        A person is everything that belongs to an id: the ids that were merged with it, and what
        happened on anonymous ids while they were the person's. `unknown_ids` of the receipt are the
        ids of which no event told; the receipt that is kept has their number only.
        `finished_before` are receipts of interrupted erasures that were finished first. What a
        service left in the inbox comes into the log before, so that it is found there. The audit
        log names the receipt, and nobody.

        Args:
            audit: False: the caller has it in the audit log already.

        Raises:
            OperationError: `shop_locked`, `disk_full`, `no_permission`, `erasure_unfinished` (it
                was interrupted); what was begun is finished by the next command that writes.
        """
        with self._noted("forget", audit, asked=len(set(ids))) as facts:
            self.empty_inbox()
            known = self._known_as(ids)
            receipt = self._forgetting.forget(list(known), progress)
            facts["receipt"] = receipt["number"]
            unknown = [known[name] for name in receipt["unknown_ids"]]
            return {**receipt, "unknown_ids": unknown}

    def _known_as(self, ids: Sequence[str]) -> dict[str, str]:
        """Ids as the shop knows them, each with what was asked.

        Raises:
            UsageError: `usage`, one that nobody has, which is told before it becomes a pseudonym.
        """
        from shoal.workflows.forget_people import check_id

        for name in ids:
            check_id(name)
        return {self._named(name): name for name in ids}

    def lift(self, ids: Sequence[str]) -> int:
        """Let forgotten ids come back; returns how many tombstones there were.

        With a customer's id come those that were forgotten as the same person's.
        """
        with self._noted("forget.lift", True, asked=len(set(ids))) as facts:
            self._finish_erasures()  # one that is under way needs its tombstones
            facts["lifted"] = self._forgetting.lift([self._named(name) for name in ids])
            return int(facts["lifted"])

    def receipts(self) -> list[dict[str, Any]]:
        """What was forgotten, oldest first; nobody is named."""
        return self._parts.store.erasures.receipts()
