"""The page of the bench, computed from its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import merging
from bench.harness.results import machine_line, spread, told

_FIGURES = {
    "ari": "ARI", "accuracy": "accuracy", "segment_probe": "probe: segment",
    "orders_auroc": "orders, AUROC", "active_auroc": "active, AUROC",
}  # fmt: skip


def markdown(document: Mapping[str, Any]) -> str:
    """The page."""
    seeds = ", ".join(str(one) for one in document["seeds"])
    customers, days = document["size"]
    lines = [
        "# What each choice of the behaviour model is worth",
        "",
        f"`{document['command']}`, seeds {seeds}.",
        machine_line(document["machine"]),
        "",
        *_later(document),
        f"Worlds {', '.join(document['worlds'])} of {customers:,} customers and {days} days, of",
        "the seeds for choosing: no bench reports on them. Each variant is trained from nothing",
        f"for {document['steps']:,} steps on one thread, on what lies 28 days before the end, and",
        "differs from the default in what its name says.",
        "",
        "- **ARI**, **accuracy**: k-means on the embedding, told the planted k, against the",
        "  planted segments of customers with three events or more (adjusted Rand index; share",
        "  right after the best matching).",
        "- **probe: segment**: accuracy of a logistic regression given the planted segments, three",
        "  folds of customers.",
        "- **orders**, **active**: AUROC of a logistic regression on the embedding for at least",
        "  one order, or event, in the 28 days that follow, three folds of customers.",
        "- **rank**: exponential of the entropy of the singular values.",
        "- **seconds a step**: of processor time, while the machine did other work too.",
        "",
        "Means, with least and greatest over worlds.",
    ]
    for group in dict.fromkeys(one["group"] for one in document["variants"]):
        own = [one for one in document["variants"] if one["group"] == group]
        lines += ["", f"## {group}", "", *_table(own)]
    notes = (Path(__file__).parent / "notes.md").read_text(encoding="utf-8")
    return "\n".join([*lines, "", notes])


def _later(document: Mapping[str, Any]) -> list[str]:
    told = merging.note(document, {one["name"]: one["title"] for one in document["variants"]})
    return [told, ""] if told else []


def _table(variants: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = ["variant", *_FIGURES.values(), "rank", "parameters", "events a step", "seconds a step"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for one in variants:
        units = [unit for unit in one["units"] if "figures" in unit]
        cells = [
            told(spread(unit["figures"][name] for unit in units), 3 if "auroc" in name else 2)
            for name in _FIGURES
        ]
        cells.append(told(spread(unit["figures"]["rank"] for unit in units), 1))
        count = spread(unit["parameters"] for unit in units)
        cells.append("–" if count is None else f"{count['mean']:,.0f}")
        seen = spread(unit["events"] / unit["steps"] for unit in units)
        cells.append("–" if seen is None else f"{seen['mean']:,.0f}")
        cells.append(told(spread(unit["seconds_trained"] / unit["steps"] for unit in units)))
        lines.append("| " + " | ".join([one["title"], *cells]) + " |")
        lines += [
            f"| {one['title']}: failed: {unit['failed'][:80]} |"
            for unit in one["units"]
            if "failed" in unit
        ]
    return lines
