"""Customers: who one is, where and why, since when, and what was done."""

from __future__ import annotations

from typing import Any, Final

from shoal.domain.access import ALLOWED, CUSTOMERS_READ, PERSON_READ
from shoal.domain.kinds import KINDS
from shoal.domain.time import iso
from shoal.service.api.asked import Asked
from shoal.service.api.operation import Operation, Operations
from shoal.service.api.paging import CURSOR, LIMIT, cursor_of, values_of
from shoal.service.api.parameters import Parameter
from shoal.service.endpoint import Endpoint
from shoal.shop.asking import ShopAsking
from shoal.workflows.timeline import Before

_AS_OF: Final = Parameter.moment("as_of", "what was known just before this moment; now without it")
_TAG: Final = "customers"
_NAME: Final = {"en": "Frequent customers", "zh": "高频客户"}
_MEMBERSHIP: Final = {
    "segmentation_id": "kmeans-0001", "segment_id": "s03", "name": _NAME, "weight": 0.71,
    "margin": 0.42, "since": "2026-04-02T10:00:00Z", "days": 28.6, "cause": "event",
    "as_of": "2026-05-01T00:00:00Z",
}  # fmt: skip
_PROFILE: Final = {
    "schema": "shoal.profile/1", "customer_id": "17850", "as_of": "2026-05-01T00:00:00Z",
    "tier": "placed", "segment": _MEMBERSHIP, "segments": [{"line": "main", **_MEMBERSHIP}],
    "traits": {"plan": "gold"}, "features": {"orders": 7, "recency_days": 1.25},
    "features_as_of": "2026-05-01T00:00:00Z",
}  # fmt: skip


class Customers:
    """Questions about one customer.

    An id may be that of a customer, one that was merged, or of a device that belongs to somebody:
    answers name the customer.
    """

    def __init__(self, asking: ShopAsking) -> None:
        self._asking = asking

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """Routes below `/v1/customers`; ids may hold slashes."""
        base = "/v1/customers/{customer_id:path}"
        return [operations.endpoint(one) for one in (
            Operation(
                "GET", f"{base}/embedding", CUSTOMERS_READ, self._embedding,
                "What the behaviour model makes of a customer", slow=True, waits=True, tag=_TAG,
                example={"schema": "shoal.embedding/1", "customer_id": "17850",
                         "as_of": "2026-05-01T00:00:00Z", "model_id": "laptop-0001",
                         "embedding": [0.12, -0.4]},
            ),
            Operation(
                "GET", f"{base}/segments", CUSTOMERS_READ, self._segments,
                "Where a customer is in each segmentation, why, and what would change it",
                query=(_AS_OF,), slow=True, waits=True, tag=_TAG,
                description="Takes a second or more; the profile tells where alone.",
                example={"schema": "shoal.customer/1", "customer_id": "17850",
                         "memberships": [_MEMBERSHIP], "reasons": [], "why": {}},
            ),
            Operation(
                "GET", f"{base}/history", CUSTOMERS_READ, self._history,
                "A customer's stretches in segments, latest first",
                query=(_AS_OF, LIMIT, CURSOR), waits=True, tag=_TAG,
                example={"schema": "shoal.customer_history/1", "customer_id": "17850",
                         "spells": [{"line": "main", "segmentation_id": "kmeans-0001",
                                     "segment_id": "s03", "name": _NAME,
                                     "since": "2026-04-02T10:00:00Z", "until": None,
                                     "cause": "event", "weight": 0.71, "margin": 0.42}],
                         "next": None},
            ),
            Operation(
                "GET", f"{base}/timeline", CUSTOMERS_READ, self._timeline,
                "A customer's events, newest first",
                query=(_AS_OF, Parameter.choice("kind", "events of a kind alone", KINDS), LIMIT,
                       CURSOR),
                slow=True, waits=True, tag=_TAG,
                example={"schema": "shoal.timeline/1", "customer_id": "17850",
                         "events": [{"event_id": "e1", "kind": "purchase", "price": 9.5,
                                     "event_time": "2026-04-30T12:00:00Z"}], "next": None},
            ),
            Operation(
                "GET", base, CUSTOMERS_READ, self._profile,
                "A customer's profile: segments since when, traits and features",
                query=(Parameter.flag("features", "also traits and features", default=True),),
                waits=True, tag=_TAG, example=_PROFILE, at_hand=self._profile_at_hand,
            ),
        )]  # fmt: skip

    def _profile(self, asked: Asked) -> dict[str, Any]:
        return self._asking.profile(asked.path["customer_id"], features=asked.query["features"])

    def _profile_at_hand(self, asked: Asked) -> str | None:
        return self._asking.profile_at_hand(
            asked.path["customer_id"], features=asked.query["features"]
        )

    def _embedding(self, asked: Asked) -> dict[str, Any]:
        return self._asking.embedding(asked.path["customer_id"])

    def _segments(self, asked: Asked) -> dict[str, Any]:
        return self._asking.why(asked.path["customer_id"], as_of=asked.query["as_of"])

    def _history(self, asked: Asked) -> dict[str, Any]:
        name, as_of, limit = asked.path["customer_id"], asked.query["as_of"], asked.query["limit"]
        owner = self._asking.owner(name)
        told = self._asking.spells(owner, as_of=as_of)
        if asked.query["cursor"] is not None:
            behind = tuple(values_of("history", asked.query["cursor"], (str, str)))
            told = [one for one in told if (one["since"], one["line"]) < behind]
        rest = told[limit:]
        last = told[limit - 1] if rest else None
        return {
            "schema": "shoal.customer_history/1",
            "customer_id": owner,
            "as_of": None if as_of is None else iso(as_of),
            "spells": told[:limit],
            "next": None if last is None else cursor_of("history", last["since"], last["line"]),
        }

    def _timeline(self, asked: Asked) -> dict[str, Any]:
        query, before = asked.query, None
        if query["cursor"] is not None:
            before = Before(*values_of("timeline", query["cursor"], (int, int, str, str)))
        name, told, behind = self._asking.timeline(
            asked.path["customer_id"], before=before, as_of=query["as_of"], kind=query["kind"],
            limit=query["limit"], personal=PERSON_READ in ALLOWED.get(asked.key.role, ()),
        )  # fmt: skip
        return {
            "schema": "shoal.timeline/1",
            "customer_id": name,
            "events": told,
            "next": None if behind is None else cursor_of(
                "timeline", behind.us, behind.sequence, behind.event_id, behind.source
            ),
        }  # fmt: skip
