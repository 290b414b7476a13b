"""Profiles of the segments that are being published: what each is, its name, its rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from shoal.domain.text import Text
from shoal.features.fold import Fold
from shoal.segments.base import Segmenter
from shoal.segments.clustered import ClusterSegmenter
from shoal.segments.naming import name_all, summary
from shoal.segments.picture import grid_document, map_document
from shoal.segments.profile import Placed, profiles
from shoal.segments.ruled.segmenter import RuleSegmenter
from shoal.segments.rules import NAMES, Rfm, rule_in_words
from shoal.segments.rules_sql import segment_sql
from shoal.segments.wording import describe


def profiled(
    segmenter: Segmenter,
    placed: Placed,
    table: pa.Table,
    as_of: datetime,
    before: Mapping[str, Text],
    fold: Fold,
    minimum_events: int,
) -> dict[str, Any]:
    """The document `profiles.json` but for its head.

    Args:
        placed: the customers in their segments; `table` is what the segmenter read of them.
        before: names of segments that go on from the version before.
    """
    described = describe(fold.catalog, placed.vocabulary)
    picture: dict[str, Any] = {"grid": None, "map": None}
    if isinstance(segmenter, ClusterSegmenter):
        found = profiles(
            placed,
            described,
            clustered=segmenter.used,
            centrality=segmenter.centrality(table),
        )
        names = name_all(found, kept=_kept(segmenter, before), given=segmenter.names)
        picture["map"] = map_document(segmenter, table, placed)
    elif isinstance(segmenter, RuleSegmenter):
        found = profiles(placed, described)
        names = [segmenter.names[one["segment_id"]] for one in found]
    else:
        assert isinstance(segmenter, Rfm)
        found = profiles(placed, described)
        names = [NAMES[one["segment_id"]] for one in found]
        picture["grid"] = grid_document(segmenter, placed)
    styles = segmenter.styles if isinstance(segmenter, ClusterSegmenter) else {}
    for profile, name in zip(found, names, strict=True):
        profile["name"] = name.as_document()
        profile["style"] = styles.get(profile["segment_id"])
        profile["summary"] = summary(profile, minimum_events).as_document()
        profile |= _rule(segmenter, profile["segment_id"], as_of, fold)
    return {"currency": fold.rules.currency, "segments": found, **picture}


def _rule(segmenter: Segmenter, segment_id: str, as_of: datetime, fold: Fold) -> dict[str, Any]:
    if isinstance(segmenter, RuleSegmenter):
        return {"rule": segmenter.in_words(segment_id).as_document(), "sql": None}
    if not isinstance(segmenter, Rfm) or segmenter.thresholds is None:
        return {"rule": None, "sql": None}
    return {
        "rule": rule_in_words(segment_id, segmenter.thresholds).as_document(),
        "sql": segment_sql(segment_id, segmenter.thresholds, as_of, fold.rules),
    }


def _kept(segmenter: ClusterSegmenter, before: Mapping[str, Text]) -> dict[str, Text]:
    """Names that stay: those that somebody gave, then those of the version before."""
    given = segmenter.names
    taken = {name.en for name in given.values()}
    return {one: name for one, name in before.items() if name.en not in taken} | given
