"""The verb that says how good a model's embeddings are and what they rest on: probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, ShopDir, TableVersion

#: Events of a customer that are shown.
_SHOWN: Final = 12
_TITLES: Final = {
    "auroc": "AUROC",
    "deviance_share": "explained",
    "spearman": "Spearman",
    "accuracy": "accuracy",
}
_SHORT: Final = {"features + embedding": "both"}


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("probe")(probe)


def probe(
    shop: ShopDir,
    model: Annotated[
        str | None, typer.Option("--model", metavar="ID", help="Default: the current one.")
    ] = None,
    as_of: AsOf = None,
    horizon_days: Annotated[
        int | None,
        typer.Option(
            "--horizon-days",
            metavar="H",
            help="Foretell the H days before T; default: 28, or a quarter of a shorter log.",
        ),
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option(
            "--customer", metavar="ID", help="What this customer's embedding rests on, who is near."
        ),
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="The items nearest to this one.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0)] = 0,
    table_version: TableVersion = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """How well embeddings foretell what customers do next, and which events they rest on."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.probe(
            model=model, as_of=as_of, horizon_days=horizon_days, customer=customer, item=item,
            seed=seed, table_version=table_version, progress=console.progress(),
        )  # fmt: skip
    console.document(found)
    for warning in found["warnings"]:
        console.warn(warning)
    if found["foretelling"]:
        _show_foretelling(console, found)
        _show_shape(console, found)
    if found["customer"]:
        _show_customer(console, found["customer"])
    if found["item"]:
        _show_item(console, found["item"])


# --- All customers --------------------------------------------------------------------------------


def _show_foretelling(console: Console, found: Mapping[str, Any]) -> None:
    told = found["foretelling"]
    seen = "; the model has seen the window in training" if told["seen_in_training"] else ""
    console.heading(f"What {found['model_id']} foretells")
    console.say(
        f"{told['from']} to {told['to']} ({told['horizon_days']:g} days): learned from "
        f"{told['learned']:,} customers, asked of {told['asked']:,} others{seen}. "
        f"Probes: {', '.join(_heads(told))}; explained is the share of the deviance."
    )
    for task in told["tasks"]:
        first, second = (name for name in _TITLES if name in task["results"][0])
        if first != task["compared_by"]:
            first, second = second, first
        columns = ["probe", "from", _TITLES[first], "95 %", _TITLES[second], "against features"]
        rows = [
            [
                one["head"].split(" (")[0],
                _SHORT.get(one["inputs"], one["inputs"]),
                _number(one[first]["figure"]),
                _range(one[first]),
                _number(one[second]["figure"]),
                _gain(one["gain"]),
            ]
            for one in task["results"]
        ]
        console.table(columns, rows, title=_asked(task), right=columns[2:])


def _heads(told: Mapping[str, Any]) -> list[str]:
    every = (one["head"] for task in told["tasks"] for one in task["results"])
    return list(dict.fromkeys(every))


def _gain(one: Mapping[str, float | None] | None) -> str:
    return "" if one is None else f"{_number(one['figure'], '+')} ({_range(one, '+')})"


def _asked(task: Mapping[str, Any]) -> str:
    about = {"chance": "of {:.0%} of", "amount": "{:.2f} a customer, of", "count": "{:.2f} each of"}
    known = about[task["kind"]].format(task["mean"]) if task["kind"] in about else "of"
    return f"{task['task']}: {known} {task['customers']:,} customers"


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f}"


def _range(one: Mapping[str, float | None], sign: str = "") -> str:
    return f"{_number(one['low'], sign)}…{_number(one['high'], sign)}"


def _show_shape(console: Console, found: Mapping[str, Any]) -> None:
    shape, items = found["shape"], found["items"]
    console.heading("How the embeddings lie")
    console.say(
        f"effective rank {shape['effective_rank']:.1f} of {shape['dimensions']} dimensions, mean "
        f"cosine of two customers {shape['mean_cosine']:.2f}, "
        f"{shape['first_share']:.0%} of the variance in one direction"
    )
    if items and items["same_category"]:
        alike, by_id = items["same_category"], items["same_category_by_id"]
        console.say(
            f"{alike['share']:.0%} of an item's {alike['most']} nearest are of its category "
            f"({by_id['share']:.0%} by what was learned of the ids alone; chance "
            f"{alike['chance']:.0%})"
        )


# --- One customer, one item -----------------------------------------------------------------------


def _show_customer(console: Console, one: Mapping[str, Any]) -> None:
    events = one["rests_on"]["events"]
    ranked = sorted(range(len(events)), key=lambda place: -events[place]["occlusion"])[:_SHOWN]
    console.heading(f"What the embedding of {one['customer_id']} rests on")
    console.table(
        ["time", "event", "item", "about", "moves without it", "gradient"],
        [_event(events[place]) for place in sorted(ranked)],
        right=["moves without it", "gradient"],
    )
    if len(events) > _SHOWN or one["events"] > len(events):
        console.say(
            f"The {len(ranked)} weightiest of the last {len(events):,} of {one['events']:,} events."
        )
    fields = one["rests_on"]["fields"]
    console.say(
        "Moves without the fields of all of them: "
        + ", ".join(f"{name} {value:.2f}" for name, value in fields.items())
    )
    console.heading("Nearest customers")
    _table(
        console, one["nearest"], ("customer_id", "cosine", "events", "orders", "top_category")
    )  # fmt: skip


def _event(one: Mapping[str, Any]) -> list[str]:
    about = " · ".join(filter(None, (one["title"], one["category"])))
    when = one["time"][:16].replace("T", " ")
    weights = (f"{one['occlusion']:.3f}", f"{one['gradient']:.3f}")
    return [when, one["kind"], one["item_id"] or "", about, *weights]


def _show_item(console: Console, one: Mapping[str, Any]) -> None:
    about = " · ".join(filter(None, (one["title"], one["category"])))
    console.heading(f"Items nearest to {one['item_id']}" + (f" ({about})" if about else ""))
    _table(console, one["nearest"], ("item_id", "cosine", "title", "category"))


def _table(console: Console, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    shown = [
        [f"{row[name]:.3f}" if name == "cosine" else row[name] for name in names] for row in rows
    ]
    console.table(names, shown, right=["cosine", "events", "orders"])
