"""The bench's document as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import merging
from bench.harness.results import machine_line, spread, table, told
from bench.identity.refits import CENTROID, FROZEN, PLAIN, SHOAL, event_of
from shoal.evaluation.lineage import Counts, Event, compare, over_worlds

NOTES = Path(__file__).with_name("notes.md")
#: The first refit after a change can find it, and the one after that (a tolerance of one refit).
TOLERANCE_DAYS = 56.0
_YEAR_DAYS = 364.0
_PARTS = {
    "rule": "the rule alone", "steady": "refits of world steady", "lineage": "refits of lineage",
}  # fmt: skip
_KINDS = ("split", "merge", "birth", "death")
_TITLES = {
    SHOAL: "Shoal: overlap with a noise level, warm start",
    CENTROID: "same fits, nearest centre of the fit before, one to one",
    PLAIN: "same fits, numbered by size (a plain refit)",
    FROZEN: "first version for ever (no refit)",
}

Rows = Sequence[Mapping[str, Any]]


def markdown(document: Mapping[str, Any]) -> str:
    """The page: what was asked, tables, notes."""
    blocks = [
        "# Identity: do segments stay who they are, and are true changes told?",
        f"`{document['command']}`, seeds {', '.join(map(str, document['seeds']))}. "
        + machine_line(document["machine"]),
    ]
    if document.get(merging.ADDED):
        blocks.append(merging.note(document, _PARTS))
    if "rule" in document:
        blocks += _rule(document["rule"], document["settings"])
    if "steady" in document:
        blocks += _steady(document["steady"], document["settings"])
    if "lineage" in document:
        blocks += _lineage(document["lineage"], document["settings"])
    if NOTES.exists():
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(blocks) + "\n"


def _rule(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, title in (("shoal", "Shoal's rule"), ("monic", "MONIC")):
        counts = [_counts(row[name], row["planted"]) for row in rows]
        lines.append([title, *_figures(counts), *_by_kind(rows, name)])
    return [
        "## The rule alone, on true segments",
        (
            f"{len(rows)} worlds `lineage` of {settings['lineage_customers']} customers with a "
            "split, a merge, a birth and a death each; cuts 28 days apart; asked is who is in "
            "which true segment at two cuts in a row. A told change is right if kind, parents and "
            f"children are, and it lies 0 to {TOLERANCE_DAYS:.0f} days after the planted one. "
            "Brackets: 95 % percentile bootstrap over worlds."
        ),
        table(
            ["rule", "precision", "recall", "F1", "right/told/planted", "right of told by kind"],
            lines,
        ),
    ]


def _steady(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    blocks = [
        "## Identity over monthly refits",
        (
            f"World `steady`, {settings['customers']} customers, {settings['refits']} refits 28 "
            f"days apart, k {settings['k']}. Of customers whose planted segment is the same at two "
            "refits and who are placed at both: the share whose id is the same. *Same states*: the "
            "version before and the new one asked about the same states, so that the model alone "
            "differs. *Over time*: each asked about its own moment, so that behaviour moves "
            "customers as well; the first version for ever shows how much that is. Mean over seeds "
            "(least to greatest)."
        ),
    ]
    for aim in _aims(rows):
        own = [row for row in rows if row["peer"] == aim and "failed" not in row]
        lines = [
            [title, _share(own, "same_states", name), _share(own, "over_time", name),
             told(spread(_mean(row["ari"].get(name)) for row in own))]
            for name, title in _TITLES.items()
        ]  # fmt: skip
        years = sum(row["refits"] for row in own) * settings["every_days"] / _YEAR_DAYS
        changes = sum(len(row["changes"]) for row in own)
        blocks += [
            (
                f"`--aim {aim}`: {changes} splits, merges, births and deaths told in {years:.1f} "
                "simulated years; none was planted."
            ),
            table(["naming", "same states", "over time", "ARI with planted"], lines),
        ]
    return [*blocks, *_failed(rows)]


def _lineage(rows: Rows, settings: Mapping[str, Any]) -> list[str]:
    lines = []
    for aim in _aims(rows):
        own = [row for row in rows if row["peer"] == aim and "failed" not in row]
        if not own:
            continue
        counts = [_counts(row["events"], row["planted"]) for row in own]
        years = sum(row["refits"] for row in own) * settings["every_days"] / _YEAR_DAYS
        wrong = sum(one.found - one.right for one in counts) / years
        lines.append(
            [f"{aim} ({len(own)} worlds)", *_figures(counts), f"{wrong:.1f}", *_by_kind(own)]
        )
    return [
        "## Planted changes, segments learned",
        (f"Worlds `lineage` of {settings['lineage_customers']} customers and "
        f"{settings['lineage_days']} days, k chosen at every refit. Parents and children are named "
        "by the true segment of most of their members."),
        table(
            ["aim", "precision", "recall", "F1", "right/told/planted", "false a year",
             "right of told by kind"],
            lines,
        ),
        *_failed(rows),
    ]  # fmt: skip


def _aims(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["peer"] for row in rows))


def _counts(found: Rows, planted: Rows) -> Counts:
    return compare(_events(found), _events(planted), tolerance_days=TOLERANCE_DAYS)


def _events(rows: Rows) -> list[Event]:
    return [event_of(one) for one in rows]


def _figures(counts: Sequence[Counts]) -> list[str]:
    found = over_worlds(counts)
    total = sum(counts, Counts(0, 0, 0))
    return [
        *(f"{one.value:.2f} ({one.low:.2f}-{one.high:.2f})" for one in found.values()),
        f"{total.right}/{total.found}/{total.planted}",
    ]


def _by_kind(rows: Rows, name: str = "events") -> list[str]:
    told_of = []
    for kind in _KINDS:
        counts = Counts(0, 0, 0)
        for row in rows:
            found = [one for one in row[name] if one["change"] == kind]
            planted = [one for one in row["planted"] if one["change"] == kind]
            counts += _counts(found, planted)
        told_of.append(f"{kind} {counts.right} of {counts.found} ({counts.planted} planted)")
    return [", ".join(told_of)]


def _share(rows: Rows, kind: str, name: str) -> str:
    shares = [row[kind][name][0] / row[kind][name][1] for row in rows if name in row[kind]]
    return told(spread(shares), 3)


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def _failed(rows: Rows) -> list[str]:
    failed = [f"- {row['peer']} {row['label']}: {row['failed']}" for row in rows if "failed" in row]
    return ["Failed:\n" + "\n".join(failed)] if failed else []
