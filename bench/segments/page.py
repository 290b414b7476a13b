"""The results as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.merging import ADDED, note
from bench.harness.results import machine_line, table, told
from bench.segments import outside_page
from bench.segments.peers import OWN, SHOAL

_NOTES = Path(__file__).with_name("notes.md")
_TASK = {
    "orders": "orders", "spend": "spend", "days": "days to next order", "mix": "category mix",
}  # fmt: skip
_MODE = {"alone": "Membership alone", "given": "Membership given recent activity"}


def markdown(document: Mapping[str, Any]) -> str:
    """The page of `docs/results/segments.md`."""
    parts = [
        _head(document), _added(document), _outlook(document), _models(document),
        _carry(document), _ranks(document),
        *(_shares(document, mode) for mode in _MODE), _differences(document),
        _stability(document), outside_page.markdown(document), _logs(document), _failed(document),
    ]  # fmt: skip
    if _NOTES.exists():
        parts.append(_NOTES.read_text(encoding="utf-8"))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _head(document: Mapping[str, Any]) -> str:
    river = f" River {document['river']} in its own environment." if document["river"] else ""
    return f"""# What segments foretell

`{document["command"]}`, seeds {", ".join(map(str, document["seeds"]))}, k = {document["main_k"]}.
{machine_line(document["machine"])}{river}
{len(document["logs"])} logs; one thread for numerical libraries; learning, labelling and LightGBM
took {document["unit_minutes"]:.0f} minutes in all, while the machine had a load of
{document["machine"]["load"]:.0f}.

At a cut T every method gives each customer with at least three events one label, by what was
known before T (of more than {document["most_customers"]:,} customers a random sample takes part).
The forecast of a customer's next period is the mean of the label, learned on a random half of the
customers and asked of the other half, both ways round, {document["splits"]} halves; labels that
tell little are drawn to the common mean, by leave-one-out in the half that is learned from, for all
methods alike. What is scored is the share of deviance that labels explain beyond one common mean,
told as a **share of what is attainable**: what LightGBM explains with all features, learned and
asked on the same halves.

| outcome | deviance | why |
| --- | --- | --- |
| orders | Poisson | counts; least at the true mean whatever their spread |
| spend | Tweedie, power 1.5 | zeros and a long tail; no unit; before refunds |
| days to next order | hazards of four equal periods, then censored | no shape is assumed |
| category mix | multinomial, a weight of one a customer | top categories of events of any kind |

*Given recent activity*, labels have to add to 16 strata (orders in the period before: 0, 1, 2, 3 or
more; quarters of the days since the last event): a stratum's mean times what a label had over what
its strata expect. Formulas and sources: `shoal.evaluation.deviance` and
`shoal.evaluation.foretelling`.

Supervised peers and the rounds of LightGBM know features at T - H and outcomes of [T - H, T) only;
nobody sees the period that is scored. The planted segments are those of the world at T, with who
has left for good as one more: no method can know them, and they are not ranked. Of a public set
each seed is another cut, of a world another world. An outcome of which LightGBM explains less than
{document["least_attained"]:.0%} is shown and does not count in ranks. Equal figures take the worse
rank, and so does a method without a figure. Peers that differ over time alone (refits, never
switching) are one here; `bench.track` tells them apart."""


def _added(document: Mapping[str, Any]) -> str:
    text = note(document, {name: one["title"] for name, one in document["methods"].items()})
    if not document.get(ADDED):
        return ""
    return (
        f"{text} Mean ranks at k = {document['main_k']} are over all methods. Where a table has no "
        "figure of an added method (ranks at another k, the best peer beside it), it stands as it "
        "was before."
    )


def _outlook(document: Mapping[str, Any]) -> str:
    """What Shoal's segments are made on."""
    told = [
        f"- **{document['methods'][name]['title']}**: "
        + _by_set(document["methods"][name], document["main_k"])
        for name in (SHOAL, "shoal-foretell")
        if "styles" in document["methods"].get(name, {})
    ]
    if not told:
        return ""
    return (
        "Shoal divides customers by how they shop (style) first and each style into stages by the "
        "outlook, what a head that learned from the two periods before T expects of them. How many "
        "of the k segments differ by style is chosen by what segments of the period before T would "
        "have foretold: by default the most within one standard error of the best, with `--aim "
        "foretell` the best. `--aim style` makes no stages, `--aim outlook` no styles. Stability "
        "is that of segments with a given head. Styles chosen, by seed:\n\n" + "\n".join(told)
    )


