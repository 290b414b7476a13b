"""Segments by rules: those in force, trying others, and putting a new version in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from starlette.responses import Response

from shoal.domain.access import RULES_WRITE, SEGMENTS_READ
from shoal.domain.errors import UsageError
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.ruled.written import as_document
from shoal.service.api.asked import Asked, Body
from shoal.service.api.operation import Operation, Operations, as_answer
from shoal.service.api.parameters import moment_of
from shoal.service.api.writing import Writing
from shoal.service.endpoint import Endpoint
from shoal.shop.asking import ShopAsking

if TYPE_CHECKING:
    from shoal.shop import Shop

_TAG: Final = "rules"
_LINE: Final = "rules"
_RULES: Final = {
    "schema": "shoal.rules/1",
    "segments": [{"id": "vip", "name": {"en": "VIP", "zh": "贵宾"},
                  "rule": {"feature": "orders", "op": ">=", "value": 5}}],
}  # fmt: skip
_MEMBER: Final = {"type": "object", "description": "rules as docs/concepts/rules.md describes them"}
_IN_FORCE: Final = {
    "schema": "shoal.rules_in_force/1", "segmentation_id": "rules-0002", "rules": _RULES,
    "versions": ["rules-0001", "rules-0002"],
}  # fmt: skip


class Rules:
    """Rule segments."""

    def __init__(self, shop: Shop, asking: ShopAsking, writing: Writing) -> None:
        self._shop, self._asking, self._writing = shop, asking, writing

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """Routes below `/v1/rules`."""
        publish = Body(
            {"type": "object", "properties": {"rules": _MEMBER}, "required": ["rules"]},
            {"rules": _RULES},
        )
        preview = Body(
            {"type": "object", "required": ["rules"], "properties": {
                "rules": _MEMBER,
                "as_of": {"type": "string", "format": "date-time", "maxLength": 40},
                "sample": {"type": "integer", "minimum": 0, "maximum": 100},
                "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}}},
            {"rules": _RULES, "sample": 10},
        )  # fmt: skip
        return [operations.endpoint(one) for one in (
            Operation(
                "GET", "/v1/rules", SEGMENTS_READ, self._current,
                "The rules in force, and which versions there are", tag=_TAG, slow=True,
                example=_IN_FORCE,
            ),
            Operation(
                "POST", "/v1/rules/preview", RULES_WRITE, self._preview,
                "What rules would give: how many, who, and what each clause keeps and drops",
                body=preview, tag=_TAG, slow=True,
                example={"schema": "shoal.rules.preview/1", "customers": 800, "overlap": False,
                         "segments": [{"segment_id": "vip", "customers": 12}], "warnings": []},
            ),
            Operation(
                "POST", "/v1/rules", RULES_WRITE, self._publish,
                "Put rules in force as a new version", body=publish, tag=_TAG, slow=True,
                status=201, example=_IN_FORCE,
            ),
            Operation(
                "PUT", "/v1/rules", RULES_WRITE, self._put,
                "Let these be the rules in force; nothing happens where they are already",
                body=publish, tag=_TAG, slow=True, example=_IN_FORCE,
            ),
            Operation(
                "GET", "/v1/rules/{version}", SEGMENTS_READ, self._version,
                "The rules of a version", tag=_TAG, slow=True,
                example={"schema": "shoal.rule_version/1", "segmentation_id": "rules-0001",
                         "rules": _RULES},
            ),
        )]  # fmt: skip

    def _current(self, asked: Asked) -> dict[str, Any]:
        current = self._asking.profiles.current().lines.get(_LINE)
        return self._in_force(current)

    def _in_force(self, current: str | None) -> dict[str, Any]:
        versions = [
            one["segmentation_id"] for one in self._shop.versions()["versions"]
            if one.get("method") == RuleSegmenter.method
        ]  # fmt: skip
        return {
            "schema": "shoal.rules_in_force/1",
            "segmentation_id": current,
            "rules": None if current is None else self._rules_of(current),
            "versions": versions,
        }

    def _version(self, asked: Asked) -> dict[str, Any]:
        version = asked.path["version"]
        return {
            "schema": "shoal.rule_version/1",
            "segmentation_id": version,
            "rules": self._rules_of(version),
        }

    def _rules_of(self, version: str) -> dict[str, Any]:
        """The rules of a version.

        Raises:
            UsageError: `unknown_segmentation`, there is none, or it was not made by rules.
        """
        segmenter = self._asking.segmentation(version).segmenter
        if not isinstance(segmenter, RuleSegmenter):
            raise UsageError(
                "unknown_segmentation", f"{version} was not made by rules", where=version,
                hint="GET /v1/rules lists the versions that were.",
            )  # fmt: skip
        return as_document(segmenter.rules)

    def _preview(self, asked: Asked) -> dict[str, Any]:
        body = asked.body
        as_of = None if body.get("as_of") is None else moment_of(body["as_of"], "as_of")
        return self._shop.rules.preview(
            body["rules"], as_of=as_of, sample=body.get("sample", 10), seed=body.get("seed", 0)
        )

    def _publish(self, asked: Asked) -> dict[str, Any]:
        """A new version."""
        with self._writing.held():
            made = self._shop.rules.segment(asked.body["rules"])
        return {**self._in_force(made.ids[0]), "warnings": list(made.warnings)}

    def _put(self, asked: Asked) -> Response | dict[str, Any]:
        """A new version where the rules differ from those in force."""
        rules = as_document(self._shop.rules.check(asked.body["rules"]))
        with self._writing.held():
            current = self._shop.current(_LINE)
            if current is not None and self._rules_of(current) == rules:
                return {**self._in_force(current), "warnings": []}
            made = self._shop.rules.segment(cast(Any, asked.body["rules"]))
        told = {**self._in_force(made.ids[0]), "warnings": list(made.warnings)}
        return as_answer(told, 201)
