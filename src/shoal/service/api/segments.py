"""Segments: which there are, who is in one, why, and how that went over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shoal.domain.access import ALLOWED, CUSTOMERS_READ, SEGMENTS_READ
from shoal.domain.errors import UsageError
from shoal.domain.time import iso
from shoal.features.portable import DIALECTS
from shoal.service.api.asked import Asked
from shoal.service.api.operation import Operation, Operations
from shoal.service.api.paging import CURSOR, LIMIT, cursor_of, values_of
from shoal.service.api.parameters import Parameter
from shoal.service.endpoint import Endpoint
from shoal.shop.asking import ShopAsking
from shoal.workflows.members import Place
from shoal.workflows.profile import LINES

if TYPE_CHECKING:
    from shoal.segments.artefact import SegmentationArtefact
    from shoal.shop import Shop

_TAG: Final = "segments"
_VERSION: Final = Parameter.text(
    "segmentation", "a version, such as kmeans-0001; without it those in force"
)
_LINE: Final = Parameter.choice("line", "which segmentation in force", tuple(LINES), default="main")
#: Of a segment's explanation: these name customers.
_PERSONS: Final = ("typical", "borderline")
_NAME: Final = {"en": "Frequent customers", "zh": "高频客户"}
_SEGMENT: Final = {
    "segment_id": "s03", "name": _NAME, "tier": "placed", "customers": 74, "share": 0.0925,
    "summary": {"en": "...", "zh": "..."}, "made": {"customers": 74, "share": 0.0925},
    "revenue": 12764.84, "revenue_share": 0.09, "orders": 80,
}  # fmt: skip


class Segments:
    """Questions about segments; nobody is named but to keys that may read customers."""

    def __init__(self, shop: Shop, asking: ShopAsking) -> None:
        self._shop, self._asking = shop, asking

    def endpoints(self, operations: Operations) -> list[Endpoint]:
        """Routes below `/v1/segments`, versions and lineage."""
        one = "/v1/segments/{segment_id}"
        return [operations.endpoint(each) for each in (
            Operation(
                "GET", "/v1/segments", SEGMENTS_READ, self._list,
                "The segments of a segmentation, with sizes as they are now",
                query=(_LINE, _VERSION), waits=True, tag=_TAG,
                example={"schema": "shoal.segment_list/1", "segmentation_id": "kmeans-0001",
                         "method": "kmeans", "segments": [_SEGMENT]},
            ),
            Operation(
                "GET", f"{one}/members", CUSTOMERS_READ, self._members,
                "The customers of a segment, by id",
                query=(_VERSION, LIMIT, CURSOR), waits=True, tag=_TAG,
                description="The cursor fixes the version and the moment at which the list was "
                "begun: pages fit together whoever moves meanwhile.",
                example={"schema": "shoal.member_page/1", "segmentation_id": "kmeans-0001",
                         "segment_id": "s03", "members": [
                             {"customer_id": "17850", "weight": 0.71, "margin": 0.42,
                              "since": "2026-04-02T10:00:00Z", "cause": "event",
                              "segmentation_id": "kmeans-0001"}], "next": None},
            ),
            Operation(
                "GET", f"{one}/rules", SEGMENTS_READ, self._rules,
                "What makes a segment, in words and as SQL",
                query=(_VERSION, Parameter.choice("dialect", "of SQL", tuple(DIALECTS), "duckdb"),
                       Parameter.moment("as_of", "the moment that the SQL speaks of")),
                slow=True, tag=_TAG,
                example={"schema": "shoal.segment_rules/1", "segment_id": "s03",
                         "rule": {"words": {"en": "...", "zh": "..."}}, "sql": "SELECT ..."},
            ),
            Operation(
                "GET", f"{one}/trend", SEGMENTS_READ, self._trend,
                "How many customers a segment had over time",
                query=(_VERSION, Parameter.moment("since", "where it begins"),
                       Parameter.moment("until", "where it ends"),
                       Parameter.whole("every_days", "days between two points", default=1,
                                       least=1, most=366)),
                slow=True, waits=True, tag=_TAG,
                example={"schema": "shoal.trend/1", "segment_id": "s03", "every_days": 1,
                         "points": [{"moment": "2026-05-01T00:00:00Z", "customers": 74}]},
            ),
            Operation(
                "GET", f"{one}/lineage", SEGMENTS_READ, self._life,
                "What became of a segment from version to version",
                query=(_VERSION,), slow=True, tag=_TAG,
                example={"schema": "shoal.segment_lineage/1", "segment_id": "s03",
                         "life": {}, "changes": [], "flows": []},
            ),
            Operation(
                "GET", one, SEGMENTS_READ, self._one,
                "A segment: profile, value, what sets it apart, names in English and Chinese",
                query=(_VERSION,), slow=True, waits=True, tag=_TAG,
                example={"schema": "shoal.segment_view/1", **_SEGMENT},
            ),
            Operation(
                "GET", "/v1/versions", SEGMENTS_READ, lambda _: self._shop.versions(),
                "Every version of the segments", slow=True, tag=_TAG,
                example={"schema": "shoal.versions/1", "current": {"main": "kmeans-0001"},
                         "versions": []},
            ),
            Operation(
                "GET", "/v1/lineage", SEGMENTS_READ, self._lineage,
                "What became of all segments from version to version",
                query=(_VERSION,), slow=True, tag=_TAG,
                example={"schema": "shoal.lineages/1", "versions": [], "changes": [],
                         "segments": [], "flows": []},
            ),
            Operation(
                "GET", "/v1/features", SEGMENTS_READ, lambda _: {
                    "schema": "shoal.feature_list/1", "features": self._asking.catalog()},
                "Every feature of a profile: unit, group and what it says", tag=_TAG,
                example={"schema": "shoal.feature_list/1", "features": [
                    {"name": "orders", "unit": "orders", "group": "orders",
                     "sentence": {"en": "Orders placed.", "zh": "下单次数。"}}]},
            ),
        )]  # fmt: skip

    def _list(self, asked: Asked) -> dict[str, Any]:
        found = self._segmentation(asked)
        sizes = self._asking.sizes(found.segmentation_id)
        total = sum(sizes.values())
        told = [_brief(one, sizes, total) for one in found.profiles["segments"]]
        known = {one["segment_id"] for one in told}
        told += [
            _brief({"segment_id": name, "name": self._asking.profiles.name(
                found.segmentation_id, name)}, sizes, total)
            for name in sorted(sizes) if name not in known
        ]  # fmt: skip
        return {
            "schema": "shoal.segment_list/1",
            "segmentation_id": found.segmentation_id,
            "method": found.document["method"],
            "title": found.document["title"],
            "made_as_of": found.document["as_of"],
            "as_of": self._until(found),
            "customers": total,
            "currency": found.document["currency"],
            "segments": told,
        }

    def _segmentation(self, asked: Asked) -> SegmentationArtefact:
        """The one that was named, or in force in a line.

        Raises:
            UsageError: `unknown_segmentation`.
        """
        if asked.query["segmentation"] is not None:
            return self._asking.segmentation(asked.query["segmentation"])
        lines = self._asking.lines()
        if asked.query["line"] not in lines:
            raise UsageError(
                "unknown_segmentation", f"the shop has no {asked.query['line']} segmentation",
                where="line", hint=f"Lines: {', '.join(lines)}.",
            )  # fmt: skip
        return self._asking.segmentation(lines[asked.query["line"]])

    def _until(self, found: SegmentationArtefact) -> str | None:
        """Up to when its memberships are recorded; None: it is not in force."""
        until = self._asking.profiles.current().until.get(found.segmentation_id)
        return None if until is None else iso(until)

    def _in(self, asked: Asked) -> SegmentationArtefact:
        return self._asking.in_force(asked.path["segment_id"], asked.query["segmentation"])

    def _one(self, asked: Asked) -> dict[str, Any]:
        name, found = asked.path["segment_id"], self._in(asked)
        sizes = self._asking.sizes(found.segmentation_id)
        profile: Mapping[str, Any] = {
            "segment_id": name, "name": self._asking.profiles.name(found.segmentation_id, name)
        }  # fmt: skip
        explained: dict[str, Any] = {}
        if any(one["segment_id"] == name for one in found.profiles["segments"]):
            profile = found.profile(name)
            explained = self._asking.explained(name, found)
            explained.pop("size", None)
            named = CUSTOMERS_READ in ALLOWED.get(asked.key.role, frozenset())
            for one in _PERSONS if not named else ():
                explained.pop(one, None)
        return {
            **explained,
            "schema": "shoal.segment_view/1",
            "segmentation_id": found.segmentation_id,
            "method": found.document["method"],
            "made_as_of": found.document["as_of"],
            "as_of": self._until(found),
            **_brief(profile, sizes, sum(sizes.values())),
            "style": profile.get("style"),
            "medians": profile.get("medians", {}),
            "means": profile.get("means", {}),
            "currency": found.document["currency"],
        }

    def _members(self, asked: Asked) -> dict[str, Any]:
        segment_id, cursor = asked.path["segment_id"], asked.query["cursor"]
        if cursor is None:
            found = self._in(asked)
            place = Place(found.segmentation_id, self._asking.position())
        else:
            version, name, upto, after = values_of("members", cursor, (str, str, int, str))
            if name != segment_id or asked.query["segmentation"] not in (None, version):
                raise UsageError(
                    "usage", "the cursor is of another segment", where="cursor",
                    hint="Ask for the next page where the first one was asked for.",
                )  # fmt: skip
            self._asking.in_force(segment_id, version)
            place = Place(version, upto, after)
        told, behind = self._asking.members(place, segment_id, asked.query["limit"])
        return {
            "schema": "shoal.member_page/1",
            "segmentation_id": place.segmentation_id,
            "segment_id": segment_id,
            "upto": place.upto,
            "members": told,
            "next": None if behind is None else cursor_of(
                "members", behind.segmentation_id, segment_id, behind.upto, behind.after
            ),
        }  # fmt: skip

    def _rules(self, asked: Asked) -> dict[str, Any]:
        name, found = asked.path["segment_id"], self._in(asked)
        told: dict[str, Any] = {}
        if any(one["segment_id"] == name for one in found.profiles["segments"]):
            told = self._asking.explained(name, found)
        sql, why = None, None
        try:
            written = self._asking.sql(
                name, found.segmentation_id, dialect=asked.query["dialect"],
                as_of=asked.query["as_of"],
            )  # fmt: skip
            sql = written["sql"]
        except UsageError as error:
            if error.code not in ("no_sql_form", "unknown_segment"):
                raise
            why = error.message
        return {
            "schema": "shoal.segment_rules/1",
            "segmentation_id": found.segmentation_id,
            "segment_id": name,
            "method": found.document["method"],
            "rule": told.get("rule"),
            "fidelity": told.get("fidelity"),
            "dialect": asked.query["dialect"],
            "sql": sql,
            "no_sql": why,
        }

    def _trend(self, asked: Asked) -> dict[str, Any]:
        query = asked.query
        return self._asking.trend(
            asked.path["segment_id"], segmentation=query["segmentation"], since=query["since"],
            until=query["until"], every_days=query["every_days"],
        )  # fmt: skip

    def _lineage(self, asked: Asked) -> dict[str, Any]:
        return self._shop.lineage(asked.query["segmentation"])

    def _life(self, asked: Asked) -> dict[str, Any]:
        name, whole = asked.path["segment_id"], self._lineage(asked)
        lives = [one for one in whole["segments"] if one["segment_id"] == name]
        if not lives:
            known = ", ".join(one["segment_id"] for one in whole["segments"])
            raise UsageError(
                "unknown_segment", f"no version has a segment {name[:80]!r}", where=name[:80],
                hint=f"Segments: {known}.",
            )  # fmt: skip
        return {
            "schema": "shoal.segment_lineage/1",
            "segment_id": name,
            "life": lives[0],
            "changes": [
                one for one in whole["changes"] if name in (*one["parents"], *one["children"])
            ],
            "flows": [one for one in whole["flows"] if name in _ends(one)],
        }


def _ends(flow: Mapping[str, Any]) -> set[Any]:
    """What a flow of customers goes from and to."""
    return {value for value in flow.values() if isinstance(value, str)}


def _brief(profile: Mapping[str, Any], sizes: Mapping[str, int], total: int) -> dict[str, Any]:
    """A segment as a list tells it."""
    customers = sizes.get(profile["segment_id"], 0)
    made = None
    if "size" in profile:
        made = {"customers": profile["size"], "share": profile["share"]}
    return {
        "segment_id": profile["segment_id"],
        "name": profile["name"],
        "tier": profile.get("tier"),
        "customers": customers,
        "share": customers / total if total else 0.0,
        "made": made,
        "summary": profile.get("summary"),
        "revenue": profile.get("revenue"),
        "revenue_share": profile.get("revenue_share"),
        "orders": profile.get("orders"),
    }
