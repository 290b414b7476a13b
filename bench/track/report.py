"""The bench's document as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness.results import machine_line, spread, table, told
from bench.peers import SPECS
from bench.track import lineage
from bench.track.lineage import TOLERANCE_DAYS
from bench.track.newcomers import EVENTS
from bench.track.scores import HORIZON_DAYS, MOST_FLICKER
from bench.track.unit import CEILING
from shoal.evaluation.lineage import Counts, over_worlds
from shoal.evaluation.tracking import dominated

#: What a person wrote about the published run; it stands at the page's end.
NOTES = Path(__file__).with_name("notes.md")
_NOISE = "noise"
_SHARED = ("accuracy", "macro_recall", "macro_f1", "ari")


def title(peer: str) -> str:
    """A peer as tables name it."""
    if peer == CEILING:
        return "*ceiling: LightGBM given the true labels*"
    name, _, columns = peer.partition(":")
    return SPECS[name].title + (f", {columns} columns" if columns else "")


def markdown(document: Mapping[str, Any]) -> str:
    """The page: protocol, tables, what failed, and the notes."""
    blocks = [
        "# Track: do segments follow customers that change?",
        f"`{document['command']}`, seeds {', '.join(map(str, document['seeds']))}. "
        + machine_line(document["machine"])
        + _environments(document),
        _digests(document),
        _protocol(document),
    ]
    if "worlds" in document:
        rows = [row for row in document["worlds"] if row["world"] != _NOISE]
        noise = [row for row in document["worlds"] if row["world"] == _NOISE]
        blocks += [*_overall(rows), *_by_world(rows), *_movement(rows), *_recovery(rows)]
        blocks += _noise(noise)
    if "newcomers" in document:
        blocks += _newcomers(document["newcomers"])
    if "lineage" in document:
        blocks += _lineage(document["lineage"])
    blocks += _failures(document)
    if NOTES.exists():
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(block for block in blocks if block) + "\n"


def _environments(document: Mapping[str, Any]) -> str:
    river = document.get("environments", {}).get("river") or {}
    if not river:
        return ""
    return f" In an environment of its own: river {river.get('river', '?')}, numpy " + river.get(
        "numpy", "?"
    )


def _digests(document: Mapping[str, Any]) -> str:
    rows = [row for part in ("worlds", "newcomers", "lineage") for row in document.get(part, [])]
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


def _peers(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["peer"] for row in rows))


def _of(rows: Sequence[Mapping[str, Any]], peer: str, **wanted: Any) -> list[Mapping[str, Any]]:
    return [
        row
        for row in rows
        if row["peer"] == peer
        and "failed" not in row
        and all(row[name] == value for name, value in wanted.items())
    ]


def mean_over_worlds(
    rows: Sequence[Mapping[str, Any]], peer: str, name: str, worlds: Sequence[str] | None = None
) -> dict[str, float] | None:
    """Spread over seeds of a figure's mean over worlds; None unless every world has it.

    A method that failed in a world would else be compared on the others alone.
    """
    wanted = list(worlds or dict.fromkeys(row["world"] for row in rows))
    means = []
    for seed in dict.fromkeys(row["seed"] for row in rows):
        mine = {row["world"]: row.get(name) for row in _of(rows, peer, seed=seed)}
        values = [mine.get(world) for world in wanted]
        there = [value for value in values if value is not None]
        if len(there) < len(wanted):
            return None
        means.append(sum(there) / len(there))
    return spread(means)


def share_of_ceiling(
    rows: Sequence[Mapping[str, Any]], peer: str, name: str
) -> dict[str, float] | None:
    """Spread over seeds of the mean over worlds of a figure divided by the ceiling's."""
    tops = {(row["world"], row["seed"]): row.get(name) for row in _of(rows, CEILING)}
    shared = [
        {**row, "share": row[name] / top}
        for row in _of(rows, peer)
        if (top := tops.get((row["world"], row["seed"])))
    ]
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    return mean_over_worlds(shared, peer, "share", worlds) if shared else None


