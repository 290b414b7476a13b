"""How documents look as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.cli.console import Console


def segment_rows(overview: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of segments."""
    rows = []
    for entry in overview["segments"]:
        effects = entry.get("effects") or []
        rows.append(
            [
                entry["segment_id"],
                entry["name"]["en"],
                f"{entry['size']:,}",
                f"{entry['share']:.1%}",
                "" if entry.get("revenue_share") is None else f"{entry['revenue_share']:.1%}",
                "; ".join(effect["sentence"]["en"] for effect in effects[:2])
                or entry["summary"]["en"],
            ]
        )
    return ["segment", "name", "customers", "share", "revenue", "what sets it apart"], rows


def show_customer(console: Console, known: Mapping[str, Any]) -> None:
    """One customer for people."""
    console.heading(f"Customer {known['customer_id']} as of {known['as_of']}")
    console.table(
        ["segmentation", "segment", "name", "weight", "since"],
        [
            [
                entry["segmentation_id"],
                entry["segment_id"],
                entry["name"]["en"],
                f"{entry['weight']:.2f}",
                entry["since"],
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
        [[name, _number(value["value"]), value["unit"]] for name, value in known["features"].items()],
        right=["value"],
    )


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
