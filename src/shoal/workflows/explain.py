"""Explain a segmentation: all of it, a segment, a pair of segments, or the SQL of its rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.domain.errors import InputError, UsageError
from shoal.domain.segment import TIER_NEW
from shoal.domain.time import Zone, parse_moment
from shoal.features.fold import Fold
from shoal.features.portable import Moment, check_dialect, portable
from shoal.features.snapshot import latest_moment
from shoal.ports import Registry, StateStore, Warehouse
from shoal.segments.artefact import SegmentationArtefact
from shoal.segments.base import CUSTOMER
from shoal.segments.explain.pairs import pair as compared
from shoal.segments.explain.readable import readable, telling
from shoal.segments.explain.tree import Tree
from shoal.segments.explain.tree_sql import tree_sql
from shoal.segments.profile import Placed, told_columns
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.ruled.sql import rules_sql
from shoal.segments.rules import Rfm
from shoal.segments.rules_sql import segment_sql
from shoal.segments.wording import describe
from shoal.workflows.admission import Admission
from shoal.workflows.explain_publish import explained
from shoal.workflows.known import Known
from shoal.workflows.memberships import current, fold_warning, known_at

ALL: Final = "shoal.explain/1"
SEGMENT: Final = "shoal.explain_segment/1"
PAIR: Final = "shoal.explain_pair/1"
SQL: Final = "shoal.explain_sql/1"

_TOLD: Final = (
    "persona", "value", "effects", "times", "categories", "typical", "borderline",
)  # fmt: skip
#: Members of a pair of segments that are compared, of each.
PAIR_CUSTOMERS: Final = 5_000


@dataclass(frozen=True)
class Explaining:
    """A shop whose segments are to be explained."""

    warehouse: Warehouse
    store: StateStore
    registry: Registry
    fold: Fold
    zone: Zone
    admission: Admission

    def everything(self, segmentation: str | None = None) -> dict[str, Any]:
        """The document `shoal.explain/1`: every segment, the tree and how far it can be trusted.

        Raises:
            UsageError: `unknown_segmentation`.
        """
        found = current(self.store, self.registry, segmentation)
        told = self.told(found)
        return {
            "schema": ALL,
            **_head(found),
            "customers": told["customers"],
            "segments": [_segment(found, told, one) for one in told["segments"]],
            "tree": told["tree"],
            "stability": told["stability"],
            "warnings": list(fold_warning(found.document, self.fold)),
        }

    def segment(self, segment_id: str, segmentation: str | None = None) -> dict[str, Any]:
        """The document `shoal.explain_segment/1`.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`.
        """
        found = current(self.store, self.registry, segmentation)
        found.profile(segment_id)
        told = self.told(found)
        own = next(one for one in told["segments"] if one["segment_id"] == segment_id)
        fidelity = None if told["tree"] is None else told["tree"]["fidelity"]
        return {
            "schema": SEGMENT,
            **_head(found),
            **_segment(found, told, own),
            "fidelity": fidelity,
            "warnings": list(fold_warning(found.document, self.fold)),
        }

    def pair(self, first: str, second: str, segmentation: str | None = None) -> dict[str, Any]:
        """The document `shoal.explain_pair/1`: what tells the members of two segments apart.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`; `usage`, a segment twice.
            InputError: `too_little_data`, nobody is in one of them any more.
        """
        found = current(self.store, self.registry, segmentation)
        for name in (first, second):
            found.profile(name)
        if first == second:
            raise UsageError(
                "usage", f"{first} cannot be compared with itself",
                hint="Give two different segments.",
            )  # fmt: skip
        known, placed = self.placed(found)
        rows, places = self._members(placed, first, second)
        described = describe(self.fold.catalog, found.vocabulary)
        features = known.features.take(pa.array(rows))
        asked = readable(features, known.counts, self.fold.catalog, found.vocabulary)
        told = compared(
            told_columns(placed, described, rows),
            asked.only(asked.expressible),
            places,
            (first, second),
            described,
        )
        names = {name: found.profile(name)["name"] for name in (first, second)}
        return {"schema": PAIR, **_head(found), "segments": names, **told}

    def sql(
        self,
        segment_id: str | None,
        dialect: str = "duckdb",
        *,
        segmentation: str | None = None,
        as_of: datetime | None = None,
    ) -> dict[str, Any]:
        """The document `shoal.explain_sql/1`: the rules as one statement over canonical events.

        Args:
            segment_id: whose members; None: every customer's segment.
            as_of: the moment T that it speaks of; None: just after the latest event.

        Raises:
            UsageError: `unknown_segment`, `unknown_segmentation`, `unknown_dialect`;
                `no_sql_form`, there is no tree.
        """
        check_dialect(dialect)
        found = current(self.store, self.registry, segmentation)
        if segment_id is not None:
            found.profile(segment_id)
        moment = as_of or latest_moment(self.warehouse)
        text = self._own_sql(found, segment_id, dialect, moment)
        fidelity: Mapping[str, Any] | None = None
        if text is None:
            told = self.told(found)["tree"]
            if told is None:
                raise UsageError(
                    "no_sql_form",
                    f"{found.segmentation_id} has one segment at most, so there are no rules",
                    where=found.segmentation_id,
                    hint="Form more segments: shoal segment SHOP --k 4",
                )
            fidelity = told["fidelity"]
            text = self._tree_sql(found, told, segment_id, dialect, moment)
        return {
            "schema": SQL, **_head(found), "segment_id": segment_id, "dialect": dialect,
            "sql": text, "fidelity": fidelity,
            "warnings": list(fold_warning(found.document, self.fold)),
        }  # fmt: skip

    def _own_sql(
        self, found: SegmentationArtefact, segment_id: str | None, dialect: str, moment: datetime
    ) -> str | None:
        """What rules say of themselves; None where only a tree can say it."""
        segmenter = found.segmenter
        if isinstance(segmenter, RuleSegmenter):
            return rules_sql(
                segmenter.rules, self.fold.rules, as_of=moment, zone=self.zone, dialect=dialect,
                segment=segment_id,
            )  # fmt: skip
        if isinstance(segmenter, Rfm) and segment_id and segmenter.thresholds:
            return segment_sql(segment_id, segmenter.thresholds, moment, self.fold.rules, dialect)
        return None

    def _tree_sql(
        self,
        found: SegmentationArtefact,
        told: Mapping[str, Any],
        segment_id: str | None,
        dialect: str,
        moment: datetime,
    ) -> str:
        ids = found.segmenter.segment_ids
        whose = f"Segment {segment_id}" if segment_id else "Every customer's segment"
        forms = portable(telling(self.fold.catalog), self.fold.catalog.summaries, found.vocabulary)
        return tree_sql(
            Tree.from_document(told["nodes"], ids),
            ids,
            forms,
            self.fold.rules,
            Moment(moment, self.zone, self._since(found)),
            segment_id=segment_id,
            minimum_events=found.document["minimum_events"],
            dialect=dialect,
            remarks=[
                f"{whose} of {found.segmentation_id}, as its tree tells it: of a segment's",
                f"members it finds {told['fidelity']['balanced']:.0%} on average.",
            ],
        )

    # -- what is known -----------------------------------------------------------------------------

    def told(self, found: SegmentationArtefact) -> Mapping[str, Any]:
        """The explanation of a segmentation: as it lies there, else worked out now."""
        there = found.extra("explanation")
        if there is not None:
            return there
        known, placed = self.placed(found)
        return explained(
            found.segmenter, placed, known.table(found.vocabulary), known.counts,
            found.profiles["segments"], self.fold, seed=found.document["seed"],
        )  # fmt: skip

    def placed(self, found: SegmentationArtefact) -> tuple[Known, Placed]:
        """The customers of a segmentation at the moment that it was made of, and their places."""
        moment = parse_moment(found.document["as_of"])
        known = known_at(
            found, self.admission.at(moment), self.fold, self.registry, self.zone, moment,
            store=self.store,
        )  # fmt: skip
        weights = found.segmenter.transform(known.table(found.vocabulary))
        shares = found.vocabulary.shares(known.features[CUSTOMER], known.counts)
        ids = found.segmenter.segment_ids
        return known, Placed(known.features, ids, weights, found.vocabulary, shares)

    def _members(
        self, placed: Placed, first: str, second: str
    ) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
        """Rows of members of two segments, and 0 or 1 for which of them."""
        places = placed.places
        rows, which = [], []
        for number, name in enumerate((first, second)):
            own = np.flatnonzero(places == placed.segment_ids.index(name))
            if not len(own):
                raise InputError(
                    "too_little_data", f"nobody is in {name} any more", where=name,
                    hint="Run shoal segment again.",
                )  # fmt: skip
            if len(own) > PAIR_CUSTOMERS:
                own = np.random.default_rng(number).permutation(own)[:PAIR_CUSTOMERS]
            rows.append(own)
            which.append(np.full(len(own), number, dtype=np.int64))
        order = np.argsort(np.concatenate(rows), kind="stable")
        return np.concatenate(rows)[order], np.concatenate(which)[order]

    def _since(self, found: SegmentationArtefact) -> datetime:
        """No later than the first event: when clock changes begin to matter."""
        first = found.document["period"]["from"]
        return parse_moment(first) if first else parse_moment(found.document["as_of"])


def _head(found: SegmentationArtefact) -> dict[str, Any]:
    return {
        "segmentation_id": found.segmentation_id,
        "method": found.document["method"],
        "as_of": found.document["as_of"],
    }


def _segment(
    found: SegmentationArtefact, told: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """All that is told of a segment."""
    profile = found.profile(own["segment_id"])
    rule = next((one for one in told["rules"] if one["segment_id"] == own["segment_id"]), None)
    if own["segment_id"] == TIER_NEW:
        rule = None
    return {
        "segment_id": own["segment_id"],
        "name": profile["name"],
        "size": profile["size"],
        "share": profile["share"],
        **{key: own[key] for key in _TOLD},
        "rule": None if rule is None else {key: rule[key] for key in ("words", "paths")},
    }
