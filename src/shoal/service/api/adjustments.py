"""Looks at the segments: what was noticed and done, and a person's word where the gates ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shoal.domain.access import ADJUST_APPROVE, SEGMENTS_READ
from shoal.service.api.asked import Asked
from shoal.service.api.operation import Operation, Operations
from shoal.service.api.paging import CURSOR, LIMIT, cursor_of, values_of
from shoal.service.api.problems import Refused
from shoal.service.api.writing import Writing
from shoal.service.endpoint import Endpoint

if TYPE_CHECKING:
    from shoal.shop import Shop

_TAG: Final = "adjustments"
_KIND: Final = "adjustments"
_LOOK: Final = {
    "adjust_id": "look-0004", "kind": "look", "as_of": "2026-05-04T00:00:00Z",
    "segmentation_id": "kmeans-0002", "published": None, "waits": True,
    "adjustments": [{"action": "refit", "gain": 0.031, "probability": 1.0}], "alarms": [],
}  # fmt: skip
_WORD: Final = {
    "schema": "shoal.adjust/1", "adjust_id": "look-0005", "kind": "approval", "of": "look-0004",
    "by": "maria", "published": "kmeans-0003",
}  # fmt: skip


class Adjustments:
    """Looks, newest first, and the word of a person on the one that waits."""

    def __init__(self, shop: Shop, writing: Writing) -> None:
        self._shop, self._writing = shop, writing

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """Routes below `/v1/adjustments`."""
        one = "/v1/adjustments/{adjust_id}"
        return [operations.endpoint(each) for each in (
            Operation(
                "GET", "/v1/adjustments", SEGMENTS_READ, self._list,
                "Looks at the segments, newest first, and which one waits for a person",
                query=(LIMIT, CURSOR), tag=_TAG, slow=True,
                example={"schema": "shoal.adjustment_page/1", "waiting": "look-0004",
                         "canary": None, "looks": [_LOOK], "next": None},
            ),
            Operation(
                "GET", one, SEGMENTS_READ, self._one,
                "A look: alarms, what was considered and done, and why", tag=_TAG, slow=True,
                example=_LOOK,
            ),
            Operation(
                "POST", f"{one}/approve", ADJUST_APPROVE, self._approve,
                "Put in force what waits, applied to customers as they are now, or for all what is "
                "tried on some",
                tag=_TAG, slow=True, example=_WORD,
            ),
            Operation(
                "POST", f"{one}/decline", ADJUST_APPROVE, self._decline,
                "Drop what waits, or stop what is tried on some customers",
                tag=_TAG, slow=True, example={**_WORD, "kind": "refusal"},
            ),
        )]  # fmt: skip

    def _list(self, asked: Asked) -> dict[str, Any]:
        found = self._shop.adjustments()
        looks = found["looks"][::-1]
        ids = [one["adjust_id"] for one in looks]
        begin = 0
        if asked.query["cursor"] is not None:
            (last,) = values_of(_KIND, asked.query["cursor"], (str,))
            begin = ids.index(last) + 1 if last in ids else len(ids)
        page = looks[begin : begin + asked.query["limit"]]
        more = begin + len(page) < len(looks)
        return {
            "schema": "shoal.adjustment_page/1", "waiting": found["waiting"],
            "canary": found.get("canary"), "looks": page,
            "next": cursor_of(_KIND, page[-1]["adjust_id"]) if more else None,
        }  # fmt: skip

    def _one(self, asked: Asked) -> dict[str, Any]:
        return self._look(asked.path["adjust_id"])

    def _approve(self, asked: Asked) -> dict[str, Any]:
        with self._writing.held():
            name = self._waiting(asked)
            by = asked.key.source  # the request itself is in the audit log
            return self._shop.adjust(approve=name, by=by, audit=False).as_document()

    def _decline(self, asked: Asked) -> dict[str, Any]:
        with self._writing.held():
            name = self._waiting(asked)
            by = asked.key.source
            return self._shop.adjust(decline=name, by=by, audit=False).as_document()

    def _look(self, name: str) -> dict[str, Any]:
        for one in self._shop.adjustments()["looks"]:
            if one["adjust_id"] == name:
                return dict(one)
        raise Refused(
            404, "unknown_look", f"There is no look {name[:80]!r}.",
            hint="GET /v1/adjustments lists them.",
        )  # fmt: skip

    def _waiting(self, asked: Asked) -> str:
        """The look that is meant, if it waits or its change is tried on some customers.

        Raises:
            Refused: `unknown_look`; `not_waiting`, somebody gave a word already, or nobody is to.
        """
        name = asked.path["adjust_id"]
        self._look(name)
        found = self._shop.adjustments()
        waiting = found["waiting"]
        if name not in (waiting, (found.get("canary") or {}).get("adjust_id")):
            raise Refused(
                409, "not_waiting", f"{name} does not wait for a person's word.",
                hint="Nothing waits." if waiting is None else f"{waiting} does.",
            )  # fmt: skip
        return name
