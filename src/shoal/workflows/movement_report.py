"""What changed within a period and why: who moved, what hangs on it, what was noticed and done.

Everything is read from what the shop has recorded (the membership log, versions, looks of the
adjuster), so the cost does not grow with the log of events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.adjust.movement import BEHAVIOUR, BOTH, MODEL, RETURNED
from shoal.domain.errors import ShoalError, UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, iso, parse_moment
from shoal.features.fold import Fold
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.report import movement_text
from shoal.segments.artefact import SegmentationArtefact, document_of
from shoal.segments.wording import describe
from shoal.workflows.adjust_state import pending
from shoal.workflows.advance import recorded_until
from shoal.workflows.catch_up import states_are_of
from shoal.workflows.lineage import lineages
from shoal.workflows.membership_log import line_of
from shoal.workflows.memberships import current
from shoal.workflows.movement_report_log import Moved, moved
from shoal.workflows.movement_report_looks import looks_between
from shoal.workflows.movement_report_worth import (
    DOWN,
    LEVEL,
    UP,
    Worth,
    first,
    names_of,
    worth_of,
)
from shoal.workflows.sync_journal import moments

SCHEMA: Final = "shoal.movement_report/1"

#: The period that is told where nobody says another.
DAYS: Final = 7

_CONTINUES: Final = "continue"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class MovementReport:
    """What changed within a period."""

    document: Mapping[str, Any]

    def as_document(self) -> dict[str, Any]:
        """The JSON document `shoal.movement_report/1`."""
        return dict(self.document)

    def text(self, lang: str = "en") -> str:
        """The same in ten to fifteen lines.

        Raises:
            UsageError: `usage`, an unknown language.
        """
        return movement_text.short(self.document, lang)


def movement_report(
    *,
    warehouse: Warehouse,
    store: StateStore,
    registry: Registry,
    fold: Fold,
    zone: Zone,
    since: datetime | None = None,
    shop_name: str = "",
) -> MovementReport:
    """What changed between a moment and the last that memberships are recorded for.

    Args:
        since: None: `DAYS` before the end, or where a nightly run ended within a day of that: a
            membership begins when it is recorded, and a run is in the period wholly or not at all.
            Without such a run, from the last change on record before on if that is longer ago.
            Where segments are younger, it is told from when on.

    Raises:
        UsageError: `unknown_segmentation`, there is none yet; `bad_period`, `since` is not before
            the end of what is recorded.
        OperationError: `artefact_damaged`.
    """
    main = current(store, registry)
    until = recorded_until(store, main).until
    line = line_of(store, main.segmentation_id)
    asked = since or _usual(registry, store, line, until)
    if asked >= until:
        raise UsageError(
            "bad_period",
            f"{iso(asked)} is not before {iso(until)}, up to which memberships are recorded",
            where="--since",
            hint="Give an earlier time, or move on with: shoal refresh SHOP",
        )
    begin = max(asked, _recorded_from(registry, line, until))
    teller = _Teller(warehouse, store, registry, fold, zone, main, line, begin, until)
    return MovementReport({"schema": SCHEMA, "shop": shop_name, **teller.document(asked)})


def _usual(registry: Registry, store: StateStore, line: Sequence[str], until: datetime) -> datetime:
    """Where a period begins that nobody told the beginning of."""
    wanted = until - timedelta(days=DAYS)
    day = timedelta(days=1)
    recent = takewhile(lambda one: one >= wanted - day, moments(registry))
    near = [one for one in recent if one <= wanted + day]
    if near:
        return min(near, key=lambda one: abs(one - wanted))
    began = store.get_memberships(line)["since"]
    before = pc.max(began.filter(pc.less(began, pa.scalar(until, began.type)))).as_py()
    # Where nobody was moved on for longer, all that came since is told: it was recorded at once.
    return wanted if before is None else min(wanted, before)


def _recorded_from(registry: Registry, line: Sequence[str], until: datetime) -> datetime:
    """The moment of the earliest version whose documents can be read."""
    moments = [
        parse_moment(document["as_of"])
        for document in (document_of(registry, name) for name in line)
        if document is not None
    ]
    return min([*moments, until])


@dataclass(frozen=True)
class _Teller:
    """The sources of one report."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    main: SegmentationArtefact
    line: tuple[str, ...]
    since: datetime
    until: datetime

    def document(self, asked: datetime) -> dict[str, Any]:
        found = moved(self.store, self.line, self.since)
        worth = worth_of(self.registry, self.main, self.line)
        flows = _flows(found, worth)
        notes = []
        if self.since > asked:
            notes.append({"code": "recorded_since", "moment": iso(self.since)})
        customers, note = self._first(found, worth)
        notes += note
        described = describe(self.fold.catalog, self.main.vocabulary)
        looks = looks_between(self.store, self.registry, self.since, self.until, described)
        lineage, note = self._lineage()
        return {
            "segmentation_id": self.main.segmentation_id,
            "since": iso(self.since),
            "as_of": iso(self.until),
            "days": (self.until - self.since) / timedelta(days=1),
            "currency": self.main.document.get("currency") or None,
            "names": names_of(self.registry, self.line),
            "customers": {
                "known": found.known,
                "moved": found.switched.num_rows,
                "placed": found.placed,
                "arrived": found.arrived,
            },
            "causes": _causes(found),
            "worth": {
                "measure": worth.measure,
                "horizon_days": worth.horizon_days,
                "a_customer": dict(sorted(worth.values.items())),
            },
            "stake": {one: _stake(flows, worth, one) for one in (DOWN, UP, LEVEL)},
            "flows": flows,
            "segments": [dict(vars(one)) for one in found.segments],
            "versions": lineage,
            "looks": looks,
            "waiting": pending(self.store),
            "first": customers,
            "notes": notes + note,
        }

    def _first(self, found: Moved, worth: Worth) -> tuple[Rows, Rows]:
        """Customers to look at first; a note where stored states cannot tell."""
        behind = self.store.applied_version() != self.warehouse.version()
        if behind or not states_are_of(self.fold, self.store):
            return [], [{"code": "states_behind"}]
        moment = max(self.until, latest_moment(self.warehouse))
        return first(
            found.switched, worth, self.main, store=self.store, registry=self.registry,
            fold=self.fold, zone=self.zone, moment=moment,
        ), []  # fmt: skip

    def _lineage(self) -> tuple[Rows, Rows]:
        """Versions made within the period, each with its causes and what became of segments."""
        try:
            told = lineages(
                store=self.store, registry=self.registry, segmentation=self.main.segmentation_id
            )
        except ShoalError:
            return [], [{"code": "lineage_unreadable"}]
        return [
            {
                "segmentation_id": one["segmentation_id"],
                "previous_id": one["previous_id"],
                "as_of": one["as_of"],
                "causes": one["causes"],
                "changes": [
                    change
                    for change in told["changes"]
                    if change["segmentation_id"] == one["segmentation_id"]
                    and change["change"] != _CONTINUES
                ],
            }
            for one in told["versions"]
            if self.since < parse_moment(one["as_of"]) <= self.until
        ], []


