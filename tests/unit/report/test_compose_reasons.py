"""From the documents beside a segmentation, and the membership log, to a report's document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.report import compose_lineage, compose_reasons
from shoal.report.document_lineage import Logged

DAY = timedelta(days=1)
START = datetime(2024, 5, 1, tzinfo=UTC)


def spells(*rows: tuple[str, str, int, str]) -> pa.Table:
    """Customer, segment, day of the beginning, cause; in order of customer and time."""
    return pa.table(
        {
            "customer_id": [row[0] for row in rows],
            "segment_id": [row[1] for row in rows],
            "since": pa.array([START + row[2] * DAY for row in rows], pa.timestamp("us", "UTC")),
            "cause": [row[3] for row in rows],
        }
    )


def logged(found: pa.Table, since: int = 2, until: int = 10) -> Logged | None:
    worth = (pa.chunked_array([["a", "b", "c"]]), np.array([10.0, 200.0, 3000.0]))
    return compose_lineage.logged(found, START + since * DAY, START + until * DAY, worth, 90)


def test_changes_are_counted_by_cause_and_worth_once_a_customer() -> None:
    found = logged(
        spells(
            ("a", "s01", 0, "version"), ("a", "s02", 3, "event"), ("a", "s01", 4, "event"),
            ("b", "s01", 1, "version"), ("b", "s02", 2, "event"), ("b", "s02", 5, "version"),
            ("b", "s03", 9, "silence"), ("c", "s01", 4, "version"), ("d", "s01", 0, "version"),
            ("d", "s02", 10, "rollback"), ("d", "s03", 11, "event"),
        )
    )  # fmt: skip
    assert found is not None
    told = {one.cause: (one.changes, one.customers, one.worth) for one in found.causes}
    assert told == {"event": (3, 2, 10.0), "silence": (1, 1, 200.0), "rollback": (1, 1, 0.0)}
    assert found.later == 1
    assert found.causes[0].cause == "event"


def test_a_log_without_changes_since_tells_nothing() -> None:
    assert logged(spells()) is None
    assert logged(spells(("a", "s01", 0, "version"), ("b", "s02", 5, "version"))) is None
    assert logged(spells(("a", "s01", 0, "version"), ("a", "s02", 1, "event"))) is None


def lineages() -> dict[str, Any]:
    flows = [
        {"previous_id": "k-1", "segmentation_id": "k-2", "from": a, "to": b, "customers": n}
        for a, b, n in (("s01", "s01", 80), ("s01", "s02", 20), ("new", "s02", 7))
    ]
    segment = {"segment_id": "s01", "name": {"en": "One", "zh": "一"}, "customers": 100}
    return {
        "versions": [
            {"segmentation_id": "k-1", "as_of": "2024-05-01T00:00:00Z", "customers": 107,
             "segments": [segment], "causes": []},
            {"segmentation_id": "k-2", "as_of": "2024-06-01T00:00:00Z", "customers": 107,
             "segments": [segment], "causes": [
                 {"code": "k", "was": 1, "is": 2, "en": "another number", "zh": "数量变了"},
                 {"code": "as_of", "was": "x", "is": "y", "en": "later data", "zh": "数据更新了"},
             ]},
        ],
        "changes": [
            {"segmentation_id": "k-2", "change": "birth", "parents": [], "children": ["s02"],
             "customers": 27, "confidence": None},
        ],
        "flows": flows,
    }  # fmt: skip


def test_versions_keep_their_own_changes_flows_and_causes() -> None:
    first, second = compose_lineage.lineage(lineages(), "zh").versions
    assert (first.changes, first.flows, first.compared) == ((), (), 0)
    assert second.causes == ("数量变了 (1 → 2)", "数据更新了")
    assert (second.compared, second.moved) == (100, 20)
    assert second.changes[0].kind == "birth"
    assert second.segments[0].name == "一"


def test_an_explanation_of_one_segment_has_no_tree_and_an_old_one_lacks_parts() -> None:
    text = {"en": "They buy.", "zh": "他们购买。"}
    found = compose_reasons.explanation(
        {
            "customers": {"all": 9, "looked_at": 9}, "tree": None, "rules": [], "stability": None,
            "segments": [{"segment_id": "s01", "persona": text, "value": {"next": None}}],
        },
        "en", 28,
    )  # fmt: skip
    assert found is not None and found.tree is None
    assert found.segments["s01"].persona == "They buy."
    assert found.segments["s01"].expected is None
    assert compose_reasons.explanation(None, "en") is None


def test_an_outlook_keeps_what_was_tried_and_what_it_was_worth() -> None:
    stored = {
        "choice": {
            "rule": "no_groups", "chosen": 1, "reason": {"en": "None.", "zh": "没有。"},
            "prediction_strength": {"2": 0.5, "3": 0.25}, "aim": "balance", "styles": 3,
            "outlook": {"styles": 3, "tried": [{"styles": 3, "score": 0.9, "score_se": 0.2}]},
            "head": {"next_orders": {"mean": 2.0, "foretold_mean": 1.5, "rank_correlation": 0.4}},
        }
    }  # fmt: skip
    found = compose_reasons.choice(stored, "zh")
    assert found is not None
    assert (found.reason, found.strengths, found.relative) == ("没有。", {2: 0.5, 3: 0.25}, True)
    assert (found.styles, found.tried[0].spread) == (3, 0.2)
    assert (found.head[0].rank, found.head[0].area, found.head[0].foretold) == (0.4, None, 1.5)


def test_a_map_says_whether_it_is_a_sample() -> None:
    told = {"segments": [{"size": 2, "tier": "placed"}, {"size": 90, "tier": "new"}]}
    points = [[0.5, 1.0, "s01"], [1.0, 0.0, "s01"]]
    found = compose_reasons.customer_map({**told, "map": {"points": points}})
    assert found is not None
    assert (found.sampled, found.floor, found.points[1]) == (False, 0, (1.0, 0.0, "s01"))
    part = {"points": points[:1], "least_of_a_segment": 1}
    sampled = compose_reasons.customer_map({**told, "map": part})
    assert sampled is not None
    assert (sampled.sampled, sampled.floor) == (True, 1)
    assert compose_reasons.customer_map({**told, "map": None}) is None
