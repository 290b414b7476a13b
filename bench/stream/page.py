"""The figures of the stream as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness.results import machine_line, spread, table, told
from bench.stream import oracle
from bench.stream.peers import ENTRIES, SHOAL
from bench.stream.scores import EARLIER, HORIZON, LATE, MOST_FLICKER, RECOVERED, STEP

PUBLISHED = "python -m bench.stream"
NOTES = Path(__file__).with_name("notes.md")

Rows = Sequence[Mapping[str, Any]]
_CEILING = oracle.NAMES[1]


def markdown(document: Mapping[str, Any]) -> str:
    """The page: protocol, tables, what failed, and the notes."""
    rows = [row for row in document["rows"] if "failed" not in row]
    blocks = [
        "# Stream: do segments follow means that move, split and jump?",
        f"`{document['command']}`, seeds {', '.join(map(str, document['seeds']))}. "
        + machine_line(document["machine"]),
        _protocol(document["settings"]),
        *_truth(rows), *_drift(rows), *_movement(rows), *_recovery(rows), *_shoal(rows),
        *_failures(document["rows"]),
    ]  # fmt: skip
    if NOTES.exists() and document["command"] == PUBLISHED:
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(block for block in blocks if block) + "\n"


def title(peer: str) -> str:
    """A method as tables name it."""
    return oracle.TITLES[peer] if peer in oracle.TITLES else ENTRIES[peer].title


def _protocol(settings: Mapping[str, Any]) -> str:
    plan = settings["plan"]
    return (
        f"A planted stream (`bench/stream/planted.py`): {plan['users']:,} users in "
        f"{plan['segments']} Gaussian segments of {plan['features']} features, means N(0, "
        f"{plan['scale']:g}²), noise N(0, 1), {plan['outliers']:.0%} of the sightings heavy-tailed "
        f"(Student's t, 3 degrees of freedom, times {plan['tail']:g}); {plan['epochs']} epochs of "
        f"{plan['events']:,} sightings of one random user each. Means drift by {plan['drift']:g} "
        f"an epoch in each feature, {plan['switch']:.0%} of the users switch; at epoch "
        f"{plan['split_at']} the largest segment splits (children {plan['apart']:g} apart), at "
        f"{plan['birth_at']} a tenth of the users form a new one, at {plan['merge_at']} the two "
        f"nearest merge, at {plan['jump_at']} every mean jumps by {plan['jump']:g}. Every method "
        f"learns from the first epoch, is told that there are {settings['k']} segments if it takes "
        f"a number, and is then asked about each sighting before it learns from it, in "
        f"micro-batches of {settings['batch']}. Figures are means over seeds, least and greatest "
        "in brackets; settings were found on seeds 1 to 5."
    )


def _of(rows: Rows, peer: str) -> Rows:
    return [row for row in rows if row["peer"] == peer]


def _peers(rows: Rows) -> list[str]:
    """Ceilings, then by ARI."""
    names = list(dict.fromkeys(row["peer"] for row in rows))

    def key(peer: str) -> tuple[bool, float]:
        figure = spread(row["ari"] for row in _of(rows, peer))
        return (peer not in oracle.NAMES, -figure["mean"] if figure else 1.0)

    return sorted(names, key=key)


def _cell(rows: Rows, peer: str, name: str, digits: int = 3) -> str:
    return told(spread(row[name] for row in _of(rows, peer)), digits)


def _truth(rows: Rows) -> list[str]:
    lines = [
        [
            title(peer),
            *(_cell(rows, peer, name) for name in ("ari", "ari_worst", "accuracy", "macro_recall",
                                                   "macro_f1")),
            _cell(rows, peer, "labels", 0), _cell(rows, peer, "us_a_sighting", 0),
        ]
        for peer in _peers(rows)
    ]  # fmt: skip
    head = ["method", "ARI", "ARI, worst epoch", "accuracy", "macro recall", "macro F1", "labels",
            "µs a sighting"]  # fmt: skip
    intro = (
        "ARI epoch by epoch, mean and worst of an epoch; accuracy, recall and F1 by one optimal "
        "matching of labels to true segments over the whole stream, so that renaming costs."
    )
    return ["## Labels against truth", intro, table(head, lines)]


def _drift(rows: Rows) -> list[str]:
    """Before and after everything happened, as a share of the ceiling."""
    lines = []
    for peer in _peers(rows):
        cells = [title(peer)]
        for name in ("accuracy", "macro_recall", "macro_f1"):
            early = spread(row["early"][name] for row in _of(rows, peer))
            late = spread(row["late"][name] for row in _of(rows, peer))
            top = spread(row["late"][name] for row in _of(rows, _CEILING))
            share = f" = {late['mean'] / top['mean']:.0%}" if late and top else ""
            cells.append(f"{told(early, 2)} → {told(late, 2)}{share}")
        lines.append(cells)
    intro = (
        f"In the first two epochs after learning, and in the last {LATE} (after drift, split, "
        "birth, merge and jump), with the share of the ceiling that knows the true means and all "
        "sightings of a user."
    )
    return ["## After drift", intro,
            table(["method", "accuracy", "macro recall", "macro F1"], lines)]  # fmt: skip


def _movement(rows: Rows) -> list[str]:
    lines = []
    for peer in _peers(rows):
        best = _best_points(_of(rows, peer))
        lines.append(
            [title(peer), _cell(rows, peer, "flicker", 4), _cell(rows, peer, "delay", 2),
             _cell(rows, peer, "noticed", 2), best, _cell(rows, peer, "trade_off", 3)]
        )  # fmt: skip
    intro = (
        "Flicker: switches that no true change paid for, a sighting. Delay: sightings from a "
        f"user's own true change to the first right label (1: at once), mean up to {HORIZON:g} "
        "(Kaplan-Meier). Under hysteresis: the same labels if a switch waits for 1 to 3 more "
        "sightings, or for a weight larger by a margin; told is the filter of least flicker among "
        "those with a delay of at most 1.3, if there is one. Trade-off: share of the box up to "
        f"{MOST_FLICKER:g} flicker and {HORIZON - 1:g} further sightings that the curve dominates."
    )
    head = ["method", "flicker a sighting", "delay, sightings", "noticed",
            "least flicker at delay ≤ 1.3", "trade-off"]  # fmt: skip
    return ["## Flicker and delay", intro, table(head, lines)]


def _best_points(rows: Rows) -> str:
    names = [one["filter"] for one in rows[0]["curve"]]
    points = []
    for place, name in enumerate(names):
        mine = [row["curve"][place] for row in rows if len(row["curve"]) == len(names)]
        flicker = sum(one["flicker"] for one in mine) / len(mine)
        delay = sum(one["delay"] for one in mine) / len(mine)
        if delay <= 1.3:
            points.append((flicker, name, delay))
    if not points:
        return "–"
    flicker, name, delay = min(points)
    return f"{flicker:.4f} at {delay:.2f} ({name})"


def _recovery(rows: Rows) -> list[str]:
    lines = []
    for peer in _peers(rows):
        found = [row["recovery"] for row in _of(rows, peer) if row["recovery"]]
        back = [one["sightings"] for one in found if one["sightings"] is not None]
        lines.append(
            [title(peer), f"{len(back)} of {len(found)}", told(spread(back), 0),
             told(spread(one["before"] for one in found), 2),
             told(spread(one["lowest"] for one in found), 2)]
        )  # fmt: skip
    intro = (
        f"Sightings after the jump until the ARI of {STEP} sightings is for good at least "
        f"{RECOVERED:.0%} of what it was in the {EARLIER} epochs before; who had lost much before "
        "has little to win back, so read it beside that ARI."
    )
    head = ["method", "recovered", "sightings", "ARI before", "lowest after"]
    return ["## Recovery from the jump", intro, table(head, lines)]


def _shoal(rows: Rows) -> list[str]:
    """What Shoal did, and when."""
    lines = []
    for peer in [one for one in SHOAL if _of(rows, one)]:
        for row in _of(rows, peer):
            done = [
                f"{one['kind'] or one['action']} {one['epoch']:g}"
                for one in row["told"].get("adjustments", [])
            ]
            lines.append([title(peer), str(row["seed"]), ", ".join(done) or "nothing",
                          str(row["told"].get("k", ""))])  # fmt: skip
    if not lines:
        return []
    intro = (
        "What was done to segments, by epoch (nudges left out), and how many there were at last."
    )
    return ["## What Shoal did", intro,
            table(["method", "seed", "done at epoch", "segments"], lines)]  # fmt: skip


def _failures(rows: Rows) -> list[str]:
    lines = [
        [row["peer"], row["label"], str(row["failed"]).replace("|", "/")[:200]]
        for row in rows
        if "failed" in row
    ]
    return ["## What failed", table(["method", "stream", "why"], lines)] if lines else []