def _causes(found: Moved) -> dict[str, Any]:
    """Changes by cause, and customers: those who changed, the model that changed, both."""
    kinds = found.kinds
    return {
        "changes": dict(found.changes),
        "kinds": dict(kinds),
        "by_customer": kinds[BEHAVIOUR],
        "by_model": kinds[MODEL],
        "by_both": kinds[BOTH] + kinds[RETURNED],
    }


def _flows(found: Moved, worth: Worth) -> list[dict[str, Any]]:
    """Customers from segment to segment by cause, most first."""
    counted = found.table.group_by(["from", "to", "cause"]).aggregate([([], "count_all")])
    flows = [
        {
            "from": row["from"],
            "to": row["to"],
            "cause": row["cause"],
            "customers": row["count_all"],
            "direction": worth.direction(row["from"], row["to"]),
        }
        for row in counted.to_pylist()
    ]
    return sorted(flows, key=lambda one: (-one["customers"], one["from"], one["to"], one["cause"]))


def _stake(flows: Sequence[Mapping[str, Any]], worth: Worth, direction: str) -> dict[str, Any]:
    """What those who moved one way would have been worth where they were, and are where they are.

    `before`, `now` and `difference` are sums in the unit of the measure; None of moves that have no
    direction.
    """
    own = [
        one
        for one in flows
        if one["direction"] == direction and TIER_NEW not in (one["from"], one["to"])
    ]
    told: dict[str, Any] = {"customers": sum(one["customers"] for one in own)}
    if direction == LEVEL:
        return told
    before = sum(one["customers"] * worth.values[one["from"]] for one in own)
    now = sum(one["customers"] * worth.values[one["to"]] for one in own)
    return {**told, "before": float(before), "now": float(now), "difference": float(now - before)}
