"""Verbs about money: rates, reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import UsageError

if TYPE_CHECKING:
    from shoal.workflows.rates import Loaded, Rates


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("rates")(rates)


def rates(
    shop: ShopDir,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Dated rates: CSV, JSON Lines or Parquet."),
    ] = None,
    base: Annotated[
        str,
        typer.Option("--base", metavar="EUR", help="Base of a table with a column a currency."),
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show the rates the shop has.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Load dated currency rates, by which amounts become the shop's currency; or list them."""
    from shoal import shop as shops

    if (file is None) != listed:
        raise UsageError(
            "usage",
            "a file and --list were both given" if listed else "no file of rates was given",
            hint="Give one: shoal rates SHOP FILE loads rates, shoal rates SHOP --list shows them.",
        )
    console = Console(json)
    with shops.open(shop) as opened:
        if file is None:
            known = opened.rates()
            console.document(known.as_document())
            _show_rates(console, known)
            return
        loaded = opened.load_rates(file, base=base)
    console.document(loaded.as_document())
    _show_loaded(console, loaded)


def _show_loaded(console: Console, loaded: Loaded) -> None:
    console.say(
        f"{loaded.read:,} rates read: {loaded.new:,} new, {loaded.changed:,} in place of another "
        "for the same day."
    )
    if loaded.ignored:
        console.say(f"Left out, no currency in circulation: {', '.join(loaded.ignored[:40])}.")
    if loaded.replaced:
        console.say(f"Rates into {loaded.replaced} no longer count and were dropped.")
    _show_rates(console, loaded.rates)


def _show_rates(console: Console, known: Rates) -> None:
    into = known.currency or "the shop's currency"
    if not known.currencies:
        console.say(f"The shop has no rates into {into}.")
        return
    console.table(
        ["currency", "days", "from", "to", f"latest in {into}"],
        [
            [one.name, f"{one.days:,}", one.first, one.last, f"{one.latest:.6g}"]
            for one in known.currencies
        ],
        title=f"Rates into {into} ({known.rates_id})",
        right=["days", f"latest in {into}"],
    )
