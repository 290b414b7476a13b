"""The bench's document as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness.merging import note
from bench.harness.results import machine_line, spread, table, told
from bench.track import beside, lineage, real
from bench.track.lineage import TOLERANCE_DAYS
from bench.track.newcomers import EVENTS
from bench.track.report_adjust import adjustment
from bench.track.report_movement import movement, recovery
from bench.track.summing import (
    mean_over_worlds,
    of,
    peers_of,
    ranked,
    share_of_ceiling,
    title,
    titled,
)
from bench.track.unit import CEILING
from shoal.evaluation.lineage import Counts, over_worlds

#: What a person wrote about the published run; it stands at the end of that run's page.
PUBLISHED = "python -m bench.track"
NOTES = Path(__file__).with_name("notes.md")
_NOISE = "noise"
_PARTS = ("worlds", "ablation", "broken", "newcomers", "lineage", "real")
_SHARED = ("accuracy", "macro_recall", "macro_f1", "ari")


def markdown(document: Mapping[str, Any]) -> str:
    """The page: protocol, tables, what failed, and the notes."""
    blocks = [
        "# Track: do segments follow customers that change?",
        f"`{document['command']}`, seeds {', '.join(map(str, document['seeds']))}. "
        + machine_line(document["machine"])
        + _environments(document)
        + _load(document),
        note(document, _titles(document)),
        _digests(document),
        _protocol(document),
        _models(document),
    ]
    if "worlds" in document:
        rows = [row for row in document["worlds"] if row["world"] != _NOISE]
        noise = [row for row in document["worlds"] if row["world"] == _NOISE]
        blocks += [*_overall(rows), *_by_world(rows)]
        blocks += _generator(document.get("generator", []), rows)
        blocks += [*movement(rows), *recovery(rows), *adjustment(rows)]
        blocks += _noise(noise)
    blocks += beside.ablation(document.get("ablation", []))
    blocks += beside.broken(document.get("broken", []))
    if "newcomers" in document:
        blocks += _newcomers(document["newcomers"])
    if "lineage" in document:
        blocks += _lineage(document["lineage"])
    if "real" in document:
        blocks += real.report(document["real"])
    blocks += _failures(document)
    if NOTES.exists() and document["command"] == PUBLISHED:
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(block for block in blocks if block) + "\n"


def _environments(document: Mapping[str, Any]) -> str:
    river = document.get("environments", {}).get("river") or {}
    if not river:
        return ""
    return (
        f" In an environment of its own: river {river.get('river', '?')}, numpy "
        + river.get("numpy", "?")
        + "."
    )


def _load(document: Mapping[str, Any]) -> str:
    load = document["machine"].get("load", 0)
    if load <= 1:
        return ""
    return f" Other work ran beside it (load {load} at the start), so times are upper bounds."


def _titles(document: Mapping[str, Any]) -> dict[str, str]:
    rows = [row for part in ("worlds", "newcomers") for row in document.get(part, [])]
    parts = {
        "ablation": "a part taken away each", "broken": "tracking that breaks",
        "lineage": "lineage", "real": "real logs", "generator": "what the generator could tell",
    }  # fmt: skip
    return {**parts, **{peer: title(peer) for peer in peers_of(rows)}}


def _models(document: Mapping[str, Any]) -> str:
    """How the behaviour models were trained that entries stand on."""
    rows = [row for row in document.get("worlds", []) if "model" in row]
    if not rows:
        return ""
    models = {row["label"]: row["model"] for row in rows}.values()
    cells = {name: told(spread(one[name] for one in models), 0) for name in ("steps", "best_step")}
    seconds = {
        device: told(spread(one["seconds"] for one in models if _device(one) == device), 0)
        for device in sorted({_device(one) for one in models})
    }
    elsewhere = sorted({str(row["seed"]) for row in rows if _device(row["model"]) != "cpu"})
    took = f"{seconds.get('cpu', '–')} seconds on one thread of a shared machine" + (
        f" (seeds {' and '.join(elsewhere)}: {seconds['cuda']} on an accelerator, which does not "
        "repeat to the last bit)" if elsewhere else ""
    )  # fmt: skip
    parameters = sum(one["parameters"] for one in models) / len(models)
    return (
        f"Shoal on the embedding: a behaviour model (recipe {next(iter(models))['recipe']}, "
        f"about {parameters:,.0f} parameters) is trained once a world, on what lies before the "
        "first cut, from nothing and without labels, and stays as it is; k-means is learned on its "
        f"embedding, or on embedding and features. Training took {cells['steps']} steps and "
        f"{took}; kept are the weights that were best on the last tenth of the time, of step "
        f"{cells['best_step']}. Times an event hold a snapshot and an embedding of everybody's "
        "whole history at every cut."
    )


def _device(model: Mapping[str, Any]) -> str:
    """Where a model was trained."""
    return str(model.get("device", "cpu"))


def _digests(document: Mapping[str, Any]) -> str:
    rows = [row for part in _PARTS for row in document.get(part, [])]
    found = {
        f"{row['world']} v{row['world_version']} `{row['world_digest'][:12]}`"
        for row in rows
        if "world_digest" in row
    }
    return f"Worlds by version and digest: {', '.join(sorted(found))}." if found else ""


def _protocol(document: Mapping[str, Any]) -> str:
    s = document["settings"]
    return (
        f"Worlds of {s['customers']:,} customers and {s['days']} days. Every method learns from "
        f"the first {s['learn_days']} days and is then asked every {s['every_days']} days where "
        "each customer with at least 3 events before that moment belongs; it never sees an event "
        "at or after it. Methods that take a number of segments are told how many there are at "
        "the first cut. All see the same snapshot of features, Shoal's catalog and shares of "
        "categories, channels, devices and ways to pay; k-means and its kin the part of it that "
        "tells how somebody shops (shares and ratios), which served them best in the search, "
        "with groups of columns balanced and ten principal components. **Labels keep their names "
        "over the whole run**: one optimal matching of labels to true segments over all customers "
        "and cuts, so a method that renumbers its segments pays for it; the adjusted Rand index "
        "(ARI) is taken cut by cut and forgives it. The ceiling is a LightGBM classifier trained "
        "with the true labels on the same snapshots, out of fold by customer; it sees no order of "
        "events, and labels of later cuts, so shares of it can pass 1. Settings of peers come from "
        "their documentation and a search on world steady, seed 1, which is not reported. Figures "
        "are means over seeds, least and greatest in brackets."
    )


def _overall(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    lines = []
    for peer in ranked(rows):
        cells = [told(mean_over_worlds(rows, peer, name), 3) for name in _SHARED]
        shares = [told(share_of_ceiling(rows, peer, name)) for name in _SHARED]
        labels = told(mean_over_worlds(rows, peer, "labels"), 0)
        lines.append([titled(rows, peer), *cells, *shares, labels])
    head = ["method", "accuracy", "macro recall", "macro F1", "ARI", "accuracy / ceiling",
            "recall / ceiling", "F1 / ceiling", "ARI / ceiling", "labels used"]  # fmt: skip
    intro = (
        f"Means over the worlds {', '.join(worlds)}; best accuracy first. Brackets hold the least "
        "and the greatest of the seeds."
    )
    return ["## Memberships against truth", intro, table(head, lines)]


def _generator(
    told_by: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What the planted parameters could tell, and what the best method and the ceiling reach."""
    if not told_by:
        return []
    lines = []
    for world in dict.fromkeys(row["world"] for row in told_by):
        most = spread(row["accuracy"] for row in told_by if row["world"] == world)
        ceiling = spread(row["accuracy"] for row in of(rows, CEILING, world=world))
        best = max(
            (spread(row["accuracy"] for row in of(rows, peer, world=world))
             for peer in peers_of(rows) if peer != CEILING),
            key=lambda one: one["mean"] if one else 0.0,
        )  # fmt: skip
        lines.append([world, told(most, 3), told(ceiling, 3), told(best, 3)])
    intro = (
        "The oracle of the worlds applies Bayes' rule with every planted number, each personal "
        "dial integrated out, and knows when a stay in a segment began; it is asked about the "
        "same customers and cuts. It reads counts, hours and prices and no order of events, so in "
        "world awkward it says what counts can tell. Elsewhere it is what no method can be "
        "expected to pass."
    )
    head = ["world", "oracle: accuracy", "ceiling", "best method"]
    return ["## What the generator could tell", intro, table(head, lines)]