def _overall(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    lines = []
    for peer in _ranked(rows):
        cells = [told(mean_over_worlds(rows, peer, name), 3) for name in _SHARED]
        shares = [told(share_of_ceiling(rows, peer, name)) for name in _SHARED]
        labels = told(mean_over_worlds(rows, peer, "labels"), 0)
        lines.append([title(peer), *cells, *shares, labels])
    head = ["method", "accuracy", "macro recall", "macro F1", "ARI", "accuracy / ceiling",
            "recall / ceiling", "F1 / ceiling", "ARI / ceiling", "labels used"]  # fmt: skip
    intro = (
        f"Means over the worlds {', '.join(worlds)}; best accuracy first. Brackets hold the least "
        "and the greatest of the seeds."
    )
    return ["## Memberships against truth", intro, table(head, lines)]


def _ranked(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    def key(peer: str) -> tuple[bool, float]:
        figure = mean_over_worlds(rows, peer, "accuracy")
        return (peer != CEILING, -figure["mean"] if figure else 1.0)

    return sorted(_peers(rows), key=key)


def _by_world(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    blocks = ["## World by world"]
    for name, words in (("accuracy", "Accuracy"), ("ari", "Adjusted Rand index, cut by cut")):
        lines = [
            [
                title(peer),
                *(told(spread(row[name] for row in _of(rows, peer, world=world)), 2)
                  for world in worlds),
            ]
            for peer in _ranked(rows)
        ]  # fmt: skip
        blocks.append(f"{words}:\n\n{table(['method', *worlds], lines)}")
    return blocks


def _movement(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Flicker and delay, in worlds where customers change."""
    moving = [row for row in rows if "failed" in row or row.get("changes")]
    worlds = list(dict.fromkeys(row["world"] for row in moving if "failed" not in row))
    moving = [row for row in moving if row["world"] in worlds]
    intro = (
        "Flicker: switches that no true change paid for, a customer-month. Delay: days from a true "
        "change to the first of two right cuts in a row, mean up to "
        f"{HORIZON_DAYS:.0f} days (Kaplan-Meier; who is never right has all of them); changes to "
        "what the label said already are left out. By chance: the same for the segments that the "
        "customer did not move to; who goes from label to label finds the new one sooner or "
        "later, and only what is gained over that was noticed. Trade-off: each method also under "
        "hysteresis (it switches only after the same label was proposed 1, 2 or 3 cuts more, or "
        "only for a weight that is larger by a margin of 0.1 to 0.95); the share of the box up to "
        f"{MOST_FLICKER:g} switch a customer-month and {HORIZON_DAYS:.0f} days gained that the "
        "curve dominates. Who never switches gets 0, and so does who always does. Front: share of "
        "the logs in which a point of the method's curve is beaten by no other method's. Speed: "
        "microseconds an event of the periods between cuts, of the method alone and of the "
        "features (a full snapshot at every cut); Shoal's own hold its features, made again."
    )
    if not worlds:
        return []
    calm = [row for row in rows if row["world"] not in worlds]
    order = sorted(
        _peers(moving),
        key=lambda peer: -((mean_over_worlds(moving, peer, "trade_off") or {"mean": -1})["mean"]),
    )
    lines = [
        [
            title(peer),
            told(mean_over_worlds(moving, peer, "flicker"), 2),
            told(mean_over_worlds(calm, peer, "flicker"), 2) if calm else "–",
            told(mean_over_worlds(moving, peer, "delay_days"), 1),
            told(mean_over_worlds(moving, peer, "chance_days"), 1),
            told(mean_over_worlds(moving, peer, "noticed"), 2),
            told(mean_over_worlds(moving, peer, "trade_off"), 3),
            told(spread([front_share(moving, peer)])),
            told(mean_over_worlds(rows, peer, "us_an_event"), 0),
            told(mean_over_worlds(rows, peer, "us_an_event_features"), 0),
        ]
        for peer in order
    ]
    head = [
        "method", f"flicker ({', '.join(worlds)})", "flicker (other worlds)", "delay, days",
        "by chance", "noticed", "trade-off", "front", "µs an event", "µs, features",
    ]  # fmt: skip
    return ["## Flicker and delay", intro, table(head, lines)]


def front_share(rows: Sequence[Mapping[str, Any]], peer: str) -> float | None:
    """Share of logs in which the peer has a point of flicker and days gained that no other method
    beats; the ceiling is no method, and points that gain nothing do not count."""
    logs = [row["label"] for row in _of(rows, peer)]
    on_front = 0
    for label in logs:
        points = {
            row["peer"]: [
                (one["flicker"], -one["gained_days"])
                for one in row["curve"]
                if one["gained_days"] is not None and one["gained_days"] > 0
            ]
            for row in rows
            if row["label"] == label and "failed" not in row and row["peer"] != CEILING
        }
        others = [point for name, own in points.items() if name != peer for point in own]
        on_front += any(not dominated(point, others) for point in points.get(peer, []))
    return on_front / len(logs) if logs and peer != CEILING else None


def _recovery(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """After abrupt changes: how often and how soon accuracy is back."""
    lines = []
    for peer in _ranked(rows):
        cells = []
        for world in dict.fromkeys(row["world"] for row in rows):
            events = [
                one for row in _of(rows, peer, world=world) for one in row.get("recovery", [])
            ]
            cells.append(_recovered(events))
        lines.append([title(peer), *cells])
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    some = [place for place in range(len(worlds)) if any(line[place + 1] != "–" for line in lines)]
    if not some:
        return []
    intro = (
        "Abrupt changes of the world (drifts at once, sales, splits, merges, births, deaths): how "
        "many were recovered from before the next one or the end, the mean days until accuracy "
        "stayed within 0.05 of what it was (0: it never fell), and the mean of the deepest fall. A "
        "method that knew little has little to lose, so read it beside accuracy."
    )
    head = ["method", *(worlds[place] for place in some)]
    kept = [[line[0], *(line[place + 1] for place in some)] for line in lines]
    return ["## Recovery from abrupt changes", intro, table(head, kept)]


def _recovered(events: Sequence[Mapping[str, Any]]) -> str:
    if not events:
        return "–"
    back = [one["days"] for one in events if one["days"] is not None]
    fall = sum(one["before"] - one["lowest"] for one in events) / len(events)
    days = f", {sum(back) / len(back):.0f} days" if back else ""
    return f"{len(back)}/{len(events)}{days}, fall {fall:.2f}"


def _noise(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = [
        [
            title(peer),
            told(spread(row["labels"] for row in _of(rows, peer)), 0),
            told(spread(row["largest_share"] for row in _of(rows, peer))),
            told(spread(row["flicker"] for row in _of(rows, peer))),
        ]
        for peer in _peers(rows)
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
    for peer in _peers(rows):
        mine = _of(rows, peer)
        cells = [told(spread(row["accuracy"][str(n)] for row in mine)) for n in EVENTS]
        lines.append([title(peer), *cells])
    intro = (
        "World steady, half of the customers learned from, the other half known by their first "
        "events alone (moved so that the last of them is less than a week old). Shoal places "
        "nobody before the third event and is wrong on all of them until then."
    )
    head = ["method", *(f"after {n} event{'s' * (n > 1)}" for n in EVENTS)]
    return ["## Accuracy after the first events", intro, table(head, lines)]


def _lineage(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for peer in _peers(rows):
        mine = _of(rows, peer)
        if not mine:
            lines.append([lineage.TITLES[peer], "failed", "", "", "", "", ""])
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
            "recall by kind"]  # fmt: skip
    return ["## Lineage", intro, table(head, lines)]


def _of_change(rows: Sequence[Mapping[str, Any]], change: str) -> str:
    total = sum((Counts(**row["by_change"][change]) for row in rows), Counts(0, 0, 0))
    return f"{change} {total.right}/{total.planted}"


def _failures(document: Mapping[str, Any]) -> list[str]:
    lines = [
        [part, row["peer"], row["label"], str(row["failed"]).replace("|", "/")[:200]]
        for part in ("worlds", "newcomers", "lineage")
        for row in document.get(part, [])
        if "failed" in row
    ]
    if not lines:
        return []
    return ["## What failed", table(["part", "method", "world and seed", "why"], lines)]
