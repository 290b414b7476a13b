"""A report on movement as its document, with alarms of every kind."""

from __future__ import annotations

from typing import Any


def alarm(subject: str, what: str, **changes: Any) -> dict[str, Any]:
    """An alarm as a look tells it, with the words that the report gives it."""
    return {
        "subject": subject, "what": what, "size": 0.42, "unit": "deviations", "p_value": 0.001,
        "customers": 800, "since": "2024-03-08T00:00:00Z", "features": [], "harmful": True,
        "evidence": {}, "words": None, "feature_words": [], **changes,
    }  # fmt: skip


def series() -> list[dict[str, Any]]:
    """Eight weeks, the last two of which are out of what was usual."""
    return [
        {"moment": f"2024-{1 + week // 4:02d}-{1 + 7 * (week % 4):02d}T00:00:00Z",
         "value": 20.0 + (6.0 if week > 5 else 0.3 * (week % 2)), "low": 18.5, "high": 21.5,
         "reference": week < 7}
        for week in range(8)
    ]  # fmt: skip


def adjustment(action: str, **changes: Any) -> dict[str, Any]:
    """What was decided at a look."""
    return {
        "action": action, "segments": [], "gain": 0.02, "gain_error": 0.004, "moved": 0.013,
        "cost": 0.0, "alarms": [0], "evidence": {}, "probability": 1.0, "policy": "rules",
        "reason": "pays", "approval": [], **changes,
    }  # fmt: skip


def look(number: int, **changes: Any) -> dict[str, Any]:
    """A look of the adjuster."""
    return {
        "look": f"look-{number:04d}", "moment": f"2024-03-{8 + number:02d}T00:00:00Z",
        "alarms": [], "adjustments": [adjustment("keep", reason="nothing_pays", gain=0.0)],
        "published": None, "waits": False, "approved_by": None, "declined_by": None,
        "dropped": [], "notes": [], **changes,
    }  # fmt: skip


def movement(text: str = "", **changes: Any) -> dict[str, Any]:
    """The document `shoal.movement_report/1` of an eventful week; `text` is in every name."""
    words = {"en": f"Days since the last event{text}", "zh": f"距最近事件天数{text}"}
    other = {"en": f"Orders in 28 days{text}", "zh": f"28 天内订单{text}"}
    alarms = [
        alarm("inputs", "recency_days", words=words, feature_words=[other],
              since="2024-02-10T00:00:00Z", evidence={"series": series()}),
        alarm("broken", f"app view price{text}", harmful=None, size=0.01, unit="factor", evidence={
            "series": [{"moment": f"2024-03-{day:02d}T00:00:00Z", "value": 40.0 if day < 5 else 0.4,
                        "expected": 41.0} for day in range(1, 9)]}),
        alarm("embedding", "embedding", size=0.61, unit="AUC", harmful=False),
        alarm("inputs", "orders_28d", harmful=False, words=words, evidence={"histogram": {
            "edges": [0.0, 1.0, 2.0, 3.0], "before": [0.5, 0.3, 0.2], "now": [0.4, 0.1, 0.1],
            "missing": [0.0, 0.4]}}),
    ]  # fmt: skip
    split = {
        "change": "split", "parents": ["s01"], "children": ["s01", "s04"], "customers": 120,
        "sentence": {"en": "s01 split into s01 and s04 (120 customers)",
                     "zh": "s01 分裂为 s01、s04（120 位客户）"},
    }  # fmt: skip
    return {
        "schema": "shoal.movement_report/1", "shop": f"demo{text}",
        "segmentation_id": "kmeans-0003", "since": "2024-03-05T00:00:00Z",
        "as_of": "2024-03-12T00:00:00Z", "days": 7.0, "currency": "EUR",
        "names": {f"s{n:02d}": {"en": f"Segment {n}{text}", "zh": f"分群{n}{text}"}
                  for n in range(1, 5)},
        "customers": {"known": 1000, "moved": 60, "placed": 8, "arrived": 25},
        "causes": {"changes": {"event": 40, "silence": 20, "version": 12}, "kinds": {},
                   "by_customer": 48, "by_model": 9, "by_both": 3},
        "worth": {"measure": "expected_spend", "horizon_days": 28, "a_customer": {}},
        "stake": {"down": {"customers": 35, "before": 7000.0, "now": 2100.0, "difference": -4900.0},
                  "up": {"customers": 25, "before": 1500.0, "now": 5000.0, "difference": 3500.0},
                  "level": {"customers": 0}},
        "flows": [
            {"from": "s01", "to": "s02", "cause": "silence", "customers": 35, "direction": "down"},
            {"from": "s02", "to": "s01", "cause": "event", "customers": 25, "direction": "up"},
            {"from": "new", "to": "s03", "cause": "event", "customers": 8, "direction": "level"},
        ],
        "segments": [],
        "versions": [{"segmentation_id": "kmeans-0003", "previous_id": "kmeans-0002",
                      "as_of": "2024-03-10T00:00:00Z",
                      "causes": [{"code": "as_of", "en": "later data", "zh": "数据更新了"}],
                      "changes": [split]}],
        "looks": [
            look(1, alarms=alarms[:1]),
            look(2, alarms=alarms, published="kmeans-0003",
                 adjustments=[adjustment("split", segments=["s01"])]),
        ],
        "waiting": None,
        "first": [{"customer_id": f"c1{text}", "from": "s01", "to": "s02",
                   "since": "2024-03-09T00:00:00Z", "cause": "silence", "brought": 1234.5,
                   "expected": 8.25}],
        "notes": [], **changes,
    }  # fmt: skip
