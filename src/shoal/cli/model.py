"""Verbs of the behaviour model: train, models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, Seed, ShopDir, Until

if TYPE_CHECKING:
    from shoal.workflows.train_result import TrainResult


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("train")(train)
    app.command("models")(models)


def train(
    shop: ShopDir,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="nano|laptop|base|large", help="Size; default: shop.toml's."
        ),
    ] = None,
    until: Until = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Train for M minutes at most.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", help="Exactly N steps; repeatable.")
    ] = None,
    seed: Seed = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="B",
            help="recurrence, transformer, bidirectional, gru, lstm or cnn.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", metavar="ngrams|NAME|PATH", help="How titles are read: trained, or a BERT."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was interrupted.")
    ] = False,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--warm-start", metavar="current|ID", help="Go on from a model with what came since."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda")] = "auto",
    tune: Annotated[
        int | None,
        typer.Option("--tune", metavar="N", help="Try N settings first, on a quarter of the time."),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="optuna|grid|random", help="How --tune chooses."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the behaviour model on the shop's events and make it the current one."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        result = opened.train(
            recipe=recipe,
            until=until,
            minutes=minutes,
            steps=steps,
            seed=seed,
            backbone=backbone,
            text=text,
            resume=resume,
            warm_start=warm_start,
            device=device,
            tune=tune,
            search=search,
            progress=console.progress(),
        )
    console.document(result.as_document())
    for warning in result.warnings:
        console.warn(warning)
    if not json:
        _show(console, result)


def models(
    shop: ShopDir,
    use: Annotated[
        str | None, typer.Option("--use", metavar="ID", help="Make this one the current model.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The shop's models and which is current; --use moves to another, also back."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        if use is not None:
            opened.use_model(use)
        found = opened.models()
    console.document(found)
    if not found["models"]:
        console.say("No model yet. Make one with: shoal train SHOP")
        return
    numbers = ("events", "loss")
    console.table(
        ["model", "recipe", "backbone", "trained until", *numbers, ""],
        [
            [
                one["model_id"],
                one["recipe"],
                one["backbone"],
                one["trained_until"][:10],
                _count(one["events"]),
                _number(one["losses"].get("total")),
                _notes(one),
            ]
            for one in found["models"]
        ],
        right=numbers,
    )


def _notes(model: dict[str, Any]) -> str:
    notes = ["current"] if model["current"] else []
    if not model["reproducible"]:
        notes.append("not reproducible: somebody was forgotten since")
    return "; ".join(notes)


def _show(console: Console, result: TrainResult) -> None:
    """The model in a few lines, its losses and what was tried."""
    told = result.document
    fit = told["fit"]
    console.heading(f"Behaviour model {result.model_id}")
    console.say(
        f"{told['events']:,} events of {told['customers']:,} customers before "
        f"{told['trained_until']}; recipe {told['recipe']}, {told['backbone']}, "
        f"{told['parameters']:,} parameters."
    )
    console.say(
        f"{fit['steps']:,} steps in {fit['seconds']:,.0f} s on {told['device']} "
        f"({fit['events_per_s']:,.0f} events/s); stopped: {fit['stopped']}."
    )
    where = "loss on later days" if fit["validations"] else "loss in training"
    # A loss of exactly nothing is that of an objective that could ask nothing.
    rows = [[name, _number(value) if value else "–"] for name, value in result.losses.items()]
    console.table(["objective", where], rows, right=(where,))
    if told["tuning"] is not None:
        _show_tuning(console, told["tuning"])
    _show_forgetting(console, told)


def _show_tuning(console: Console, tuning: dict[str, Any]) -> None:
    names = list(tuning["trials"][0]["parameters"])
    console.table(
        ["trial", "score", *names, ""],
        [
            [
                one["trial"],
                "failed" if one["score"] is None else _number(one["score"]),
                *(f"{one['parameters'][name]:.2g}" for name in names),
                "chosen" if one["trial"] == tuning["chosen"] else "",
            ]
            for one in tuning["trials"]
        ],
        title=f"Settings tried ({tuning['search']})",
        right=("trial", "score", *names),
    )
    console.say(f"The score is {tuning['measure']}: {tuning['days']} days from {tuning['moment']}.")


def _show_forgetting(console: Console, told: Mapping[str, Any]) -> None:
    from shoal.workflows.train_result import forgotten

    rows = [[name, _number(then), _number(now)] for name, then, now in forgotten(told)]
    if rows:
        columns = ("model before", "this model")
        console.table(["loss on the time before", *columns], rows, right=columns)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else str(value or "")
