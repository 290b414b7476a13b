"""The results as a page; every figure and every verdict comes from the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness.results import machine_line, spread, table, told
from bench.users.methods import METHODS, SHOAL, SMALL
from bench.users.outcomes import TITLES

_NOTES = Path(__file__).with_name("notes.md")
_DIGITS = 3
_MEASURE = {"auroc": "AUROC", "share": "share of deviance explained"}


def markdown(document: Mapping[str, Any]) -> str:
    """The page of `docs/results/users.md`."""
    parts = [
        _head(document), _carry(document), _goal(document), _ranks(document), _figures(document),
        _differences(document), _controls(document), _small(document), _training(document),
        _logs(document), _failed(document),
    ]  # fmt: skip
    if _NOTES.exists():
        parts.append(_NOTES.read_text(encoding="utf-8"))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _head(document: Mapping[str, Any]) -> str:
    return f"""# What embeddings foretell

`{document["command"]}`, seeds {", ".join(map(str, document["seeds"]))}.
{machine_line(document["machine"])}
{len(document["logs"])} logs; one thread; training, embedding and LightGBM took
{document["unit_minutes"]:.0f} minutes in all, while the machine had a load of
{document["machine"]["load"]:.0f}.

What is known of customers before T foretells [T, T + H). At most {document["most_customers"]:,}
customers known at T, drawn at random, make a log: nobody, Shoal included, learns from others.
Three kinds of learning, held apart in time:

1. **Embeddings** (CoLES, Shoal) are trained without labels on events before T - H.
2. **Heads** and the supervised GRU learn the outcomes of [T - H, T) from inputs as of T - H. A
   random fifth of those customers, the same for all, says when to stop and how much to penalise.
3. **What is scored** are the outcomes of [T, T + H), foretold from inputs as of T; they are looked
   at once.

Every embedding has the same head, LightGBM of the same settings, alone and beside all features of
the catalog: five models, each with another fifth held out, and their mean. The linear probe is a
logistic, Poisson or Tweedie regression with a ridge penalty.
CoLES, the supervised GRU (one for all outcomes of a set) and Shoal may train
**{document["budget_s"]:g} s** each on one thread. Of a public set each seed is another cut, of a
world another world.

| outcome | of whom | measure |
| --- | --- | --- |
| active | an event of any kind in the window | AUROC, ties half |
| orders | their number | share of the Poisson deviance |
| spend | before refunds | share of the Tweedie deviance, power 1.5 |
| category mix | top categories, of customers with an event | share of the multinomial deviance |