def _by_set(method: Mapping[str, Any], k: int) -> str:
    by_set: dict[str, list[str]] = {}
    for label, styles in method["styles"].items():
        by_set.setdefault(label.rsplit("-", 1)[0], []).append(str(styles[str(k)]))
    return "; ".join(f"{name} {', '.join(found)}" for name, found in by_set.items())


def _models(document: Mapping[str, Any]) -> str:
    """How the behaviour models were trained that methods stand on."""
    models = [one["model"] for one in document["methods"].values() if "model" in one]
    if not models:
        return ""
    first = models[0]
    return (
        f"Shoal on the embedding: a behaviour model (recipe {first['recipe']}, "
        f"about {first['parameters']['mean']:,.0f} parameters) is trained once a log on what lies "
        f"before T, from nothing and without outcomes: {told(first['steps'], 0)} steps, "
        f"{told(first['seconds'], 0)} seconds on one thread; kept are the weights that were best "
        f"on the last tenth of that time, of step {told(first['best_step'], 0)}. k-means is "
        "learned on its embedding as of T, or on embedding and features. Their stability is that "
        "of the segments on a given embedding, and seconds are without training."
    )


def _carry(document: Mapping[str, Any]) -> str:
    rows, reasons = [], list(document["missing"].values())
    for name, why in document["tasks"].items():
        if name in document["missing"]:
            cells = ["not there"] * len(why)
        elif all(why.values()):
            cells = ["no"] * len(why)
            reasons.append(f"{name}: {next(iter(why.values()))}.")
        else:
            cells = [f"no: {text}" if text else "yes" for text in why.values()]
        rows.append([name, *cells])
    head = ["set", *(_TASK[task] for task in next(iter(document["tasks"].values())))]
    told = "".join(f"\n- {reason}" for reason in reasons)
    return f"## Which set can carry which outcome\n\n{table(head, rows)}\n{told}"


def _ranks(document: Mapping[str, Any]) -> str:
    ks = list(document["ranks"])
    main = document["ranks"][str(document["main_k"])]
    order = sorted(main["all"], key=lambda name: main["all"][name])
    rows = [
        [
            _named(document, name),
            *(_rank(main[part], name) for part in ("all", *_MODE)),
            *(_rank(document["ranks"][k]["all"], name) for k in ks[1:]),
        ]
        for name in order
    ]
    head = ["method", f"mean rank, k = {ks[0]}", "alone", "given recent activity"]
    head += [f"k = {k} (of {len(document['ranks'][k]['all'])})" for k in ks[1:]]
    return (
        f"## Mean ranks\n\nOver {main['cells']} outcomes of all sets, alone and given recent "
        f"activity, of {len(order)} methods.\n\n{table(head, rows)}"
    )


def _rank(ranks: Mapping[str, float], name: str) -> str:
    return f"{ranks[name]:.1f}" if name in ranks else "–"


def _shares(document: Mapping[str, Any], mode: str) -> str:
    there = [one for one in document["cells"] if one["mode"] == mode]
    tasks = [task for task in _TASK if any(one["task"] == task for one in there)]
    parts = [f"## {_MODE[mode]}: share of what is attainable"]
    for task in tasks:
        of_task = [one for one in there if one["task"] == task]
        head = ["method", *(one["set"] + ("" if one["counted"] else " *") for one in of_task)]
        rows = [
            [_named(document, name), *(_share(one, name) for one in of_task)]
            for name in document["methods"]
        ]
        attained = [told(one["attained"], 3) for one in of_task]
        rows.append(["*attainable share of deviance*", *attained])
        parts.append(f"### {_TASK[task].capitalize()}\n\n{table(head, rows)}")
    parts.append(
        "Mean and range over seeds. \\* too little is attainable: the share of deviance itself "
        "stands there, and does not count in ranks."
    )
    return "\n\n".join(parts)


