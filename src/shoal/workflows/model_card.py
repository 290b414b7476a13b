"""The model card: what a model is, what it learned from, what it is good for, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shoal.workflows.train_result import forgotten, losses_of

_OBJECTIVES: Final[Mapping[str, str]] = {
    "contrastive": "tell stretches of one customer's history from those of others",
    "next_event": "foretell the next event: what kind, which item, at what price, after how long",
    "horizon": "foretell all events of the next 7, 14 and 28 days",
    "masked": "fill in events that were hidden",
    "order": "tell which of two stretches of a history came first",
}
_STOPPED: Final[Mapping[str, str]] = {
    "planned": "all planned steps were made",
    "time": "the time was used up",
    "patience": "it no longer got better on days that it had not seen",
}


def card(document: Mapping[str, Any]) -> str:
    """Markdown of a model's document; it names no customer."""
    parts = [
        _what(document), _data(document), _training(document), _losses(document),
        _tuning(document["tuning"]), _forgetting(document), _USE, _versions(document),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def _what(told: Mapping[str, Any]) -> str:
    shape = f"{told['parameters']:,} learned numbers"
    earlier = f"\nIt goes on from {told['warm_start']}." if told["warm_start"] else ""
    return f"""\
# Behaviour model

It reads the events of a customer in their order and time and gives an embedding: a list of numbers
that lies near those of customers who behave alike. Nobody labelled anything for it: it learned from
the events themselves.

Recipe `{told["recipe"]}`, backbone `{told["backbone"]}`, texts by `{told["text"]}`,
{shape}.{earlier}
"""


def _data(told: Mapping[str, Any]) -> str:
    rules = told["rules"]
    other = f"\nPrices in another currency than {rules['currency']} are taken as unknown."
    currency = other if rules["currency"] else ""
    return f"""\
## What it learned from

{told["events"]:,} events of {told["customers"]:,} customers of this shop, all before
{told["trained_until"]} (version {told["table_version"]} of the event table); {told["items"]:,}
items have a code of their own. What counts as buying: `{rules["value_event"]}`.{currency}

It holds ids, titles, categories, brands and prices of items, and no id and no event of a customer.
A customer who is forgotten after it was made cannot be taken out of its weights one by one: it then
cannot be made again as it was (`shoal models` says so), and training anew leaves that customer out.
"""


def _training(told: Mapping[str, Any]) -> str:
    fit = told["fit"]
    weights = told["train"]["weights"]
    learned = "\n".join(
        f"- {_OBJECTIVES.get(name, name)} (`{name}`, weight {weight:g})"
        for name, weight in weights.items()
        if weight
    )
    stopped = _STOPPED.get(fit["stopped"], fit["stopped"])
    return f"""\
## How

It learned to

{learned}

in {fit["steps"]:,} steps and {_duration(fit["seconds"])} on `{told["device"]}`
({fit["events_per_s"]:,.0f} events a second); it ended because {stopped}. The weights are those of
step {fit["best_step"]:,}, the best on the last days before the moment, which it did not train on.
Seed {told["seed"]}{_repeatable(fit)}.
"""


def _repeatable(fit: Mapping[str, Any]) -> str:
    if fit["timed"]:
        return "; the time had a say in how it learned, so another run gives other weights"
    return "; the same seed and events give the same weights on the same machine"


def _losses(told: Mapping[str, Any]) -> str:
    rows = [[name, f"{value:.4f}"] for name, value in losses_of(told).items()]
    if not rows:
        return ""
    where = (
        "on the last days, which it did not train on"
        if told["fit"]["validations"]
        else "in training"
    )
    return f"## Losses {where}\n\n{_LOSSES}" + _table(["objective", "loss"], rows)


def _tuning(tuning: Mapping[str, Any] | None) -> str:
    if tuning is None:
        return ""
    rows = [
        [str(one["trial"]), _score(one["score"]), ", ".join(f"{k} {v:g}" for k, v in
                                                            one["parameters"].items())]
        for one in tuning["trials"]
    ]  # fmt: skip
    return (
        f"## Settings tried\n\n{len(rows)} settings by {tuning['search']}, each scored by "
        f"{tuning['measure']}; number {tuning['chosen']} was taken.\n\n"
        + _table(["trial", "score", "settings"], rows)
    )


def _forgetting(told: Mapping[str, Any]) -> str:
    rows = [[name, f"{then:.4f}", f"{now:.4f}"] for name, then, now in forgotten(told)]
    if not rows:
        return ""
    return _FORGOT + _table(["objective", "model before", "this model"], rows)


_LOSSES: Final = """\
Less is better; they compare models of one shop and one set of objectives only.

"""

_FORGOT: Final = """\
## What it forgot

Losses on a fixed sample of the time before, of the model it goes on from and of this one. Where
this one's are greater, it knows that time less well.

"""

_USE: Final = """\
## What it is good for, and what not

- Segments of customers who behave alike, nearest customers and items, and as an input beside the
  features for what is to come. It is refreshed by every event, and silence ages a customer.
- It knows this shop as it was before the moment above. Customers with one or two events are little
  known to it; a new assortment, season or kind of event is foreign to it until it is trained again.
- Its numbers have no meaning one by one, and embeddings of different models must not be mixed.
- It says what customers like these did, never why, and is no ground for a decision about a person
  that the law wants explained.

    shoal embed SHOP --out embeddings.parquet
    shoal segment SHOP --on embedding
"""


def _versions(told: Mapping[str, Any]) -> str:
    return f"""\
## Versions

Made {told["created_at"]} by Shoal {told["code_version"]} with PyTorch {told["torch_version"]}.
Vocabularies `{told["tokenizer_fingerprint"]}`, features `{told["fold_fingerprint"]}`. Checksums of
every file stand in `manifest.json` and are verified whenever the model is read.
"""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _score(value: float | None) -> str:
    return "failed" if value is None else f"{value:.4f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.1f} minutes"