A share of deviance is what a forecast explains beyond the learning customers' mean; below zero it
is worse than that mean. `rfm` is recency, frequency and money. CoLES is written from the paper
(Babaev et al., SIGMOD 2022) with the authors' margin, slices, negatives and rate, and a state that
fits the budget; the days since the last event stand beside its embedding, which ends there. The
supervised GRU is told them too. A cell whose best method stays below an AUROC of
{document["least"]["auroc"]:g} or a share of {document["least"]["share"]:g} does not count in
ranks."""


def _carry(document: Mapping[str, Any]) -> str:
    there = {one["set"] for one in document["logs"]}
    rows = [
        [name, *("not there" if name not in there else f"no: {why}" if why else "yes"
                 for why in tasks.values())]
        for name, tasks in document["tasks"].items()
    ]  # fmt: skip
    reasons = "".join(f"\n- {label}: {why}." for label, why in document["missing"].items())
    head = ["set", *TITLES.values()]
    return f"## Which set can carry which outcome\n\n{table(head, rows)}\n{reasons}"


def _goal(document: Mapping[str, Any]) -> str:
    goal = document["goal"]
    if goal is None:
        return "## The goal\n\nShoal gave no figures in this run: nothing can be said."
    best = "**has**" if goal["best_mean_rank"] else "**has not**"
    lines = [
        "## The goal",
        "",
        f"*{METHODS[SHOAL].title}* {best} a better mean rank than every peer.",
        "",
        (
            f"*Never worse than the best peer by more than {document['tolerance']:g}*, over "
            f"{goal['cells']} cells: **{'true' if goal['never_worse'] else 'false'}**."
        ),
    ]
    for one in goal["places"]:
        chance = "beyond chance" if one["beyond_chance"] else "within the interval"
        lines.append(
            f"- {one['set']}, {TITLES[one['task']]}: {one['figure']:+.3f} to "
            f"{document['methods'][one['best_peer']]['title']}, {chance}"
        )
    lines += [f"- {name}, {TITLES[task]}: no figure" for name, task in goal["lacking"]]
    if goal["places"] or goal["lacking"]:
        lines.insert(5, "")
    return "\n".join(lines)


def _ranks(document: Mapping[str, Any]) -> str:
    found = document["ranks"]
    order = sorted(found["all"], key=lambda row: found["all"][row])
    rows = [
        [_named(document, row), *(f"{of[row]:.1f}" if row in of else "–" for of in found.values())]
        for row in order
    ]
    if not rows:
        return ""
    head = ["method", "mean rank", *TITLES.values()]
    return (
        f"## Mean ranks\n\nOver {document['ranked_cells']} cells that count (a set and an outcome, "
        f"by the mean over seeds), of {len(order)} rows. Ties and missing figures take the worse "
        f"rank.\n\n{table(head, rows)}"
    )


def _figures(document: Mapping[str, Any]) -> str:
    parts = ["## Figures"]
    for task, title in TITLES.items():
        of_task = [one for one in document["cells"] if one["task"] == task]
        if not of_task:
            continue
        head = ["method", *(one["set"] + ("" if one["counted"] else " \\*") for one in of_task)]
        rows = [
            [_named(document, row), *(_figure(document, one, row) for one in of_task)]
            for row in document["methods"]
        ]
        measure = _MEASURE[of_task[0]["measure"]]
        parts.append(f"### {title.capitalize()}: {measure}\n\n{table(head, rows)}")
    parts.append(
        "Mean and range over seeds; bold: the best but for controls. \\* too little can be "
        "foretold: no rank. Controls run on the first seed alone."
    )
    return "\n\n".join(parts)


def _figure(document: Mapping[str, Any], cell: Mapping[str, Any], row: str) -> str:
    figure = cell["rows"][row]
    best = max(
        (one["mean"] for name, one in cell["rows"].items()
         if one is not None and document["methods"][name]["role"] != "control"),
        default=None,
    )  # fmt: skip
    text = told(figure, _DIGITS)
    is_best = figure is not None and figure["mean"] == best
    return f"**{text}**" if is_best and document["methods"][row]["role"] != "control" else text


def _differences(document: Mapping[str, Any]) -> str:
    rows = [
        [
            one["set"], TITLES[one["task"]], document["methods"][one["best_peer"]]["title"],
            *_interval(one), _verdict(one),
        ]
        for one in document["differences"]
    ]  # fmt: skip
    if not rows:
        return ""
    head = ["set", "outcome", "best peer there", "Shoal - peer", "95 % interval", ""]
    return (
        f"## {METHODS[SHOAL].title} beside the best peer\n\nMean over seeds; customers drawn again "
        f"{document['draws']:,} times, the same for both. The best peer is chosen after the fact "
        f"in each row, which counts against Shoal.\n\n{table(head, rows)}"
    )


def _controls(document: Mapping[str, Any]) -> str:
    found = document["controls"]
    if not found:
        return ""
    rows = [
        [one["set"], TITLES[one["task"]], one["what"], *_interval(one), _adds(one)] for one in found
    ]
    said = "\n".join(_said(found, what) for what in dict.fromkeys(one["what"] for one in found))
    head = ["set", "outcome", "what", "gain", "95 % interval", ""]
    return (
        "## What the sequence adds\n\nShoal's figure less that of Shoal trained and asked with "
        "each customer's events shuffled over their moments (*order*), or with all events a "
        "day apart and the last one a day ago (*time*), so that neither the gaps nor the silence "
        "are known. LightGBM on the embedding, or on embedding and features; features know the "
        f"times in any case. First seed.\n\n{said}\n\n{table(head, rows)}"
    )  # fmt: skip


def _said(found: Sequence[Mapping[str, Any]], what: str) -> str:
    mine = [one for one in found if one["what"] == what]
    by_verdict: dict[str, list[str]] = {}
    for one in mine:
        by_verdict.setdefault(_adds(one), []).append(f"{one['set']} {TITLES[one['task']]}")
    mean = spread(one["figure"] for one in mine)
    assert mean is not None
    text = (
        f"- **{what}** adds beyond chance in {len(by_verdict.get('adds', []))} of {len(mine)} "
        f"cells, {mean['mean']:+.3f} on average over all."
    )
    if "no telling" in by_verdict:
        text += f" It adds nothing beyond chance at: {', '.join(by_verdict['no telling'])}."
    if "costs" in by_verdict:
        text += f" It costs at: {', '.join(by_verdict['costs'])}."
    return text


def _small(document: Mapping[str, Any]) -> str:
    found = document["small"]
    if not found:
        return ""
    parts = [
        "## Histories as sentences",
        (
            "The newest twenty events of a history written out in English and encoded by all-"
            "MiniLM-L6-v2, beside the others. All heads learned from the same small sample of "
            "customers and are asked of it later; embeddings were trained as above. First seed; "
            "95 % intervals over customers."
        ),
    ]
    for task, title in TITLES.items():
        cells = [one for one in found if one["task"] == task]
        if not cells:
            continue
        rows = [
            [name, *(_with_interval(one["rows"].get(row)) for one in cells)]
            for row, name in SMALL.items()
            if any(row in one["rows"] for one in cells)
        ]
        head = ["method", *(f"{one['set']} ({one['customers']})" for one in cells)]
        parts.append(f"### {title.capitalize()}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def _training(document: Mapping[str, Any]) -> str:
    units = dict.fromkeys(one["unit"] for one in document["training"])
    rows = []
    for unit in units:
        mine = [one for one in document["training"] if one["unit"] == unit]
        rows.append(
            [unit, str(len(mine)), told(spread(one["train_seconds"] for one in mine), 0),
             told(spread(one.get("steps") for one in mine), 0),
             told(spread(one["seconds"] for one in mine), 0)]
        )  # fmt: skip
    if not rows:
        return ""
    head = ["unit", "logs", "seconds to train", "steps", "seconds in all"]
    return (
        "## Training\n\nMean and range over logs. Seconds in all hold reading, embedding and heads."
        f"\n\n{table(head, rows)}"
    )


def _logs(document: Mapping[str, Any]) -> str:
    rows = [
        [one["set"], str(one["seed"]), one["before"], one["cut"], str(one["horizon_days"]),
         f"{one['learners']:,}", f"{one['customers']:,}", f"{one['once']:.0%}",
         f"{one['events']:,}", f"`{one['digest'][:12]}`"]
        for one in document["logs"]
    ]  # fmt: skip
    head = ["set", "seed", "T - H", "T", "H in days", "learn", "asked", "seen on one day alone",
            "events", "digest of the set"]  # fmt: skip
    return f"## The logs\n\n{table(head, rows)}"


def _failed(document: Mapping[str, Any]) -> str:
    seen: dict[tuple[str, str], list[str]] = {}
    for one in document["failed"]:
        seen.setdefault((one["unit"], one["reason"]), []).append(one["log"])
    if not seen:
        return ""
    rows = [[unit, ", ".join(labels), reason] for (unit, reason), labels in seen.items()]
    return f"## What failed\n\n{table(['unit', 'logs', 'reason'], rows)}"


def _interval(one: Mapping[str, Any]) -> tuple[str, str]:
    return f"{one['figure']:+.3f}", f"{one['low']:+.3f} to {one['high']:+.3f}"


def _with_interval(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "–"
    return f"{one['figure']:.2f} ({one['low']:.2f} to {one['high']:.2f})"


def _verdict(one: Mapping[str, Any]) -> str:
    if one["high"] < 0:
        return "worse"
    return "better" if one["low"] > 0 else "no telling"


def _adds(one: Mapping[str, Any]) -> str:
    if one["high"] < 0:
        return "costs"
    return "adds" if one["low"] > 0 else "no telling"


def _named(document: Mapping[str, Any], row: str) -> str:
    title: str = document["methods"][row]["title"]
    return f"**{title}**" if row == SHOAL else title
