"""The verb that says what the last months would have looked like: backtest."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir

_NAMES: Final = {
    "frozen": "frozen", "monthly": "made anew", "shoal": "by Shoal",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("backtest")(backtest)


def backtest(
    shop: ShopDir,
    periods: Annotated[
        int, typer.Option("--periods", metavar="N", help="How many periods, the last ones.")
    ] = 3,
    period_days: Annotated[
        int, typer.Option("--period-days", metavar="D", help="Days of a period.")
    ] = 28,
    tune: Annotated[
        int,
        typer.Option(
            "--tune",
            metavar="N",
            help="Search k, half-life, margin and cadence in N trials on these periods.",
        ),
    ] = 0,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write what the search found into shop.toml.")
    ] = False,
    recorded: Annotated[
        bool,
        typer.Option(
            "--recorded",
            help="Replay nothing: what live memberships foretold, as they are on record, beside "
            "the first version left as it was.",
        ),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="VERSION", help="The same beside another version."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="S")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """What the last months would have looked like: frozen, made anew monthly, and with Shoal."""
    from shoal import shop as shops

    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.backtest(
            periods=periods, period_days=period_days, tune=tune, apply=apply,
            recorded=recorded, against=against, seed=seed, progress=console.progress(),
        )  # fmt: skip
    console.document(found)
    show_backtest(console, found)
    if found["search"]:
        _show_search(console, found["search"])


def show_backtest(console: Console, found: dict[str, Any]) -> None:
    """The table of strategies, and what it says."""
    outcomes = list(found["outcomes"])
    head = ["", "mean", *outcomes, "moved", "by model", "kept", "alarms"]
    rows = []
    for name, one in found["strategies"].items():
        segments = one["segments"]
        shares = [found["outcomes"][each]["strategies"][name]["of_attainable"] for each in outcomes]
        rows.append(
            [
                _NAMES[name],
                *(_share(each) for each in (one["of_attainable"], *shares)),
                f"{one['turnover_a_month']:.1%}", f"{one['relabelled_by_model_a_month']:.1%}",
                f"{segments['kept']} of {segments['first']}", f"{sum(one['alarms'].values())}",
            ]
        )  # fmt: skip
    console.table(
        head, rows, right=head[1:],
        title="Share of what could be foretold of the next period; customers moved a month",
    )  # fmt: skip
    if found["against"]:
        console.say(f"Frozen is {found['against']}, left as it was.")
    if any((one["of_attainable"] or 0) > 1 for one in found["strategies"].values()):
        console.say(
            "More than 100 %: of so few customers the model that says what could be foretold "
            "learned less than the means of segments."
        )
    for sentence in found["sentences"]:
        console.say(sentence["en"])


def _show_search(console: Console, search: dict[str, Any]) -> None:
    rows = [
        [f"{one['trial']}", _told(one), _share(one["of_attainable"]),
         "–" if one["relabelled"] is None else f"{one['relabelled']:.1%}",
         "–" if one["score"] is None else f"{one['score']:.3f}",
         "chosen" if one["trial"] == search["chosen"] else "front" if one["front"] else ""]
        for one in search["trials"]
    ]  # fmt: skip
    console.table(
        ["trial", "settings", "of what could be foretold", "by the model", "score", ""], rows,
        right=["trial", "of what could be foretold", "by the model", "score"],
    )  # fmt: skip
    console.say(search["reason"]["en"])
    written = "Written into shop.toml:" if search["applied"] else "To put into shop.toml:"
    console.say(f"{written}\n{search['toml']}")


def _told(one: dict[str, Any]) -> str:
    told = one["settings"]
    return (
        f"k {told['k'] or 'chosen'}, half-life {told['half_life_days']:g} d, margin "
        f"{told['switch_margin']:g}, every {told['cadence_days']:g} d"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
