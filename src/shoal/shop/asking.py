"""What a service asks of a shop whose customers its own driver moves: `shop.asking()`.

Nothing here writes, waits for who writes, or catches up: states and memberships are read as the
last step left them.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.domain.errors import OperationError
from shoal.shop.asking_customers import CustomerAsking
from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal.workflows.quarantine import CodeCounts, Listing
    from shoal.workflows.quarantine_pages import Behind
    from shoal.workflows.units_followed import Summary, UnitsFollowed


class AskingVerbs(Verbs):
    """What a service asks."""

    def asking(self) -> ShopAsking:
        """Questions to a shop that is served; refreshes from now on keep what they see of
        customers at hand for them."""
        found = ShopAsking(self)
        self._seen = found.seen
        return found


class ShopAsking(CustomerAsking):
    """Questions about customers, segments and data, safe to ask from several threads."""

    def quarantined(
        self, *, code: str | None, behind: Behind | None, limit: int
    ) -> tuple[list[dict[str, Any]], Behind | None]:
        """Rows that were not stored; see `shoal.workflows.quarantine_pages`.

        Raises:
            UsageError: `usage`, there is no such reason.
        """
        from shoal.workflows.quarantine_pages import page

        return page(
            self._parts.store, self._shop.directory / bootstrap.QUARANTINE_DIR, code=code,
            behind=behind, limit=limit, every=self._units,
        )  # fmt: skip

    def quarantine(self, code: str | None = None) -> Listing:
        """How many rows were not stored, by reason, without samples.

        Raises:
            UsageError: `usage`, there is no such reason.
            OperationError: `shop_damaged`, a file is missing.
        """
        from shoal.workflows.quarantine import listing

        asked: dict[str, Any] = {
            "store": self._parts.store, "code": code, "samples": 0,
            "quarantine_dir": self._shop.directory / bootstrap.QUARANTINE_DIR,
        }  # fmt: skip
        try:
            return listing(**asked, every=self._units, kept=self._codes)
        except OperationError:  # an erasure that just ended put another file in a file's place
            return listing(**asked)

    def status(self) -> dict[str, Any]:
        """The document `shoal.status/1`."""
        from shoal.workflows.status import status

        return status(store=self._parts.store, known=self._units)

    def _units(self) -> Summary:
        return self._followed.read(self._erasures())

    @property
    def exports_dir(self) -> Path:
        """Where lists lie."""
        return self._shop.directory / bootstrap.EXPORTS_DIR

    @cached_property
    def _followed(self) -> UnitsFollowed:
        from shoal.workflows.units_followed import UnitsFollowed

        return UnitsFollowed(self._parts.store)

    @cached_property
    def _codes(self) -> CodeCounts:
        from shoal.workflows.quarantine import CodeCounts

        return CodeCounts()
