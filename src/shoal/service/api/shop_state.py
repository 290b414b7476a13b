"""The shop as a whole: what it holds, what is current, and what was not stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.access import DATA_READ
from shoal.domain.version import __version__
from shoal.events.reasons import REASONS
from shoal.service.api.asked import Asked
from shoal.service.api.operation import Operation, Operations
from shoal.service.api.paging import CURSOR, LIMIT, cursor_of, values_of
from shoal.service.api.parameters import Parameter
from shoal.service.endpoint import Endpoint
from shoal.shop.asking import ShopAsking
from shoal.workflows.quarantine_pages import Behind

if TYPE_CHECKING:
    from shoal.shop import Shop

_TAG: Final = "shop"


class ShopState:
    """Questions about the shop.

    Args:
        told: what the driver tells of itself.
        counts: calls by what became of them since the service began.
    """

    def __init__(
        self,
        shop: Shop,
        asking: ShopAsking,
        told: Callable[[], Mapping[str, Any]],
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._shop, self._asking, self._told, self._counts = shop, asking, told, counts

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """Status and quarantine."""
        return [operations.endpoint(one) for one in (
            Operation(
                "GET", "/v1/status", DATA_READ, self._status,
                "What the shop holds, what is current, and how far the service is", slow=True,
                tag=_TAG,
                example={"schema": "shoal.service_status/1", "version": "0.1.0",
                         "shop": {"schema": "shoal.status/1", "events": 23785, "customers": 800},
                         "service": {"events": 50, "moved": 3, "waiting": 0, "failure": None},
                         "calls": {"received": 50, "accepted": 50}},
            ),
            Operation(
                "GET", "/v1/quarantine", DATA_READ, self._quarantine,
                "Rows and calls that were not stored, with their reasons",
                query=(Parameter.choice("code", "of one reason alone", tuple(REASONS)), LIMIT,
                       CURSOR),
                slow=True, tag=_TAG,
                example={"schema": "shoal.quarantine_page/1", "rows": 1, "reasons": [
                    {"code": "unknown_kind", "meaning": "...", "count": 1}], "items": [
                    {"source": "web", "file": "inbox:web", "row": 17, "code": "unknown_kind",
                     "meaning": "...", "detail": "...", "raw": "{}"}], "next": None},
            ),
        )]  # fmt: skip

    def _status(self, asked: Asked) -> dict[str, Any]:
        return {
            "schema": "shoal.service_status/1",
            "version": __version__,
            "shop": self._asking.status(),
            "service": dict(self._told()),
            "calls": dict(self._counts()),
        }

    def _quarantine(self, asked: Asked) -> dict[str, Any]:
        code, behind = asked.query["code"], None
        if asked.query["cursor"] is not None:
            behind = Behind(*values_of("quarantine", asked.query["cursor"], (int, int)))
        told, following = self._asking.quarantined(
            code=code, behind=behind, limit=asked.query["limit"]
        )
        document = self._asking.quarantine(code).as_document()
        for one in document["reasons"]:
            one.pop("samples", None)
        return {
            **document,
            "schema": "shoal.quarantine_page/1",
            "items": told,
            "next": None if following is None else cursor_of(
                "quarantine", following.number, following.place
            ),
        }  # fmt: skip
