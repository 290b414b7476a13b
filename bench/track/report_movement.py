"""The tables of movement: flicker against delay, and recovery from what comes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.harness.results import spread, table, told
from bench.track.scores import HORIZON_DAYS, MOST_FLICKER
from bench.track.summing import front_share, mean_over_worlds, of, peers_of, ranked, titled


def movement(rows: Sequence[Mapping[str, Any]]) -> list[str]:
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
        peers_of(moving),
        key=lambda peer: -((mean_over_worlds(moving, peer, "trade_off") or {"mean": -1})["mean"]),
    )
    lines = [
        [
            titled(rows, peer),
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


def recovery(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """After abrupt changes: how often and how soon accuracy is back."""
    lines = []
    for peer in ranked(rows):
        cells = []
        for world in dict.fromkeys(row["world"] for row in rows):
            events = [one for row in of(rows, peer, world=world) for one in row.get("recovery", [])]
            cells.append(_recovered(events))
        lines.append([titled(rows, peer), *cells])
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