def _share(cell: Mapping[str, Any], name: str) -> str:
    if not cell["counted"]:
        return told(cell["shares"][name], 3)
    text = told(cell["of_attained"][name])
    best = max(
        (
            one["mean"]
            for who, one in cell["of_attained"].items()
            if one is not None and who != "planted"
        ),
        default=None,
    )
    figure = cell["of_attained"][name]
    return f"**{text}**" if figure is not None and figure["mean"] == best else text


def _differences(document: Mapping[str, Any]) -> str:
    parts = []
    for own in OWN:
        rows = [
            [
                one["set"], _TASK[one["task"]],
                "given" if one["mode"] == "given" else "alone",
                document["methods"][one["best_peer"]]["title"],
                f"{one['figure']:+.3f}", f"{one['low']:+.3f} to {one['high']:+.3f}",
                _verdict(one),
            ]
            for one in document["differences"]
            if one["counted"] and one.get("method", SHOAL) == own
        ]  # fmt: skip
        if rows:
            head = ["set", "outcome", "", "best peer there", "Shoal - peer", "95 % interval", ""]
            title = document["methods"][own]["title"]
            parts.append(f"### {title}\n\n{table(head, rows)}")
    if not parts:
        return ""
    return (
        "## Shoal beside the best peer\n\nDifference in the share of what is attainable; customers "
        f"drawn again {document['draws']:,} times, the same for both. The best peer is chosen "
        "after the fact in each row, which counts against Shoal.\n\n" + "\n\n".join(parts)
    )


def _verdict(one: Mapping[str, Any]) -> str:
    if one["high"] < 0:
        return "worse"
    return "better" if one["low"] > 0 else "no telling"


def _stability(document: Mapping[str, Any]) -> str:
    sets = list(dict.fromkeys(one["set"] for one in document["logs"]))
    rows = [
        [
            _named(document, name), told(one["ari"]),
            *(f"{one['ari_by_set'][key]:.2f}" if key in one["ari_by_set"] else "–"
              for key in sets),
            told(one["k_found"], 1), told(one["seconds"], 1),
        ]
        for name, one in document["methods"].items()
    ]  # fmt: skip
    head = ["method", "bootstrap ARI", *sets, "labels given", "seconds"]
    return (
        "## Stability\n\nAdjusted Rand index of the labels with those learned from customers drawn "
        "again (median of 5 draws, of 1 for river; mean and range over logs; by set). Labels given "
        f"where {document['main_k']} were asked for; seconds to learn and label once.\n\n"
        + table(head, rows)
    )


def _logs(document: Mapping[str, Any]) -> str:
    rows = [
        [one["set"], str(one["seed"]), one["cut"], str(one["horizon_days"]),
         f"{one['customers']:,}", f"{one['events']:,}", f"`{one['digest'][:12]}`"]
        for one in document["logs"]
    ]  # fmt: skip
    head = ["set", "seed", "cut", "days foretold", "customers", "events", "digest"]
    return f"## The logs\n\n{table(head, rows)}"


def _failed(document: Mapping[str, Any]) -> str:
    seen: dict[tuple[str, str], list[str]] = {}
    for one in document["failed"]:
        seen.setdefault((one["peer"], one["reason"]), []).append(one["log"])
    if not seen:
        return ""
    rows = [[peer, ", ".join(labels), reason] for (peer, reason), labels in seen.items()]
    return f"## What failed\n\n{table(['peer', 'logs', 'reason'], rows)}"


def _named(document: Mapping[str, Any], name: str) -> str:
    title: str = document["methods"][name]["title"]
    return f"**{title}**" if name in OWN else title
