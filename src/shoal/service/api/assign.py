"""Where a list of events would lead to, nothing of it being kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shoal.domain.access import CUSTOMERS_READ
from shoal.events.collected import BodyError, opened
from shoal.service.api.asked import Asked, Body
from shoal.service.api.operation import Operation, Operations
from shoal.service.api.parameters import Parameter
from shoal.service.api.problems import Refused
from shoal.service.endpoint import Endpoint
from shoal.shop.asking import ShopAsking

#: Calls of one request.
MOST: Final = 2_000
_CALL: Final = {
    "type": "track", "event": "Product Viewed", "userId": "17850",
    "timestamp": "2026-05-01T10:00:00Z", "properties": {"product_id": "p1", "price": 9.5},
}  # fmt: skip


class Assign:
    """Assignment of posted events."""

    def __init__(self, asking: ShopAsking, clock: Callable[[], datetime]) -> None:
        self._asking, self._clock = asking, clock

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """The one route."""
        return [operations.endpoint(
            Operation(
                "POST", "/v1/assign", CUSTOMERS_READ, self._assign,
                "Which segment a list of events leads to; nothing is stored",
                query=(Parameter.moment("as_of", "only what happened before it counts"),
                       Parameter.flag("history", "what is known of these customers counts too",
                                      default=False)),
                body=Body(
                    {"type": "object", "properties": {
                        "batch": {"type": "array", "maxItems": MOST, "items": {"type": "object"}}},
                     "required": ["batch"]},
                    {"batch": [_CALL]}, raw=True),
                slow=True, tag="segments",
                description="Takes what collection takes: the same calls of Segment's HTTP API, "
                "through the same front door.",
                example={"schema": "shoal.assign/1", "as_of": "2026-05-01T10:00:00.000001Z",
                         "events": 1, "customers": [{"customer_id": "17850", "segments": [
                             {"line": "main", "segmentation_id": "kmeans-0001",
                              "segment_id": "new", "tier": "too_little_known", "weight": 1.0}]}],
                         "rejected": []},
            )
        )]  # fmt: skip

    def _assign(self, asked: Asked) -> dict[str, Any]:
        """The document `shoal.assign/1`; what is no call is among the rejected ones."""
        now = self._clock()
        try:
            envelope = opened(asked.body)
        except BodyError as error:
            raise Refused(400, error.code, error.message) from None
        if len(envelope.calls) > MOST:
            raise Refused(400, "too_many", f"{len(envelope.calls):,} calls; at most {MOST:,}.")
        judged = [self._asking.judge(call, envelope.sent_at, now) for call in envelope.calls]
        sound = [place for place, one in enumerate(judged) if one.fault is None]
        rejected = [
            {"index": place, "code": one.fault[0], "message": one.fault[1]}
            for place, one in enumerate(judged) if one.fault is not None
        ]  # fmt: skip
        if not sound:
            raise Refused(
                422, "too_little_data", "No call can be an event.",
                hint="; ".join(str(one["message"]) for one in rejected[:3]),
            )  # fmt: skip
        told = self._asking.assign(
            [judged[place].line for place in sound], as_of=asked.query["as_of"],
            history=asked.query["history"],
        )  # fmt: skip
        later = [{**one, "index": sound[one["index"]]} for one in told["rejected"]]
        return {
            **told, "rejected": sorted([*rejected, *later], key=lambda one: int(one["index"]))
        }  # fmt: skip
