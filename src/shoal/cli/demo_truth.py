"""What the demo found, against what its simulated shop was planted with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shoal.cli.console import Console


def against_truth(
    console: Console,
    shop: Path,
    truth: Path,
    overview: dict[str, Any],
    others: dict[str, str | None],
) -> None:
    """Print how far segments agree with the planted ones of a simulated shop.

    Args:
        truth: the directory of what was planted.
        overview: of the main segments.
        others: name -> id of other segmentations; the first is named by what it is made on.
    """
    import pyarrow.parquet as pq

    from shoal import shop as shops
    from shoal.evaluation.agreement import agreement, crosstab

    planted = pq.read_table(truth / "customers.parquet", columns=["customer_id", "segment"])
    truth_of = dict(
        zip(planted["customer_id"].to_pylist(), planted["segment"].to_pylist(), strict=True)
    )
    with shops.open(shop) as opened:
        main = "k-means on features and embedding" if "k-means on features" in others else "k-means"
        found = {
            name: opened.memberships(segmentation=segmentation)
            for name, segmentation in {main: None, **others}.items()
        }
    placed = {
        customer
        for customer, segment in zip(
            found[main]["customer_id"].to_pylist(),
            found[main]["segment_id"].to_pylist(),
            strict=True,
        )
        if segment != "new"
    }
    lines = []
    styles = {entry["segment_id"]: entry["style"] for entry in overview["segments"]}
    everything: list[tuple[str, Any, dict[str, Any]]] = [
        (name, table, {}) for name, table in found.items()
    ]
    if any(styles.values()):  # segments of one style differ by what is expected of them
        everything.insert(1, (f"{main}: styles", found[main], styles))
    for name, table, style in everything:
        pairs = [
            (truth_of[customer], style.get(segment, segment))
            for customer, segment in zip(
                table["customer_id"].to_pylist(), table["segment_id"].to_pylist(), strict=True
            )
            if customer in placed
        ]
        score = agreement([a for a, _ in pairs], [b for _, b in pairs])
        lines.append(
            [name, f"{len({b for _, b in pairs})}", f"{score.ari:.2f}", f"{score.purity:.0%}"]
        )
        if name == main:
            names = {entry["segment_id"]: entry["name"]["en"] for entry in overview["segments"]}
            rows = crosstab(pairs)
            console.table(
                ["found", "name", "customers", "mostly planted as", "share"],
                [[s, names[s], f"{n:,}", top, f"{share:.0%}"] for s, n, top, share in rows],
                right=["customers", "share"],
            )
    console.table(
        ["method", "segments", "adjusted Rand index", "in the segment's majority"],
        lines,
        title=f"Agreement with the {len(set(truth_of.values()))} planted segments, "
        f"over the {len(placed):,} customers with enough events to place",
    )