def _by_world(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    blocks = ["## World by world"]
    for name, words in (("accuracy", "Accuracy"), ("ari", "Adjusted Rand index, cut by cut")):
        lines = [
            [
                titled(rows, peer),
                *(told(spread(row[name] for row in of(rows, peer, world=world)), 2)
                  for world in worlds),
            ]
            for peer in ranked(rows)
        ]  # fmt: skip
        blocks.append(f"{words}:\n\n{table(['method', *worlds], lines)}")
    return blocks


def _noise(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = [
        [
            titled(rows, peer),
            told(spread(row["labels"] for row in of(rows, peer)), 0),
            told(spread(row["largest_share"] for row in of(rows, peer))),
            told(spread(row["flicker"] for row in of(rows, peer))),
        ]
        for peer in peers_of(rows)
        if peer != CEILING
    ]
    intro = (
        "World noise has one population and no segments. Methods that are told k make k of them "
        "(7 were asked for); the honest answer is one label, or no claim. What is seen here is how "
        "many labels each claims, how large the largest is, and how customers wander between them."
    )
    return ["## Noise", intro, table(["method", "labels", "largest", "flicker"], lines)]


def _newcomers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for peer in peers_of(rows):
        mine = of(rows, peer)
        cells = [told(spread(row["accuracy"][str(n)] for row in mine)) for n in EVENTS]
        lines.append([titled(rows, peer), *cells])
    intro = (
        "World steady, half of the customers learned from, the other half known by their first "
        "events alone (moved so that the last of them is less than a week old). Shoal places "
        "nobody before the third event and is wrong on all of them until then."
    )
    head = ["method", *(f"after {n} event{'s' * (n > 1)}" for n in EVENTS)]
    return ["## Accuracy after the first events", intro, table(head, lines)]


def _lineage(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for peer in peers_of(rows):
        mine = of(rows, peer)
        if not mine:
            lines.append([lineage.TITLES[peer], "failed", "", "", "", "", "", ""])
            continue
        strict = over_worlds([Counts(**row["strict"]) for row in mine])
        loose = over_worlds([Counts(**row["loose"]) for row in mine])
        total = sum((Counts(**row["strict"]) for row in mine), Counts(0, 0, 0))
        lines.append(
            [
                lineage.TITLES[peer],
                *(f"{strict[name].value:.2f} ({strict[name].low:.2f}-{strict[name].high:.2f})"
                  for name in ("precision", "recall", "f1")),
                f"{loose['f1'].value:.2f} ({loose['f1'].low:.2f}-{loose['f1'].high:.2f})",
                f"{total.right}/{total.found}/{total.planted}",
                _false_a_year(mine, total),
                ", ".join(_of_change(mine, change) for change in ("split", "merge", "birth",
                                                                  "death")),
            ]
        )  # fmt: skip
    worlds = len({row["label"] for row in rows})
    intro = (
        f"{worlds} worlds `lineage` with a split, a merge, a birth and a death each. A found event "
        "is right if the kind is, it is dated from 0 to "
        f"{TOLERANCE_DAYS:.0f} days (two refits) after the planted one, and its parents and "
        "children are those (each found segment named by the true segment of most of its members). "
        "Brackets: 95 % percentile bootstrap over worlds. Loose: kind and date alone."
    )
    head = ["method", "precision", "recall", "F1", "F1, loose", "right/found/planted",
            "wrong a year", "recall by kind"]  # fmt: skip
    return ["## Lineage", intro, table(head, lines)]


def _false_a_year(rows: Sequence[Mapping[str, Any]], total: Counts) -> str:
    """Found events that were none, a simulated year."""
    years = sum(row.get("years", 0.0) for row in rows)
    return f"{(total.found - total.right) / years:.1f}" if years else "–"


def _of_change(rows: Sequence[Mapping[str, Any]], change: str) -> str:
    total = sum((Counts(**row["by_change"][change]) for row in rows), Counts(0, 0, 0))
    return f"{change} {total.right}/{total.planted}"


def _failures(document: Mapping[str, Any]) -> list[str]:
    lines = [
        [part, row["peer"], row["label"], str(row["failed"]).replace("|", "/")[:200]]
        for part in _PARTS
        for row in document.get(part, [])
        if "failed" in row
    ]
    if not lines:
        return []
    return ["## What failed", table(["part", "method", "world and seed", "why"], lines)]
