"""How documents look as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.cli.console import Console


def show_segments(console: Console, overview: Mapping[str, Any]) -> None:
    """A segmentation: its segments as a table, then what sets each apart."""
    console.heading(str(overview["headline"]))
    segments = overview["segments"]
    console.table(
        ["segment", "name", "customers", "share", "revenue"],
        [
            [
                one["segment_id"],
                one["name"]["en"],
                f"{one['size']:,}",
                f"{one['share']:.1%}",
                "" if one.get("revenue_share") is None else f"{one['revenue_share']:.1%}",
            ]
            for one in segments
        ],
        right=["customers", "share", "revenue"],
    )
    console.say("What sets each apart:")
    for one in segments:
        effects = [effect["sentence"]["en"].rstrip(".") for effect in one.get("effects") or []]
        console.say(f"  {one['segment_id']:<4} {'; '.join(effects[:3]) or one['summary']['en']}")


def show_customer(console: Console, known: Mapping[str, Any]) -> None:
    """One customer for people."""
    console.heading(f"Customer {known['customer_id']} as of {_minute(known['as_of'])}")
    console.table(
        ["segmentation", "segment", "name", "weight", "since"],
        [
            [
                entry["segmentation_id"],
                entry["segment_id"],
                entry["name"]["en"],
                f"{entry['weight']:.2f}",
                _minute(entry["since"]),
            ]
            for entry in known["memberships"]
        ],
    )
    if known.get("reasons"):
        console.say("Why here:")
        for reason in known["reasons"]:
            console.say(f"  - {reason['sentence']['en']}")
    console.table(
        ["feature", "value", "unit"],
        [
            [name, _number(value["value"]), value["unit"]]
            for name, value in known["features"].items()
        ],
        right=["value"],
    )


def _minute(moment: str) -> str:
    """ISO 8601 in UTC as a person reads it.

    >>> _minute("2024-03-01T10:20:30.000001Z")
    '2024-03-01 10:20 UTC'
    """
    return f"{moment[:10]} {moment[11:16]} UTC"


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
