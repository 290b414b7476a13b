"""Verbs of the audit log: what was written down, and whether it still holds."""

from __future__ import annotations

from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

from shoal.domain.errors import UsageError
from shoal.domain.time import system_clock
from shoal.shop.audited import audited, user
from shoal.shop.base import moment_of
from shoal.shop.data import DataVerbs

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from shoal.ports import AuditLog
    from shoal.shop.base import Moment


class AuditVerbs(DataVerbs):
    """Who asked for what, over HTTP and on the shop's own machine."""

    def audit(
        self,
        *,
        since: Moment | None = None,
        key_id: str = "",
        customer: str = "",
        newest: int = 0,
    ) -> dict[str, Any]:
        """Entries of the audit log, oldest first; the JSON document `shoal.audit/1`.

        Args:
            since: only those at or after a moment.
            key_id: only what a key did.
            customer: only calls whose address named this id.
            newest: so many at most, the newest; 0: all.

        Raises:
            UsageError: `bad_time`.
            OperationError: `audit_broken`, an entry is no entry.
        """
        from shoal.workflows.audit import SCHEMA, Wanted, about, listed

        moment = moment_of(since)
        if not self._written_down():
            return {"schema": SCHEMA, "entries": [], "head": None}
        with closing(self.audit_log()) as log:
            named = about(log, customer) if customer else ""
            return listed(log, Wanted(moment, key_id, named, newest))

    def verify_audit(self, expect: str = "") -> dict[str, Any]:
        """Walk the whole chain of the audit log; how many entries there are, and its head.

        Args:
            expect: an earlier head, `NUMBER:DIGEST`, that was written down elsewhere.

        Raises:
            UsageError: `usage`, that is no head.
            OperationError: `audit_broken`, naming the first entry that is not as it was written.
        """
        from shoal.workflows.audit import expected_of, verify

        head = expected_of(expect) if expect else None
        with closing(self.audit_log()) as log:
            return verify(log, head)

    def cut_audit(self, days: int | None = None) -> dict[str, Any]:
        """Take entries out of the audit log that are older than some days; `shoal.audit_cut/1`.

        The chain stays verifiable: an entry says what left. What leaves is walked first.

        Args:
            days: None: those of the shop's `[service] audit_days`; 0: none leaves.

        Raises:
            UsageError: `usage`, that is no number of days.
            OperationError: `audit_broken`, what would leave is not as it was written.
        """
        from shoal.domain.audit import Who
        from shoal.domain.limits import ALLOWED_LIMITS
        from shoal.workflows.audit_retention import SCHEMA, cut

        kept = self.config.service.audit_days if days is None else days
        _, most, allowed = ALLOWED_LIMITS["audit_days"]
        if not 0 <= kept <= most:
            raise UsageError("usage", f"entries cannot be kept for {kept} days", hint=allowed)
        if kept == 0 or not self._written_down():
            return {"schema": SCHEMA, "days": kept, "before": None, "removed": 0, "upto": None}
        with closing(self.audit_log()) as log:
            return cut(log, Who("local", owner=user()), system_clock(), kept)

    def audit_log(self) -> AuditLog:
        """The shop's audit log; whoever opens it closes it.

        Raises:
            OperationError: `shop_newer`, `shop_damaged`, `no_permission`, `disk_full`.
        """
        return self._parts.audit_log()

    def _noted(
        self, action: str, audit: bool, **facts: Any
    ) -> AbstractContextManager[dict[str, Any]]:
        """A block that is written down, unless its caller has done so."""
        return audited(self.directory, action, **facts) if audit else nullcontext({})

    def _written_down(self) -> bool:
        return self._parts.begun("audit")
