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
